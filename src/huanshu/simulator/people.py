"""Who somebody is: name, number, telephone — drawn here, and written the same wherever they come again.

``IDENTITY`` are the columns that name a person; other registers keep a copy of them, as they were when they were
entered there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from huanshu.simulator.columns import Numbers, join, pick
from huanshu.simulator.identifiers import citizen_numbers
from huanshu.simulator.lexicon import (
    DOTTED,
    DOTTED_STRETCH,
    FAMILIES,
    FAMILY_SHARES,
    FEMALE_GIVEN,
    GIVEN,
    MALE_GIVEN,
)
from huanshu.simulator.register import Register

NAME: Final = ("family", "given1", "given2", "dotted")
IDENTITY: Final = ("born", "place", "order", "sex", *NAME)

_FAMILIES: Final = pa.array(FAMILIES, pa.string())
_GIVEN: Final = pa.array(GIVEN, pa.string())
_DOTTED: Final = pa.array(DOTTED, pa.string())
#: Place codes of the time: a county before it became a district, or somewhere else.
_COUNTY, _FORMER = 21, 22


def families(rng: np.random.Generator, count: int) -> Numbers:
    """Surnames by how common they are."""
    return rng.choice(len(FAMILIES), count, p=FAMILY_SHARES).astype(np.int16)


def given_names(rng: np.random.Generator, sex: Numbers) -> dict[str, Numbers]:
    """One or two characters each; two for nine in ten."""
    low = np.where(sex == 1, MALE_GIVEN[0], FEMALE_GIVEN[0])
    high = np.where(sex == 1, MALE_GIVEN[1], FEMALE_GIVEN[1])
    second = rng.integers(low, high)
    return {
        "given1": rng.integers(low, high).astype(np.int16),
        "given2": np.where(rng.random(len(sex)) < 0.9, second, 0).astype(np.int16),
    }


def dotted_names(rng: np.random.Generator, ethnicity: Numbers, sex: Numbers) -> Numbers:
    """A name with a dot for those whose people have such names, -1 for all others."""
    chosen = np.full(len(sex), -1, dtype=np.int16)
    luck = rng.random(len(sex))
    for (people, gender), (start, stop) in DOTTED_STRETCH.items():
        here = (ethnicity == people) & (sex == gender)
        chosen[here] = start + (luck[here] * (stop - start)).astype(np.int16)
    return chosen


def place_codes(rng: np.random.Generator, district: int, born: Numbers) -> Numbers:
    """The code of the time of registration, which a number keeps for life: older people have older codes."""
    luck = rng.random(len(born))
    base = district // 100 * 100
    years = born / 365.25 + 1970
    code = np.where(years < 1988, base + _COUNTY, district)
    code = np.where((years < 1958) & (luck < 0.6), base + _FORMER, code)
    elsewhere = 990_000 + rng.integers(2, 9, len(born)) * 100 + rng.integers(1, 5, len(born))
    return np.where(luck > 0.82, elsewhere, code).astype(np.int32)


def orders(rng: np.random.Generator, place: Numbers, born: Numbers, sex: Numbers) -> Numbers:
    """The number within the day, odd for men, so that no two of these people share a citizen number.

    Whoever draws again must draw for other days: nothing is remembered here."""
    group = (place.astype(np.int64) * 100_000 + born.astype(np.int64) + 50_000) * 2 + sex % 2
    sequence = np.argsort(group, kind="stable")
    ordered = group[sequence]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, len(ordered)))
    rank = np.empty(len(group), dtype=np.int64)
    rank[sequence] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    if len(lengths) and lengths.max() > 500:
        raise ValueError("more people of one sex were born on one day and place than numbers exist")
    first = int(rng.integers(0, 500))
    # 7 is coprime to 500: distinct ranks stay distinct.
    return np.asarray((rank * 7 + first + group % 499) % 500 * 2 + sex % 2, dtype=np.int16)


def names(register: Register, prefix: str = "") -> pa.Array:
    """Full names; null where the person is absent."""
    family, dotted = register[prefix + "family"], register[prefix + "dotted"]
    plain = join(
        pick(_FAMILIES, family),
        pick(_GIVEN, register[prefix + "given1"]),
        pick(_GIVEN, register[prefix + "given2"]),
    )
    if not (dotted >= 0).any():
        return plain
    return pc.if_else(pa.array(dotted >= 0), pick(_DOTTED, dotted), plain)


def numbers(register: Register, prefix: str = "") -> pa.Array:
    """Citizen numbers."""
    return citizen_numbers(register[prefix + "place"], register[prefix + "born"], register[prefix + "order"])


def subscribers(rng: np.random.Generator, count: int, share: float = 1.0) -> Numbers:
    """Telephone numbers for a share of them."""
    drawn = rng.integers(0, 10**8, count)
    return np.where(rng.random(count) < share, drawn, -1).astype(np.int32)

"""Children whose next vaccination is due: read off the residents' register of the day, one record a child.

Which dose is next follows from the age in months and the child's own lag, which its key decides: so the list of one
month continues that of the month before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from huanshu.catalog import Suite
from huanshu.simulator import people
from huanshu.simulator.changes import Changes
from huanshu.simulator.columns import Numbers, dates, join, pick, years_between
from huanshu.simulator.identifiers import phones
from huanshu.simulator.lexicon import CLINIC
from huanshu.simulator.lists import listed
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register
from huanshu.simulator.residents import GUARDED_BELOW

#: (age in months, vaccine, dose) of the national programme; the codes are of the district's list.
_PROGRAMME: Final = (
    (0, "0101", "1"), (1, "0201", "2"), (2, "0301", "1"), (3, "0401", "1"), (4, "0401", "2"), (5, "0401", "3"),
    (6, "0601", "1"), (8, "0501", "1"), (9, "0601", "2"), (18, "0501", "2"), (24, "0701", "2"), (36, "0602", "1"),
    (48, "0301", "4"), (72, "0402", "1"), (84, "0602", "2"), (120, "0801", "1"), (156, "0901", "1"),
)  # fmt: skip
_AHEAD: Final = 60
_MONTH: Final = 30.44


def due(residents: Register, seed: int, day: int) -> Register:
    """The list of ``day``: doses due in the next 60 days, or overdue."""
    young = (years_between(residents["born"], day) < GUARDED_BELOW) & (residents["guardian_phone"] >= 0)
    rows = np.flatnonzero(young)
    key = residents["key"][rows].astype(np.int64)
    # The child's lag in days: most come on time, some are months late.
    luck = ((key + 1) * 2_654_435_761 + seed * 40_503) % 1009 / 1009
    lag = (luck**4 * 400).astype(np.int64)
    born = residents["born"][rows].astype(np.int64)
    days = np.array([int(months * _MONTH) for months, _, _ in _PROGRAMME])
    dose = np.searchsorted(days, day - lag - born, side="right")
    coming = dose < len(days)
    when = born + days[np.minimum(dose, len(days) - 1)]
    listed = np.flatnonzero(coming & (when <= day + _AHEAD))
    columns = {name: residents[name][rows[listed]] for name in _KEPT}
    return Register(
        {
            **columns,
            "dose": dose[listed].astype(np.int16),
            "due": when[listed].astype(np.int32),
            "updated": np.minimum(_entered(when[listed], residents["updated"][rows[listed]]), day).astype(
                np.int32
            ),
        }
    )


def _entered(when: Numbers, updated: Numbers) -> Numbers:
    """The first of the month in which the dose came into sight, or the day of a later change of the child's record."""
    ahead = (when - _AHEAD).astype("datetime64[D]")
    month = ahead.astype("datetime64[M]")
    first = (
        np.where(month.astype("datetime64[D]") == ahead, month, month + 1)
        .astype("datetime64[D]")
        .astype(np.int64)
    )
    return np.maximum(first, updated)


def since(before: Register, now: Register, community_of: Numbers) -> Changes:
    """How one list differs from the one before."""
    changes = Changes("added")
    old, new = before["key"], now["key"]
    changes.left = old[~np.isin(old, new)]
    changes.reasons = np.full(len(changes.left), "done_or_gone")
    changes.added = new[~np.isin(new, old)]
    both, here, there = np.intersect1d(old, new, return_indices=True)
    source, target = community_of[before["grid"][here]], community_of[now["grid"][there]]
    moved = source != target
    changes.moved, changes.moved_from, changes.moved_to = both[moved], source[moved], target[moved]
    other = np.zeros(len(both), dtype=np.bool_)
    for name in (
        "dose",
        "grid",
        "guardian_phone",
        "guardian_family",
        "guardian_given1",
        "guardian_given2",
        "updated",
    ):
        other |= before[name][here] != now[name][there]
    changes.changed = {"entry": both[other & ~moved]}
    return changes


_KEPT: Final = (
    "key", *people.IDENTITY, "grid", *(f"guardian_{part}" for part in people.NAME), "guardian_phone",
)  # fmt: skip


def vaccines(suite: Suite | None) -> tuple[str, ...]:
    """The programme's codes, one an entry; where a home has another list, codes of that list."""
    known = list(listed(suite, "vaccine"))
    return tuple(
        code if code in known or not known else known[place % len(known)]
        for place, (_, code, _) in enumerate(_PROGRAMME)
    )


def text(places: Places, register: Register, codes: Sequence[str]) -> dict[str, pa.Array]:
    """Field → its cells."""
    dose: Numbers = register["dose"]
    return {
        "citizen_number": people.numbers(register),
        "name": people.names(register),
        "birth_date": dates(register["born"]),
        "vaccine": pick(codes, dose),
        "dose": pick([number for _, _, number in _PROGRAMME], dose),
        "due_on": dates(register["due"]),
        "clinic": join(places.community_names(register["grid"]), CLINIC),
        "guardian_name": people.names(register, "guardian_"),
        "guardian_phone": phones(register["guardian_phone"]),
        "community": places.community_codes(register["grid"]),
        "grid": places.grid_codes(register["grid"]),
        "updated_on": dates(register["updated"]),
    }

"""The residents' register: settled once, whole; what a later month changes is ``months``.

What a record says of a person's state (married, studying, insured, …) fits the age on the day of its last update.
Nobody in it exists: see ``identifiers``.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from huanshu.simulator import people
from huanshu.simulator.columns import ABSENT_DAY, Numbers, dates, join, padded, pick, plain, years_between
from huanshu.simulator.households import CHILD, HEAD, PARENT, SPOUSE, Households, form
from huanshu.simulator.identifiers import phones
from huanshu.simulator.lexicon import EMPLOYERS, ETHNICITIES, ETHNICITY_SHARES, OCCUPATIONS, OUTSIDE, STREETS
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register

FIRST_DAY: Final = date(2026, 9, 1)
#: GB/T 4761, by role; a son is 03 and a daughter 04.
_RELATIONS: Final = ("01", "02", "03", "04", "06")
GUARDED_BELOW: Final = 14

MARITAL: Final = ("10", "20", "30", "40", "90")
SINGLE, MARRIED, WIDOWED, DIVORCED = range(4)
EDUCATION: Final = ("10", "20", "30", "40", "60", "70", "80", "90")
INSURANCE: Final = ("10", "20", "30", "90")
CARE: Final = ("10", "20", "30", "40", "90")
#: By year of birth: shares of EDUCATION among adults.
_SCHOOLING: Final = (
    (1950, (0.00, 0.01, 0.02, 0.03, 0.08, 0.26, 0.50, 0.10)),
    (1970, (0.00, 0.04, 0.06, 0.08, 0.18, 0.44, 0.18, 0.02)),
    (1985, (0.02, 0.13, 0.15, 0.12, 0.16, 0.34, 0.07, 0.01)),
    (2100, (0.05, 0.28, 0.24, 0.11, 0.13, 0.16, 0.02, 0.01)),
)


def day_number(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def settle(rng: np.random.Generator, places: Places, shares: Numbers, count: int) -> Register:
    """The register of the first period."""
    homes = form(rng, count)
    first = day_number(FIRST_DAY)
    # At least two days old: an update lies behind, and a month's newborn lie ahead.
    born = np.minimum(first - (homes.age * 365.25).astype(np.int64) - rng.integers(1, 360, count), first - 2)
    since = born + (rng.random(count) ** 1.5 * (first - born)).astype(np.int64)
    updated = np.maximum(since, first - rng.integers(0, 500, count))
    found = {
        "key": np.arange(count, dtype=np.int64),
        "household": (900_000_000 + 1 + homes.household).astype(np.int32),
        "role": homes.role.astype(np.uint8),
        "sex": homes.sex,
        "born": born.astype(np.int32),
        "since": since.astype(np.int32),
        "updated": updated.astype(np.int32),
        **_names(rng, homes),
        **_homes(rng, places, shares, homes),
    }
    found["place"] = people.place_codes(rng, places.code, born)
    found["order"] = people.orders(rng, found["place"], born, homes.sex)
    years = years_between(born, updated)
    found["phone"] = np.where(years >= 12, people.subscribers(rng, count, 0.88), -1).astype(np.int32)
    register = Register({**found, **_standing(rng, homes, years, found)})
    return guarded(rng, register, np.arange(count), homes.head)


def _names(rng: np.random.Generator, homes: Households) -> dict[str, Numbers]:
    """Children carry the husband's surname, a husband's parents too; dotted names run in a household."""
    count = len(homes.role)
    family = people.families(rng, count)
    husband = np.where((homes.sex[homes.head] == 2) & (homes.spouse >= 0), homes.spouse, homes.head)
    kin = (homes.role == CHILD) | ((homes.role == PARENT) & (homes.sex == 1))
    family = np.where(kin, family[husband], family).astype(np.int16)
    drawn = rng.choice(ETHNICITIES, count, p=np.array(ETHNICITY_SHARES) / sum(ETHNICITY_SHARES))
    married_out = (homes.role == SPOUSE) & (rng.random(count) < 0.1)
    ethnicity = np.where(married_out, 1, drawn[homes.head]).astype(np.uint8)
    dotted = people.dotted_names(rng, ethnicity, homes.sex)
    return {
        "family": family,
        **people.given_names(rng, homes.sex),
        "dotted": dotted,
        "ethnicity": ethnicity,
    }


def _homes(
    rng: np.random.Generator, places: Places, shares: Numbers, homes: Households
) -> dict[str, Numbers]:
    """One flat a household, and where it is registered: here, elsewhere in the district, or outside."""
    luck = rng.random(homes.count)
    here = {name: column[homes.household] for name, column in flats(rng, places, shares, homes.count).items()}
    visiting = (luck < 0.14)[homes.household]
    elsewhere = visiting | (luck > 0.91)[homes.household]
    size = len(homes.household)
    return {
        **here,
        "registered_in": np.where(
            visiting, rng.integers(0, len(OUTSIDE), homes.count)[homes.household], np.where(elsewhere, -1, -2)
        ).astype(np.int8),
        "registered_grid": here["grid"],
        "registered_street": np.where(
            elsewhere, rng.integers(0, len(STREETS), homes.count)[homes.household], here["street"]
        ).astype(np.uint8),
        "registered_house": here["house"],
        "registered_flat": here["flat"],
        "collective": (rng.random(homes.count) < 0.03)[homes.household],
        "visiting": visiting | np.zeros(size, dtype=np.bool_),
    }


def flats(rng: np.random.Generator, places: Places, shares: Numbers, count: int) -> dict[str, Numbers]:
    """Grid, street, house and flat. A grid has three streets of its own."""
    grid = places.settle(rng, shares, count)
    return {"grid": grid, **doors(rng, grid)}


def doors(rng: np.random.Generator, grid: Numbers) -> dict[str, Numbers]:
    """Street, house and flat in these grids."""
    count = len(grid)
    street = (grid * 3 + rng.integers(0, 3, count)) % len(STREETS)
    return {
        "street": street.astype(np.uint8),
        "house": rng.integers(1, 90, count).astype(np.uint8),
        "flat": (rng.integers(1, 18, count) * 100 + rng.integers(1, 5, count)).astype(np.int16),
    }


def _standing(
    rng: np.random.Generator, homes: Households, years: Numbers, found: dict[str, Numbers]
) -> dict[str, Numbers]:
    """Marriage, schooling, work, insurance and what the state gives, by age."""
    count = len(years)
    retired = years >= np.where(homes.sex == 1, 60, 55)
    working = (years >= 19) & ~retired & (rng.random(count) < 0.72)
    disabled = rng.random(count) < np.select([years < 18, years < 60], [0.006, 0.018], 0.062)
    poor = _of_household(rng, homes, 0.012)
    care = np.select(
        [
            disabled & (rng.random(count) < 0.5),
            (years >= 75) & (rng.random(count) < 0.25),
            (years < 16) & (rng.random(count) < 0.01),
            rng.random(count) < 0.002,
        ],
        [1, 0, 2, 3],
        -1,
    )
    pregnant = (homes.sex == 2) & (years >= 20) & (years < 42) & (rng.random(count) < 0.025)
    fresh = found["updated"] > day_number(FIRST_DAY) - 240
    return {
        "marital": _marital(rng, homes, years),
        "education": _schooling(rng, years, found["born"]),
        "occupation": np.where(working, rng.integers(0, len(OCCUPATIONS), count), -1).astype(np.int8),
        "employer": np.where(
            working & (rng.random(count) < 0.85), rng.integers(0, len(EMPLOYERS), count), -1
        ).astype(np.int16),
        "disability": np.where(
            disabled, rng.choice((0, 1, 2, 3), count, p=(0.12, 0.27, 0.33, 0.28)), -1
        ).astype(np.int8),
        "care": care.astype(np.int8),
        "insurance": _insured(rng, years, working, retired),
        "allowance": np.where(poor, np.where(rng.random(count) < 0.75, 1, 2), 0).astype(np.int8),
        "pregnant": (pregnant & fresh).astype(np.int8),
        "elderly": elderly(years, rng.random(count) < 0.95),
        "veteran": (rng.random(count) < np.where(homes.sex == 1, 0.045, 0.003) * (years >= 20)).astype(
            np.int8
        ),
    }


def _of_household(rng: np.random.Generator, homes: Households, share: float) -> Numbers:
    return (rng.random(homes.count) < share)[homes.household]


def elderly(years: Numbers, drawn: Numbers) -> Numbers:
    """The allowance of the old, by decade of age from eighty on."""
    return np.where(drawn, np.clip(years // 10 - 7, 0, 3), 0).astype(np.int8)


def _marital(rng: np.random.Generator, homes: Households, years: Numbers) -> Numbers:
    luck = rng.random(len(years))
    # A parent beside another of the same household is married, alone mostly widowed.
    same = np.concatenate([homes.household[1:] == homes.household[:-1], [False]])
    parent = homes.role == PARENT
    paired = np.concatenate([parent[1:], [False]]) & same & parent
    paired = paired | np.concatenate([[False], paired[:-1]])
    alone = np.where(
        years < 32,
        SINGLE,
        np.where(
            years >= 62, np.where(luck < 0.75, WIDOWED, DIVORCED), np.where(luck < 0.4, SINGLE, DIVORCED)
        ),
    )
    child = np.where((years >= 26) & (luck < 0.3), MARRIED, SINGLE)
    found = np.select(
        [
            (homes.role == SPOUSE) | ((homes.role == HEAD) & (homes.spouse >= 0)) | paired,
            homes.role == CHILD,
            parent,
        ],
        [MARRIED, child, np.where(luck < 0.85, WIDOWED, MARRIED)],
        alone,
    )
    return np.where(years < 18, -1, found).astype(np.int8)


def _schooling(rng: np.random.Generator, years: Numbers, born: Numbers) -> Numbers:
    luck = rng.random(len(years))
    cohort = np.digitize(born / 365.25 + 1970, [year for year, _ in _SCHOOLING[:-1]])
    bounds = np.cumsum([shares for _, shares in _SCHOOLING], axis=1)[cohort]
    grown = np.minimum((luck[:, None] > bounds).sum(axis=1), len(EDUCATION) - 1)
    grown = np.where((years < 22) & (grown < 2), 4, grown)
    return np.select([years < 6, years < 12, years < 15, years < 18], [-1, 6, 5, 4], grown).astype(np.int8)


def _insured(rng: np.random.Generator, years: Numbers, working: Numbers, retired: Numbers) -> Numbers:
    luck = rng.random(len(years))
    return np.select(
        [working, retired & (years >= 19)],
        [
            np.where(luck < 0.84, 0, np.where(luck < 0.96, 1, 3)),
            np.where(luck < 0.48, 0, np.where(luck < 0.98, 1, 3)),
        ],
        np.where(luck < 0.93, 1, np.where(luck < 0.95, 2, 3)),
    ).astype(np.int8)


def guarded(rng: np.random.Generator, register: Register, rows: Numbers, heads: Numbers) -> Register:
    """These rows with a guardian below fourteen, and none from fourteen on, as of the day of their update.

    ``heads``: the row of each one's head of household. Who has a guardian keeps him."""
    columns = {
        name: register[name].copy()
        if _has(register, name)
        else np.full(register.rows, -1, dtype=np.int32 if name == "guardian_phone" else np.int16)
        for name in (*(f"guardian_{part}" for part in people.NAME), "guardian_phone")
    }
    young: Numbers = years_between(register["born"][rows], register["updated"][rows]) < GUARDED_BELOW
    for column in columns.values():
        column[rows[~young]] = -1
    wanting = young & (np.less(columns["guardian_family"][rows], 0))
    to, by = rows[wanting], heads[wanting]
    for part in people.NAME:
        columns[f"guardian_{part}"][to] = register[part][by]
    reached = register["phone"][by]
    columns["guardian_phone"][to] = np.where(reached >= 0, reached, people.subscribers(rng, len(to)))
    return register.with_columns(columns)


def _has(register: Register, name: str) -> bool:
    return name in register.names


def addresses(places: Places, register: Register, prefix: str = "", district: bool = True) -> pa.Array:
    """District, community, street, house and flat."""
    return join(
        places.district if district else "",
        places.community_names(register[prefix + "grid"]),
        pick(STREETS, register[prefix + "street"]),
        plain(register[prefix + "house"]),
        "号",
        plain(register[prefix + "flat"]),
        "室",
    )


def text(places: Places, register: Register) -> dict[str, pa.Array]:
    """Field → its cells. A home's contract may have fewer of these fields."""
    role, sex = register["role"], register["sex"]
    relation = np.where(role == PARENT, 4, np.where((role == CHILD) & (sex == 2), 3, role))
    return {
        "citizen_number": people.numbers(register),
        "name": people.names(register),
        "sex": plain(sex),
        "birth_date": dates(register["born"]),
        "ethnicity": padded(register["ethnicity"], 2),
        "phone": phones(register["phone"]),
        "household_number": plain(register["household"]),
        "household_relation": pick(_RELATIONS, relation.astype(np.int64)),
        "registration_kind": plain(register["collective"] + np.int8(1)),
        "registered_address": _registered(places, register),
        "residence_address": addresses(places, register),
        "community": places.community_codes(register["grid"]),
        "grid": places.grid_codes(register["grid"]),
        "building_code": join("B", padded(register["house"], 3)),
        "residence_kind": plain(register["visiting"] + np.int8(1)),
        "residence_since": dates(register["since"]),
        "marital_status": pick(MARITAL, register["marital"]),
        "education": pick(EDUCATION, register["education"]),
        "occupation": pick(OCCUPATIONS, register["occupation"]),
        "employer": pick(EMPLOYERS, register["employer"]),
        "disability_grade": pick(("1", "2", "3", "4"), register["disability"]),
        "care_status": pick(CARE, register["care"]),
        "guardian_name": people.names(register, "guardian_"),
        "guardian_phone": phones(register["guardian_phone"]),
        "insurance_kind": pick(INSURANCE, register["insurance"]),
        "subsistence_allowance": plain(register["allowance"]),
        "pregnancy": plain(register["pregnant"]),
        "elderly_allowance": plain(register["elderly"]),
        "veteran": plain(register["veteran"]),
        "updated_on": dates(register["updated"]),
    }


def _registered(places: Places, register: Register) -> pa.Array:
    within = register["registered_in"]
    flat = addresses(places, register, "registered_")
    street = join(pick(STREETS, register["registered_street"]), plain(register["registered_house"]), "号")
    other = join(pc.coalesce(pick(OUTSIDE, np.where(within >= 0, within, -1)), places.district), street)
    return pc.if_else(pa.array(within == -2), flat, other)


__all__ = [
    "ABSENT_DAY",
    "FIRST_DAY",
    "addresses",
    "day_number",
    "doors",
    "elderly",
    "flats",
    "guarded",
    "settle",
    "text",
]

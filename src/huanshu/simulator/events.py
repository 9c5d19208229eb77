"""Grid events: what was reported, where, by whom, and how far it has come. The register grows; nothing leaves it.

A reporter is mostly a resident, sometimes somebody from elsewhere, sometimes nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from huanshu.simulator import people
from huanshu.simulator.changes import Changes
from huanshu.simulator.columns import Numbers, civil, dates, digit_matrix, fixed, join, pick, plain
from huanshu.simulator.identifiers import phones
from huanshu.simulator.lexicon import SPOTS, STREETS
from huanshu.simulator.matters import Matter
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register
from huanshu.simulator.residents import flats

_STATE: Final = ("1", "2", "3", "4")
WAITING, AT_WORK, DONE, RETURNED = range(4)
_RESULTS: Final = (
    "已现场处置",
    "已整改完毕",
    "已劝导并恢复原状",
    "已调解，双方签字",
    "已转专业单位修复",
    "经核查不属实",
)
_SPAN: Final = 365

Matters = Sequence[Matter]


def settle(
    rng: np.random.Generator,
    places: Places,
    shares: Numbers,
    residents: Register,
    matters: Matters,
    count: int,
    day: int,
) -> Register:
    """A year of events up to the first period."""
    reported = np.sort(day - 1 - rng.integers(0, _SPAN, count))
    return _reported(rng, places, shares, residents, matters, np.arange(count), reported, day)


def month_later(
    rng: np.random.Generator,
    places: Places,
    shares: Numbers,
    register: Register,
    residents: Register,
    matters: Matters,
    day: int,
    before: int,
) -> tuple[Register, Changes]:
    """New events; what waited is worked on, what was worked on is mostly done."""
    changes = Changes("added")
    open_ = np.flatnonzero((register["state"] <= AT_WORK) & (rng.random(register.rows) < 0.9))
    state = np.where(
        register["state"][open_] == WAITING, AT_WORK, np.where(rng.random(len(open_)) < 0.95, DONE, RETURNED)
    )
    register = register.changed(
        open_,
        {
            "state": state,
            "result": _results(rng, state),
            "updated": day - rng.integers(0, day - before, len(open_)),
        },
    )
    changes.changed = {"state": register["key"][open_]}
    count = max(2, round(register.rows / 12))
    reported = np.sort(rng.integers(before, day, count))
    new = _reported(
        rng, places, shares, residents, matters, register["key"].max() + 1 + np.arange(count), reported, day
    )
    changes.added = new["key"]
    return register.followed_by(new), changes


def _reported(
    rng: np.random.Generator,
    places: Places,
    shares: Numbers,
    residents: Register,
    matters: Matters,
    key: Numbers,
    reported: Numbers,
    day: int,
) -> Register:
    """``reported``, ascending, holds all events of each of its days: it numbers them."""
    count = len(key)
    starts = np.concatenate([[True], reported[1:] != reported[:-1]])
    first = np.maximum.accumulate(np.where(starts, np.arange(count), 0))
    weights = np.array([matter.share for matter in matters])
    matter = rng.choice(len(matters), count, p=weights / weights.sum()).astype(np.int16)
    limit = np.array([matter.days for matter in matters])[matter]
    passed = day - reported
    luck = rng.random(count)
    state = np.where(
        passed > limit * (0.3 + luck),
        np.where(luck < 0.06, RETURNED, DONE),
        np.where(luck < 0.3, WAITING, AT_WORK),
    ).astype(np.int8)
    lasted = np.minimum((limit * (0.1 + rng.random(count))).astype(np.int64), passed - 1)
    return Register(
        {
            "key": key.astype(np.int64),
            "reported": reported.astype(np.int32),
            "serial": (np.arange(count) - first + 1).astype(np.int32),
            "matter": matter,
            "due": (reported + limit).astype(np.int32),
            "state": state,
            "result": _results(rng, state),
            "department": _departments(places, matters)[matter],
            "updated": (reported + np.maximum(lasted, 0)).astype(np.int32),
            **flats(rng, places, shares, count),
            **_reporters(rng, residents, count),
        }
    )


def _results(rng: np.random.Generator, state: Numbers) -> Numbers:
    return np.where(state >= DONE, rng.integers(0, len(_RESULTS), len(state)), -1).astype(np.int8)


def _departments(places: Places, matters: Matters) -> Numbers:
    """Matter → the department that deals with it: the named one, or the first where there is none of that name."""
    found = [
        next((n for n, code in enumerate(places.departments) if code == f"dept.{matter.department}"), 0)
        for matter in matters
    ]
    return np.array(found, dtype=np.int16)


def _reporters(rng: np.random.Generator, residents: Register, count: int) -> dict[str, Numbers]:
    known = np.flatnonzero((residents["phone"] >= 0) & (residents["born"] < 13_000))
    rows = known[rng.integers(0, len(known), count)]
    luck = rng.random(count)
    stranger, nobody = luck > 0.85, luck < 0.12
    sex = rng.integers(1, 3, count)
    drawn = {
        "family": people.families(rng, count),
        **people.given_names(rng, sex),
        "dotted": np.full(count, -1),
    }
    names = {
        f"by_{part}": np.where(nobody, -1, np.where(stranger, drawn[part], residents[part][rows])).astype(
            np.int16
        )
        for part in people.NAME
    }
    phone = np.where(stranger, people.subscribers(rng, count), residents["phone"][rows])
    return {**names, "by_phone": np.where(nobody, -1, phone).astype(np.int32)}


def numbers(reported: Numbers, serial: Numbers) -> pa.Array:
    """``GE``, the day, and the number within it."""
    year, month, day = civil(reported)
    digits = np.hstack([digit_matrix(year * 10_000 + month * 100 + day, 8), digit_matrix(serial, 6)])
    return join("GE", fixed(digits + np.uint8(ord("0"))))


def text(places: Places, register: Register, matters: Matters) -> dict[str, pa.Array]:
    """Field → its cells."""
    matter = register["matter"]
    place = join(
        places.district,
        places.community_names(register["grid"]),
        pick(STREETS, register["street"]),
        plain(register["house"]),
        "号",
        pick(SPOTS, register["flat"] % len(SPOTS)),
    )
    title = pick([matter.title for matter in matters], matter)
    return {
        "event_number": numbers(register["reported"], register["serial"]),
        "matter": pick([matter.code for matter in matters], matter),
        "title": title,
        "description": join("群众反映", place, "存在", title, "情况，请核实处理。"),
        "place": place,
        "community": places.community_codes(register["grid"]),
        "grid": places.grid_codes(register["grid"]),
        "reporter_name": people.names(register, "by_"),
        "reporter_phone": phones(register["by_phone"]),
        "state": pick(_STATE, register["state"]),
        "reported_on": dates(register["reported"]),
        "due_on": dates(register["due"]),
        "handling_department": pick(places.departments, register["department"]),
        "result": pick(_RESULTS, register["result"]),
        "updated_on": dates(register["updated"]),
    }

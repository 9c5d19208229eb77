"""The register of enterprises. Legal representatives are residents, as they were when they were entered."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from huanshu.simulator import people
from huanshu.simulator.changes import Changes
from huanshu.simulator.columns import Numbers, dates, join, pick, plain, years_between
from huanshu.simulator.identifiers import ORGANISATIONS, credit_codes, phones
from huanshu.simulator.lexicon import FORMS, INDUSTRIES, TRADE
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register
from huanshu.simulator.residents import addresses, doors, flats

_STATUS: Final = ("1", "2", "3", "4")
_TAX: Final = ("A", "B", "C", "D", "M")
_CAPITALS: Final = (1, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000)
_CAPITAL_SHARES: Final = (
    0.05,
    0.06,
    0.1,
    0.18,
    0.08,
    0.07,
    0.14,
    0.14,
    0.06,
    0.03,
    0.05,
    0.02,
    0.01,
    0.005,
    0.005,
)
_NEW, _MOVED, _CLOSED, _ENDED, _CHANGED = 0.008, 0.004, 0.003, 0.002, 0.006
_LEAST: Final = 2


def settle(
    rng: np.random.Generator, places: Places, shares: Numbers, residents: Register, count: int, day: int
) -> Register:
    """The register of the first period."""
    age = rng.exponential(2200, count).astype(np.int64)
    established = day - 2 - np.minimum(age, 13_000)
    updated = np.maximum(established, day - 1 - rng.integers(0, 700, count))
    return _founded(
        rng,
        places,
        shares,
        residents,
        np.arange(count),
        established,
        updated,
        int(rng.integers(0, ORGANISATIONS)),
    )


def _founded(
    rng: np.random.Generator,
    places: Places,
    shares: Numbers,
    residents: Register,
    key: Numbers,
    established: Numbers,
    updated: Numbers,
    serial: int,
) -> Register:
    count = len(key)
    weights = np.array([share for _, _, share in INDUSTRIES])
    private = rng.random(count) < 0.55
    employees = np.where(
        private, rng.integers(1, 9, count), np.minimum(rng.lognormal(2.2, 1.1, count) + 1, 4000)
    )
    capital = rng.choice(_CAPITALS, count, p=np.array(_CAPITAL_SHARES) / sum(_CAPITAL_SHARES))
    return Register(
        {
            "key": key.astype(np.int64),
            "number": serial + key.astype(np.int64),
            "private": private,
            "trade": rng.integers(0, len(TRADE) ** 2, count).astype(np.int32),
            "industry": rng.choice(len(INDUSTRIES), count, p=weights / weights.sum()).astype(np.int8),
            "form": np.where(private, rng.integers(1, len(FORMS), count), 0).astype(np.int8),
            "employees": employees.astype(np.int32),
            "capital": np.where(private, np.minimum(capital, 50), capital).astype(np.int32),
            "status": rng.choice(4, count, p=(0.86, 0.05, 0.03, 0.06)).astype(np.int8),
            "tax": np.where(private, 4, rng.choice(5, count, p=(0.14, 0.5, 0.1, 0.03, 0.23))).astype(np.int8),
            "established": established.astype(np.int32),
            "updated": updated.astype(np.int32),
            **flats(rng, places, shares, count),
            **represented(rng, residents, count),
        }
    )


def represented(rng: np.random.Generator, residents: Register, count: int) -> dict[str, Numbers]:
    """A legal representative for each: a grown resident; some have several enterprises."""
    grown = np.flatnonzero(years_between(residents["born"], residents["updated"]) >= 20)
    rows = grown[rng.integers(0, len(grown), count)]
    reached = residents["phone"][rows]
    return {
        **{f"by_{name}": residents[name][rows] for name in people.IDENTITY},
        "by_phone": np.where(reached >= 0, reached, people.subscribers(rng, count)).astype(np.int32),
    }


def month_later(
    rng: np.random.Generator,
    places: Places,
    shares: Numbers,
    register: Register,
    residents: Register,
    day: int,
) -> tuple[Register, Changes]:
    """The register at ``day``: founded, moved, closed, struck off, another telephone."""
    order = rng.permutation(register.rows)
    take = iter(order.tolist())

    def some(share: float) -> Numbers:
        count = min(max(_LEAST, round(register.rows * share)), register.rows // 8)
        return np.sort(np.fromiter(take, np.int64, count))

    changes = Changes("added")
    moved, closed, ended, reached = some(_MOVED), some(_CLOSED), some(_ENDED), some(_CHANGED)
    source = places.community_of[register["grid"][moved]].copy()
    grid = places.settle(rng, shares, len(moved))
    register = register.changed(moved, {"grid": grid, **doors(rng, grid), "updated": day})
    target = places.community_of[grid]
    register = register.changed(closed, {"status": (register["status"][closed] + 1) % 4, "updated": day})
    other = (register["by_phone"][reached] + rng.integers(1, 10**7, len(reached))) % 10**8
    register = register.changed(reached, {"by_phone": other, "updated": day})
    key, far = register["key"], source != target
    changes.moved, changes.moved_from, changes.moved_to = key[moved][far], source[far], target[far]
    changes.left, changes.reasons = key[ended], np.full(len(ended), "struck_off")
    changes.changed = {"address": key[moved][~far], "status": key[closed], "phone": key[reached]}
    count = max(_LEAST, round(register.rows * _NEW))
    serial = int(register["number"][0] - key[0])
    established = day - 1 - rng.integers(0, 27, count)
    new = _founded(
        rng,
        places,
        shares,
        residents,
        key.max() + 1 + np.arange(count),
        established,
        np.full(count, day),
        serial,
    )
    changes.added = new["key"]
    return register.without(ended).followed_by(new), changes


def text(places: Places, register: Register) -> dict[str, pa.Array]:
    """Field → its cells."""
    trade = register["trade"]
    return {
        "credit_code": credit_codes(places.code, register["private"], register["number"]),
        "name": join(
            places.district,
            pick(TRADE, trade // len(TRADE)),
            pick(TRADE, trade % len(TRADE)),
            pick([word for _, word, _ in INDUSTRIES], register["industry"]),
            pick(FORMS, register["form"]),
        ),
        "legal_representative_name": people.names(register, "by_"),
        "legal_representative_number": people.numbers(register, "by_"),
        "legal_representative_phone": phones(register["by_phone"]),
        "address": addresses(places, register),
        "community": places.community_codes(register["grid"]),
        "grid": places.grid_codes(register["grid"]),
        "industry": pick([code for code, _, _ in INDUSTRIES], register["industry"]),
        "employees": plain(register["employees"]),
        "registered_capital": plain(register["capital"]),
        "status": pick(_STATUS, register["status"]),
        "established_on": dates(register["established"]),
        "tax_standing": pick(_TAX, register["tax"]),
        "updated_on": dates(register["updated"]),
    }

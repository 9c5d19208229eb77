"""A month later: residents move, die, leave, are born; telephones, addresses and allowances change.

Each person has at most one of these in a month. Nobody's number changes, and a newborn's is of a day on which no
earlier register was made, so numbers stay unique without being remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from huanshu.simulator import people
from huanshu.simulator.changes import Changes
from huanshu.simulator.columns import Numbers, years_between
from huanshu.simulator.households import CHILD, HEAD, SPOUSE
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register
from huanshu.simulator.residents import doors, elderly, flats, guarded

#: Shares of the register in a month; of households where the whole household goes.
_MOVE, _LEAVE_HOME, _MOVE_OUT, _DIE, _BIRTH = 0.012, 0.003, 0.004, 0.0008, 0.0008
_PHONE, _ADDRESS, _ALLOWANCE = 0.01, 0.004, 0.001
#: However small the register: this many of each, if there is room.
_LEAST: Final = 3
#: One person in so many comes or goes at most, in each community: no month empties a village.
_TURNOVER: Final = 5


def month_later(
    rng: np.random.Generator, places: Places, shares: Numbers, register: Register, day: int, before: int
) -> tuple[Register, Changes]:
    """The register at ``day``, and what changed since ``before``, the day of the last one."""
    month = _Month(rng, places, register, day)
    changes = Changes("born")
    gone = _goodbyes(month, changes)
    _moves(month, places, shares, changes)
    _renewals(month, changes)
    births = _births(month, places.code, day, before)
    changes.added = births["key"]
    return month.register.without(gone).followed_by(births), changes


class _Month:
    """The register while it changes, and who is still free to have something happen."""

    def __init__(self, rng: np.random.Generator, places: Places, register: Register, day: int) -> None:
        self.rng, self.register, self.day = rng, register, day
        self.home = places.community_of[register["grid"]]
        #: How many may still come to or leave each community.
        size = np.bincount(self.home, minlength=len(places.communities))
        self.room = np.maximum(size // _TURNOVER, 1)
        self.free = np.ones(register.rows, dtype=np.bool_)
        self.heads, self.sizes = _heads(register)

    def some(self, fits: Numbers, share: float, least: int = _LEAST) -> Numbers:
        """A share of the register's rows, of the free ones that fit; ascending, and no longer free."""
        candidates = np.flatnonzero(self.free & fits)
        count = min(len(candidates), max(least, round(self.register.rows * share)))
        rows = np.sort(self.rng.choice(candidates, count, replace=False))
        self.free[rows] = False
        return rows

    def households(self, fits: Numbers, share: float) -> Numbers:
        """All rows of a share of the households of which everybody is free and fits."""
        bad = np.zeros(self.register.rows, dtype=np.bool_)
        bad[self.heads[~(self.free & fits)]] = True
        heads = np.flatnonzero((self.register["role"] == HEAD) & ~bad)
        count = min(len(heads), max(2, round(len(heads) * share)))
        chosen = np.zeros(self.register.rows, dtype=np.bool_)
        chosen[self.rng.choice(heads, count, replace=False)] = True
        rows = np.flatnonzero(chosen[self.heads])
        self.free[rows] = False
        return rows

    def admitted(self, people: Numbers, *communities: Numbers) -> Numbers:
        """Of groups of so many people that leave or come to these communities: those that there is room for."""
        total = sum(np.bincount(there, people, len(self.room)).astype(np.int64) for there in communities)
        if np.all(total <= self.room):
            self.room = self.room - total
            return np.ones(len(people), dtype=np.bool_)
        # Only in tiny communities.
        going = np.zeros(len(people), dtype=np.bool_)
        for group, (count, *places) in enumerate(
            zip(people.tolist(), *(c.tolist() for c in communities), strict=True)
        ):
            if all(self.room[place] >= count for place in places):
                self.room[places] -= count
                going[group] = True
        return going

    def change(self, rows: Numbers, columns: dict[str, Numbers | int]) -> None:
        """Other values, updated today; a guardian goes when his ward has turned fourteen."""
        self.register = self.register.changed(rows, {**columns, "updated": self.day})
        self.register = guarded(self.rng, self.register, rows, self.heads[rows])


def _heads(register: Register) -> tuple[Numbers, Numbers]:
    """Per row: the row of the head (or, without one, of the first) of its household, and the household's size."""
    household = register["household"].astype(np.int64)
    order = np.lexsort((register["role"], household))
    ordered = household[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, len(ordered)))
    heads, sizes = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    heads[order] = np.repeat(order[starts], lengths)
    sizes[order] = np.repeat(lengths, lengths)
    return heads, sizes


def _goodbyes(month: _Month, changes: Changes) -> Numbers:
    """Rows that the next register will not have: who died, and households that left the district."""
    register = month.register
    years = years_between(register["born"], month.day)
    # Nobody is left behind without a head of the household.
    may_die = (years >= 60) & ((register["role"] != HEAD) | (month.sizes == 1))
    dead = month.some(may_die, _DIE)
    dead = dead[month.admitted(np.ones(len(dead), dtype=np.int64), month.home[dead])]
    out = month.households(np.ones(register.rows, dtype=np.bool_), _MOVE_OUT)
    heads, group, people = np.unique(month.heads[out], return_inverse=True, return_counts=True)
    out = out[month.admitted(people, month.home[heads])[group]]
    gone = np.concatenate([dead, out])
    changes.left = register["key"][gone]
    changes.reasons = np.where(np.arange(len(gone)) < len(dead), "died", "moved_out")
    return gone


def _moves(month: _Month, places: Places, shares: Numbers, changes: Changes) -> None:
    register, rng = month.register, month.rng
    whole = month.households(np.ones(register.rows, dtype=np.bool_), _MOVE)
    years = years_between(register["born"], month.day)
    alone = month.some((register["role"] == CHILD) & (years >= 20), _LEAVE_HOME, least=1)
    rows = np.concatenate([whole, alone])
    # One new flat a household; whoever leaves home alone begins one.
    begun = np.concatenate([register["household"][whole], -1 - np.arange(len(alone))])
    _, first, group, size = np.unique(begun, return_index=True, return_inverse=True, return_counts=True)
    new = flats(rng, places, shares, len(first))
    stayed = places.community_of[new["grid"]] == month.home[rows[first]]
    new["grid"][stayed] = _elsewhere(rng, places, new["grid"][stayed])
    new.update(doors(rng, new["grid"]))
    going = month.admitted(size, month.home[rows[first]], places.community_of[new["grid"]])[group]
    rows, group, alone = rows[going], group[going], alone[going[len(whole) :]]
    whole = whole[going[: len(whole)]]
    households = register["household"].max() + 1 + np.arange(len(alone))
    columns: dict[str, Numbers | int] = {name: column[group] for name, column in new.items()}
    columns |= {
        "since": month.day,
        "household": np.concatenate([register["household"][whole], households]),
        "role": np.concatenate([register["role"][whole], np.full(len(alone), HEAD, dtype=np.uint8)]),
    }
    month.change(rows, columns)
    changes.moved = register["key"][rows]
    changes.moved_from = month.home[rows]
    changes.moved_to = places.community_of[month.register["grid"][rows]]


def _elsewhere(rng: np.random.Generator, places: Places, grid: Numbers) -> Numbers:
    """A grid of the next community or the one after, and so on: never of the same."""
    count = len(places.communities)
    target = (places.community_of[grid] + rng.integers(1, count, len(grid))) % count
    first, sizes = np.unique(places.community_of, return_index=True, return_counts=True)[1:]
    return (first[target] + (rng.random(len(grid)) * sizes[target]).astype(np.int64)).astype(grid.dtype)


def _renewals(month: _Month, changes: Changes) -> None:
    """New telephone numbers, another flat in the same grid, allowances given or ended."""
    register, rng, day = month.register, month.rng, month.day
    years = years_between(register["born"], day)
    everyone = np.ones(register.rows, dtype=np.bool_)

    def renewed(name: str, rows: Numbers, columns: Callable[[Numbers], dict[str, Numbers | int]]) -> None:
        month.change(rows, columns(rows))
        changes.changed[name] = register["key"][rows]

    renewed(
        "phone",
        month.some(register["phone"] >= 0, _PHONE),
        # Another one for certain.
        lambda rows: {"phone": (register["phone"][rows] + rng.integers(1, 10**7, len(rows))) % 10**8},
    )
    renewed(
        "address",
        month.households(everyone, _ADDRESS),
        lambda rows: {"house": register["house"][rows] % 89 + 1, "since": day},
    )
    turned = (years >= 80) & (elderly(years, everyone) != register["elderly"])
    grown_old = month.some(turned, 0.002, least=1)
    aided = month.some((years >= 18) & (years < 80), _ALLOWANCE)
    rows = np.concatenate([grown_old, aided])
    old = np.arange(len(rows)) < len(grown_old)
    renewed(
        "allowance",
        rows,
        lambda rows: {
            "elderly": np.where(old, elderly(years[rows], rows >= 0), register["elderly"][rows]),
            "allowance": np.where(old, register["allowance"][rows], (register["allowance"][rows] + 1) % 3),
        },
    )


def _births(month: _Month, place: int, day: int, before: int) -> Register:
    """Children of couples whose household stays, at home where their mother is."""
    register, rng = month.register, month.rng
    years = years_between(register["born"], day)
    wives = (register["sex"] == 2) & (years >= 20) & (years < 43)
    wives &= (register["role"] == SPOUSE) & month.free
    mothers = month.some(wives, _BIRTH)
    mothers = mothers[month.admitted(np.ones(len(mothers), dtype=np.int64), month.home[mothers])]
    count = len(mothers)
    sex = np.where(rng.random(count) < 0.52, 1, 2).astype(np.uint8)
    born = rng.integers(before, day, count).astype(np.int32)
    children = register.part(mothers)
    fathers = month.heads[mothers]
    columns: dict[str, Numbers] = {
        "key": register["key"].max() + 1 + np.arange(count),
        "role": np.full(count, CHILD, dtype=np.uint8),
        "sex": sex,
        "born": born,
        "since": born,
        "updated": np.full(count, day, dtype=np.int32),
        "family": register["family"][fathers],
        **people.given_names(rng, sex),
        "dotted": people.dotted_names(rng, children["ethnicity"], sex),
        "place": np.full(count, place, dtype=np.int32),
    }
    columns["order"] = people.orders(rng, columns["place"], born, sex)
    absent = np.full(count, -1, dtype=np.int32)
    for name in (
        "phone",
        "marital",
        "education",
        "occupation",
        "employer",
        "disability",
        "care",
        "guardian_phone",
    ):
        columns[name] = absent
    for part in people.NAME:
        columns[f"guardian_{part}"] = absent
    for name in ("pregnant", "elderly", "veteran"):
        columns[name] = absent + 1
    columns["insurance"] = absent + 2
    children = children.with_columns(columns)
    # Their heads are in the other register: guardians are copied by hand.
    guardian = {f"guardian_{part}": register[part][fathers] for part in people.NAME}
    reached = register["phone"][fathers]
    guardian["guardian_phone"] = np.where(reached >= 0, reached, people.subscribers(rng, count))
    return children.with_columns(guardian)

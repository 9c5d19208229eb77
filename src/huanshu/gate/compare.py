"""Comparing without seeing (核对): the reader types what a certificate says; the answer is 一致 or 不一致, by field.

The same way as a read (``read.find``), with the same answer for a record elsewhere and for none. The keeper opens the
record's cells and compares; no value comes back. One entry says that it was compared, and who does not agree too often
within a day is answered nothing more (``keeper.budgets``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg

from huanshu.catalog import Home, Rung
from huanshu.gate.read import Asked, claim_of, contract_of, find, found_by
from huanshu.keeper.client import Keeper
from huanshu.keeper.comparing import needed


@dataclass(frozen=True, slots=True)
class AskedWhether:
    """One comparison: what was typed, by field. Exactly one of ``record`` and ``identifier``; neither it nor what was
    typed ever prints."""

    post: str
    domain: str
    dataset: str
    purpose: str
    typed: Mapping[str, str] = field(repr=False)
    record: int | None = None
    identifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """Field → whether it agrees, and the entry that says so."""

    entry: int
    record: int
    agrees: Mapping[str, bool]


def compare(
    home: Home, keeper: Keeper, district: Callable[[], psycopg.Connection], asked: AskedWhether
) -> Compared:
    """Compare. Raises what ``read`` raises."""
    contract = home.contracts.get(asked.dataset)
    known = {} if contract is None else {each.name: each for each in contract.fields}
    rungs = {name: needed(known[name]) if name in known else Rung.MATCH for name in asked.typed}
    looked = Asked(
        asked.post, asked.domain, asked.dataset, asked.purpose, rungs, asked.record, asked.identifier
    )
    contract, claim = contract_of(home, looked), claim_of(looked)
    with district() as connection:
        found = find(home, keeper, connection, contract, looked, claim)
    pairs: dict[str, tuple[str, str | None]] = {
        name: (typed, None if contract.field(name).sealed else found.cells[name])
        for name, typed in asked.typed.items()
    }
    ticket, agrees = keeper.compare(
        {**claim, **found_by(contract, looked, found), "detail": {"record": found.record}},
        found.subjects.serialize(),
        found.sealed(contract, asked.typed),
        pairs,
    )
    return Compared(ticket.index, found.record, agrees)

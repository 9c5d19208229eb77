"""Recalls: a delivery that should not have been. From the next decision nothing of it is opened.

Order of effects, with what a crash leaves behind:
    (a) recalled   the log entry, with the delivery's record numbers sealed beside it. From here the keeper refuses
                   its chunks, to authorise the same content again, and to open its records for the receiver.
    (b) the books  every record that the receiver still has from it is due again. Before: the next run does it first.
The receiver's rows stay where they are until the next delivery replaces or withdraws each of them; when that has
arrived, the recall ends. The same content does not come again: what was wrong has to be put right at its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from pyroaring import BitMap

from huanshu.auditlog import Entry
from huanshu.catalog import DomainTree, Flow, Home
from huanshu.errors import InputError, Text
from huanshu.exchange import books
from huanshu.exchange.delivery import alone
from huanshu.exchange.ground import Ground

_FIND = """
    SELECT delivery, flow, receiver, state FROM district.delivery
    WHERE state IN ('authorised', 'arrived') AND (flow = %(named)s OR starts_with(delivery, %(named)s))
      AND (%(receiver)s::text IS NULL OR receiver = %(receiver)s)
    ORDER BY state = 'authorised' DESC, coalesce(settled_at, frozen_at) DESC LIMIT 2
"""
_SHORTEST = 12


@dataclass(frozen=True, slots=True)
class Found:
    """The delivery that is meant. ``records`` the receiver still has from it, or would get."""

    delivery: str
    flow: str
    receiver: str
    arrived: bool
    records: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What one person in one post opened of the delivery's subjects before it was recalled."""

    post: str
    person: str
    openings: int
    subjects: int
    entries: tuple[int, ...]
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """A recall that is in force, and who had opened how much before."""

    entry: int
    what: Found
    opened: tuple[Opened, ...]


def find(ground: Ground, named: str, receiver: str | None) -> Found:
    """The newest delivery of a flow to a receiver, one under way before one that has arrived; or the one of an id."""
    with ground.district() as district:
        return _found(ground, district, named, receiver)[0]


def recall(ground: Ground, named: str, receiver: str | None, reason: str) -> Recalled:
    """Recall it, as the person established. Repeatable: a second recall is a second entry, of the same effect."""
    with ground.district() as district:
        what, records = _found(ground, district, named, receiver)
        ticket = ground.keeper.append(
            {
                "event": "exchange.delivery.recalled",
                "records": len(records),
                "detail": {"delivery": what.delivery, "reason": reason},
            },
            records.serialize(),
        )
        prepare(ground, ground.flow(what.flow), wait=False)
        opened = _opened(ground.home, district, ground.keeper.opened_of(ticket.index), what.receiver)
        return Recalled(ticket.index, what, tuple(opened))


def prepare(ground: Ground, flow: Flow, *, wait: bool = True) -> None:
    """Make due again what receivers still have from recalled deliveries. From the log, so that no crash loses it.
    Without ``wait`` a receiver that is being served is left to the next run."""
    standing = ground.keeper.recalls(flow.flow)
    if not standing:
        return
    with ground.district() as district:
        for each in standing:
            with alone(district, flow, each.receiver, wait=wait) as mine:
                if mine:
                    books.forget(district, flow.flow, each.receiver, each.delivery)


def _found(
    ground: Ground, district: psycopg.Connection, named: str, receiver: str | None
) -> tuple[Found, BitMap]:
    is_flow = named in ground.home.flows
    if (not is_flow and len(named) < _SHORTEST) or (is_flow and receiver is None):
        raise InputError(
            "exchange.recall.unclear",
            Text("name a flow and a receiver, or a delivery", "请给出流向和接收方，或交付编号"),
            remedy=Text(
                f"huanshu flow recall FLOW --receiver CODE, or at least {_SHORTEST} characters of the delivery's id",
                f"huanshu flow recall 流向 --receiver 代码，或交付编号的前 {_SHORTEST} 位以上",
            ),
        )
    rows = district.execute(_FIND, {"named": named, "receiver": receiver}).fetchall()
    if not rows or (len(rows) > 1 and not is_flow):
        raise InputError(
            "exchange.delivery.unknown",
            Text("no such delivery has arrived or is under way", "没有该交付，或其已终止"),
            remedy=Text("see: huanshu receipt list", "参见：huanshu receipt list"),
        )
    delivery, flow, code, state = rows[0]
    arrived = state == "arrived"
    records = BitMap(books.still_from(district, flow, code, delivery, arrived=arrived).tolist())
    return Found(delivery, flow, code, arrived, len(records)), records


def _opened(
    home: Home, district: psycopg.Connection, found: list[tuple[int, list[int]]], receiver: str
) -> Iterator[Opened]:
    """By post and person. Only openings for the receiver's own domain: its subjects may rightly be seen elsewhere."""
    indices = [index for index, _ in found]
    lent = {
        int(row[0])
        for row in district.execute(
            "SELECT DISTINCT entry_index FROM log.loan WHERE entry_index = ANY(%s)", (indices,)
        )
    }
    rows = district.execute("SELECT leaf FROM log.entry WHERE index = ANY(%s)", (indices,)).fetchall()
    entries = {entry.index: entry for entry in (Entry.of(bytes(row[0])) for row in rows)}
    mine: dict[tuple[str, str], list[tuple[Entry, list[int]]]] = {}
    for index, whom in found:
        entry = entries[index]
        if index in lent and _within(home.policies.domains, str(entry.body.get("domain", "")), receiver):
            mine.setdefault((str(entry.body["post"]), str(entry.body["person"])), []).append((entry, whom))
    for (post, person), each in sorted(mine.items()):
        times = [str(entry.body["at"]) for entry, _ in each]
        subjects = {place for _, whom in each for place in whom}
        numbers = tuple(entry.index for entry, _ in each)
        yield Opened(post, person, len(each), len(subjects), numbers, min(times), max(times))


def _within(domains: DomainTree, domain: str, receiver: str) -> bool:
    if domain not in domains:
        return False
    return domain == receiver or domains.is_below(domain, receiver) or domains.is_below(receiver, domain)

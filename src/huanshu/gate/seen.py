"""Who saw somebody: asked by an auditor or security officer for a case, answered from entries and sealed bitmaps.

1. By identifier: an entry ``access.seen.asked``, then the link, then the subject's number.
2. An entry ``access.seen.authorised`` that binds the subjects asked about; the keeper decides by rule (``trace``).
3. Against its ticket the keeper opens every bitmap beside the log and says which entries are about the subject.
4. What those entries say is read from the log: moved, authorised but stopped, viewed, compared, counted. No value is
   opened.

Subjects, not places: who has moved away still shows under the community that had the record before. The question is
itself such an entry and shows in the next answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.auditlog import Entry, Gap
from huanshu.auditlog.reader import read_gaps
from huanshu.catalog import Contract, Home, Subject
from huanshu.errors import DeniedError, InputError, Text
from huanshu.keeper.client import Keeper
from huanshu.store.queries import load

_QUERIES = load(__package__, "seen.sql")

#: ``stopped``: authorised, and nothing of the subject was opened. ``unopened``: authorised for one record, not opened.
How = Literal["moved", "under_way", "stopped", "viewed", "unopened", "compared", "counted"]
_NOT_OPENED: dict[str, How] = {"moved": "under_way", "viewed": "unopened"}


@dataclass(frozen=True, slots=True)
class AskedWho:
    """One question. Exactly one of ``record`` and ``identifier`` is given; the identifier never prints."""

    post: str
    dataset: str
    purpose: str
    case: str
    record: int | None = None
    identifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One entry about the subject, as it came out. ``department`` is the domain of the post, ``domain`` what the entry
    was about: the receiver of a delivery, the place of a record."""

    entry: int
    how: How
    at: str
    person: str
    post: str
    department: str
    domain: str
    dataset: str
    purpose: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Sightings of one kind by one post for one purpose at one place, oldest first."""

    how: How
    purpose: str
    post: str
    department: str
    domain: str
    dataset: str
    persons: tuple[str, ...]
    entries: tuple[int, ...]
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class WhoSaw:
    """The answer: complete up to entry ``entry``, which is the question itself, but for what was lost (``gaps``)."""

    entry: int
    sightings: tuple[Sighting, ...]
    gaps: tuple[Gap, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        def key(s: Sighting) -> tuple[str, ...]:
            return (s.how, s.purpose, s.post, s.department, s.domain, s.dataset)

        made = []
        for _, each in groupby(sorted(self.sightings, key=lambda s: (key(s), s.entry)), key=key):
            same = list(each)
            s = same[0]
            persons = tuple(sorted({one.person for one in same}))
            entries = tuple(one.entry for one in same)
            made.append(
                Group(
                    s.how,
                    s.purpose,
                    s.post,
                    s.department,
                    s.domain,
                    s.dataset,
                    persons,
                    entries,
                    s.at,
                    same[-1].at,
                )
            )
        return tuple(sorted(made, key=lambda group: group.entries[0]))


def who_saw(
    home: Home, keeper: Keeper, district: Callable[[], psycopg.Connection], asked: AskedWho
) -> WhoSaw:
    """Ask. DeniedError (explained) without the right; InputError ``access.subject.unknown`` when nobody is known."""
    contract = home.contracts.get(asked.dataset)
    if contract is None:
        raise DeniedError("access.dataset.unknown", Text("no such dataset is offered", "没有提供该数据集"))
    claim = {
        "post": asked.post,
        "domain": next((h.domain for h in home.policies.holdings if h.post == asked.post), ""),
        "dataset": asked.dataset,
        "purpose": asked.purpose,
        "detail": {"case": asked.case},
    }
    with district() as connection:
        ordinals = _ordinals(connection, keeper, claim, contract, asked)
        if not ordinals:
            raise InputError(
                "access.subject.unknown",
                Text("nobody is known by this number", "没有与该编号对应的主体"),
                remedy=Text("check the number and the dataset", "请核对编号与数据集"),
            )
        bitmap = BitMap(ordinals)
        authorised = {**claim, "event": "access.seen.authorised", "subjects": len(bitmap)}
        ticket = keeper.append(authorised, bitmap.serialize())
        found = {*keeper.seen(ticket), *_quarantined(connection, ordinals, ticket.index)}
        sightings = tuple(_sightings(connection, home, sorted(found)))
        return WhoSaw(ticket.index, sightings, read_gaps(connection, ticket.index))


def _ordinals(
    connection: psycopg.Connection, keeper: Keeper, claim: dict[str, Any], contract: Contract, asked: AskedWho
) -> set[int]:
    subject = contract.subjects[0] if contract.subjects else None
    if asked.identifier is not None:
        kind = None if subject is None else contract.field(subject.field).link_kind
        if subject is None or kind is None:
            raise DeniedError(
                "access.identifier.unknown", Text("no such identifier is offered", "没有提供该标识")
            )
        link = keeper.link({**claim, "event": "access.seen.asked"}, kind, asked.identifier)
        row = connection.execute(
            "SELECT ordinal FROM district.subject WHERE kind = %s AND link = %s", (subject.kind, link)
        ).fetchone()
        return set() if row is None else {int(row[0])}
    # Every version: whoever the record has been about.
    query = sql.SQL("SELECT subjects FROM {} WHERE record = %s").format(
        sql.Identifier("district", contract.dataset)
    )
    versions = [row[0] for row in connection.execute(query, (asked.record,))]
    if subject is not None and _is_the_record(contract, subject):
        return {int(version[0]) for version in versions if version}
    return {int(ordinal) for version in versions for ordinal in version}


def _quarantined(connection: psycopg.Connection, ordinals: set[int], before: int) -> list[int]:
    """Looks at quarantined rows of somebody who was not numbered yet, so that the entry could not bind him."""
    rows = connection.execute(_QUERIES["quarantined"], (before, list(ordinals)))
    return [int(index) for (index,) in rows]


def _is_the_record(contract: Contract, subject: Subject) -> bool:
    """Whether the record is about its first subject before all others: then only that one is asked about."""
    return contract.primary_key.name == subject.field


def _sightings(connection: psycopg.Connection, home: Home, found: Sequence[int]) -> Iterator[Sighting]:
    about, mine = _read(connection, found), set(found)
    ends = _ends(
        connection, [index for index, e in about.items() if e.event == "exchange.delivery.authorised"]
    )
    lent = {int(row[0]) for row in connection.execute(_QUERIES["lent"], (list(found),))}
    departments = {holding.post: holding.domain for holding in home.policies.holdings}
    for index, entry in about.items():
        if entry.event == "exchange.delivery.stopped":
            continue  # told by the entry it settles
        body = entry.body
        yield Sighting(
            entry=index,
            how=_how(body, ends.get(index), mine, opened=index in lent),
            at=str(body["at"]),
            person=str(body["person"]),
            post=str(body.get("post", "")),
            department=departments.get(str(body.get("post", "")), ""),
            domain=str(body.get("domain", "")),
            dataset=str(body.get("dataset", "")),
            purpose=str(body.get("purpose", "")),
            fields=dict(body.get("fields", {})),
        )


def _how(body: Mapping[str, Any], end: Entry | None, mine: set[int], *, opened: bool) -> How:
    how: How = body["how"]
    if end is not None:
        # A stopped delivery names, in a bitmap of its own, whom it had really opened.
        return "moved" if end.event == "exchange.delivery.arrived" or end.index in mine else "stopped"
    return how if opened else _NOT_OPENED.get(how, how)


def _read(connection: psycopg.Connection, indices: Sequence[int]) -> dict[int, Entry]:
    rows = connection.execute(_QUERIES["entries"], (list(indices),)).fetchall()
    return {entry.index: entry for entry in (Entry.of(bytes(row[0])) for row in rows)}


def _ends(connection: psycopg.Connection, authorised: Sequence[int]) -> dict[int, Entry]:
    """Authorising entry → the one that settled it."""
    wanted = set(authorised)
    if not wanted:
        return {}
    rows = connection.execute(_QUERIES["settled"], (min(wanted),))
    ends = (Entry.of(bytes(row[0])) for row in rows)
    return {int(e.body["detail"]["authorised"]): e for e in ends if e.body["detail"]["authorised"] in wanted}

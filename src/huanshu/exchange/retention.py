"""What is past its retention, and its deletion.

Order of effects: (a) the keeper admits the deletion up to an instant that its own reading of the obligations lets go,
and appends ``retention.rows.deleted``; (b) the rows go, in one transaction. A crash in between leaves an entry for rows
that are still there; run it again.

Only quarantined rows are deleted here. Records of a purpose that has ended leave by withdrawal, not by this. Log
entries stay: what is older than its floor may be archived (``huanshu audit archive``) and stays verifiable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg

from huanshu.auditlog import Entry
from huanshu.catalog.working_days import kept_from
from huanshu.errors import InputError, Text
from huanshu.exchange.ground import Ground
from huanshu.store.queries import load

_QUERIES = load(__package__, "retention.sql")
QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind: ``past`` lie before ``since``; ``deletable`` of them may go, ``waiting`` should have been settled."""

    kind: str
    obligation: str
    citation: str
    verified: bool
    since: datetime
    past: int
    deletable: int
    waiting: int


def look(ground: Ground) -> list[Kept]:
    """Every kind of audit/retention.yaml as it stands now. Changes nothing."""
    with ground.district() as district:
        return list(_look(ground, district))


def _look(ground: Ground, district: psycopg.Connection) -> Iterator[Kept]:
    for kind, key in ground.home.retention.items():
        obligation = ground.home.obligations[key]
        since = kept_from(ground.clock(), obligation, ground.home.calendar)
        past, deletable, waiting = 0, 0, 0
        if kind == QUARANTINE:
            row = district.execute(_QUERIES["quarantine_past"], (since,)).fetchone()
            deletable, waiting = row or (0, 0)
            past = deletable + waiting
        else:
            index = _first_since(district, since)
            past = index
            if kind == "delivery_records":
                (past,) = district.execute(_QUERIES["deliveries_before"], (index,)).fetchone() or (0,)
        yield Kept(
            kind,
            key,
            obligation.citation,
            obligation.verified,
            since,
            int(past),
            int(deletable),
            int(waiting),
        )


def delete(ground: Ground) -> tuple[int, int]:
    """Delete what may go. (entry, rows); (-1, 0) when there is nothing. DeniedError for who may not."""
    found = [kept for kept in look(ground) if kept.kind == QUARANTINE and kept.deletable]
    if not found:
        return -1, 0
    (kept,) = found
    detail = {"kind": kept.kind, "before": kept.since.isoformat(), "rows": kept.deletable}
    ticket = ground.keeper.append({"event": "retention.rows.deleted", "detail": detail})
    ground.pause("retention:logged")
    with ground.district() as district, district.transaction():
        (rows,) = district.execute(_QUERIES["delete_quarantine"], (kept.since,)).fetchone() or (0,)
    return ticket.index, int(rows)


def past_every_period(ground: Ground) -> tuple[datetime, tuple[str, ...], int]:
    """(instant, obligations, index): entries below the index are older than every kind of log record must be kept."""
    named = {kind: key for kind, key in ground.home.retention.items() if kind != QUARANTINE}
    if "log_entries" not in named:
        raise InputError(
            "retention.log.unsaid",
            Text(
                "audit/retention.yaml does not say how long the log is kept",
                "retention.yaml 未规定日志保存期限",
            ),
            remedy=Text("add log_entries", "请补上 log_entries"),
        )
    keys = tuple(dict.fromkeys(named.values()))
    now, calendar = ground.clock(), ground.home.calendar
    before = min(kept_from(now, ground.home.obligations[key], calendar) for key in keys)
    with ground.district() as district:
        return before, keys, _first_since(district, before)


def _first_since(district: psycopg.Connection, since: datetime) -> int:
    """Index of the first entry that is not before ``since``: the log's times never run backwards."""
    (high,) = district.execute(_QUERIES["size"]).fetchone() or (0,)
    low = 0
    while low < high:
        middle = (low + high) // 2
        row = district.execute(_QUERIES["leaf"], (middle,)).fetchone()
        if row is not None and datetime.fromisoformat(str(Entry.of(bytes(row[0])).body["at"])) < since:
            low = middle + 1
        else:
            high = middle
    return low

"""Reading the log through any connection that may (role ``huanshu_app``). Streams; believes nothing it reads:
whoever needs certainty runs the verifier."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from huanshu.auditlog.entries import Entry
from huanshu.auditlog.register import Gap

_BATCH = 2_000


def read_entries(connection: psycopg.Connection, start: int = 0, end: int | None = None) -> Iterator[Entry]:
    """Entries with ``start`` ≤ index < ``end`` in order, in bounded memory."""
    at = start
    while end is None or at < end:
        upto = at + _BATCH if end is None else min(at + _BATCH, end)
        rows = connection.execute(
            "SELECT leaf FROM log.entry WHERE index >= %s AND index < %s ORDER BY index", (at, upto)
        ).fetchall()
        if not rows:
            return
        yield from (Entry.of(bytes(row[0])) for row in rows)
        at = upto


def read_by_event(connection: psycopg.Connection, event: str) -> list[Entry]:
    """All entries of one event, in order."""
    rows = connection.execute(
        "SELECT leaf FROM log.entry WHERE event = %s ORDER BY index", (event,)
    ).fetchall()
    return [Entry.of(bytes(row[0])) for row in rows]


def read_gaps(connection: psycopg.Connection, before: int) -> tuple[Gap, ...]:
    """What was given up after losses, as entries below ``before`` say; oldest first."""
    return tuple(
        Gap.of(entry.body)
        for entry in read_by_event(connection, "log.origin.reopened")
        if entry.index < before
    )


def last_checkpoint(connection: psycopg.Connection) -> str | None:
    """The newest signed note in the database."""
    row = connection.execute("SELECT note FROM log.checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])

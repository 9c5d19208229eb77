"""The real decisions of some days, decided again under two bundles: what a change would have meant.

Read from the log as it lies in the database, as every reader does; ``replay`` proves a single one. Opens nothing and
changes nothing. Who asks must have said so in the log first (``log.entries.read``): that is the face's to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from huanshu.access import Enforcer
from huanshu.access.change import Side
from huanshu.auditlog import Entry
from huanshu.auditlog.reader import read_by_event, read_entries
from huanshu.catalog import read_bundle
from huanshu.errors import InputError, Text
from huanshu.gate.replay import decide_again, kept_bundle, requests_of

_KEPT = "SELECT encode(digest, 'hex') FROM log.bundle WHERE starts_with(encode(digest, 'hex'), %s)"
_SIZE = "SELECT count(*) FROM log.entry"
_SUBJECTS = (
    "SELECT home, count(DISTINCT subject) FROM district.{}, unnest(subjects) AS subject"
    " WHERE batch_out IS NULL GROUP BY home"
)


@dataclass(frozen=True, slots=True)
class Turned:
    """One logged decision that the two bundles answer differently: ``fields`` are those whose answer turns."""

    entry: int
    at: str
    person: str
    post: str
    domain: str
    dataset: str
    purpose: str
    fields: tuple[str, ...]
    allowed: bool  # under the new bundle


@dataclass(frozen=True, slots=True)
class Again:
    """How many decisions were asked again, and those that turn."""

    entries: int
    decisions: int
    turned: tuple[Turned, ...]


def since(connection: psycopg.Connection, moment: datetime) -> int:
    """Index of the first entry that was appended at or after ``moment``; the size of the log when there is none."""
    size = connection.execute(_SIZE).fetchone()
    first, end = 0, int(size[0]) if size else 0
    while first < end:  # entries are in the order of their instants
        middle = (first + end) // 2
        if _instant(next(read_entries(connection, middle, middle + 1))) < moment:
            first = middle + 1
        else:
            end = middle
    return first


def _instant(entry: Entry) -> datetime:
    return datetime.fromisoformat(str(entry.body["at"]))


def decided_again(entries: Iterable[Entry], old: Enforcer, new: Enforcer) -> Again:
    """Each decision about fields in ``entries``, at its own instant, under both."""
    turned: list[Turned] = []
    seen = decisions = 0
    for entry in entries:
        body = entry.body
        asked = list(requests_of(body))
        seen += bool(asked)
        was, now = list(decide_again(old, asked)), list(decide_again(new, asked))
        decisions += len(was)
        for allowed in (True, False):
            fields: dict[str, list[str]] = {}
            for one, other in zip(was, now, strict=True):
                if one.allowed != other.allowed and other.allowed is allowed:
                    fields.setdefault(one.dataset, []).append(one.field)
            turned += [
                Turned(
                    entry.index, str(body["at"]), str(body["person"]), str(body["post"]), str(body["domain"]),
                    dataset, str(body["purpose"]), tuple(names), allowed,
                )
                for dataset, names in fields.items()
            ]  # fmt: skip
    return Again(seen, decisions, tuple(turned))


def kept_side(connection: psycopg.Connection, digest: str, timezone: str) -> Side:
    """A bundle that was in force, by its digest or the beginning of one."""
    rows = connection.execute(_KEPT, (digest,)).fetchall()
    if len(rows) != 1:
        raise InputError(
            "access.plan.bundle",
            Text(
                f"{len(rows)} kept bundles have a digest that begins so",
                f"以此开头的留存策略包有 {len(rows)} 个",
            ),
            remedy=Text("give more of it; see: huanshu status", "请给出更长的摘要；见 huanshu status"),
        )
    with kept_bundle(connection, str(rows[0][0])) as folder:
        policies, contracts = read_bundle(Path(folder))
    return Side.of(policies, contracts, timezone)


def in_force(connection: psycopg.Connection, moment: datetime, timezone: str) -> Side:
    """The bundle that was in force at an instant. InputError when the log had not begun."""
    adopted = [
        entry for entry in read_by_event(connection, "policy.bundle.adopted") if _instant(entry) <= moment
    ]
    if not adopted:
        raise InputError(
            "access.past.unknown",
            Text(
                "nothing was in force at that time: the log began later", "当时尚无生效的策略：日志开始于其后"
            ),
            remedy=Text("ask about a later day", "请查询其后的日期"),
        )
    return kept_side(connection, str(adopted[-1].body["detail"]["digest"]), timezone)


def subjects_by_home(connection: psycopg.Connection, datasets: Iterable[str]) -> dict[tuple[str, str], int]:
    """(dataset, home community) → how many subjects the district store holds there. Only counts leave."""
    found: dict[tuple[str, str], int] = {}
    for dataset in datasets:
        there = connection.execute("SELECT to_regclass(%s)", (f'district."{dataset}"',)).fetchone()
        if there and there[0]:
            counted = connection.execute(sql.SQL(_SUBJECTS).format(sql.Identifier(dataset)))
            found |= {(dataset, str(home)): int(count) for home, count in counted}
    return found

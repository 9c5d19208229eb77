"""How many were exposed: numbers over the bitmaps of entries that one selector finds, never the subjects themselves.

What counts, per entry (an entry without a loan opened nothing):
    viewed     a person had values opened for him: single reads, quarantined rows, workbooks
    passed     moved, compared or counted by the platform; nobody looked
    unopened   authorised, and no key was lent: not counted, but told
Which numbers are organisations is the asker's word, out of the district store, which the keeper does not read: it moves
the border between the two counts, never their sum.

A delivery that was stopped counts those whom it had opened by then; one still under way counts them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from pyroaring import BitMap

from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.keeper.bitmaps import Keys, subjects_among
from huanshu.store.queries import load

_SQL = load(__package__, "exposure.sql")
_STOPPED: Final = "exchange.delivery.stopped"
_BATCH: Final = 256


@dataclass(slots=True)
class _Sum:
    """Distinct subjects, all and viewed."""

    everyone: BitMap = field(default_factory=BitMap)
    viewed: BitMap = field(default_factory=BitMap)

    def add(self, subjects: BitMap, *, viewed: bool) -> None:
        self.everyone |= subjects
        if viewed:
            self.viewed |= subjects


def exposed(
    connection: psycopg.Connection, keys: Keys, asked: Mapping[str, Any], organisations: BitMap, before: int
) -> dict[str, Any]:
    """The answer to an ``access.exposure.authorised`` entry's detail, over the entries below ``before``."""
    whole, by_field = _Sum(), dict[tuple[str, str, str], _Sum]()
    counts = {"viewed": 0, "passed": 0, "unopened": 0}
    first: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    for body, subjects, opened in _opened(connection, keys, asked, before):
        if not opened:
            counts["unopened"] += 1
            continue
        viewed = body["how"] == "viewed"
        counts["viewed" if viewed else "passed"] += 1
        whole.add(subjects, viewed=viewed)
        for name, rung in body["fields"].items():
            by_field.setdefault((body["dataset"], name, rung), _Sum()).add(subjects, viewed=viewed)
        last = {"entry": body["index"], "at": body["at"]}
        first = first or last
    return {
        "entries": counts,
        "persons": len(whole.everyone - organisations),
        "persons_viewed": len(whole.viewed - organisations),
        "organisations": len(whole.everyone & organisations),
        "organisations_viewed": len(whole.viewed & organisations),
        "fields": [
            {
                "dataset": dataset, "field": name, "rung": rung,
                "subjects": len(sums.everyone), "viewed": len(sums.viewed),
            }
            for (dataset, name, rung), sums in sorted(by_field.items())
        ],
        "first": first,
        "last": last,
    }  # fmt: skip


def _opened(
    connection: psycopg.Connection, keys: Keys, asked: Mapping[str, Any], before: int
) -> Iterator[tuple[Mapping[str, Any], BitMap, bool]]:
    """Each selected entry with the subjects that were opened under it, and whether any key was lent for it."""
    for bodies in _selected(connection, asked, before):
        indices = [int(body["index"]) for body in bodies]
        stopped = _stopped(connection, indices, before)
        members = [stopped.get(index, body)["subjects"] for index, body in zip(indices, bodies, strict=True)]
        lent = {int(index) for (index,) in connection.execute(_SQL["lent"], (indices,))}
        for index, body, subjects in zip(
            indices, bodies, subjects_among(connection, keys, members), strict=True
        ):
            yield body, subjects, index in lent


def _selected(
    connection: psycopg.Connection, asked: Mapping[str, Any], before: int
) -> Iterator[list[Mapping[str, Any]]]:
    kind, name = asked["of"]["kind"], asked["of"]["name"]
    key = [*(name.split("/") if kind == "key" else ()), "", "", "", ""]
    given = {
        "events": sorted(ABOUT_SUBJECTS - {_STOPPED}), "after": -1, "before": before, "from": asked["from"],
        "to": asked["to"], "kind": kind, "name": name, "domain": key[1], "dataset": key[2], "field": key[3],
        "limit": _BATCH,
    }  # fmt: skip
    while rows := connection.execute(_SQL["selected"], given).fetchall():
        bodies = [json.loads(bytes(leaf)) for _, leaf in rows]
        given["after"] = rows[-1][0]
        if binding := [body for body in bodies if "subjects" in body]:
            yield binding


def _stopped(connection: psycopg.Connection, indices: list[int], before: int) -> dict[int, Mapping[str, Any]]:
    """Authorising entry → the entry that stopped it and says whom it had opened."""
    found = {}
    for (leaf,) in connection.execute(_SQL["settled"], (min(indices), before)):
        body = json.loads(bytes(leaf))
        if body["event"] == _STOPPED and int(body["detail"]["authorised"]) in indices:
            found[int(body["detail"]["authorised"])] = body
    return found

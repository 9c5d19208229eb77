"""How many residents were exposed by a person, account, session, key, workbook or community within a window.

Asked for a case by an auditor or security officer, who must hold the right to trace every dataset. The question is an
entry first; against its ticket the keeper counts over the sealed bitmaps and hands out numbers, never who.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from pyroaring import BitMap

from huanshu.auditlog import Gap
from huanshu.auditlog.reader import read_gaps
from huanshu.catalog import Home
from huanshu.keeper.client import Keeper

Kind = Literal["person", "account", "session", "key", "workbook", "domain"]


@dataclass(frozen=True, slots=True)
class AskedExposure:
    """One question: ``name`` of that ``kind``, from ``start`` to before ``end``."""

    post: str
    purpose: str
    case: str
    kind: Kind
    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ExposedField:
    """One field at one rung: how many subjects' values, and how many of them somebody looked at."""

    dataset: str
    field: str
    rung: str
    subjects: int
    viewed: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """The answer, complete up to entry ``entry``, which is the question itself.

    ``viewed``, ``passed`` and ``unopened`` count entries; ``first`` and ``last``: (index, time) of
    those that opened."""

    entry: int
    asked: AskedExposure
    persons: int
    persons_viewed: int
    organisations: int
    organisations_viewed: int
    viewed: int
    passed: int
    unopened: int
    fields: tuple[ExposedField, ...]
    first: tuple[int, str] | None
    last: tuple[int, str] | None
    #: What was lost of the log within the window: the numbers are of what is left.
    gaps: tuple[Gap, ...] = ()


def exposure(
    home: Home, keeper: Keeper, district: Callable[[], psycopg.Connection], asked: AskedExposure
) -> Exposure:
    """Ask. DeniedError, explained, without the right to trace every dataset."""
    domain = next((h.domain for h in home.policies.holdings if h.post == asked.post), "")
    ticket = keeper.append(
        {
            "event": "access.exposure.authorised",
            "post": asked.post,
            "domain": domain,
            "purpose": asked.purpose,
            "detail": {
                "case": asked.case,
                "of": {"kind": asked.kind, "name": asked.name},
                "from": asked.start.isoformat(),
                "to": asked.end.isoformat(),
            },
        }
    )
    with district() as connection:
        rows = connection.execute("SELECT ordinal FROM district.subject WHERE kind = 'organisation'")
        found = keeper.exposed(ticket, BitMap(ordinal for (ordinal,) in rows).serialize())
        gaps = read_gaps(connection, ticket.index)
    return Exposure(
        entry=ticket.index,
        asked=asked,
        **{
            name: found[name]
            for name in ("persons", "persons_viewed", "organisations", "organisations_viewed")
        },
        **found["entries"],
        fields=tuple(ExposedField(**each) for each in found["fields"]),
        first=_end(found["first"]),
        last=_end(found["last"]),
        gaps=tuple(gap for gap in gaps if gap.within(asked.start, asked.end)),
    )


def _end(found: Mapping[str, Any] | None) -> tuple[int, str] | None:
    return None if found is None else (int(found["entry"]), str(found["at"]))

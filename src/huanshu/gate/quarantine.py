"""A quarantined row through the gate: a steward sees fields at his rungs; a repair opens the whole row in memory.

Seeing one is decide → append → open, the keeper opening the row itself: the steward's process never holds a key, nor
any field that the entry does not name. A repair runs in the platform's process, against the ticket of an order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from huanshu.access import Enforcer, Request
from huanshu.catalog import Contract, Home, Rung
from huanshu.errors import DeniedError, TamperedError, Text, UnavailableError
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import KeyName
from huanshu.sealing.blobs import open_blob
from huanshu.sealing.cells import refused as cell_refused
from huanshu.sealing.keys import quarantine_key

Cells = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What the steward gets: values by field at the rung the entry names. Fields with no right are not in it."""

    entry: int
    rungs: Mapping[str, Rung]
    values: Cells = field(repr=False)


def show_row(
    home: Home, keeper: Keeper, contract: Contract, place: tuple[str, int], sealed: bytes, subjects: Iterable[int],
    post: str, purpose: str, at: datetime,
) -> RowAnswer:  # fmt: skip
    """One row at the highest rungs that ``post`` has in the district for ``purpose``. DeniedError when it has none.

    ``subjects``: whom the row is about, where its identifier belongs to somebody who is numbered; the entry says
    so."""
    rungs = highest(home, contract, post, purpose, at)
    if not rungs:
        raise DeniedError(
            "access.quarantine.none",
            Text(
                f"{post} may see no field of this row for {purpose}",
                f"{post} 为 {purpose} 不能查看该行的任何字段",
            ),
            remedy=Text(
                "huanshu access explain --domain <district> says which grant is missing",
                "huanshu access explain --domain <区代码> 说明缺少何种授权",
            ),
        )
    batch, row = place
    about = BitMap(subjects)
    ticket = keeper.append(
        {
            "event": "access.quarantine.authorised",
            "post": post,
            "dataset": contract.dataset,
            "purpose": purpose,
            "fields": {name: rung.word for name, rung in rungs.items()},
            "detail": {"batch": batch, "row": row},
            **({"subjects": len(about)} if about else {}),
        },
        about.serialize() if about else None,
    )
    return RowAnswer(ticket.index, rungs, keeper.open_quarantined(ticket, sealed))


def highest(home: Home, contract: Contract, post: str, purpose: str, at: datetime) -> dict[str, Rung]:
    """Field → the higher of reveal and mask that the post has in the district, by the rules as read here."""
    enforcer = Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
    district = home.policies.domains.district.code
    found: dict[str, Rung] = {}
    for each in contract.fields:
        for rung in (Rung.REVEAL, Rung.MASK):
            offered = rung is Rung.REVEAL or each.mask is not None
            request = Request(post, district, contract.dataset, each.name, purpose, rung.word, at)
            if offered and enforcer.decide(request).allowed:
                found[each.name] = rung
                break
    return found


def opened_for_repair(
    keeper: Keeper, ticket: Ticket, dataset: str, epoch: int, *blobs: tuple[str, bytes]
) -> list[dict[str, str | None]]:
    """The row and the ordered values, each (place, sealed), against a ``quarantine.repair.authorised`` ticket."""
    return [_opened(keeper, ticket, dataset, epoch, place, sealed) for place, sealed in blobs]


def _opened(
    keeper: Keeper, ticket: Ticket, dataset: str, epoch: int, place: str, sealed: bytes
) -> dict[str, str | None]:
    for age in range(epoch, 0, -1):
        name: KeyName = quarantine_key(dataset, age)
        try:
            key = keeper.lend(ticket, 0, [name], existing=[name])[name]
        except UnavailableError as away:
            if away.code != "keeper.key.missing":
                raise
            continue  # no row failed in that epoch, so it has none
        with suppress(TamperedError):
            cells: dict[str, str | None] = json.loads(open_blob(key, name, place, sealed))
            return cells
    raise cell_refused()

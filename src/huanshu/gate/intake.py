"""Sealing at intake: plain columns in, links, marks and sealed cells out, against an intake ticket.

The only place where values enter the platform. Sorted by home community and sealed under that community's
keys; identifiers also get their link, each record its content mark. What fails quality is sealed whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huanshu.catalog import Contract, Rung
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, KeyName, Keyring, content_mark, link, seal_column
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import content_key, data_key, link_key, quarantine_key

Columns = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Linked:
    """What identifies and marks records, in row order: all 16-byte values."""

    links: Mapping[str, Sequence[bytes]]
    marks: Sequence[bytes]


def borrow(
    keeper: Keeper, ticket: Ticket, chunk: int, contract: Contract, homes: Sequence[str], epoch: int
) -> Keyring:
    """All keys that one batch of an intake needs: links, mark, quarantine, and the homes' data keys."""
    names: list[KeyName] = [content_key(contract.dataset), quarantine_key(contract.dataset, epoch)]
    names += [link_key(field.link_kind) for field in contract.fields if field.link_kind]
    names += [
        data_key(home, contract.dataset, field.name, epoch)
        for home in sorted(set(homes))
        for field in contract.sealed_fields
    ]
    return keeper.lend(ticket, chunk, names)


def linked(keys: Keyring, contract: Contract, columns: Columns) -> Linked:
    """Links of every identifier field and the content mark of every row. An absent identifier links as ""."""
    links = {
        field.name: [
            link(keys[link_key(field.link_kind)], field.link_kind, value or "")
            for value in columns[field.name]
        ]
        for field in contract.fields
        if field.link_kind is not None
    }
    key = keys[content_key(contract.dataset)]
    rows = zip(*(columns[field.name] for field in contract.fields), strict=True)
    return Linked(links, [content_mark(key, row) for row in rows])


def seal_rows(
    keys: Keyring,
    contract: Contract,
    epoch: int,
    homes: Sequence[str],
    records: Sequence[int],
    versions: Sequence[int],
    columns: Columns,
) -> dict[str, list[str | bytes | None]]:
    """The district store's cells by field: plain fields as they are, sealed ones under their home's key."""
    by_home: dict[str, list[int]] = {}
    for place, home in enumerate(homes):
        by_home.setdefault(home, []).append(place)
    cells: dict[str, list[str | bytes | None]] = {}
    for field in contract.fields:
        values = columns[field.name]
        if not field.sealed:
            cells[field.name] = list(values)
            continue
        assert field.width is not None  # checked when the contract was read
        sealed: list[str | bytes | None] = [None] * len(homes)
        for home, places in by_home.items():
            column = seal_column(
                keys[data_key(home, contract.dataset, field.name, epoch)],
                CellContext(home, contract.dataset, field.name, Rung.REVEAL.word, epoch),
                field.width,
                [records[i] for i in places],
                [versions[i] for i in places],
                [values[i] for i in places],
            )
            for place, cell in zip(places, column, strict=True):
                sealed[place] = cell
        cells[field.name] = sealed
    return cells


def seal_quarantined(
    keys: Keyring, contract: Contract, epoch: int, batch: str, row: int, source: bytes
) -> bytes:
    """One whole source row (bytes of its JSON), bound to its batch and row number."""
    name = quarantine_key(contract.dataset, epoch)
    return seal_blob(keys[name], name, f"{batch}/{row}", source)

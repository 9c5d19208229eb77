"""Sealing at intake: plain columns in, links, marks and sealed cells out, against an intake ticket.

The only place where values enter the platform. Sealed under each row's home community's keys, column by column;
identifiers also get their link, each record its content mark. What fails quality is sealed whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.catalog import Contract, Field, Rung
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import (
    CellContext,
    KeyName,
    Keyring,
    content_marks,
    link_column,
    pad_blocks,
    token_column,
)
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import content_key, data_key, link_key, link_keys, quarantine_key
from huanshu.sealing.rows import Sealed, seal_fields

Bytes = NDArray[np.uint8]
#: Text columns, each perhaps with a dictionary.
Columns = Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Linked:
    """What identifies and marks records, in row order: each ``uint8[n, 16]``."""

    links: Mapping[str, Bytes]
    marks: Bytes


def borrow_marks(
    keeper: Keeper, ticket: Ticket, chunk: int, contract: Contract, epoch: int, generation: int
) -> Keyring:
    """The keys that say which record a row is and whether it changed, and the one for rows that fail. ``generation``:
    how many keys the store's links have gone through; those after the first were made by a rotation."""
    kinds = sorted({field.link_kind for field in contract.fields if field.link_kind})
    names: list[KeyName] = [content_key(contract.dataset), quarantine_key(contract.dataset, epoch)]
    names += map(link_key, kinds)
    later = [name for kind in kinds for name in link_keys(kind, generation)[1:]]
    return keeper.lend(ticket, chunk, [*names, *later], later)


def borrow_homes(
    keeper: Keeper, ticket: Ticket, chunk: int, contract: Contract, homes: Sequence[str], epoch: int
) -> Keyring:
    """The data keys of some home communities."""
    names = [
        data_key(home, contract.dataset, field.name, epoch)
        for home in homes
        for field in contract.sealed_fields
    ]
    return keeper.lend(ticket, chunk, names)


def linked(keys: Keyring, contract: Contract, columns: Columns, generation: int) -> Linked:
    """Links of every identifier field and the content mark of every row. An absent identifier links as ""."""
    links = {
        field.name: _link(keys, field.link_kind, columns[field.name], generation)
        for field in contract.fields
        if field.link_kind is not None
    }
    in_order = {field.name: columns[field.name] for field in contract.fields}
    return Linked(links, content_marks(keys[content_key(contract.dataset)], in_order))


def _link(keys: Keyring, kind: str, values: pa.Array, generation: int) -> Bytes:
    first, *later = link_keys(kind, generation)
    links = link_column(keys[first], kind, values)
    for name in later:
        links = token_column(keys[name], links)
    return links


@dataclass(frozen=True, slots=True)
class Places:
    """Where each row belongs and which version it is, in row order: what its cells are bound to.

    Rows of one home follow each other: ``homes[n]`` has those from ``starts[n]`` to ``starts[n + 1]``."""

    homes: Sequence[str]
    starts: Sequence[int]
    records: NDArray[np.int64]
    versions: NDArray[np.int32]


def cell_widths(contract: Contract, keys: Keyring) -> dict[str, int]:
    """Bytes of a cell of each sealed field under these keys."""
    return {field.name: _size(field) + keys.growth for field in contract.sealed_fields}


def seal_rows(
    keys: Keyring,
    contract: Contract,
    epoch: int,
    places: Places,
    columns: Columns,
    cells: Mapping[str, Bytes],
) -> None:
    """The sealed fields' cells, each under its home's key, into ``cells``: by field ``uint8[n, cell_widths]``."""
    texts = {f.name: pad_blocks(columns[f.name], _size(f) - 1) for f in contract.sealed_fields}
    for home, start, end in zip(places.homes, places.starts[:-1], places.starts[1:], strict=True):
        here = slice(start, end)
        fields = [
            Sealed(
                keys[data_key(home, contract.dataset, field.name, epoch)],
                CellContext(home, contract.dataset, field.name, Rung.REVEAL.word, epoch),
                _size(field),
                texts[field.name][here],
                cells[field.name][here],
            )
            for field in contract.sealed_fields
        ]
        seal_fields(fields, places.records[here], places.versions[here])


def _size(field: Field) -> int:
    assert field.width is not None  # checked when the contract was read
    return field.width + 1


def seal_quarantined(
    keys: Keyring, contract: Contract, epoch: int, batch: str, row: int, source: bytes
) -> bytes:
    """One whole source row (bytes of its JSON), bound to its batch and row number."""
    name = quarantine_key(contract.dataset, epoch)
    return seal_blob(keys[name], name, f"{batch}/{row}", source)

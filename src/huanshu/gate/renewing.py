"""Sealing anew: cells of the district store from under one epoch's keys to another's, links one generation further.

Against the ticket of a ``keys.rotation.authorised`` entry, whose keys are lent to the platform alone. Values are opened
and sealed column by column in memory and never leave this module; a link is made anew from the link before it, so that
no identifier is opened for it (docs/decisions/0047-a-link-goes-through-one-more-key.md).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from huanshu.catalog import Contract, Rung
from huanshu.errors import TamperedError
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import (
    CellContext,
    KeyName,
    Keyring,
    open_column,
    open_columns,
    seal_padded,
    token_column,
)
from huanshu.sealing.blobs import open_blob, seal_blob
from huanshu.sealing.cells import refused, seal_column
from huanshu.sealing.keys import data_key, link_key, quarantine_key

Bytes = NDArray[np.uint8]


def borrow_epochs(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    home: str,
    past: Collection[int],
    epoch: int,
) -> Keyring:
    """One home's keys of the past epochs, which are never made, and of the one in force."""
    names = [f.name for f in contract.sealed_fields]
    old = [data_key(home, contract.dataset, name, age) for name in names for age in sorted(past)]
    new = [data_key(home, contract.dataset, name, epoch) for name in names]
    return keeper.lend(ticket, chunk, [*old, *new], old)


def borrow_field(
    keeper: Keeper, ticket: Ticket, chunk: int, dataset: str, home: str, field: str, epochs: tuple[int, int]
) -> Keyring:
    """One field's keys of two epochs; the first is never made."""
    old, new = (data_key(home, dataset, field, age) for age in epochs)
    return keeper.lend(ticket, chunk, [old, new], [old])


def borrow_links(
    keeper: Keeper, ticket: Ticket, chunk: int, kinds: Collection[str], generations: Sequence[int]
) -> Keyring:
    """The keys of these generations of links; they are born now."""
    return keeper.lend(ticket, chunk, [link_key(kind, age) for kind in sorted(kinds) for age in generations])


def borrow_quarantine(
    keeper: Keeper, ticket: Ticket, chunk: int, dataset: str, epoch: int, *, born: bool
) -> Keyring:
    """The key of one epoch's quarantined rows; that of a past one is never made."""
    name = quarantine_key(dataset, epoch)
    return keeper.lend(ticket, chunk, [name], [] if born else [name])


def reseal_cells(
    keys: Keyring,
    contract: Contract,
    home: str,
    epochs: tuple[int, int],
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
    cells: Mapping[str, Bytes],
) -> None:
    """Every cell of one home's rows, opened under the first epoch's keys and sealed under the second's, in place.
    TamperedError when one does not open: then none is changed."""
    old, new = epochs

    def under(name: str, epoch: int) -> tuple[bytes, CellContext]:
        key = keys[data_key(home, contract.dataset, name, epoch)]
        return key, CellContext(home, contract.dataset, name, Rung.REVEAL.word, epoch)

    opened = open_columns([(*under(name, old), sealed) for name, sealed in cells.items()], records, versions)
    for (name, sealed), plain in zip(cells.items(), opened, strict=True):
        key, context = under(name, new)
        seal_padded(key, context, records, versions, plain, out=sealed)


def relinked(keys: Keyring, kind: str, generations: Sequence[int], links: Bytes) -> Bytes:
    """``uint8[n, 16]``: each link through the keys of these generations, one after the other."""
    for age in generations:
        links = token_column(keys[link_key(kind, age)], links)
    return links


def reseal_row(
    rings: Mapping[int, Keyring], dataset: str, epoch: int, place: str, sealed: bytes
) -> bytes | None:
    """A quarantined row (or a repair's values) under the key of ``epoch``; None when it lies under it already. A
    row does not say its epoch: ``rings`` has the key of each."""
    for age in sorted(rings, reverse=True):
        name = quarantine_key(dataset, age)
        with suppress(TamperedError):
            plain = open_blob(rings[age][name], name, place, sealed)
            assert isinstance(json.loads(plain), dict)
            new = quarantine_key(dataset, epoch)
            return None if age == epoch else seal_blob(rings[epoch][new], new, place, plain)
    raise refused()


def reseal_proposed(
    keys: Keyring, context: CellContext, epoch: int, width: int, record: int, version: int, sealed: bytes
) -> bytes:
    """One value that waits beside the records (a correction's), from its own epoch to ``epoch``."""
    old: KeyName = data_key(context.domain, context.dataset, context.field, context.epoch)
    value = open_column(keys[old], context, [record], [version], [sealed])
    new = CellContext(context.domain, context.dataset, context.field, context.rung, epoch)
    key = keys[data_key(context.domain, context.dataset, context.field, epoch)]
    return seal_column(key, new, width, [record], [version], value)[0]

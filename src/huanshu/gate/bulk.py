"""The gate's one bulk verb: open → mask or token → re-seal, chunk by chunk, against a ticket.

The exchange hands in batches of sealed rows, and gets each back with its cells changed in place; plaintext and borrowed
keys live only inside ``reseal`` and are gone when it ends. A value that does not open stops the chunk (fail closed).
A cell keeps its width whatever its rung, so the row around it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.catalog import Contract, Field, Flow, Rung
from huanshu.errors import ContentError, Text
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import (
    CellContext,
    KeyName,
    Keyring,
    mask_column,
    open_columns,
    pad_column,
    seal_padded,
    token_column,
    unpad_column,
)
from huanshu.sealing.keys import data_key, token_key

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Versions = NDArray[np.int32]

#: A home and an epoch: under whose keys of when a cell was sealed.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in columns. ``cells[field][i]`` belongs to ``record[i]`` at ``version[i]``, sealed under the keys of
    ``places[place[i]]``; where the field is asked as a token it is the identifier's link. ``texts`` are the plain
    fields that are asked masked. Both are changed: cells in their place, texts by their masks."""

    record: Numbers
    version: Versions
    place: Numbers
    cells: Mapping[str, Bytes]
    texts: dict[str, pa.Array]


def reseal(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    flow: Flow,
    receiver: Place,
    places: list[Place],
    batches: Iterable[Batch],
) -> Iterator[Batch]:
    """The batches of one chunk, each as the receiver is to have it: every cell at the flow's rung and sealed for
    ``receiver``. The keys are borrowed when the first batch is asked for."""
    for name, rung in flow.fields.items():
        _require_offered(contract.field(name), rung, flow)
    opening = _needed(contract, flow, places)
    needed = opening | _needed(contract, flow, [receiver])
    keys = keeper.lend(ticket, chunk, sorted(needed), {name for name in opening if name.startswith("data/")})
    resealing = _Resealing(contract, flow, receiver, places, keys)
    for batch in batches:
        resealing.change(batch)
        yield batch


def _needed(contract: Contract, flow: Flow, places: Iterable[Place]) -> set[KeyName]:
    """The keys that open or seal the flow's fields at these places, and those of its tokens."""
    names: set[KeyName] = set()
    for name, rung in flow.fields.items():
        field = contract.field(name)
        if tokenised(field, rung):
            names.add(token_key(flow.purpose, str(field.link_kind)))
        elif field.sealed:
            names |= {data_key(home, contract.dataset, name, epoch) for home, epoch in places}
    return names


def tokenised(field: Field, rung: Rung) -> bool:
    """Whether the field is handed out as a token over its link, instead of a cell."""
    return rung is Rung.MATCH and field.link_kind is not None


@dataclass(frozen=True, slots=True)
class _Resealing:
    contract: Contract
    flow: Flow
    receiver: Place
    places: list[Place]
    keys: Keyring

    def change(self, batch: Batch) -> None:
        cells = {name: cells for name, cells in batch.cells.items() if not self._tokenised(name)}
        padded = self._opened(batch, cells)
        at_home = all(self.places[place] == self.receiver for place in np.unique(batch.place).tolist())
        for name, sealed in cells.items():
            field, rung = self.contract.field(name), self.flow.fields[name]
            if rung is Rung.REVEAL and at_home:
                # Opened, so what was sealed is what it should be; and sealed again under the same key for the same
                # place, row and rung it would be the same bytes (``cells``: no nonce is drawn).
                continue
            plain = padded[name]
            if rung is Rung.MASK:
                assert (
                    field.width is not None
                )  # a sealed field without one is refused when the contract is read
                plain = pad_column(mask_column(_mask(field), unpad_column(plain)), field.width)
            key, context = self._under(field, self.receiver, rung)
            seal_padded(key, context, batch.record, batch.version, plain, out=sealed)
        for name in batch.cells.keys() - cells.keys():
            key = self.keys[token_key(self.flow.purpose, str(self.contract.field(name).link_kind))]
            batch.cells[name][:] = token_column(key, batch.cells[name])
        for name, text in batch.texts.items():
            batch.texts[name] = mask_column(_mask(self.contract.field(name)), text)

    def _tokenised(self, name: str) -> bool:
        return tokenised(self.contract.field(name), self.flow.fields[name])

    def _opened(self, batch: Batch, cells: Mapping[str, Bytes]) -> dict[str, Bytes]:
        """Padded values of every field in row order, opened in groups of one place."""

        def opened(place: int, rows: Numbers | slice) -> list[Bytes]:
            columns = [
                (*self._under(self.contract.field(name), self.places[place], Rung.REVEAL), sealed[rows])
                for name, sealed in cells.items()
            ]
            return open_columns(columns, batch.record[rows], batch.version[rows])

        groups = np.unique(batch.place).tolist()
        if len(groups) == 1:  # nearly always
            return dict(zip(cells, opened(groups[0], slice(None)), strict=True))
        padded = {
            name: np.empty((len(sealed), max(0, sealed.shape[1] - self.keys.growth)), np.uint8)
            for name, sealed in cells.items()
        }
        for place in groups:
            rows = np.flatnonzero(batch.place == place)
            for column, values in zip(padded.values(), opened(place, rows), strict=True):
                column[rows] = values
        return padded

    def _under(self, field: Field, place: Place, rung: Rung) -> tuple[bytes, CellContext]:
        home, epoch = place
        dataset = self.contract.dataset
        key = self.keys[data_key(home, dataset, field.name, epoch)]
        return key, CellContext(home, dataset, field.name, rung.word, epoch)


def _mask(field: Field) -> str:
    assert field.mask is not None  # asked before the keys were
    return field.mask


def _require_offered(field: Field, rung: Rung, flow: Flow) -> None:
    if tokenised(field, rung) or rung is Rung.REVEAL or (rung is Rung.MASK and field.mask is not None):
        return
    raise ContentError(
        "exchange.rung.not_offered",
        Text(
            f"{field.name} cannot be delivered at {rung.word} in bulk",
            f"字段 {field.name} 不能以 {rung.word} 级批量交付",
        ),
        remedy=Text("ask for a rung the contract offers", "请改用数据契约提供的可见级别"),
        where=flow.where,
    )

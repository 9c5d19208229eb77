"""The gate's one bulk verb: open → mask or token → re-seal, chunk by chunk, against a ticket.

The exchange hands in sealed columns and gets sealed columns back; plaintext and borrowed keys live only
inside ``reseal`` and are gone when it returns. A value that does not open stops the chunk (fail closed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    open_padded,
    pad_column,
    seal_padded,
    token_column,
    unpad_column,
)
from huanshu.sealing.arrow import as_bytes, as_matrix
from huanshu.sealing.keys import data_key, token_key

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk in columns, each an Arrow array. ``cells[field][i]`` belongs to ``record[i]`` at ``version[i]``, sealed
    under ``home[i]``'s keys at ``epoch[i]``; ``links[field]`` only for fields delivered as tokens."""

    record: pa.Array
    version: pa.Array
    home: pa.Array
    epoch: pa.Array
    cells: Mapping[str, pa.Array]
    links: Mapping[str, pa.Array]


def reseal(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    flow: Flow,
    receiver: str,
    epoch: int,
    rows: Rows,
) -> dict[str, pa.Array]:
    """The delivered cells of one chunk, by field in contract order, each at the flow's rung and sealed for
    ``receiver``: ``large_binary`` where sealed or a token, ``large_string`` where plain."""
    places = dict(_places(rows))
    names = [field.name for field in contract.fields if field.name in flow.fields]
    opening = _needed(contract, flow, set(places))
    needed = opening | _needed(contract, flow, {(receiver, epoch)})
    keys = keeper.lend(ticket, chunk, sorted(needed), {name for name in opening if name.startswith("data/")})
    chunk_ = _Chunk(contract.dataset, flow, receiver, epoch, rows, places, keys)
    return {name: chunk_.column(contract.field(name), flow.fields[name]) for name in names}


def _places(rows: Rows) -> Iterator[tuple[tuple[str, int], Places]]:
    """Which rows were sealed under which home's keys of which epoch."""
    homes = rows.home.dictionary_encode()
    codes = homes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    epochs = _numbers(rows.epoch)
    for code, home in enumerate(homes.dictionary.to_pylist()):
        here = codes == code
        for epoch in np.unique(epochs[here]).tolist():
            yield (home, int(epoch)), np.flatnonzero(here & (epochs == epoch))


def _numbers(array: pa.Array) -> NDArray[np.int64]:
    found: NDArray[np.int64] = array.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _needed(contract: Contract, flow: Flow, places: set[tuple[str, int]]) -> set[KeyName]:
    """The keys that open or seal the flow's fields at these (domain, epoch)s, and those of its tokens."""
    names: set[KeyName] = set()
    for name, rung in flow.fields.items():
        field = contract.field(name)
        if rung is Rung.MATCH and field.link_kind is not None:
            names.add(token_key(flow.purpose, field.link_kind))
        elif field.sealed:
            names |= {data_key(home, contract.dataset, name, age) for home, age in places}
    return names


@dataclass(frozen=True, slots=True)
class _Chunk:
    dataset: str
    flow: Flow
    receiver: str
    epoch: int
    rows: Rows
    places: Mapping[tuple[str, int], Places]
    keys: Keyring

    def column(self, field: Field, rung: Rung) -> pa.Array:
        if rung is Rung.MATCH and field.link_kind is not None:
            purpose_key = self.keys[token_key(self.flow.purpose, field.link_kind)]
            return as_bytes(token_column(purpose_key, as_matrix(self.rows.links[field.name])))
        if rung in {Rung.MATCH, Rung.COUNT} or (rung is Rung.MASK and field.mask is None):
            raise _not_offered(field, rung, self.flow)
        cells = self.rows.cells[field.name]
        if not field.sealed:
            return cells if rung is Rung.REVEAL else mask_column(_mask(field), cells)
        padded = self._opened(field, as_matrix(cells))
        if rung is Rung.REVEAL and set(self.places) == {(self.receiver, self.epoch)}:
            # Opened, so what was sealed is what it should be; and sealed again under the same key for the same place,
            # row and rung it would be the same bytes (AES-SIV takes no nonce).
            return cells
        if rung is Rung.MASK:
            assert field.width is not None  # a sealed field without one is refused when the contract is read
            padded = pad_column(mask_column(_mask(field), unpad_column(padded)), field.width)
        context = CellContext(self.receiver, self.dataset, field.name, rung.word, self.epoch)
        key = self.keys[data_key(self.receiver, self.dataset, field.name, self.epoch)]
        every = np.arange(len(padded))
        return as_bytes(self._by_row(seal_padded, key, context, every, padded))

    def _opened(self, field: Field, cells: Bytes) -> Bytes:
        """Padded values in row order, opened in groups of one key (home, epoch)."""
        padded = np.empty((len(cells), max(0, cells.shape[1] - 16)), np.uint8)
        for (home, age), places in self.places.items():
            key = self.keys[data_key(home, self.dataset, field.name, age)]
            context = CellContext(home, self.dataset, field.name, Rung.REVEAL.word, age)
            padded[places] = self._by_row(open_padded, key, context, places, cells[places])
        return padded

    def _by_row(
        self,
        verb: Callable[[bytes, CellContext, NDArray[np.int64], NDArray[np.int32], Bytes], Bytes],
        key: bytes,
        context: CellContext,
        places: Places,
        column: Bytes,
    ) -> Bytes:
        records = _numbers(self.rows.record)[places]
        return verb(key, context, records, _numbers(self.rows.version)[places].astype(np.int32), column)


def _mask(field: Field) -> str:
    assert field.mask is not None  # asked before
    return field.mask


def _not_offered(field: Field, rung: Rung, flow: Flow) -> ContentError:
    return ContentError(
        "exchange.rung.not_offered",
        Text(
            f"{field.name} cannot be delivered at {rung.word} in bulk",
            f"字段 {field.name} 不能以 {rung.word} 级批量交付",
        ),
        remedy=Text("ask for a rung the contract offers", "请改用数据契约提供的可见级别"),
        where=flow.where,
    )

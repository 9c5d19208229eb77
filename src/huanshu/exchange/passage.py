"""The way of a chunk's rows: out of the district store, through the gate, into the receiver's staging.

A row leaves the district as the receiver is to hold it: the server puts the delivery's id and the receiver's epoch in,
and room for the row's digest. What is left to do is done where the bytes lie: the gate changes the cells, and the
receiving side fills in the digest. Rows are read, changed and written some thousand at a time.

    record · version · epoch · cells and tokens │ plain text │ delivery · digest
    the head: of one width in every row         │ of any     │

What was frozen is what is read: a row that is not the one that the chunk names stops the delivery.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract, Flow, Rung
from huanshu.errors import TamperedError, Text
from huanshu.exchange import due as dues
from huanshu.exchange.books import Chunk
from huanshu.exchange.due import Due
from huanshu.exchange.ground import Ground
from huanshu.exchange.tables import stored_fields, stored_plain
from huanshu.gate.bulk import Batch, Place, reseal, tokenised
from huanshu.keeper.tickets import Ticket
from huanshu.sealing.suites import growth_of
from huanshu.store.blocks import Block, Heads, Shape, read_blocks

Numbers = NDArray[np.int64]

#: Widths of record, version and epoch.
_BOUND = (8, 4, 4)
_TOKEN = 16
_DIGEST = bytes(32)


class Passage:
    """One flow to one receiver."""

    def __init__(self, ground: Ground, contract: Contract, flow: Flow, receiver: str) -> None:
        self._ground = ground
        self._contract = contract
        self._flow = flow
        self._to: Place = (receiver, ground.home.policies.keys.epoch)
        fields = [(field, flow.fields[field.name]) for field in stored_fields(contract, flow)]
        self._fixed = [field.name for field, rung in fields if not stored_plain(field, rung)]
        self._plain = [field.name for field, rung in fields if stored_plain(field, rung)]
        self._masked = [name for name in self._plain if flow.fields[name] is Rung.MASK]
        beside = 1 + growth_of(ground.home.policies.keys.profile)  # its end (padding), and what sealing adds
        widths = [
            _TOKEN if tokenised(field, rung) else (field.width or 0) + beside
            for field, rung in fields
            if not stored_plain(field, rung)
        ]
        self._shape = Shape(len(_BOUND) + len(fields) + 2, [*_BOUND, *widths])
        self._sources = [f"link_{f.name}" if tokenised(f, rung) else f.name for f, rung in fields]

    def blocks(
        self, reading: psycopg.Connection, due: Due, chunk: Chunk, ticket: Ticket
    ) -> Generator[Block, None, None]:
        """The chunk's rows in record order, each as the receiver is to hold it but for its digest."""
        if not len(chunk.records):
            return
        found, first = due.found, int(np.searchsorted(due.found.record, chunk.records[0]))
        here = slice(first, first + len(chunk.records))
        places, place = _places(found.homes, found.home[here], found.epoch[here])
        held: list[tuple[Block, Heads]] = []

        def batches() -> Generator[Batch, None, None]:
            done = 0
            for block in read_blocks(reading, self._query(due, chunk)):
                self._ground.pause(f"c:read:{chunk.number}")
                rows = slice(done, done + len(block))
                heads = self._heads(block)
                record, version = heads.numbers(0), heads.numbers(1)
                if not (
                    np.array_equal(record, chunk.records[rows])
                    and np.array_equal(version, chunk.versions[rows])
                ):
                    raise _not_frozen(self._contract.dataset)
                held.append((block, heads))
                done += len(block)
                yield Batch(
                    record=record,
                    version=version.astype(np.int32),
                    place=place[rows],
                    cells={name: heads.values(n) for n, name in enumerate(self._fixed, len(_BOUND))},
                    texts=self._texts(block),
                )

        with closing(batches()) as opened:
            for batch in reseal(
                self._ground.keeper,
                ticket,
                chunk.number,
                self._contract,
                self._flow,
                self._to,
                places,
                opened,
            ):
                block, heads = held.pop()
                block.put_heads(heads)
                if self._masked:
                    columns = block.texts(self._shape)
                    for name, text in batch.texts.items():
                        columns[self._plain.index(name)] = text
                    block = block.with_texts(self._shape, columns)
                self._ground.pause(f"c:opened:{chunk.number}")
                yield block
                self._ground.pause(f"c:written:{chunk.number}")

    def _heads(self, block: Block) -> Heads:
        try:
            return block.heads(self._shape)
        except ValueError:  # cells of a field are equally long
            raise _not_frozen(self._contract.dataset) from None

    def _texts(self, block: Block) -> dict[str, pa.Array]:
        if not self._masked:
            return {}
        columns = block.texts(self._shape)
        return {name: columns[self._plain.index(name)] for name in self._masked}

    def _query(self, due: Due, chunk: Chunk) -> sql.Composable:
        return sql.SQL(
            "SELECT record, version, {epoch}::integer, {columns}, {delivery}::text, {digest}::bytea"
            " FROM {versions} WHERE batch_out IS NULL AND {at_home} AND record {among} ORDER BY record"
        ).format(
            epoch=self._to[1],
            columns=sql.SQL(", ").join(map(sql.Identifier, self._sources)),
            delivery=due.delivery,
            digest=_DIGEST,
            versions=dues.versions_table(self._contract),
            at_home=dues.at_home(due.found.homes),
            among=_among(chunk, whole=due.whole(chunk)),
        )


def _places(homes: list[str], home: Numbers, epoch: Numbers) -> tuple[list[Place], Numbers]:
    """Under whose keys of when the rows were sealed, and which of them each row was."""
    pairs, which = np.unique(np.stack([home, epoch]), axis=1, return_inverse=True)
    return [(homes[h], e) for h, e in pairs.T.tolist()], which.reshape(-1).astype(np.int64)


def _among(chunk: Chunk, *, whole: bool) -> sql.Composable:
    """Which records, as SQL: a range when it holds no other record of the slice."""
    if whole:
        first, last = chunk.records[[0, -1]].tolist()
        return sql.SQL("BETWEEN {} AND {}").format(first, last)
    return sql.SQL("= ANY({})").format(chunk.records.tolist())


def _not_frozen(dataset: str) -> TamperedError:
    return TamperedError(
        "exchange.chunk.changed",
        Text(f"rows of {dataset} are not those that were frozen", f"{dataset} 的行与冻结时不一致"),
        remedy=Text("run huanshu verify, tell security staff", "运行 huanshu verify 并通知安全人员"),
    )

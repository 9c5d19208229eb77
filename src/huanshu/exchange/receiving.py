"""The receiver's side of a delivery: staging, promotion, inbox. Runs against the receiver's own store.

Step (d) is the only commit with effect: one transaction checks what arrived, makes it (part of) the slice,
withdraws what left, and writes the inbox line. A crash before it leaves staging that is resumed or dropped; after
it, the inbox line says that the delivery has happened.

    first delivery   the staging gets its key and becomes the slice: no row is written twice
    later ones       the staging's rows replace theirs in the slice
    other fields     the flow's fields changed: every row comes anew, and the staging becomes the slice again (a grant
                     that the receiver's administrator gave on the old table is to be given again)

Trust: who can change these tables can show this receiver old or missing rows (found by
``huanshu verify`` against the digests in the log); cells sealed for another place do not open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract, Flow
from huanshu.errors import InputError, TamperedError, Text
from huanshu.exchange.digests import delivery_digest, slice_digest
from huanshu.exchange.tables import create_receiver, described, ready, receiver_tables, stored_fields
from huanshu.store.blocks import Block, write_blocks
from huanshu.store.copying import raw_table_rows

Numbers = NDArray[np.int64]

#: Bytes of a row before what its digest covers (the field count), and after it (delivery and digest, framed).
_BEFORE: Final = 2
_AFTER: Final = 4 + 64 + 4 + 32


@dataclass(frozen=True, slots=True)
class Inbox:
    """The line of a delivery that took effect. ``holds`` counts the slice's records afterwards."""

    delivery: str
    count: int
    withdrawn: int
    holds: int
    digest: bytes
    slice_digest: bytes


class Receiving:
    """One flow at one receiver. Digest and count are checked by this side's own reading."""

    def __init__(self, connection: psycopg.Connection, contract: Contract, flow: Flow, receiver: str) -> None:
        self._connection = connection
        self._contract = contract
        self._flow = flow
        self._fields = [field.name for field in stored_fields(contract, flow)]
        self._tables = receiver_tables(contract, flow, receiver)
        self._columns = ["record", "version", "epoch", *self._fields, "delivery", "digest"]
        self._listed = ready(sql.SQL(", ").join(map(sql.Identifier, self._columns)))
        self._sent: list[bytes] | None = (
            None  # digests of rows staged by the promoting transaction, in record order
        )
        self._made = False  # whether the staging was made by the promoting transaction
        # Which tables are there, by their columns, since they were last looked for.
        self._there: dict[str, tuple[str, ...]] | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Stage and promote in one transaction. Nobody else ever sees that staging, so it is not read back whole: the
        rows' digests are, and compared with those of what was sent."""
        self._sent = []
        try:
            with self._connection.transaction():
                yield
        finally:
            self._sent, self._made, self._there = None, False, None

    def _whole(self) -> AbstractContextManager[object]:
        """All or nothing: a transaction, or part of the one that stages and promotes at once."""
        return nullcontext() if self._sent is not None else self._connection.transaction()

    def inbox(self, delivery: str) -> Inbox | None:
        """The inbox line of a delivery, or None when it has not taken effect."""
        if not self._is_there(self._tables.inbox):
            return None
        row = self._run(
            "SELECT delivery, count, withdrawn, holds, digest, slice_digest FROM {inbox} WHERE delivery = %s",
            delivery,
        ).fetchone()
        return None if row is None else Inbox(row[0], row[1], row[2], row[3], bytes(row[4]), bytes(row[5]))

    def staged_chunks(self, delivery: str) -> set[int]:
        """Chunks that are wholly in the staging (a chunk is staged in one transaction)."""
        if not self._is_there(self._tables.staged):
            return set()
        if self._columns_of(self._tables.staging) != self._tables.described:
            return set()  # made for other fields, or gone: what is told of its chunks lies nowhere
        return {row[0] for row in self._run("SELECT chunk FROM {staged} WHERE delivery = %s", delivery)}

    def stage(
        self, delivery: str, chunk: int, blocks: Iterable[Block], count: int, withdrawn: Numbers
    ) -> None:
        """Write one chunk to the staging, in one transaction: all of it or none. The blocks bring ``count`` rows in the
        columns of the slice, but for their digests; InputError when they bring others."""
        with self._whole():
            self._make_staging()
            if count:
                digests: list[bytes] = []
                write_blocks(self._connection, self._tables.staging, self._columns, digested(blocks, digests))
                if len(digests) != count:
                    raise _incomplete(len(digests), len(withdrawn), count, len(withdrawn))
                if self._sent is not None:
                    self._sent += digests
            self._run(
                "INSERT INTO {staged} (dataset, delivery, chunk, count, withdrawn) VALUES (%s, %s, %s, %s, %s)",
                self._contract.dataset,
                delivery,
                chunk,
                count,
                withdrawn.tolist(),
            )

    def require(self, still: str | None) -> None:
        """TamperedError when the slice's digest is no longer ``still`` (hex). None asks nothing."""
        if still is None:
            return
        with self._connection.transaction():
            if self._present().hex() != still:
                raise _slice_changed(self._contract.dataset)

    def promote(self, delivery: str, upserts: int, withdrawals: int, still: str | None) -> Inbox:
        """Step (d). Raises InputError when what was staged is not what the delivery announced, TamperedError when the
        slice's digest is no longer ``still`` (hex): the next digest would make good whatever was done to it. With None
        the delivery replaces all there is."""
        with self._whole():
            self._make_staging()
            if not self._made:
                # Whatever else lies in the staging belongs to deliveries that will never be promoted.
                self._run("DELETE FROM {staging} WHERE delivery <> %s", delivery)
            digests = self._read_back() if self._sent is None else self._sent
            withdrawn = self._withdrawn(delivery)
            if (len(digests), len(withdrawn)) != (upserts, withdrawals):
                raise _incomplete(len(digests), len(withdrawn), upserts, withdrawals)
            whole = slice_digest(digests)
            if self._sent is not None and self._digest_of("staging") != (len(digests), whole):
                raise _incomplete(self._digest_of("staging")[0], len(withdrawn), upserts, withdrawals)
            if still is None:
                self._drop_unfit(self._tables.slice)
            fresh = self._empty()
            if still is None:
                self._clear()
            else:
                self.require(still)
            if fresh:
                self._become_slice()
                holds = len(digests)
            else:
                self._merge(withdrawn)
                holds, whole = self._digest_of("slice")
            self._run("DELETE FROM {staged} WHERE dataset = %s", self._contract.dataset)
            digest = delivery_digest(digests, withdrawn)
            line = Inbox(delivery, upserts, withdrawals, holds, digest, whole)
            self._run(
                "INSERT INTO {inbox} (delivery, flow, dataset, count, withdrawn, holds, digest, slice_digest)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                *(
                    delivery,
                    self._flow.flow,
                    self._contract.dataset,
                    upserts,
                    withdrawals,
                    holds,
                    digest,
                    whole,
                ),
            )
        return line

    def drop(self, delivery: str) -> None:
        """Forget what was staged for a delivery that will not be promoted."""
        with self._connection.transaction():
            for table in (self._tables.staging, self._tables.staged):
                if self._is_there(table):
                    self._connection.execute(
                        sql.SQL("DELETE FROM {} WHERE delivery = %s").format(table), (delivery,)
                    )

    # -- (d) ------------------------------------------------------------------------------------

    def _read_back(self) -> list[bytes]:
        """The staged rows' digests in record order, each computed anew from the bytes that lie in the staging."""
        columns = ["record", "version", "epoch", *self._fields, "digest"]
        digests: list[bytes] = []
        records: list[memoryview] = []
        for row in raw_table_rows(self._connection, self._tables.staging, columns):
            # Two bytes of field count; the row as its digest covers it; last the digest, four bytes of length first.
            digest = sha256(row[2:-36]).digest()
            if digest != row[-32:]:
                raise _changed(int.from_bytes(row[6:14], "big"))
            digests.append(digest)
            records.append(row[6:14])
        numbers = np.frombuffer(b"".join(records), ">i8")
        if (np.diff(numbers) > 0).all():  # chunks are staged in order; only a resumed delivery may differ
            return digests
        return [digests[place] for place in np.argsort(numbers, kind="stable").tolist()]

    def _withdrawn(self, delivery: str) -> list[int]:
        rows = self._run("SELECT unnest(withdrawn) FROM {staged} WHERE delivery = %s ORDER BY 1", delivery)
        return [int(row[0]) for row in rows]

    def _make_staging(self) -> None:
        """It has no index: it becomes the slice, or its rows go there."""
        if not self._is_there(self._tables.inbox) or not self._is_there(self._tables.staged):
            create_receiver(self._connection, self._tables)
            self._there = None
        self._drop_unfit(self._tables.staging)
        if not self._is_there(self._tables.staging):
            self._run("CREATE TABLE {staging} ({columns}) {rows}")
            self._run("DELETE FROM {staged} WHERE dataset = %s", self._contract.dataset)
            self._there = None
            self._made = self._sent is not None

    def _drop_unfit(self, table: sql.SQL) -> None:
        """A table of other fields goes: a staging left by a flow that has changed, a slice that is replaced whole."""
        if self._is_there(table) and self._columns_of(table) != self._tables.described:
            self._connection.execute(sql.SQL("DROP TABLE {}").format(table))
            self._there = None

    def _empty(self) -> bool:
        return (
            not self._is_there(self._tables.slice)
            or self._run("SELECT 1 FROM {slice} LIMIT 1").fetchone() is None
        )

    def _present(self) -> bytes:
        """The digest of the slice as it is."""
        return self._digest_of("slice")[1] if self._is_there(self._tables.slice) else slice_digest(())

    def _clear(self) -> None:
        """Every row goes; the table stays, with whatever its owner has granted on it."""
        if self._is_there(self._tables.slice):
            self._run("DELETE FROM {slice}")

    def _become_slice(self) -> None:
        """The slice is empty: the staging takes its name, and gets its key."""
        self._run("DROP TABLE IF EXISTS {slice}")
        self._run("ALTER TABLE {staging} RENAME TO {name}")
        self._run("ALTER TABLE {slice} ADD PRIMARY KEY (record)")
        self._there = None

    def _is_there(self, table: sql.SQL) -> bool:
        return bool(self._columns_of(table))

    def _columns_of(self, table: sql.SQL) -> tuple[str, ...]:
        """All four are looked for at once, again after a change of ours."""
        if self._there is None:
            tables = (self._tables.slice, self._tables.staging, self._tables.staged, self._tables.inbox)
            self._there = described(self._connection, [table.as_string() for table in tables])
        return self._there[table.as_string()]

    def _merge(self, withdrawn: list[int]) -> None:
        self._run("DELETE FROM {slice} s USING {staging} g WHERE g.record = s.record")
        self._run("DELETE FROM {slice} WHERE record = ANY(%s::bigint[])", withdrawn)
        self._run("INSERT INTO {slice} ({listed}) SELECT {listed} FROM {staging}")
        self._run("TRUNCATE {staging}")

    def _digest_of(self, table: Literal["slice", "staging"]) -> tuple[int, bytes]:
        """How many rows lie there, and their digest in record order, over the digests that lie beside them."""
        row = self._run(
            "SELECT count(*), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY record), ''))"
            + (" FROM {slice}" if table == "slice" else " FROM {staging}")
        ).fetchone()
        assert row is not None  # an aggregate answers one row
        return int(row[0]), bytes(row[1])

    def _run(self, statement: LiteralString, *given: object) -> psycopg.Cursor:
        tables = self._tables
        query = sql.SQL(statement).format(
            slice=tables.slice,
            staging=tables.staging,
            staged=tables.staged,
            inbox=tables.inbox,
            columns=tables.columns,
            rows=tables.rows,
            listed=self._listed,
            name=sql.Identifier(self._contract.dataset),
        )
        return self._connection.execute(query, given or None)


def digested(blocks: Iterable[Block], digests: list[bytes]) -> Iterator[Block]:
    """The blocks with every row's digest in its place; and the digests, in order."""
    for block in blocks:
        found = [sha256(image).digest() for image in block.images(_BEFORE, _AFTER)]
        block.put_last(np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32))
        digests += found
        yield block


def _incomplete(staged: int, withdrawn: int, upserts: int, withdrawals: int) -> InputError:
    return InputError(
        "exchange.staging.incomplete",
        Text(
            f"staged {staged}+{withdrawn} records, announced {upserts}+{withdrawals}",
            f"暂存 {staged}+{withdrawn} 条，应为 {upserts}+{withdrawals} 条",
        ),
        remedy=Text("run the flow again", "请重新运行该流向"),
    )


def _slice_changed(dataset: str) -> TamperedError:
    return TamperedError(
        "exchange.slice.changed",
        Text(
            f"the receiver's {dataset} is not what it was when a delivery last arrived",
            f"接收方的 {dataset} 已不是上次送达时的内容",
        ),
        remedy=Text(
            "run huanshu verify, tell security staff; the receiver's administrator restores the slice",
            "运行 huanshu verify 并通知安全人员，由接收方管理员恢复切片",
        ),
    )


def _changed(record: int) -> TamperedError:
    return TamperedError(
        "exchange.staging.changed",
        Text(f"staged record {record} was changed", f"暂存记录 {record} 被改动"),
        remedy=Text(
            "run huanshu flow diagnose, tell security staff",
            "运行 huanshu flow diagnose 并通知安全人员",
        ),
    )

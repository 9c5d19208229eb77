"""The receiver's side of a delivery: staging, promotion, inbox. Runs against the receiver's own store.

Step (d) is the only commit with effect: one transaction checks what arrived, moves it from the staging
into the slice, withdraws what left, and writes the inbox line. A crash before it leaves staging that is
resumed or dropped; after it, the inbox line says that the delivery has happened.

Trust: who can change these tables can show this receiver old or missing rows (found by
``huanshu verify`` against the digests in the log); cells sealed for another place do not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from sqlalchemy import Table

from huanshu.catalog import Contract, Flow
from huanshu.errors import InputError, TamperedError, Text
from huanshu.exchange.digests import delivery_digest, row_digests, slice_digest
from huanshu.exchange.tables import create, delivered_fields, receiver_tables, stored_plain
from huanshu.store.copying import copy_in, copy_out

Withdrawn = tuple[pa.Array, pa.Array]  # records and versions that leave the slice


@dataclass(frozen=True, slots=True)
class Upserts:
    """The rows of a chunk, in columns. ``cells`` holds every delivered field, in contract order."""

    record: pa.Array
    version: pa.Array
    epoch: int
    cells: Mapping[str, pa.Array]

    def columns(self) -> dict[str, pa.Array]:
        """As they lie in the slice: what the row digest covers, in its order."""
        epoch = pa.repeat(pa.scalar(self.epoch, pa.int32()), len(self.record))
        return {"record": self.record, "version": self.version, "epoch": epoch, **self.cells}


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
    """One flow at one receiver. Digest, count and domain are checked by this side's own reading."""

    def __init__(self, connection: psycopg.Connection, contract: Contract, flow: Flow, receiver: str) -> None:
        self._connection = connection
        self._contract = contract
        self._flow = flow
        fields = delivered_fields(contract, flow)
        self._plain = {field.name: stored_plain(field, flow.fields[field.name]) for field in fields}
        self._fields = list(self._plain)
        tables = receiver_tables(contract, flow, receiver)
        with connection.transaction():
            create(connection, *tables)
        self._slice, self._staging, self._inbox = (_identifier(table) for table in tables)

    def inbox(self, delivery: str) -> Inbox | None:
        """The inbox line of a delivery, or None when it has not taken effect."""
        row = self._one(
            sql.SQL(
                "SELECT delivery, count, withdrawn, holds, digest, slice_digest FROM {} WHERE delivery = %s"
            ).format(self._inbox),
            (delivery,),
        )
        return None if row is None else Inbox(row[0], row[1], row[2], row[3], bytes(row[4]), bytes(row[5]))

    def staged_chunks(self, delivery: str) -> set[int]:
        """Chunks that are wholly in the staging (a chunk is staged in one transaction)."""
        query = sql.SQL("SELECT DISTINCT chunk FROM {} WHERE delivery = %s").format(self._staging)
        with self._connection.transaction():
            return {row[0] for row in self._connection.execute(query, (delivery,))}

    def stage(self, delivery: str, chunk: int, upserts: Upserts, withdrawn: Withdrawn) -> None:
        """Write one chunk to the staging, in one transaction: all of it or none."""
        columns = upserts.columns()
        digests = pa.array(row_digests(columns), pa.large_binary())
        with self._connection.transaction():
            for act, rows in (
                ("upsert", {**columns, "digest": digests}),
                ("withdraw", dict(zip(("record", "version"), withdrawn, strict=True))),
            ):
                count = len(rows["record"])
                named = {
                    "delivery": pa.repeat(delivery, count),
                    "chunk": pa.repeat(pa.scalar(chunk, pa.int32()), count),
                    "act": pa.repeat(act, count),
                }
                if count:
                    copy_in(self._connection, self._staging, {**named, **rows})

    def promote(self, delivery: str, upserts: int, withdrawals: int) -> Inbox:
        """Step (d). Raises InputError when what was staged is not what the delivery announced."""
        with self._connection.transaction():
            digests, withdrawn = self._check(delivery, upserts, withdrawals)
            fields = sql.SQL(", ").join(
                map(sql.Identifier, ["record", "version", "epoch", *self._fields, "delivery", "digest"])
            )
            names = {"slice": self._slice, "staging": self._staging, "inbox": self._inbox, "fields": fields}
            self._connection.execute(
                sql.SQL(
                    "DELETE FROM {slice} s USING {staging} g WHERE g.delivery = %s AND g.record = s.record"
                ).format(**names),
                (delivery,),
            )
            self._connection.execute(
                sql.SQL(
                    "INSERT INTO {slice} ({fields}) SELECT {fields} FROM {staging}"
                    " WHERE delivery = %s AND act = 'upsert'"
                ).format(**names),
                (delivery,),
            )
            held = sql.SQL("SELECT digest FROM {slice} ORDER BY record").format(**names)
            rows = [
                digest
                for batch in copy_out(self._connection, held, {"digest": pa.large_binary()})
                for digest in batch.column("digest").to_pylist()
            ]
            whole = slice_digest(rows)
            line = Inbox(
                delivery, upserts, withdrawals, len(rows), delivery_digest(digests, withdrawn), whole
            )
            self._connection.execute(
                sql.SQL(
                    "INSERT INTO {inbox} (delivery, flow, dataset, count, withdrawn, holds, digest, slice_digest)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
                ).format(**names),
                (
                    delivery,
                    self._flow.flow,
                    self._contract.dataset,
                    upserts,
                    withdrawals,
                    line.holds,
                    line.digest,
                    whole,
                ),
            )
            # Whatever else lies in the staging belongs to deliveries that will never be promoted.
            self._connection.execute(sql.SQL("DELETE FROM {staging}").format(**names))
        return line

    def drop(self, delivery: str) -> None:
        """Forget what was staged for a delivery that will not be promoted."""
        with self._connection.transaction():
            self._connection.execute(
                sql.SQL("DELETE FROM {} WHERE delivery = %s").format(self._staging), (delivery,)
            )

    def _check(self, delivery: str, upserts: int, withdrawals: int) -> tuple[list[bytes], list[int]]:
        types: dict[str, pa.DataType] = {"record": pa.int64(), "version": pa.int32(), "epoch": pa.int32()}
        types |= {
            name: pa.large_string() if plain else pa.large_binary() for name, plain in self._plain.items()
        }
        types["digest"] = pa.large_binary()
        query = sql.SQL("SELECT {} FROM {} WHERE delivery = {} AND act = 'upsert' ORDER BY record").format(
            sql.SQL(", ").join(map(sql.Identifier, types)), self._staging, delivery
        )
        digests: list[bytes] = []
        for batch in copy_out(self._connection, query, types):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            stored = columns.pop("digest").to_pylist()
            for found, record, digest in zip(row_digests(columns), columns["record"], stored, strict=True):
                if found != digest:
                    raise _changed(record.as_py())
            digests += stored
        left = self._connection.execute(
            sql.SQL("SELECT record FROM {} WHERE delivery = %s AND act = 'withdraw' ORDER BY record").format(
                self._staging
            ),
            (delivery,),
        ).fetchall()
        withdrawn = [int(row[0]) for row in left]
        if (len(digests), len(withdrawn)) != (upserts, withdrawals):
            raise InputError(
                "exchange.staging.incomplete",
                Text(
                    f"staged {len(digests)}+{len(withdrawn)} records, announced {upserts}+{withdrawals}",
                    f"暂存 {len(digests)}+{len(withdrawn)} 条，应为 {upserts}+{withdrawals} 条",
                ),
                remedy=Text("run the flow again", "请重新运行该流向"),
            )
        return digests, withdrawn

    def _one(self, query: sql.Composed, given: tuple[object, ...]) -> tuple[Any, ...] | None:
        with self._connection.transaction():
            return self._connection.execute(query, given).fetchone()


def _changed(record: int) -> TamperedError:
    return TamperedError(
        "exchange.staging.changed",
        Text(f"staged record {record} was changed", f"暂存记录 {record} 被改动"),
        remedy=Text(
            "run huanshu flow diagnose, tell security staff",
            "运行 huanshu flow diagnose 并通知安全人员",
        ),
    )


def _identifier(table: Table) -> sql.Identifier:
    return sql.Identifier(str(table.schema), table.name)

"""The receiver's side of a delivery: staging, promotion, inbox. Runs against the receiver's own store.

Step (d) is the only commit with effect: one transaction checks what arrived, moves it from the staging
into the slice, withdraws what left, and writes the inbox line. A crash before it leaves staging that is
resumed or dropped; after it, the inbox line says that the delivery has happened.

Trust: who can change these tables can show this receiver old or missing rows (found by
``huanshu verify`` against the digests in the log); cells sealed for another place do not open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Table

from huanshu.catalog import Contract, Flow
from huanshu.errors import InputError, TamperedError, Text
from huanshu.exchange.digests import delivery_digest, row_digest, slice_digest
from huanshu.exchange.tables import create, delivered_fields, receiver_tables

Cell = str | bytes | None


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
        self._fields = [field.name for field in delivered_fields(contract, flow)]
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

    def stage(
        self,
        delivery: str,
        chunk: int,
        records: Sequence[int],
        versions: Sequence[int],
        epoch: int,
        cells: Mapping[str, Sequence[Cell]],
        withdrawn: Sequence[tuple[int, int]],
    ) -> None:
        """Write one chunk to the staging, in one transaction: all of it or none."""
        columns = [cells[name] for name in self._fields]
        rows = zip(records, versions, *columns, strict=True)
        names = ["delivery", "chunk", "act", "record", "version", "epoch", *self._fields, "digest"]
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            self._staging, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        with self._connection.transaction(), self._connection.cursor().copy(statement) as copy:
            for record, version, *row in rows:
                digest = row_digest(record, version, epoch, row)
                copy.write_row((delivery, chunk, "upsert", record, version, epoch, *row, digest))
            for record, version in withdrawn:
                copy.write_row(
                    (delivery, chunk, "withdraw", record, version, None, *([None] * len(self._fields)), None)
                )

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
            rows = self._connection.execute(
                sql.SQL("SELECT digest FROM {slice} ORDER BY record").format(**names)
            ).fetchall()
            whole = slice_digest(bytes(row[0]) for row in rows)
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
        columns = sql.SQL(", ").join(
            map(sql.Identifier, ["act", "record", "version", "epoch", "digest", *self._fields])
        )
        query = sql.SQL("SELECT {} FROM {} WHERE delivery = %s ORDER BY record").format(
            columns, self._staging
        )
        digests: list[bytes] = []
        withdrawn: list[int] = []
        for act, record, version, epoch, digest, *cells in self._connection.execute(query, (delivery,)):
            if act == "withdraw":
                withdrawn.append(record)
                continue
            row = [bytes(cell) if isinstance(cell, (bytes, memoryview)) else cell for cell in cells]
            if row_digest(record, version, epoch, row) != bytes(digest):
                raise TamperedError(
                    "exchange.staging.changed",
                    Text(f"staged record {record} was changed", f"暂存记录 {record} 被改动"),
                    remedy=Text(
                        "run huanshu flow diagnose, tell security staff",
                        "运行 huanshu flow diagnose 并通知安全人员",
                    ),
                )
            digests.append(bytes(digest))
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


def _identifier(table: Table) -> sql.Identifier:
    return sql.Identifier(str(table.schema), table.name)

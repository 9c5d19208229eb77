"""The versions of a dataset in the district store: what is current, what an extract brings, and the exchange of both.

An intake fills ``<dataset>_staging``, which has the columns of the versions and no index, in one transaction that
empties it first. So its rows can be stored *frozen*: no later reader has to note on each page that they were committed;
that would write every page of a first extract once more, and once more into the WAL (docs/decisions/0029).

Its promotion is the one transaction with effect:
    the first of a dataset   the staging, indexed meanwhile, takes the place of the empty versions: no row is written
                             twice. It is an ordinary, logged table from the start.
    every later one          versions that end get their ``batch_out``; the staging's rows are added. It is unlogged:
                             a server that crashed empties it, and the next run makes it anew anyway.
Who reads meanwhile waits for that transaction, or sees the state before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.errors import Text, UnavailableError
from huanshu.exchange.tables import create_indexes, versions_table
from huanshu.store.copying import copy_in, copying_rows
from huanshu.store.packed import BIGINT, INTEGER, read_packed
from huanshu.store.roles import show_keeper

Numbers = NDArray[np.int64]
#: Takes rows in COPY's binary form, some at a time.
Put = Callable[[bytes | memoryview], None]


@dataclass(frozen=True, slots=True)
class Current:
    """The current version of records, ascending by record."""

    record: Numbers
    version: Numbers
    mark: NDArray[np.uint8]  # [n, 16]

    def places(self, records: Numbers) -> Numbers:
        """The place of each of ``records`` here; -1 for one that has no current version."""
        if not len(self.record):
            return np.full(len(records), -1, np.int64)
        place = np.searchsorted(self.record, records).clip(max=len(self.record) - 1)
        return np.where(self.record[place] == records, place, -1)


class Versions:
    """Of one dataset. Every call is made by whoever holds the lock of the dataset's intake."""

    def __init__(self, contract: Contract) -> None:
        self._name = contract.dataset
        self._filled = versions_table(contract, f"{contract.dataset}_staging")
        self._versions = sql.Identifier("district", self._name)
        self.staging = sql.Identifier("district", self._filled.name)

    def prepare(self, connection: psycopg.Connection) -> None:
        """An empty staging, whatever an interrupted intake left."""
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.staging))
        kind = "" if self._empty(connection) else "UNLOGGED"
        connection.execute(
            sql.SQL("CREATE {} TABLE {} (LIKE {})").format(sql.SQL(kind), self.staging, self._versions)
        )

    def drop(self, connection: psycopg.Connection) -> None:
        """Forget what was staged."""
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.staging))

    def current(self, connection: psycopg.Connection, records: Numbers | None = None) -> Current:
        """Current versions: all, or those of some records."""
        source = sql.SQL("{} v WHERE batch_out IS NULL").format(self._versions)
        if records is not None:
            self._give(connection, records)
            source = sql.SQL("{} v JOIN given USING (record) WHERE batch_out IS NULL").format(self._versions)
        found = read_packed(
            connection, {"record": BIGINT, "version": INTEGER, "mark": "V16"}, source, "record"
        )
        order = np.argsort(found["record"], kind="stable")
        return Current(found["record"][order], found["version"][order].astype(np.int64), found["mark"][order])

    def last(self, connection: psycopg.Connection, records: Numbers) -> Mapping[int, int]:
        """The last version, ended or not, of those of ``records`` that have one."""
        if not len(records):
            return {}
        self._give(connection, records)
        query = sql.SQL("SELECT record, max(version) FROM {} JOIN given USING (record) GROUP BY record")
        return dict(connection.execute(query.format(self._versions)).fetchall())

    @contextmanager
    def filling(self, connection: psycopg.Connection, names: Sequence[str]) -> Iterator[Put]:
        """The staging, open for rows of these columns. When the context ends it holds them all, and has its indexes
        where it is to take the versions' place; when it fails, or whoever does it is killed, it is empty."""
        with connection.transaction():
            connection.execute(sql.SQL("TRUNCATE {}").format(self.staging))
            with copying_rows(connection, self.staging, names, frozen=True) as put:
                yield put
            if self._empty(connection):
                connection.execute(
                    sql.SQL("CREATE UNIQUE INDEX {} ON {} (record, version)").format(
                        sql.Identifier(f"{self._filled.name}_pkey"), self.staging
                    )
                )
                create_indexes(connection, self._filled)

    def promote(self, connection: psycopg.Connection, batch: str, ended: Numbers) -> None:
        """End the current versions of ``ended``, add the staging's. In the caller's transaction."""
        if self._empty(connection):
            self._take_place(connection)
            return
        self._give(connection, ended)
        query = sql.SQL(
            "UPDATE {} v SET batch_out = %s FROM given WHERE v.record = given.record AND v.batch_out IS NULL"
        )
        if connection.execute(query.format(self._versions), (batch,)).rowcount != len(ended):
            raise _disturbed(self._name)
        connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(self._versions, self.staging))
        self.drop(connection)

    def analyse(self, connection: psycopg.Connection) -> None:
        """Statistics, without which the first delivery takes four times as long; nobody asks by a sealed column."""
        connection.execute(
            sql.SQL("ANALYZE {} (record, version, batch_in, batch_out, home)").format(self._versions)
        )

    def _take_place(self, connection: psycopg.Connection) -> None:
        name, filled = self._name, self._filled.name
        connection.execute(sql.SQL("DROP TABLE {}").format(self._versions))
        for statement, old, new in (
            ("ALTER TABLE {} RENAME TO {}", filled, name),
            ("ALTER INDEX {} RENAME TO {}", f"{filled}_pkey", f"{name}_pkey"),
            ("ALTER INDEX {} RENAME TO {}", f"{filled}_current"[:63], f"{name}_current"),
        ):
            connection.execute(
                sql.SQL(statement).format(sql.Identifier("district", old), sql.Identifier(new))
            )
        key = sql.Identifier(f"{name}_pkey")
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(
                self._versions, key, key
            )
        )
        show_keeper(connection, name)

    def _empty(self, connection: psycopg.Connection) -> bool:
        found = connection.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(self._versions))
        row = found.fetchone()
        return bool(row and row[0])

    def _give(self, connection: psycopg.Connection, records: Numbers) -> None:
        """A table of the session's own with these records."""
        connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS given (record bigint NOT NULL)")
        connection.execute("TRUNCATE given")
        copy_in(connection, sql.Identifier("given"), {"record": pa.array(records, pa.int64())})
        connection.execute("ANALYZE given")


def _disturbed(dataset: str) -> UnavailableError:
    return UnavailableError(
        "exchange.versions.disturbed",
        Text(
            f"the versions of {dataset} changed while an extract was taken in",
            f"接收文件期间，{dataset} 的版本已被他处改动",
        ),
        remedy=Text("run the intake again", "请重新运行接收流向"),
    )

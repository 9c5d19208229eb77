"""The tables of one dataset, made from its contract: in the district store and at a receiver.

District   ``district.<dataset>`` holds every version of every record: plain fields as text, sealed fields as
           bytea. A row is never changed but for ``batch_out`` (the batch that superseded or ended it).
Receiver   ``receiver_<code>.<dataset>`` holds the slice; ``…_staging`` what a delivery has brought so far;
           ``inbox`` one line per delivery that took effect.

Trust: who can change a district table can withhold or mis-route ciphertext; who can change a receiver's
can show that receiver old or missing cells. Both are found by ``huanshu verify``; neither opens one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from huanshu.catalog import Contract, Field, Flow, Rung


def receiver_schema(code: str) -> str:
    """The schema that holds one receiver's slices: ``receiver_`` and the code with dots as underscores."""
    return "receiver_" + code.replace(".", "_")


def delivered_fields(contract: Contract, flow: Flow) -> tuple[Field, ...]:
    """The fields a flow hands out, in contract order."""
    return tuple(field for field in contract.fields if field.name in flow.fields)


def stored_plain(field: Field, rung: Rung) -> bool:
    """A token is bytes whatever the field's level; otherwise plain fields stay plain."""
    return not field.sealed and rung is not Rung.MATCH


def _cells(fields: Iterable[Field]) -> list[Column[Any]]:
    return [Column(f.name, LargeBinary if f.sealed else Text, nullable=not f.sealed) for f in fields]


def district_tables(contract: Contract) -> tuple[Table]:
    """(versions,) of a dataset in the district store."""
    return (versions_table(contract, contract.dataset),)


def versions_table(contract: Contract, name: str) -> Table:
    """Every version of every record, under this name: the dataset's own, or what an intake fills to take its place."""
    versions = Table(
        name,
        MetaData(schema="district"),
        Column("record", BigInteger, primary_key=True, autoincrement=False),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("batch_in", Text, nullable=False),
        Column("batch_out", Text),
        Column("home", Text, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("mark", LargeBinary, nullable=False),
        Column("subjects", postgresql.ARRAY(BigInteger), nullable=False),
        *(Column(f"link_{f.name}", LargeBinary, nullable=False) for f in contract.fields if f.link_kind),
        *_cells(contract.fields),
    )
    Index(
        f"{name}_current"[:63],  # what PostgreSQL keeps of a name
        versions.c.home,
        versions.c.record,
        postgresql_where=text("batch_out IS NULL"),
    )
    return versions


def receiver_tables(contract: Contract, flow: Flow, receiver: str) -> tuple[Table, Table, Table]:
    """(slice, staging, inbox) of a flow's dataset at one receiver."""
    meta = MetaData(schema=receiver_schema(receiver))
    fields = delivered_fields(contract, flow)

    def cells() -> list[Column[Any]]:
        return [
            Column(
                f.name, Text if stored_plain(f, flow.fields[f.name]) else LargeBinary, nullable=not f.sealed
            )
            for f in fields
        ]

    slice_ = Table(
        contract.dataset,
        meta,
        Column("record", BigInteger, primary_key=True, autoincrement=False),
        Column("version", Integer, nullable=False),
        Column("epoch", Integer, nullable=False),
        *cells(),
        Column("delivery", Text, nullable=False),
        Column("digest", LargeBinary, nullable=False),
    )
    staging = Table(
        f"{contract.dataset}_staging",
        meta,
        Column("delivery", Text, primary_key=True),
        Column("chunk", Integer, primary_key=True, autoincrement=False),
        Column("record", BigInteger, primary_key=True, autoincrement=False),
        Column("act", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("epoch", Integer),
        *(Column(c.name, c.type) for c in cells()),
        Column("digest", LargeBinary),
    )
    inbox = Table(
        "inbox",
        meta,
        Column("delivery", Text, primary_key=True),
        Column("flow", Text, nullable=False),
        Column("dataset", Text, nullable=False),
        Column("count", Integer, nullable=False),
        Column("withdrawn", Integer, nullable=False),
        Column("holds", Integer, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("slice_digest", LargeBinary, nullable=False),
        Column("promoted_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.now()),
    )
    return slice_, staging, inbox


def create(connection: psycopg.Connection, *tables: Table) -> None:
    """Create the tables' schema and the tables where they are missing; existing ones stay as they are."""
    for schema in {table.schema for table in tables if table.schema not in (None, "district")}:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(str(schema))))
    for table in tables:
        connection.execute(_script(CreateTable(table, if_not_exists=True)))
        create_indexes(connection, table)


def create_indexes(connection: psycopg.Connection, table: Table) -> None:
    """The table's indexes beside its primary key, where they are missing."""
    for index in table.indexes:
        connection.execute(_script(CreateIndex(index, if_not_exists=True)))


def _script(element: CreateTable | CreateIndex) -> bytes:
    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(element.compile(dialect=dialect)).encode()

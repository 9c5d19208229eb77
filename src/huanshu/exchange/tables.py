"""The tables of one dataset, made from its contract: in the district store and at a receiver.

District   ``district.<dataset>`` holds every version of every record: plain fields as text, sealed fields as
           bytea. A row is never changed but for ``batch_out`` (the batch that superseded or ended it).
Receiver   ``receiver_<code>.<dataset>`` holds the slice; ``…_staging`` what a delivery has brought so far, and
           ``staged`` which chunks of it are whole; ``inbox`` one line per delivery that took effect.

Trust: who can change a district table can withhold or mis-route ciphertext; who can change a receiver's
can show that receiver old or missing cells. Both are found by ``huanshu verify``; neither opens one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from huanshu.catalog import Contract, Field, Flow, Rung
from huanshu.errors import ContentError, Where
from huanshu.errors import Text as Message
from huanshu.store.roles import show_keeper

#: Ciphertext does not compress: a row stays whole up to a page, instead of being tried and torn at 2 kB.
_ROWS: Final = sql.SQL("WITH (toast_tuple_target = 8160)")


_LISTS: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    """CREATE TABLE IF NOT EXISTS {staged} (dataset text NOT NULL, delivery text, chunk integer, count integer NOT NULL,
       withdrawn bigint[] NOT NULL, PRIMARY KEY (delivery, chunk))""",
    """CREATE TABLE IF NOT EXISTS {inbox} (delivery text PRIMARY KEY, flow text NOT NULL, dataset text NOT NULL,
       count integer NOT NULL, withdrawn integer NOT NULL, holds integer NOT NULL, digest bytea NOT NULL,
       slice_digest bytea NOT NULL, promoted_at timestamptz NOT NULL DEFAULT now())""",
)


def receiver_schema(code: str) -> str:
    """The schema that holds one receiver's slices: ``receiver_`` and the code with dots as underscores."""
    return "receiver_" + code.replace(".", "_")


def delivered_fields(contract: Contract, flow: Flow) -> tuple[Field, ...]:
    """The fields a flow hands out, in contract order."""
    return tuple(field for field in contract.fields if field.name in flow.fields)


def stored_fields(contract: Contract, flow: Flow) -> tuple[Field, ...]:
    """The same, as a receiver's row holds them and as its digest covers them: cells and tokens first, then plain text;
    each in contract order. So what is changed on the way lies at the same place in every row."""
    fields = delivered_fields(contract, flow)
    return tuple(sorted(fields, key=lambda field: stored_plain(field, flow.fields[field.name])))


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


@dataclass(frozen=True, slots=True)
class ReceiverTables:
    """Where one dataset lies at one receiver, as SQL that is ready to be put together.

    ``columns`` are those of slice and staging, with their types; ``described`` the same as PostgreSQL tells of them;
    ``rows`` how their rows are stored."""

    schema: sql.SQL
    slice: sql.SQL
    staging: sql.SQL
    staged: sql.SQL
    inbox: sql.SQL
    columns: sql.SQL
    described: tuple[str, ...]
    rows: sql.SQL


def receiver_tables(contract: Contract, flow: Flow, receiver: str) -> ReceiverTables:
    """Slice and staging of a flow's dataset at one receiver, and the receiver's lists."""
    schema = receiver_schema(receiver)
    fields = stored_fields(contract, flow)
    kinds: list[LiteralString] = ["text" if stored_plain(f, flow.fields[f.name]) else "bytea" for f in fields]
    cells = [
        sql.SQL("{} {}").format(
            sql.Identifier(field.name), sql.SQL(kind) + sql.SQL(" NOT NULL" if field.sealed else "")
        )
        for field, kind in zip(fields, kinds, strict=True)
    ]
    columns = [
        sql.SQL("record bigint NOT NULL, version integer NOT NULL, epoch integer NOT NULL"),
        *cells,
        sql.SQL("delivery text NOT NULL, digest bytea NOT NULL"),
    ]

    def named(table: str) -> sql.SQL:
        return ready(sql.Identifier(schema, table))

    return ReceiverTables(
        schema=ready(sql.Identifier(schema)),
        slice=named(contract.dataset),
        staging=named(f"{contract.dataset}_staging"),
        staged=named("staged"),
        inbox=named("inbox"),
        columns=ready(sql.SQL(", ").join(columns)),
        described=(
            "record bigint",
            "version integer",
            "epoch integer",
            *(f"{field.name} {kind}" for field, kind in zip(fields, kinds, strict=True)),
            "delivery text",
            "digest bytea",
        ),
        rows=_ROWS,
    )


def ready(part: sql.Composable) -> sql.SQL:
    """The same SQL as text: what is put together often is rendered once."""
    return sql.SQL(part.as_string())


def exists(connection: psycopg.Connection, table: sql.SQL) -> bool:
    """Whether a receiver's table is there: staging and slice come with a delivery."""
    return bool(described(connection, [table.as_string()])[table.as_string()])


def described(connection: psycopg.Connection, tables: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By their names: names and types of each table's columns as they lie; nothing of one that is not there."""
    query = """
        SELECT ARRAY(SELECT attname || ' ' || format_type(atttypid, NULL) FROM pg_attribute
                     WHERE attrelid = to_regclass(name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
        FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, n) ORDER BY n
    """
    rows = connection.execute(query, (list(tables),))
    return {name: tuple(row[0]) for name, row in zip(tables, rows, strict=True)}


def generation(district: psycopg.Connection) -> int:
    """How many keys the links of the store have gone through."""
    row = district.execute("SELECT generation FROM district.link_generation").fetchone()
    return 1 if row is None else int(row[0])


def create_receiver(connection: psycopg.Connection, tables: ReceiverTables) -> None:
    """Create the receiver's schema and its lists where they are missing, in the caller's transaction. Staging and slice
    come with a delivery. Flows of several datasets may come at once, and IF NOT EXISTS alone lets only one of them."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (tables.inbox.as_string(),))
    for statement in _LISTS:
        connection.execute(
            sql.SQL(statement).format(schema=tables.schema, staged=tables.staged, inbox=tables.inbox)
        )


def create(connection: psycopg.Connection, *tables: Table) -> None:
    """Create the tables' schema and the tables where they are missing; existing ones stay as they are. ContentError
    when one was made for other fields: what lies in it, sealed, cannot be given a field it never had."""
    for schema in {table.schema for table in tables if table.schema not in (None, "district")}:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(str(schema))))
    for table in tables:
        connection.execute(_script(CreateTable(table, if_not_exists=True)))
        _require_columns(connection, table)
        create_indexes(connection, table)
        if table.schema == "district":
            show_keeper(connection, table.name)


def _require_columns(connection: psycopg.Connection, table: Table) -> None:
    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
    wanted = {f"{c.name} {c.type.compile(dialect).lower()}" for c in table.columns}
    place = f"{table.schema}.{table.name}"
    there = set(described(connection, [place])[place])
    if wanted != there:
        names = sorted({column.split(" ")[0] for column in wanted ^ there})
        raise ContentError(
            "exchange.dataset.reshaped",
            Message(
                f"the contract of {table.name} is not the one its records were stored by: {', '.join(names)}",
                f"{table.name} 的数据契约与库中记录所依的不同：{'、'.join(names)}",
            ),
            remedy=Message(
                "put the contract back; a dataset with other fields, or levels on the other side of 3, is a new one:"
                " huanshu dataset new",
                "恢复原契约；字段不同（或级别跨过 3 级）的数据须另建数据集：huanshu dataset new",
            ),
            where=Where(f"expectations/{table.name}/contract.yaml"),
        )


def create_indexes(connection: psycopg.Connection, table: Table) -> None:
    """The table's indexes beside its primary key, where they are missing."""
    for index in table.indexes:
        connection.execute(_script(CreateIndex(index, if_not_exists=True)))


def _script(element: CreateTable | CreateIndex) -> bytes:
    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(element.compile(dialect=dialect)).encode()

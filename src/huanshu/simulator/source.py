"""A department's own database as the source: its table, and the export that is sent.

The table ``source.<dataset>`` has a text column a field, and a row number so that the export keeps the order. It is
made anew in one transaction: whatever is killed, either the old table is there or the new one. What is sent is what
``COPY … TO STDOUT (FORMAT csv, HEADER)`` gives, as with any department that exports by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import pyarrow as pa
from psycopg import sql

from huanshu.errors import InputError, Text
from huanshu.simulator.forms import csv_lines
from huanshu.store import connect

SCHEMA: Final = "source"


def through_database(
    url: str, dataset: str, fields: Sequence[str], batches: Iterator[pa.Table], out: BinaryIO
) -> None:
    """Fill the table from ``batches``, then write its export to ``out``."""
    if not url:
        raise InputError(
            "simulator.source.missing",
            Text("a PostgreSQL source needs a database", "PostgreSQL 来源需要数据库"),
            remedy=Text("--url postgresql://…", "--url postgresql://…"),
        )
    table = sql.Identifier(SCHEMA, dataset)
    names = sql.SQL(", ").join(map(sql.Identifier, fields))
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in fields)
    with connect(url) as connection, connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} (row_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})"
            ).format(table, columns)
        )
        filling = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, names)
        with connection.cursor().copy(filling) as copy:
            for batch in batches:
                copy.write(csv_lines(batch))
        export = sql.SQL(
            "COPY (SELECT {} FROM {} ORDER BY row_number) TO STDOUT (FORMAT csv, HEADER)"
        ).format(names, table)
        with connection.cursor().copy(export) as copy:
            out.writelines(copy)

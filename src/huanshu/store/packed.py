"""Many narrow rows of fixed width out of PostgreSQL at once: the server joins them, so no message and no object is made
per row. ``COPY … TO STDOUT`` sends a message a row, which costs more than the row when the row is a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

#: What PostgreSQL's ``…send`` functions make of a value, as numpy reads it.
BIGINT: Final = ">i8"
INTEGER: Final = ">i4"
_SENT: Final = {BIGINT: "int8send({})", INTEGER: "int4send({})"}
_GROUP: Final = 16  # 65 536 rows a value: far from the gigabyte that a value may have


def read_packed(
    connection: psycopg.Connection,
    columns: Mapping[str, str],
    source: sql.Composable | LiteralString,
    group: str,
    parameters: Sequence[object] = (),
) -> dict[str, NDArray[Any]]:
    """``SELECT columns FROM source``, in no order; a column is ``BIGINT``, ``INTEGER`` or ``Vn``, n bytes.

    ``group`` is a bigint that rows near each other share but for its low bits. ``Vn`` comes as ``uint8[rows, n]``."""
    parts = [sql.SQL(_SENT.get(form, "{}")).format(sql.SQL(name)) for name, form in columns.items()]
    query = sql.SQL("SELECT string_agg({}, ''::bytea) FROM {} GROUP BY ({}) >> {}").format(
        sql.SQL(" || ").join(parts),
        sql.SQL(source) if isinstance(source, str) else source,
        sql.SQL(group),
        sql.Literal(_GROUP),
    )
    with connection.cursor(binary=True) as cursor:
        raw = b"".join(row[0] for row in cursor.execute(query, parameters or None))
    form = np.dtype([(name, _of_bytes(kind)) for name, kind in columns.items()])
    rows = np.frombuffer(raw, form)
    return {name: _native(rows[name]) for name in columns}


def _of_bytes(kind: str) -> Any:
    return (np.uint8, int(kind[1:])) if kind.startswith("V") else kind


def _native(column: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(column, column.dtype.newbyteorder("="))

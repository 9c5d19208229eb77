"""Columns whose values repeat, with a dictionary: what is then done once a value need not be done once a row.

Of a register's fields most are codes, dates and places. Whoever reads a table of this kind sees the same values:
dictionary and numbers are only how they are kept, and no rule may depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

#: Rows that are looked at, spread over the table, and how many of them may be different.
_SAMPLE: Final = 32_768
_SHARE: Final = 0.75


def coded(table: pa.Table) -> pa.Table:
    """The table, each column in one piece; those with a dictionary in which a value is likely to come again."""
    rows = table.num_rows
    sample = pa.array(np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.int64))
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = whole(table.column(name))
        if len(column.take(sample).unique()) <= _SHARE * len(sample):
            column = column.dictionary_encode()
        columns[name] = column
    return pa.table(columns)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one below the other; a column has a dictionary when it has one in all of them."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in tables[0].column_names:
        chunks = [whole(table.column(name)) for table in tables]
        if len({chunk.type for chunk in chunks}) > 1:
            chunks = [plain(chunk) for chunk in chunks]
        columns[name] = pa.chunked_array(chunks)
    return pa.table(columns)


def plain(column: pa.Array) -> pa.Array:
    """The column without a dictionary."""
    return column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; without a copy when it is in one."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.combine_chunks()

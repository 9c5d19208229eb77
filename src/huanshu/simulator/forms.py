"""Batches of text columns → CSV, Parquet, XLSX. Nothing but the cells decides the bytes: no clock, no name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xlsxwriter

_SPECIAL: Final = '[",\r\n]'
#: A workbook says when it was made; this one was made at no particular time.
_TIMELESS: Final = datetime(2026, 9, 1)  # noqa: DTZ001 - the format has no time zone


def csv(fields: Sequence[str], batches: Iterator[pa.Table], out: BinaryIO, encoding: str) -> None:
    """RFC 4180 with line feeds; absent is empty."""
    out.write((",".join(fields) + "\n").encode(encoding))
    for batch in batches:
        lines = csv_lines(batch)
        out.write(lines if encoding == "utf-8" else bytes(lines).decode().encode(encoding))


def csv_lines(batch: pa.Table) -> memoryview:
    """The rows of one batch in UTF-8, each with its line feed."""
    columns = [column.combine_chunks() for column in batch.columns]
    lines = _joined(columns)
    if not _plain(lines, batch):
        lines = _joined([_quoted(column) for column in columns])
    return lines


def _joined(columns: Sequence[pa.Array]) -> memoryview:
    columns = [*columns[:-1], pc.binary_join_element_wise(_given(columns[-1]), "\n", "")]
    lines = pc.binary_join_element_wise(
        *columns,
        ",",
        null_handling="replace",
        null_replacement="",
    )
    found = memoryview(lines.buffers()[2])
    return found[: int(pc.sum(pc.binary_length(lines)).as_py() or 0)]


def _given(column: pa.Array) -> pa.Array:
    return pc.fill_null(column, "")


def _plain(lines: memoryview, batch: pa.Table) -> bool:
    """Whether no cell holds what would have to be quoted: then there are just the separators that were put in."""
    written = bytes(lines)
    return (
        written.count(b",") == batch.num_rows * (batch.num_columns - 1)
        and written.count(b"\n") == batch.num_rows
        and b'"' not in written
        and b"\r" not in written
    )


def _quoted(column: pa.Array) -> pa.Array:
    column = _given(column)
    special = pc.match_substring_regex(column, _SPECIAL)
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), column)


def parquet(fields: Sequence[str], batches: Iterator[pa.Table], out: BinaryIO) -> None:
    """Text columns, dictionary-encoded, one row group a batch."""
    schema = pa.schema([(name, pa.string()) for name in fields])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(batch.cast(schema))


def xlsx(fields: Sequence[str], batches: Iterator[pa.Table], out: BinaryIO) -> None:
    """One sheet, every cell as text: a number of 18 digits stays one. Rows go cell by cell, so not for many."""
    book: Any = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_numbers": False})
    book.set_properties({"created": _TIMELESS})
    sheet = book.add_worksheet("data")
    text = book.add_format({"num_format": "@"})
    for column, name in enumerate(fields):
        sheet.write_string(0, column, name)
    row = 1
    for batch in batches:
        for record in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            for column, cell in enumerate(record):
                if cell is not None:
                    sheet.write_string(row, column, cell, text)
            row += 1
    book.close()

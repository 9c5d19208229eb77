"""Bulk transfer by PostgreSQL's binary COPY, a column at a time: no Python object per cell, none per row.

A column is an Arrow array, and its Arrow type says what it is to PostgreSQL (binary COPY converts nothing):

    int64 bigint · int32 integer · string, large_string text · binary, large_binary bytea · date32 date ·
    list<int64> bigint[] (one dimension, no NULL inside)

Out: the fields of a row are pieces — a length, then bytes. Neighbours of one width in every row (sealed cells are)
make one block of bytes; what is left is joined row by row inside Arrow. In: the same backwards; all pieces of a
batch lie in one buffer, so a column is Arrow's ``take`` of every k-th piece. Both are exact inverses, NULL included.

The format is PostgreSQL's documentation of COPY, "Binary Format". Deliberately not here: what a table is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString, Never

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]

_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TAIL: Final = b"\xff\xff"
_COUNT: Final = 2  # bytes of a row's field count
_CHUNK_ROWS: Final = 4096  # about what the caches hold of a wide row
_BATCH_BYTES: Final = 4 << 20  # twice as fast to read as 64 MiB at once, for the caches
_EPOCH_DAYS: Final = 10_957  # PostgreSQL counts days from 2000-01-01, Arrow from 1970-01-01
_INFINITE: Final = (np.iinfo(np.int32).min, np.iinfo(np.int32).max)
_BIGINT_OID: Final = 20
_EMPTY_LIST: Final = 12  # bytes of an array without dimension
_LIST_HEAD: Final = 20  # bytes before the first element of an array with one
_ELEMENT: Final = 12  # bytes of a bigint in it
_FIXED: Final = {pa.int64(): 8, pa.int32(): 4, pa.date32(): 4}
_TEXTS: Final = (pa.string(), pa.large_string())
_BLOBS: Final = (pa.binary(), pa.large_binary())
_LIST: Final = pa.list_(pa.int64())


def copy_in(
    connection: psycopg.Connection,
    table: sql.Composable,
    columns: Mapping[str, pa.Array],
    seen: Callable[[memoryview, Counts, Counts], None] | None = None,
) -> int:
    """Append rows to a table; ``columns`` is column name → Arrow array, all of one length. Returns that length.

    ``seen`` is shown the rows as they are sent, chunk by chunk: their bytes, and where in them the fields of each row
    begin and end.

    In the caller's transaction, or one of its own. TypeError for an Arrow type that is not listed above."""
    if not columns:
        raise ValueError("a row needs a column")
    rows = len(next(iter(columns.values())))
    if any(len(column) != rows for column in columns.values()):
        raise ValueError("columns differ in length")
    arrays = [_canonical(column) for column in columns.values()]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, names)
    with connection.cursor().copy(statement) as copy:
        copy.write(_HEAD)
        for first in range(0, rows, _CHUNK_ROWS):
            image, offsets = _images([array.slice(first, _CHUNK_ROWS) for array in arrays])
            copy.write(image[int(offsets[0]) : int(offsets[-1])])
            if seen is not None:
                seen(image, offsets[:-1] + _COUNT, offsets[1:])
        copy.write(_TAIL)
    return rows


def copy_in_rows(
    connection: psycopg.Connection,
    table: sql.Composable,
    names: Sequence[str],
    rows: Iterable[bytes | memoryview],
) -> None:
    """Append rows that are in COPY's binary form already, each with its field count; several may come as one."""
    with copying_rows(connection, table, names) as put:
        for part in rows:
            put(part)


@contextmanager
def copying_rows(
    connection: psycopg.Connection, table: sql.Composable, names: Sequence[str], *, frozen: bool = False
) -> Iterator[Callable[[bytes | memoryview], None]]:
    """``copy_in_rows`` as a function that is given the rows, in pieces of whatever length, until the context ends.

    ``frozen``: the rows are stored as visible to everybody from the commit on, which the server takes only for a table
    that this very transaction has made or emptied."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    options = sql.SQL("FORMAT binary, FREEZE" if frozen else "FORMAT binary")
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(table, listed, options)
    with connection.cursor().copy(statement) as copy:
        copy.write(_HEAD)
        yield copy.write
        copy.write(_TAIL)


def copy_out(
    connection: psycopg.Connection,
    query: sql.Composable | LiteralString,
    types: Mapping[str, pa.DataType],
    parameters: Sequence[object] = (),
    *,
    batch_rows: int = 65_536,
    wanted: Sequence[str] | None = None,
    seen: Callable[[Sequence[memoryview]], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a query, in batches of at most ``batch_rows`` rows and about 4 MiB; none when there is no row.

    ``types`` names the query's columns in order, with the Arrow type of each; ValueError when the query answers
    with something else. Of these, the columns ``wanted`` (all by default) make the batch. ``seen`` is shown each
    batch's rows as PostgreSQL sends them, before the batch is. The connection is busy until the last batch was taken
    or the iterator closed."""
    schema = pa.schema([pa.field(name, _known(type_)) for name, type_ in types.items()])
    held: list[memoryview] = []
    size = 0
    for row in raw_rows(connection, query, parameters):
        held.append(row)
        size += len(row)
        if len(held) >= batch_rows or size >= _BATCH_BYTES:
            if seen is not None:
                seen(held)
            yield _batch(held, schema, wanted)
            held, size = [], 0
    if held:
        if seen is not None:
            seen(held)
        yield _batch(held, schema, wanted)


def raw_rows(
    connection: psycopg.Connection,
    query: sql.Composable | LiteralString,
    parameters: Sequence[object] = (),
) -> Iterator[memoryview]:
    """The rows of a query as PostgreSQL sends them: the field count (int16), then each field's length and bytes."""
    for rows in raw_batches(connection, query, parameters):
        yield from rows


def raw_batches(
    connection: psycopg.Connection,
    query: sql.Composable | LiteralString,
    parameters: Sequence[object] = (),
) -> Iterator[list[memoryview]]:
    """``raw_rows`` some megabytes at a time."""
    text = sql.SQL(query) if isinstance(query, str) else query
    yield from _raw_batches(connection, sql.SQL("({})").format(text), parameters)


def raw_table_rows(
    connection: psycopg.Connection, table: sql.Composable, names: Sequence[str]
) -> Iterator[memoryview]:
    """``raw_rows`` of a whole table, in no order: without a query the server does less for each row."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    for rows in _raw_batches(connection, sql.SQL("{} ({})").format(table, listed), ()):
        yield from rows


def _raw_batches(
    connection: psycopg.Connection, source: sql.Composable, parameters: Sequence[object]
) -> Iterator[list[memoryview]]:
    statement = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(source)
    with connection.cursor().copy(statement, parameters or None) as copy:
        # One message is one row (PostgreSQL's protocol, "COPY Operations"); the first brings the head too.
        row = memoryview(copy.read())[len(_HEAD) :]
        first = [row] if len(row) else []
        if first and _is_tail(row):
            first.clear()
        else:
            yield from _further_batches(connection, copy, first)
        copy.read()  # the end, after the tail


def _is_tail(row: memoryview) -> bool:
    return len(row) == len(_TAIL) and bytes(row) == _TAIL


def _further_batches(
    connection: psycopg.Connection, copy: psycopg.Copy, held: list[memoryview]
) -> Iterator[list[memoryview]]:
    """What libpq has received is taken from it directly: a fourth of what psycopg's own loop costs a row. That one
    waits when nothing is there."""
    received, total = connection.pgconn.get_copy_data, sum(map(len, held))
    while True:
        size, row = received(1)
        if size < 0:
            _broken_off(connection)
        if size == 0:
            row = memoryview(copy.read())
            size = len(row)
            if not size:
                raise psycopg.OperationalError("the server ended without an end")
        if size == len(_TAIL) and _is_tail(row):
            break
        held.append(row)
        total += size
        if total >= _BATCH_BYTES:
            yield held
            held, total = [], 0
    if held:
        yield held


def _broken_off(connection: psycopg.Connection) -> Never:
    """Before the tail: the server's result says why."""
    result = connection.pgconn.get_result()
    while connection.pgconn.get_result() is not None:
        pass
    if result is None:
        raise psycopg.OperationalError("the server broke off")
    raise psycopg.errors.error_from_result(result)


# -- columns → bytes ------------------------------------------------------------------------------------


def _known(type_: pa.DataType) -> pa.DataType:
    if type_ not in _FIXED and type_ not in (*_TEXTS, *_BLOBS, _LIST):
        raise TypeError(f"no PostgreSQL type is known for {type_}")
    return type_


def _canonical(column: pa.Array) -> pa.Array:
    """Text and bytes as ``large_binary``, the rest as it is."""
    return column.cast(pa.large_binary()) if _known(column.type) in (*_TEXTS, *_BLOBS) else column


def row_spans(columns: Mapping[str, pa.Array]) -> Iterator[tuple[memoryview, Counts, Counts]]:
    """Each row's fields as COPY sends them, without the count before them: length (int32), bytes; -1 for NULL. By chunk
    of rows: the bytes of them all, and where in them each row begins and ends."""
    arrays = [_canonical(column) for column in columns.values()]
    for first in range(0, len(arrays[0]), _CHUNK_ROWS):
        image, offsets = _images([array.slice(first, _CHUNK_ROWS) for array in arrays])
        yield image, offsets[:-1] + _COUNT, offsets[1:]


def _images(arrays: Sequence[pa.Array]) -> tuple[memoryview, Counts]:
    """The rows of one chunk, one after the other, and where each begins."""
    rows = len(arrays[0])
    block = [np.broadcast_to(_big_endian(np.array([len(arrays)]), 2), (rows, 2))]
    pieces: list[pa.Array] = []
    for array in arrays:
        cells = _cells(array)
        lengths = _lengths(cells)
        block.append(_big_endian(lengths, 4))
        if lengths.min() == lengths.max() and lengths[0] >= 0:
            block.append(_one_width(cells, int(lengths[0])))
        else:
            pieces += [_as_cells(np.concatenate(block, axis=1)), cells]
            block = []
    if block:
        pieces.append(_as_cells(np.concatenate(block, axis=1)))
    nothing = pa.scalar(b"", pa.large_binary())
    joined = pc.binary_join_element_wise(*pieces, nothing, null_handling="replace", null_replacement="")
    offsets = np.frombuffer(joined.buffers()[1], np.int64)[: rows + 1]
    return memoryview(joined.buffers()[2]), offsets


def _cells(array: pa.Array) -> pa.Array:
    """A column's values as PostgreSQL sends them, as ``large_binary`` with NULLs."""
    if array.type == pa.large_binary():
        return array
    if array.type == _LIST:
        return _list_cells(array)
    width = _FIXED[array.type]
    numbers = array.cast(pa.int32()) if array.type == pa.date32() else array
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if array.type == pa.date32():
        values = values - _EPOCH_DAYS
        if values.size and values.min() < np.iinfo(np.int32).min:
            raise OverflowError("a date before PostgreSQL's first")
    return _as_cells(_big_endian(values, width), array.is_null() if array.null_count else None)


def _list_cells(array: pa.Array) -> pa.Array:
    """bigint[]: dimensions, "has NULLs", element type, then count and lower bound, then length and value each."""
    counts = _counts(pc.list_value_length(array).fill_null(0))
    values = array.flatten()
    if values.null_count:
        raise TypeError("a list with NULL inside")
    one = np.ones_like(counts)
    numbers_of_head = (np.minimum(counts, 1), 0 * one, _BIGINT_OID * one, counts, one)
    head = np.concatenate([_big_endian(number, 4) for number in numbers_of_head], axis=1)
    present = np.arange(_LIST_HEAD) < np.where(counts > 0, _LIST_HEAD, _EMPTY_LIST)[:, None]
    heads = _as_ragged(head[present], present.sum(axis=1))
    numbers = _counts(values)
    elements = np.concatenate([_big_endian(np.full_like(numbers, 8), 4), _big_endian(numbers, 8)], axis=1)
    bodies = _as_ragged(elements.reshape(-1), counts * _ELEMENT)
    joined = pc.binary_join_element_wise(heads, bodies, pa.scalar(b"", pa.large_binary()))
    return pc.if_else(array.is_valid(), joined, pa.scalar(None, pa.large_binary()))


def _lengths(cells: pa.Array) -> Counts:
    """Bytes of each cell; -1 for NULL, as in COPY."""
    return _counts(pc.binary_length(cells).fill_null(-1))


def _counts(array: pa.Array) -> Counts:
    found: Counts = array.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _big_endian(values: NDArray[Any], width: int) -> Bytes:
    return values.astype(f">i{width}").reshape(-1, 1).view(np.uint8)


def _one_width(cells: pa.Array, width: int) -> Bytes:
    """Cells of one width, none NULL, as a block: a row of bytes for each."""
    offsets = np.frombuffer(cells.buffers()[1], np.int64)[cells.offset :]
    if width == 0:
        return np.empty((len(cells), 0), np.uint8)
    first = int(offsets[0])
    return np.frombuffer(cells.buffers()[2], np.uint8)[first : first + len(cells) * width].reshape(-1, width)


def _as_cells(block: Bytes, absent: pa.Array | None = None) -> pa.Array:
    """A block's rows as ``large_binary``; NULL where ``absent``."""
    rows, width = block.shape
    cells = _as_ragged(block.reshape(-1), np.full(rows, width, np.int64))
    return cells if absent is None else pc.if_else(absent, pa.scalar(None, pa.large_binary()), cells)


def _as_ragged(flat: Bytes, lengths: Counts) -> pa.Array:
    """Bytes that lie one after the other, as ``large_binary`` of the given lengths."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(flat))]
    return pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)


# -- bytes → columns ------------------------------------------------------------------------------------


def _batch(rows: Sequence[memoryview], schema: pa.Schema, wanted: Sequence[str] | None) -> pa.RecordBatch:
    """Finds every length, column by column over all rows at once; then each column is taken out of the buffer."""
    buffer = b"".join(rows)
    data = np.frombuffer(buffer, np.uint8)
    fields = len(schema.names)
    ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))
    place = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    if (_at(data, place, 2) != fields).any():
        raise ValueError(f"the query does not answer with {fields} columns")
    place = place + 2
    bounds = np.empty((len(rows), 2 * fields), np.int64)  # where each cell begins and ends
    lengths: list[Counts] = []
    for column in range(fields):
        length = _at(data, place, 4)
        bounds[:, 2 * column] = place + 4
        place = place + 4 + np.maximum(length, 0)
        bounds[:, 2 * column + 1] = place
        lengths.append(length)
    if (place != ends).any():
        raise ValueError("a row does not end where its fields end")
    offsets = np.concatenate([bounds.reshape(-1), ends[-1:]])
    pieces = pa.Array.from_buffers(
        pa.large_binary(), bounds.size, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    )
    every = np.arange(len(rows)) * 2 * fields
    columns = {}
    for name in schema.names if wanted is None else wanted:
        number = schema.get_field_index(name)
        length = lengths[number]
        cells = pieces.take(pa.array(every + 2 * number, mask=length < 0))
        columns[name] = _column(cells, length, schema.field(number).type)
    return pa.RecordBatch.from_arrays(
        list(columns.values()), schema=pa.schema([schema.field(name) for name in columns])
    )


def _at(data: Bytes, places: Counts, width: int) -> Counts:
    """The big-endian number at each place."""
    found: Counts = data[places[:, None] + np.arange(width)].view(f">i{width}").reshape(-1).astype(np.int64)
    return found


def _column(cells: pa.Array, lengths: Counts, type_: pa.DataType) -> pa.Array:
    """Cells as PostgreSQL sends them → the column."""
    if type_ in _TEXTS or type_ in _BLOBS:
        return cells.cast(type_)
    absent = lengths < 0
    if type_ == _LIST:
        return _list_column(cells, lengths)
    width = _FIXED[type_]
    if not np.isin(lengths, (-1, width)).all():
        raise ValueError(f"a column is no {type_}")
    flat = np.frombuffer(cells.buffers()[2] or b"", np.uint8)
    values = np.zeros(len(cells), np.int64)
    values[~absent] = _at(flat, np.arange(int((~absent).sum())) * width, width)
    if type_ == pa.date32():
        if np.isin(values, _INFINITE).any():
            raise ValueError("an infinite date has no Arrow value")
        values = np.where(absent, 0, values + _EPOCH_DAYS)
    return pa.array(values.astype(f"i{width}"), mask=absent).cast(type_)


def _list_column(cells: pa.Array, lengths: Counts) -> pa.Array:
    counts = np.where(lengths > _EMPTY_LIST, (lengths - _LIST_HEAD) // _ELEMENT, 0)
    if not np.isin(lengths - counts * _ELEMENT, (-1, _EMPTY_LIST, _LIST_HEAD)).all():
        raise ValueError("a column is no bigint[] of one dimension")
    flat = np.frombuffer(cells.buffers()[2] or b"", np.uint8)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.maximum(lengths, 0))])[:-1]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    # The n-th element of all lies _ELEMENT bytes after the one before it, and after its own list's head.
    places = np.repeat(starts + _LIST_HEAD - offsets[:-1] * _ELEMENT, counts)
    places = places + np.arange(offsets[-1]) * _ELEMENT
    if (_at(flat, places, 4) != 8).any():
        raise ValueError("a column is no bigint[] without NULL")
    values = pa.array(_at(flat, places + 4, 8), pa.int64())
    made = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
    return pc.if_else(pa.array(lengths >= 0), made, pa.scalar(None, _LIST))

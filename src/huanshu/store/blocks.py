"""Rows of a binary COPY as they came, in one buffer: changed where they lie, and sent on.

Rules
    A ``Block`` holds whole rows, one after the other, without COPY's head and tail. A row is its field count (int16),
    then each field's length (int32) and bytes; see PostgreSQL's documentation of COPY, "Binary Format".
    The *head* of a row is what comes before its first field of varying width: field count, lengths and values of the
    fields that a ``Shape`` names. Heads are equally long, so a field of all rows is a strided column,
    ``uint8[n, width]``.
Theory
    Taking thirty columns out of a buffer and joining them again costs as much as encrypting half of them. Whoever
    changes only fields of fixed width, and keeps the width, needs neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from huanshu.store.copying import copy_in_rows, raw_batches

Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]

_COUNT: Final = 2  # bytes of a row's field count
_LENGTH: Final = 4  # bytes of a field's length
_ABSENT: Final = b"\xff\xff\xff\xff"


class Shape:
    """What the rows of a query look like: ``fields`` in all, the first of these ``widths`` and not NULL."""

    def __init__(self, fields: int, widths: Sequence[int]) -> None:
        self.fields = fields
        self.widths = tuple(widths)
        self.size = _COUNT + sum(_LENGTH + width for width in widths)
        form: list[tuple[str, Any]] = [("fields", ">i2")]
        for number, width in enumerate(widths):
            form += [(f"length {number}", ">i4"), (f"value {number}", (np.uint8, width))]
        self.form = np.dtype(form)


class Block:
    """Some rows of one query."""

    def __init__(self, data: Bytes, starts: Counts, ends: Counts) -> None:
        self.data = data
        self.starts = starts
        self.ends = ends

    @classmethod
    def of(cls, rows: Sequence[bytes | memoryview]) -> Block:
        """The rows, each with its field count, in a buffer of the block's own."""
        data = np.frombuffer(bytearray().join(rows), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))
        return cls(data, np.concatenate([np.zeros(1, np.int64), ends[:-1]]), ends)

    def __len__(self) -> int:
        return len(self.starts)

    def heads(self, shape: Shape) -> Heads:
        """A copy of every row's head. ValueError when a row is not of that shape: then its fields lie elsewhere."""
        if (self.ends - self.starts < shape.size).any():
            raise ValueError("a row is shorter than its fields are")
        windows = np.lib.stride_tricks.sliding_window_view(self.data, shape.size)
        taken = np.ascontiguousarray(windows[self.starts]).view(shape.form)[:, 0]
        fits = taken["fields"] == shape.fields
        for number, width in enumerate(shape.widths):
            fits &= taken[f"length {number}"] == width
        if not fits.all():
            raise ValueError(f"a row is not of {shape.fields} fields that begin with {shape.widths}")
        return Heads(taken)

    def put_heads(self, heads: Heads) -> None:
        """Write the heads back where they were taken from."""
        raw = heads.taken.view(np.uint8).reshape(len(self), -1)
        windows = np.lib.stride_tricks.sliding_window_view(self.data, raw.shape[1], writeable=True)
        windows[self.starts] = raw

    def put_last(self, values: Bytes) -> None:
        """Replace the last bytes of every row by its row of ``values``: its last field, when that is as long."""
        windows = np.lib.stride_tricks.sliding_window_view(self.data, values.shape[1], writeable=True)
        windows[self.ends - values.shape[1]] = values

    def images(self, before: int, after: int) -> Iterator[memoryview]:
        """Each row without its first and last bytes."""
        data = self.data.data
        for start, end in zip((self.starts + before).tolist(), (self.ends - after).tolist(), strict=True):
            yield data[start:end]

    def texts(self, shape: Shape) -> list[pa.Array]:
        """The fields after the head as ``large_string``, NULL where absent. ValueError when a row ends elsewhere."""
        place = self.starts + shape.size
        columns = []
        for _ in range(shape.fields - len(shape.widths)):
            lengths = self._lengths(place)
            place = place + _LENGTH
            columns.append(self._taken(place, lengths))
            place = place + np.maximum(lengths, 0)
        if (place != self.ends).any():
            raise ValueError("a row does not end where its fields end")
        return columns

    def with_texts(self, shape: Shape, columns: Sequence[pa.Array]) -> Block:
        """The same heads, and these fields after them: another block."""
        raw = self.data.data
        heads = [raw[start : start + shape.size] for start in self.starts.tolist()]
        framed = [_framed(column) for column in columns]
        return Block.of([b"".join(parts) for parts in zip(heads, *framed, strict=True)])

    def _lengths(self, places: Counts) -> Counts:
        windows = np.lib.stride_tricks.sliding_window_view(self.data, _LENGTH)
        if len(places) and places.max() >= len(windows):
            raise ValueError("a row is shorter than its fields are")
        found: Counts = np.ascontiguousarray(windows[places]).view(">i4")[:, 0].astype(np.int64)
        return found

    def _taken(self, places: Counts, lengths: Counts) -> pa.Array:
        """The bytes at these places, as Arrow takes every second piece of the buffer."""
        bounds = np.empty((len(places), 2), np.int64)
        bounds[:, 0] = places
        bounds[:, 1] = places + np.maximum(lengths, 0)
        offsets = np.append(bounds.reshape(-1), len(self.data))
        pieces = pa.Array.from_buffers(
            pa.large_binary(), bounds.size, [None, pa.py_buffer(offsets), pa.py_buffer(self.data)]
        )
        taken = pieces.take(pa.array(np.arange(len(places)) * 2, mask=lengths < 0))
        return pc.cast(taken, pa.large_string())


class Heads:
    """The heads of a block's rows, to be changed in place and put back."""

    def __init__(self, taken: NDArray[Any]) -> None:
        self.taken = taken

    def values(self, number: int) -> Bytes:
        """The bytes of one field in every row, as ``uint8[n, width]``: a view, to be written to."""
        found: Bytes = self.taken[f"value {number}"]
        return found

    def numbers(self, number: int) -> Counts:
        """An integer field in every row."""
        raw = np.ascontiguousarray(self.values(number))
        found: Counts = raw.view(f">i{raw.shape[1]}")[:, 0].astype(np.int64)
        return found


def read_blocks(connection: psycopg.Connection, query: sql.Composable) -> Iterator[Block]:
    """The rows of a query, some megabytes at a time. The connection is busy until the last was taken."""
    for rows in raw_batches(connection, query):
        yield Block.of(rows)


def write_blocks(
    connection: psycopg.Connection, table: sql.Composable, names: Sequence[str], blocks: Iterable[Block]
) -> None:
    """Append the rows to a table; ``names`` are the columns that their fields are."""
    copy_in_rows(connection, table, names, (block.data.data for block in blocks))


def _framed(column: pa.Array) -> list[bytes]:
    raw = column.cast(pa.large_binary()).to_pylist()
    return [_ABSENT if value is None else len(value).to_bytes(_LENGTH, "big") + value for value in raw]

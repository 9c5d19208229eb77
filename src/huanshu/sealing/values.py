"""One way to seal a value and a column of them: Arrow in, Arrow out, for whoever has values and not padded rows.

Rules
    ``width`` given (a code, a number, a name): every cell of the column has one length, absent ones too (``padding``).
    Without it a value is padded to the next of ``BUCKETS``: 16, 32, 64, … 4 096 bytes, an absent one to 16. So a cell
    shows of its value no more than the bucket, and that only where nobody gave a width. Fields of contracts have one.
    The bytes are those of ``cells``; one value is a column of one.
Theory
    A ragged column is as many even ones as it has buckets. Each is sealed by column, and its cells go to their places
    in one move: some thousand values of all lengths cost hardly more than as many of one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from huanshu.sealing.arrow import as_bytes
from huanshu.sealing.cells import CellContext, refused
from huanshu.sealing.columns import open_padded, seal_padded
from huanshu.sealing.padded import pad_column, unpad_column
from huanshu.sealing.padding import too_long
from huanshu.sealing.suites import suite_of

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

#: Padded lengths without a width; a value has one byte less at most.
BUCKETS: Final = np.array([16 << n for n in range(9)], np.int64)
#: Bytes of the longest value.
LONGEST: Final = 4000


def seal_values(
    key: bytes,
    context: CellContext,
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
    values: pa.Array,
    width: int | None = None,
) -> pa.Array:
    """``large_binary`` cells, none absent, of nullable text or bytes. InputError for a value that is too long."""
    if width is not None:
        return as_bytes(seal_padded(key, context, records, versions, pad_column(values, width)))
    lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if len(lengths) and lengths.max() > LONGEST:
        raise too_long(LONGEST)
    sizes = BUCKETS[np.searchsorted(BUCKETS, lengths + 1)]
    places = _Ragged(sizes + suite_of(key).growth)
    for size in np.unique(sizes).tolist():
        here = np.flatnonzero(sizes == size)
        padded = pad_column(values.take(pa.array(here)), size - 1)
        places.put(here, seal_padded(key, context, records[here], versions[here], padded))
    return places.array(pa.large_binary())


def open_values(
    key: bytes,
    context: CellContext,
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
    cells: pa.Array,
    type_: pa.DataType | None = None,
) -> pa.Array:
    """Inverse of ``seal_values``: ``large_string``, or ``large_binary`` where that is ``type_``. TamperedError (one
    shape, no detail) if one cell does not fit; then nothing is handed out."""
    made = type_ or pa.large_string()
    if cells.null_count:
        raise refused()
    lengths = pc.binary_length(cells).to_numpy(zero_copy_only=False).astype(np.int64)
    growth = suite_of(key).growth
    if len(lengths) and lengths.min() <= growth:
        raise refused()
    parts, order = [pa.array([], made)], [np.empty(0, np.int64)]
    for length in np.unique(lengths).tolist():
        here = np.flatnonzero(lengths == length)
        sealed = _matrix(cells.take(pa.array(here)), length)
        padded = open_padded(key, context, records[here], versions[here], sealed)
        parts.append(unpad_column(np.ascontiguousarray(padded), made))
        order.append(here)
    back = np.empty(len(cells), np.int64)
    back[np.concatenate(order)] = np.arange(len(cells))
    return pa.concat_arrays(parts).take(pa.array(back))


def seal_value(
    key: bytes,
    context: CellContext,
    record: int,
    version: int,
    value: str | bytes | None,
    width: int | None = None,
) -> bytes:
    """One cell."""
    column = pa.array([value], pa.large_binary() if isinstance(value, bytes) else pa.large_string())
    (cell,) = seal_values(key, context, *_row(record, version), column, width).to_pylist()
    return bytes(cell)


def open_value(key: bytes, context: CellContext, record: int, version: int, cell: bytes) -> str | None:
    """Inverse of ``seal_value`` for text."""
    (value,) = open_values(
        key, context, *_row(record, version), pa.array([cell], pa.large_binary())
    ).to_pylist()
    return None if value is None else str(value)


def _row(record: int, version: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    return np.array([record], np.int64), np.array([version], np.int32)


def _matrix(cells: pa.Array, length: int) -> Bytes:
    """``uint8[n, length]`` of cells that are all as long, and begin where their buffer does (``take`` made it)."""
    flat = pa.concat_arrays([pa.array([], pa.large_binary()), cells.cast(pa.large_binary())]).buffers()[2]
    return np.frombuffer(flat, np.uint8)[: len(cells) * length].reshape(-1, length)


class _Ragged:
    """Room for cells of different lengths, one after the other."""

    def __init__(self, lengths: Numbers) -> None:
        self._offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._flat = np.empty(int(self._offsets[-1]), np.uint8)

    def put(self, rows: Numbers, cells: Bytes) -> None:
        item = f"V{cells.shape[1]}"
        places = np.ndarray((len(self._flat) - cells.shape[1] + 1,), item, self._flat, strides=(1,))
        places[self._offsets[rows]] = cells.view(item).reshape(-1)

    def array(self, made: pa.DataType) -> pa.Array:
        buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(self._flat)]
        return pa.Array.from_buffers(made, len(self._offsets) - 1, buffers)

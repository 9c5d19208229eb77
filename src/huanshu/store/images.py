"""Rows in COPY's binary form in the making: cells of a width known beforehand are written where they are to lie.

``Image`` lays out the fixed-width columns of some rows as one matrix, lengths filled in, and hands out each column's
place in it; whoever makes the cells (``sealing`` does) writes there, and nothing is put together afterwards. Text
and whatever else varies in length follows as frames; only there is NULL. ``copying.copy_in_rows``
sends the rows that ``parts`` yields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.store.framing import Frames, joined

Bytes = NDArray[np.uint8]

#: Bytes of the field count that a row begins with.
FIELD_COUNT: Final = 2
_LENGTH: Final = 4  # bytes before each cell
_PART: Final = 4096  # rows put together at a time
_BIGINT_OID: Final = 20


class Image:
    """``rows`` rows of columns of these widths (name → bytes), followed by columns of text or bytes."""

    def __init__(self, rows: int, widths: Mapping[str, int], text: Mapping[str, pa.Array]) -> None:
        self.names: Sequence[str] = [*widths, *text]
        self._text = Frames(list(text.values()))
        head = len(self.names).to_bytes(FIELD_COUNT)
        self._places: dict[str, slice] = {}
        for name, width in widths.items():
            head += width.to_bytes(_LENGTH)
            self._places[name] = slice(len(head), len(head) + width)
            head += bytes(width)
        self._matrix = np.empty((rows, len(head)), np.uint8)
        self._matrix.view(f"V{len(head)}")[...] = np.frombuffer(head, f"V{len(head)}")

    def cells(self, name: str) -> Bytes:
        """Where the cells of a column lie: ``uint8[rows, width]``, to be written."""
        return self._matrix[:, self._places[name]]

    def fill(self, name: str, cells: Bytes) -> None:
        """Write a column's cells: ``uint8[rows, width]``, or one cell for all rows."""
        place = self.cells(name)
        item = f"V{place.shape[1]}"
        place.view(item)[...] = np.ascontiguousarray(cells).view(item)

    def parts(self) -> Iterator[tuple[memoryview, NDArray[np.int64]]]:
        """The rows, some thousands at a time, without COPY's head and tail; and where in them each begins, and the
        last one ends."""
        for first in range(0, len(self._matrix), _PART):
            block = self._matrix[first : first + _PART]
            yield joined([_cells(block), *self._text.pieces(first, len(block))])


def numbers(values: NDArray[Any], width: int) -> Bytes:
    """A bigint or integer column's cells: ``uint8[rows, width]``."""
    return values.astype(f">i{width}").reshape(-1, 1).view(np.uint8)


def lists(columns: Sequence[NDArray[np.int64]], rows: int) -> pa.Array:
    """The cells of a ``bigint[]`` column: each row's numbers that are not 0. As ``large_binary``, few of them ragged.

    PostgreSQL's array: dimensions, "has NULLs", the elements' type, their count, the lower bound; length and value of
    each."""
    given = np.stack(columns, axis=1) if columns else np.zeros((rows, 0), np.int64)
    counts = (given != 0).sum(axis=1)
    made: list[pa.Array] = []
    places: list[NDArray[np.int64]] = []
    for count in np.unique(counts).tolist():
        here = np.flatnonzero(counts == count)
        values = given[here][given[here] != 0].reshape(len(here), count)
        cells = np.zeros((len(here), 5 + 3 * count if count else 3), ">i4")
        cells[:, 0], cells[:, 2] = count > 0, _BIGINT_OID
        cells[:, 3:5] = (count, 1) if count else ()
        for n in range(count):
            cells[:, 5 + 3 * n] = 8
            cells[:, 6 + 3 * n : 8 + 3 * n] = numbers(values[:, n], 8).view(">i4")
        made.append(_cells(cells.view(np.uint8)))
        places.append(here)
    if len(made) == 1:
        return made[0]
    order = np.argsort(np.concatenate(places)) if places else np.empty(0, np.int64)
    return pa.concat_arrays([pa.array([], pa.large_binary()), *made]).take(pa.array(order))


def _cells(matrix: Bytes) -> pa.Array:
    """Each row of bytes as a cell."""
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    return pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(matrix)])

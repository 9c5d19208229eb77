"""Text cells as COPY frames them (length, bytes; -1 for NULL), for columns whose values may repeat.

A column with a dictionary is framed value by value and then laid out by number; neighbours that have few values
between them are first made one column, whose values are the pairs. So a register's codes, most of its columns, cost
a row little more than their bytes. What comes out is what ``copying`` makes of the same columns as plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int32]

_PAIRS: Final = 1 << 16  # so many values may two columns have as one
_NOTHING: Final = pa.scalar(b"", pa.large_binary())
_ABSENT: Final = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class _Coded:
    """Row *i* is ``frames[codes[i]]``."""

    frames: pa.Array
    codes: Codes


class Frames:
    """Text columns of one length as pieces that ``joined`` puts together, some rows at a time."""

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        self._rows = len(columns[0]) if columns else 0
        made = [_framed(column) for column in columns]
        self._pieces = list(_paired(made, min(_PAIRS, self._rows // 4)))

    def pieces(self, first: int, count: int) -> list[pa.Array]:
        """``large_binary`` columns of these rows, none absent; their cells, one after the other, are the frames."""
        found: list[pa.Array] = []
        for piece in self._pieces:
            if isinstance(piece, _Coded):
                found.append(piece.frames.take(pa.array(piece.codes[first : first + count])))
            else:
                cells = piece.slice(first, count)
                found += [_lengths(cells), pc.fill_null(cells, b"")]
        return found


def joined(pieces: Sequence[pa.Array]) -> tuple[memoryview, NDArray[np.int64]]:
    """Rows of all their pieces, one after the other, and where each begins and the last one ends."""
    whole = pc.binary_join_element_wise(*pieces, _NOTHING)
    return memoryview(whole.buffers()[2] or b""), np.frombuffer(whole.buffers()[1], np.int64)[
        : len(whole) + 1
    ]


def as_bytes(column: pa.Array) -> pa.Array:
    """Text or bytes as ``large_binary``, without its dictionary."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary.take(column.indices)
    return column.cast(pa.large_binary())


def _framed(column: pa.Array) -> _Coded | pa.Array:
    if not pa.types.is_dictionary(column.type) or len(column.dictionary) > len(column):
        return as_bytes(column)
    values = as_bytes(column.dictionary)
    frames = pc.binary_join_element_wise(_lengths(values), pc.fill_null(values, b""), _NOTHING)
    frames = pa.concat_arrays([frames, pa.array([_ABSENT], pa.large_binary())])
    return _Coded(frames, pc.fill_null(column.indices, len(values)).to_numpy().astype(np.int32))


def _paired(columns: Sequence[_Coded | pa.Array], most: int) -> Iterator[_Coded | pa.Array]:
    """Neighbours of at most ``most`` values together as one."""
    held: _Coded | None = None
    for column in columns:
        if not isinstance(column, _Coded):
            if held is not None:
                yield held
            held = None
            yield column
        elif held is not None and len(held.frames) * len(column.frames) <= most:
            held = _pair(held, column)
        else:
            if held is not None:
                yield held
            held = column
    if held is not None:
        yield held


def _pair(left: _Coded, right: _Coded) -> _Coded:
    many = len(right.frames)
    first = left.frames.take(pa.array(np.repeat(np.arange(len(left.frames)), many)))
    second = right.frames.take(pa.array(np.tile(np.arange(many), len(left.frames))))
    return _Coded(
        pc.binary_join_element_wise(first, second, _NOTHING), left.codes * np.int32(many) + right.codes
    )


def _lengths(cells: pa.Array) -> pa.Array:
    """Each cell's length as four bytes."""
    lengths = pc.fill_null(pc.binary_length(cells), -1).to_numpy().astype(">i4")
    offsets = np.arange(len(cells) + 1, dtype=np.int64) * 4
    return pa.Array.from_buffers(
        pa.large_binary(), len(cells), [None, pa.py_buffer(offsets), pa.py_buffer(lengths)]
    )

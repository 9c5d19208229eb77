"""What a column's cells are when each different one is taken once: a rule on single values need not be asked twice.

A column may come with an Arrow dictionary (``exchange.repeats`` gives it one where values repeat) or without; a rule
says the same of both, row by row, and a test holds the two side by side. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]

#: Of several columns together: so many combinations are worth a look-up table.
_COMBINATIONS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Distinct:
    """Row *i* of a column has ``values[codes[i]]``; absent is a value too."""

    values: pa.Array
    codes: Codes


def has_dictionary(cells: pa.Array) -> bool:
    return bool(pa.types.is_dictionary(cells.type))


def plain(cells: pa.Array) -> pa.Array:
    """The cells without a dictionary."""
    return cells.dictionary.take(cells.indices) if has_dictionary(cells) else cells


def distinct(cells: pa.Array) -> Distinct:
    """Of a column with a dictionary; what is in the dictionary and in no row is left out."""
    many = len(cells.dictionary)
    codes = pc.fill_null(cells.indices, many).to_numpy()
    return _used(
        codes.astype(np.int64), pa.concat_arrays([cells.dictionary, pa.nulls(1, cells.dictionary.type)])
    )


def combinations(columns: Sequence[pa.Array]) -> tuple[Sequence[pa.Array], Codes] | None:
    """The different rows of some columns, column by column, and which of them each row is; None when a column has no
    dictionary or they might be too many."""
    if not all(map(has_dictionary, columns)):
        return None
    parts = [distinct(column) for column in columns]
    sizes = [len(part.values) for part in parts]
    if np.prod([float(size) for size in sizes]) > min(_COMBINATIONS, 4 * len(columns[0])):
        return None
    codes = np.zeros(len(columns[0]), np.int64)
    for part, size in zip(parts, sizes, strict=True):
        codes = codes * size + part.codes
    seen = np.zeros(int(np.prod(sizes)), np.bool_)
    seen[codes] = True
    rows = np.flatnonzero(seen)
    values: list[pa.Array] = []
    rest = rows
    for part, size in zip(reversed(parts), reversed(sizes), strict=True):
        values.append(part.values.take(pa.array(rest % size)))
        rest = rest // size
    return values[::-1], (np.cumsum(seen) - 1)[codes]


def coded(values: pa.Array, codes: Codes) -> pa.Array:
    """The column of which row *i* is ``values[codes[i]]``, with a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)


def _used(codes: Codes, values: pa.Array) -> Distinct:
    used = np.bincount(codes, minlength=len(values)) > 0
    if used.all():
        return Distinct(values, codes)
    return Distinct(values.filter(pa.array(used)), (np.cumsum(used) - 1)[codes])

"""Columns of text as columns of digits: fixed-width cells and ISO dates, without a loop over rows.

Shapes: ``n`` cells in, with or without a dictionary, arrays of ``n`` out. Nothing here raises on a value; a cell that
does not fit is marked so.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from huanshu.quality.distinct import distinct, has_dictionary, plain

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Octets = NDArray[np.uint8]

_ZERO: Final = ord("0")
_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


class Dates(NamedTuple):
    """``valid`` marks cells that hold a date of the calendar; the numbers of all others are 0."""

    valid: Bools
    year: Ints
    month: Ints
    day: Ints


def bools(array: Any) -> Bools:
    """A boolean Arrow array as numpy; null counts as False."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def present(cells: pa.Array) -> Bools:
    """True where there is a value."""
    return ~bools(pc.is_null(cells))


def octets(cells: pa.Array, width: int) -> tuple[Bools, Octets]:
    """(n) which cells have exactly ``width`` bytes, and (n, width) their bytes; zero elsewhere."""
    cells = plain(cells)
    fits = bools(pc.equal(pc.binary_length(cells), width))
    matrix = np.zeros((len(cells), width), dtype=np.uint8)
    if fits.any():
        chosen = cells.filter(pa.array(fits)).cast(pa.large_binary()).cast(pa.binary(width))
        data = np.frombuffer(chosen.buffers()[1], dtype=np.uint8)
        start = chosen.offset * width
        matrix[fits] = data[start : start + len(chosen) * width].reshape(-1, width)
    return fits, matrix


def digits(matrix: Octets) -> tuple[Bools, Octets]:
    """(n) which rows of ASCII bytes are all decimal digits, and (n, width) their values, 0 where not."""
    values = matrix - np.uint8(_ZERO)  # what stands before "0" comes out above 9
    valid: Bools = values.max(axis=1, initial=0) <= 9
    values[~valid] = 0
    return valid, values


def number(values: Octets) -> Ints:
    """(n, width) digits → (n) numbers."""
    found = np.zeros(len(values), np.int64)
    for place in range(values.shape[1]):
        found *= 10
        found += values[:, place]
    return found


def calendar(valid: Bools, year: Ints, month: Ints, day: Ints) -> Dates:
    """Which of the candidates are dates of the Gregorian calendar, years 1 to 9999."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    fits = valid & (year >= 1) & (month >= 1) & (month <= 12)
    longest = _DAYS[np.where(fits, month, 0)] + (leap & (month == 2))
    fits &= (day >= 1) & (day <= longest)
    return Dates(fits, np.where(fits, year, 0), np.where(fits, month, 0), np.where(fits, day, 0))


def iso_dates(cells: pa.Array) -> Dates:
    """Cells written as ``2026-01-31``."""
    if has_dictionary(cells):
        once = distinct(cells)
        valid, year, month, day = iso_dates(once.values)
        return Dates(valid[once.codes], year[once.codes], month[once.codes], day[once.codes])
    fits, matrix = octets(cells, 10)
    numeric, values = digits(matrix[:, [0, 1, 2, 3, 5, 6, 8, 9]])
    dashes = (matrix[:, 4] == ord("-")) & (matrix[:, 7] == ord("-"))
    return calendar(
        fits & numeric & dashes, number(values[:, :4]), number(values[:, 4:6]), number(values[:, 6:])
    )


def completed_years(born: Dates, on: Dates) -> tuple[Bools, Ints]:
    """(n) where both dates are valid, and (n) the completed years from one to the other."""
    before = (on.month < born.month) | ((on.month == born.month) & (on.day < born.day))
    return born.valid & on.valid, on.year - born.year - before

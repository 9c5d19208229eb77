"""Numbers as columns of text, and text picked by number: everything a rendered extract is made of.

Shapes: ``n`` numbers in, an Arrow string column of ``n`` out; -1 stands for absent and becomes null. No Python
per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers = NDArray[Any]

_ZERO: Final = ord("0")


def digit_matrix(values: Numbers, width: int) -> NDArray[np.uint8]:
    """(n, width) decimal digits of each value, most significant first."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values.astype(np.int64)[:, None] // powers % 10).astype(np.uint8)


def fixed(matrix: NDArray[np.uint8], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """(n, width) bytes of ASCII → n strings."""
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    made = pa.StringArray.from_buffers(
        rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix))
    )
    return made if absent is None or not absent.any() else pc.if_else(pa.array(absent), None, made)


def padded(values: Numbers, width: int) -> pa.Array:
    """Zero-padded decimal numbers of one width."""
    return fixed(digit_matrix(np.maximum(values, 0), width) + np.uint8(_ZERO), values < 0)


def plain(values: Numbers) -> pa.Array:
    """Decimal numbers as they are."""
    return pa.array(values.astype(np.int64), mask=values < 0).cast(pa.string())


def dates(days: Numbers) -> pa.Array:
    """Days since 1970 as ISO dates. Every date of a register is after 1900, so no day is negative for absent:
    ``ABSENT_DAY`` is."""
    absent = days == ABSENT_DAY
    found = (
        pa.array(np.where(absent, 0, days).astype(np.int32), pa.int32()).cast(pa.date32()).cast(pa.string())
    )
    return pc.if_else(pa.array(absent), None, found) if absent.any() else found


ABSENT_DAY: Final = -(2**31)


def pick(words: Sequence[str] | pa.Array, places: Numbers) -> pa.Array:
    """``words[place]`` for each place; null for -1."""
    listed = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    found = pa.array(np.maximum(places, 0).astype(np.int64), mask=places < 0)
    return listed.take(found)


def join(*parts: pa.Array | str) -> pa.Array:
    """The parts of each row, one after the other; null where any is."""
    return pc.binary_join_element_wise(*parts, "")


def civil(days: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Year, month and day of days since 1970."""
    day = days.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    months = month.astype(np.int64)
    return months // 12 + 1970, months % 12 + 1, (day - month.astype("datetime64[D]")).astype(np.int64) + 1


def years_between(born: Numbers, on: Numbers | int) -> Numbers:
    """Completed years from one day to another."""
    year, month, day = civil(born)
    now_year, now_month, now_day = civil(np.broadcast_to(np.asarray(on, dtype=np.int64), born.shape))
    return now_year - year - ((now_month * 100 + now_day) < (month * 100 + day))

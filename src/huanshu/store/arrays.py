"""``bigint[]`` as numpy arrays, in statements and their results: a whole column of numbers is one value of a row.

PostgreSQL's binary form of an array of one dimension: dimensions, "has NULLs", element type, count, lower bound; then
each element after its length. NULL inside is refused.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

Numbers = NDArray[np.int64]

_BIGINT: Final = 20
_BIGINTS: Final = 1016
_HEAD: Final = np.dtype(
    [("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("count", ">i4"), ("lower", ">i4")]
)
_EMPTY: Final = 12  # bytes of an array without a dimension
_ELEMENT: Final = np.dtype([("length", ">i4"), ("value", ">i8")])


def arrays(connection: psycopg.Connection) -> psycopg.Cursor:
    """A cursor that takes and gives ``bigint[]`` as ``int64[n]``."""
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_dumper(np.ndarray, _NumbersDumper)
    cursor.adapters.register_loader(_BIGINTS, _NumbersLoader)
    return cursor


class _NumbersDumper(Dumper):
    format = Format.BINARY
    oid = _BIGINTS

    def dump(self, obj: Any) -> Buffer:
        elements = np.empty(len(obj), _ELEMENT)
        elements["length"] = 8
        elements["value"] = obj
        head = np.array((1, 0, _BIGINT, len(obj), 1), _HEAD).tobytes()
        return head + elements.tobytes() if len(obj) else bytes(8) + _BIGINT.to_bytes(4, "big")


class _NumbersLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Numbers:
        raw = bytes(data)
        if len(raw) == _EMPTY:
            return np.empty(0, np.int64)
        head = np.frombuffer(raw, _HEAD, 1)[0]
        elements = np.frombuffer(raw, _ELEMENT, offset=_HEAD.itemsize)
        if head["dimensions"] != 1 or len(elements) != head["count"] or (elements["length"] != 8).any():
            raise ValueError("not a bigint[] of one dimension without NULL")
        return elements["value"].astype(np.int64)

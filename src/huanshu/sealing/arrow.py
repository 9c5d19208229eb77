"""Sealed columns between Arrow and numpy: ``large_binary`` cells of one width ⇄ ``uint8[n, width]``, without copies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.sealing.cells import refused

Bytes = NDArray[np.uint8]


def as_matrix(cells: pa.Array) -> Bytes:
    """Cells of one width, none absent. TamperedError otherwise: sealed cells of a field are equally long."""
    rows = len(cells)
    offsets = np.frombuffer(cells.buffers()[1], np.int64)[cells.offset : cells.offset + rows + 1]
    lengths = np.diff(offsets)
    if cells.null_count or not rows or (lengths != lengths[0]).any():
        raise refused()
    flat = np.frombuffer(cells.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    return flat.reshape(rows, -1) if lengths[0] else np.empty((rows, 0), np.uint8)


def as_bytes(matrix: Bytes) -> pa.Array:
    """Inverse of ``as_matrix``: ``large_binary``."""
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix))]
    return pa.Array.from_buffers(pa.large_binary(), rows, buffers)

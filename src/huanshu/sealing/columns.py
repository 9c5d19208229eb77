"""Sealing one column: the same bytes as ``cells``, for thousands of values at once.

A *padded column* is ``uint8[n, w]`` (``padding``; ``w`` is the field's width and one more), a *sealed column*
``uint8[n, w + growth]`` (``suites``). Key, context and rows are those of ``cells``. The work is ``rows``'s; below
``_FEW`` values one by one is faster, with the same bytes.

Every refusal is ``cells.refused()``: one shape for a changed value, place, time or key, never which row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK
from huanshu.sealing.cells import CellContext, bound_row, open_one, refused
from huanshu.sealing.rows import Sealed, open_fields, seal_fields
from huanshu.sealing.s2v import blocks_for
from huanshu.sealing.suites import Suite, aead, suite_of

Bytes = NDArray[np.uint8]

_FEW: Final = {Suite.AES_SIV: 64, Suite.SM4_CCM: 8}


def seal_padded(
    key: bytes,
    context: CellContext,
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
    padded: Bytes,
    out: Bytes | None = None,
) -> Bytes:
    """``uint8[n, w + growth]`` from ``uint8[n, w]``; row *i* bound to its record and version.
    Written to ``out`` when it is given, which may be part of wider rows."""
    rows, width = padded.shape
    suite = suite_of(key)
    sealed = np.empty((rows, suite.growth + width), np.uint8) if out is None else out
    if rows < _FEW[suite]:
        cipher, constant = aead(key), context.bound()
        for i in range(rows):
            row = bound_row(int(records[i]), int(versions[i]))
            sealed[i] = np.frombuffer(cipher.encrypt(padded[i].tobytes(), [constant, row]), np.uint8)
        return sealed
    text = np.zeros((rows, blocks_for(width) * BLOCK), np.uint8)
    text[:, :width] = padded
    seal_fields([Sealed(key, context, width, text, sealed)], records, versions)
    return sealed


def open_padded(
    key: bytes, context: CellContext, records: NDArray[np.int64], versions: NDArray[np.int32], sealed: Bytes
) -> Bytes:
    """Inverse of ``seal_padded``. TamperedError if any one of the cells does not fit; then nothing is handed out."""
    (padded,) = open_columns([(key, context, sealed)], records, versions)
    return padded


def open_columns(
    columns: Sequence[tuple[bytes, CellContext, Bytes]],
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
) -> list[Bytes]:
    """``open_padded`` of several columns of the same rows, each with its key and context: together for less."""
    suites = [suite_of(key) for key, _, _ in columns]
    sizes = [sealed.shape[1] - suite.growth for suite, (_, _, sealed) in zip(suites, columns, strict=True)]
    if any(size < 1 for size in sizes):
        raise refused()
    if len(records) < min((_FEW[suite] for suite in suites), default=0):
        return [_one_by_one(key, context, records, versions, sealed) for key, context, sealed in columns]
    fields = [
        Sealed(key, context, size, np.empty((len(records), blocks_for(size) * BLOCK), np.uint8), sealed)
        for (key, context, sealed), size in zip(columns, sizes, strict=True)
    ]
    if not open_fields(fields, records, versions):
        raise refused()
    return [field.text[:, : field.size] for field in fields]


def _one_by_one(
    key: bytes, context: CellContext, records: NDArray[np.int64], versions: NDArray[np.int32], sealed: Bytes
) -> Bytes:
    rows = [
        open_one(key, context, bound_row(int(record), int(version)), cell.tobytes())
        for record, version, cell in zip(records, versions, sealed, strict=True)
    ]
    size = sealed.shape[1] - suite_of(key).growth
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), size)

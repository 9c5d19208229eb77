"""Sealing a column of cells, one value at a time: one place and one time per ciphertext.

Rules
    With a cell go two associated strings, context and row:
    ``context``  ``huanshu/cell/1`` and then domain, dataset, field, rung, each as uint32-be length ‖ UTF-8,
                 then the key version (epoch) as uint32-be; one constant per column;
    ``row``      record as uint64-be ‖ record version as uint32-be.
    AES-SIV (RFC 5297): SIV (16 bytes) ‖ ciphertext. SM4-CCM (RFC 8998, ``ccm``): nonce (12) ‖ ciphertext ‖ tag (16).
    Which of the two is the key's to say (``suites``).
Theory
    Both are deterministic as they are used here: equal cells arise only for equal (context, row, value). There is no
    nonce to manage, and none that a restored snapshot or a repeated write could repeat.
    The rung is part of the context, so a revealed cell does not fit where a masked one belongs.

Every refusal is the same error; which cell it was is known to the caller and belongs in the log only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from huanshu.errors import TamperedError, Text
from huanshu.sealing.padding import pad, unpad
from huanshu.sealing.suites import aead

_VERSION = b"huanshu/cell/1"
_ROW = struct.Struct(">QI")


class CellContext(NamedTuple):
    """What a column's cells are bound to, beside record and version."""

    domain: str
    dataset: str
    field: str
    rung: str
    epoch: int

    def bound(self) -> bytes:
        """The constant associated data of the column."""
        return _bound(self)


@lru_cache(maxsize=4096)
def _bound(context: CellContext) -> bytes:
    """Names only, no value and no key: kept, because a record alone would spend a third of its time on it."""
    named = [name.encode() for name in (context.domain, context.dataset, context.field, context.rung)]
    parts = b"".join(struct.pack(">I", len(raw)) + raw for raw in named)
    return _VERSION + parts + struct.pack(">I", context.epoch)


def seal_column(
    key: bytes,
    context: CellContext,
    width: int,
    records: Sequence[int],
    versions: Sequence[int],
    values: Sequence[str | None],
) -> list[bytes]:
    """Seal ``values[i]`` for (``records[i]``, ``versions[i]``)."""
    cipher, constant = aead(key), context.bound()
    return [
        cipher.encrypt(pad(value, width), [constant, _ROW.pack(record, version)])
        for record, version, value in zip(records, versions, values, strict=True)
    ]


def open_column(
    key: bytes,
    context: CellContext,
    records: Sequence[int],
    versions: Sequence[int],
    cells: Sequence[bytes],
) -> list[str | None]:
    """Inverse of ``seal_column``. Raises TamperedError (one shape, no detail) if any cell does not fit."""
    cipher, constant = aead(key), context.bound()
    rows = map(_ROW.pack, records, versions)
    try:
        return [unpad(cipher.decrypt(cell, [constant, row])) for cell, row in zip(cells, rows, strict=True)]
    except (InvalidTag, ValueError):
        raise refused() from None


def bound_row(record: int, version: int) -> bytes:
    """The associated data of one row."""
    return _ROW.pack(record, version)


def open_one(key: bytes, context: CellContext, row: bytes, cell: bytes) -> bytes:
    """The padded value of one cell. TamperedError (one shape, no detail) if it does not fit."""
    try:
        return aead(key).decrypt(cell, [context.bound(), row])
    except (InvalidTag, ValueError):
        raise refused() from None


def refused() -> TamperedError:
    """The one error for a cell that does not open here and now."""
    return TamperedError(
        "sealing.cell.refused",
        Text("a sealed value does not belong here, or was changed", "密封值不属于此处，或已被改动"),
        remedy=Text("run huanshu verify and tell security staff", "运行 huanshu verify 并通知安全人员"),
    )

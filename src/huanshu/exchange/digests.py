"""Digests that a receiver's machine can check and an outside verifier can recompute (docs/FORMAT.md).

Row digest       SHA-256 over length-framed parts: record, version, epoch, then each delivered cell; these are
                 the bytes of the row in PostgreSQL's binary COPY, after its field count.
Delivery digest  SHA-256 over the upserts' row digests in record order, then each withdrawn record's id.
Slice digest     SHA-256 over the row digests of the whole slice, in record order.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

_ABSENT = b"\xff\xff\xff\xff"
_NUMBERS = struct.Struct(">IqIiIi")  # record, version and epoch, each after its length


def row_digest(record: int, version: int, epoch: int, cells: Sequence[str | bytes | None]) -> bytes:
    """32 bytes binding one delivered row."""
    digest = hashlib.sha256(_NUMBERS.pack(8, record, 4, version, 4, epoch))
    for part in cells:
        if part is None:
            digest.update(_ABSENT)
        else:
            raw = part.encode() if isinstance(part, str) else bytes(part)
            digest.update(struct.pack(">I", len(raw)))
            digest.update(raw)
    return digest.digest()


def delivery_digest(upserts: Iterable[bytes], withdrawn: Iterable[int]) -> bytes:
    """32 bytes over row digests in record order, then withdrawn record ids in record order."""
    digest = hashlib.sha256(b"".join(upserts))
    for record in withdrawn:
        digest.update(b"%d\n" % record)
    return digest.digest()


def slice_digest(rows: Iterable[bytes]) -> bytes:
    """32 bytes over the row digests of a whole slice in record order."""
    return delivery_digest(rows, ())

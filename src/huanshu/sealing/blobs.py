"""Sealing whole byte strings that are no cells: quarantined source rows, subject bitmaps beside the log.

Same construction as a cell (what the key is for, ``suites``), bound to a key name and a place chosen by the caller.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from huanshu.sealing.cells import refused
from huanshu.sealing.keys import KeyName
from huanshu.sealing.suites import aead


def seal_blob(key: bytes, name: KeyName, place: str, blob: bytes) -> bytes:
    """``blob`` (not empty) bound to ``name`` and ``place``; grows as a cell does."""
    return aead(key).encrypt(blob, [b"huanshu/blob/1", name.encode(), place.encode()])


def open_blob(key: bytes, name: KeyName, place: str, sealed: bytes) -> bytes:
    """Inverse of ``seal_blob``; TamperedError if it does not belong here."""
    try:
        return aead(key).decrypt(sealed, [b"huanshu/blob/1", name.encode(), place.encode()])
    except (InvalidTag, ValueError):
        raise refused() from None

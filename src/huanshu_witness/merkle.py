"""Consistency of two trees (RFC 6962 section 2.1.2), by replaying the recursion of the RFC from the proof's end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").digest()


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the new tree begins with the old one. 0 < old < new."""
    left = list(proof)

    def replay(size: int, known: int, *, whole: bool) -> tuple[bytes, bytes]:
        """(root of the old leaves within, root of all) of a subtree of ``size`` leaves, the first ``known`` old."""
        if known == size:
            root = old_root if whole else left.pop(0)
            return root, root
        split = 1 << (size - 1).bit_length() - 1
        if known <= split:
            before, all_left = replay(split, known, whole=whole)
            return before, _node(all_left, left.pop(0))
        before, all_right = replay(size - split, known - split, whole=False)
        beside = left.pop(0)
        return _node(beside, before), _node(beside, all_right)

    try:
        roots = replay(new, old, whole=True)
    except IndexError:
        return False
    return not left and roots == (old_root, new_root)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()

"""The Merkle tree of RFC 6962 section 2.1, as a frontier: the roots of its complete subtrees.

Theory. The tree over n leaves splits at the largest power of two below n, so its root is a fold from the
right over the complete subtrees whose sizes are the binary digits of n. Appending a leaf is binary
increment: equal-sized neighbours merge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree that remembers only log2(n) hashes. ``size`` leaves; ``root`` of all of them."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []  # (leaves, root), largest first
        for leaf in hashes:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """Append the hash of the next leaf (32 bytes)."""
        self.append_subtree(0, leaf)

    def append_subtree(self, level: int, root: bytes) -> None:
        """Append the next ``2^level`` leaves by their root; what is there must be a multiple of as many."""
        leaves = 1 << level
        self.size += leaves
        while self._roots and self._roots[-1][0] == leaves:
            below, left = self._roots.pop()
            leaves, root = leaves + below, node_hash(left, root)
        self._roots.append((leaves, root))

    @property
    def root(self) -> bytes:
        """32 bytes; the hash of the empty string for an empty tree."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        root = self._roots[-1][1]
        for _, left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """An independent frontier over the same leaves."""
        twin = Frontier()
        twin.size, twin._roots = self.size, list(self._roots)
        return twin

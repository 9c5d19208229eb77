"""RFC 6962 section 2.1, read literally: the recursion of the RFC, made iterative over a level list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Set


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(bytes([0]) + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(bytes([1]) + left + right).digest()


def roots_at(hashes: Iterable[bytes], sizes: Set[int]) -> Iterator[tuple[int, bytes]]:
    """(size, root) for each wanted size, in one pass over the leaf hashes; memory grows with log2(size)."""
    levels: list[bytes | None] = []  # levels[i] is the root of a complete subtree of 2**i leaves, or None
    if 0 in sizes:
        yield 0, hashlib.sha256().digest()
    for size, hashed in enumerate(hashes, start=1):
        carry, level = hashed, 0
        while level < len(levels) and (waiting := levels[level]) is not None:
            carry, levels[level] = _node(waiting, carry), None
            level += 1
        if level == len(levels):
            levels.append(None)
        levels[level] = carry
        if size in sizes:
            root: bytes | None = None
            for complete in levels:
                if complete is not None:
                    root = complete if root is None else _node(complete, root)
            assert root is not None
            yield size, root

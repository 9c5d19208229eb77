"""RFC 6962 section 2.1, read literally: the recursion of the RFC, made iterative over a level list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree. Memory grows with log2(size): ``levels[i]`` is the root of a complete subtree of 2**i leaves
    at the right edge, or None."""

    def __init__(self, size: int = 0, levels: Sequence[bytes | None] = ()) -> None:
        if sum(1 << i for i, complete in enumerate(levels) if complete is not None) != size:
            raise ValueError("these subtrees are not of that size")
        self.size = size
        self.levels = list(levels)

    def append(self, hashed: bytes) -> None:
        levels, level = self.levels, 0
        while level < len(levels) and (waiting := levels[level]) is not None:
            hashed, levels[level] = node(waiting, hashed), None
            level += 1
        if level == len(levels):
            levels.append(None)
        levels[level] = hashed
        self.size += 1

    @property
    def root(self) -> bytes:
        root: bytes | None = None
        for complete in self.levels:
            if complete is not None:
                root = complete if root is None else node(complete, root)
        return hashlib.sha256().digest() if root is None else root


def roots_at(hashes: Iterable[bytes], sizes: Set[int]) -> Iterator[tuple[int, bytes]]:
    """(size, root) for each wanted size, in one pass over the leaf hashes."""
    tree = Tree()
    if 0 in sizes:
        yield 0, tree.root
    for hashed in hashes:
        tree.append(hashed)
        if tree.size in sizes:
            yield tree.size, tree.root


def root_of(hashed: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof (RFC 6962, 2.1.1) leads to. ValueError when its length is another."""
    if not 0 <= index < size:
        raise ValueError("the index lies beyond the tree")
    left, last, steps = index, size - 1, iter(proof)
    for sibling in steps:
        if last == 0:
            raise ValueError("the proof is too long")
        if left & 1 or left == last:
            hashed = node(sibling, hashed)
            while left and not left & 1:
                left, last = left >> 1, last >> 1
        else:
            hashed = node(hashed, sibling)
        left, last = left >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return hashed

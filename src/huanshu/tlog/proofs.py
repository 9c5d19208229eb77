"""Inclusion and consistency proofs of RFC 6962 sections 2.1.1 and 2.1.2: made from hashes of complete subtrees,
checked from themselves alone.

Theory. Every proof is a list of roots of ranges ``[begin, end)`` of leaves that the recursion of the RFC leaves aside.
A range is complete (a power of two, aligned) or, at the right edge, a fold of complete ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from huanshu.errors import InputError, Text
from huanshu.tlog.tree import node_hash

#: (level, index) → root of the complete subtree over leaves index × 2^level … (index + 1) × 2^level.
Hashes = Callable[[int, int], bytes]


def root_of(hashes: Hashes, begin: int, end: int) -> bytes:
    """The root over leaves ``begin`` to ``end``, a range that the RFC's recursion reaches."""
    length = end - begin
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return hashes(level, begin >> level)
    split = begin + _split(length)
    return node_hash(root_of(hashes, begin, split), root_of(hashes, split, end))


def inclusion_proof(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]), from the leaf's sibling up to the root's child."""
    if not 0 <= index < size:
        raise _outside()
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            proof.append(root_of(hashes, split, end))
            end = split
        else:
            proof.append(root_of(hashes, begin, split))
            begin = split
    return proof[::-1]


def consistency_proof(hashes: Hashes, old: int, size: int) -> list[bytes]:
    """PROOF(old, D[size]); empty when one of them is empty or both are one."""
    if not 0 <= old <= size:
        raise _outside()
    if old in (0, size):
        return []
    proof: list[bytes] = []
    begin, end = 0, size
    while old != end:
        split = begin + _split(end - begin)
        if old <= split:
            proof.append(root_of(hashes, split, end))
            end = split
        else:
            proof.append(root_of(hashes, begin, split))
            begin = split
    if begin:  # otherwise the old root itself, which its owner knows
        proof.append(root_of(hashes, begin, end))
    return proof[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2). InputError when it cannot be one."""
    if not 0 <= index < size:
        raise _unproven()
    at, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != 32:
            raise _unproven()
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise _unproven()
    return root


def require_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises InputError unless the proof puts this leaf hash at this index under this root."""
    if root_by_inclusion(leaf, index, size, proof) != root:
        raise _unproven()


def require_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises InputError unless the proof shows the old tree to be the beginning of the new one (RFC 9162 section
    2.1.4.2). An old tree of size 0 begins every tree, without proof."""
    if not 0 <= old <= size or any(len(hashed) != 32 for hashed in proof):
        raise _unproven()
    if old in (0, size):
        if proof or (old == size and old_root != root):
            raise _unproven()
        return
    hashes = list(proof)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise _unproven()
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for hashed in hashes[1:]:
        if last == 0:
            raise _unproven()
        if at & 1 or at == last:
            first, second = node_hash(hashed, first), node_hash(hashed, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, hashed)
        at, last = at >> 1, last >> 1
    if last or (first, second) != (old_root, root):
        raise _unproven()


def _split(length: int) -> int:
    """The largest power of two below ``length``."""
    return 1 << ((length - 1).bit_length() - 1)


def _outside() -> InputError:
    return InputError(
        "tlog.proof.outside",
        Text("this index or size is not within the tree", "该序号或规模不在树内"),
        remedy=Text("ask for what a checkpoint covers", "请查询检查点所覆盖的范围"),
    )


def _unproven() -> InputError:
    return InputError(
        "tlog.proof.invalid",
        Text("the proof does not lead to the signed root", "证明与签名树根不符"),
        remedy=Text("run huanshu-verify and tell security staff", "运行 huanshu-verify 并通知安全人员"),
    )

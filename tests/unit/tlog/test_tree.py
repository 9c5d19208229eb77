"""The tree of RFC 6962: known roots, and one law read four ways (ours, the RFC's recursion, pymerkle, the verifier)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from huanshu.tlog import Frontier, leaf_hash, node_hash
from huanshu_verify import merkle

# The leaves and roots of the Certificate Transparency reference tests (certificate-transparency, merkle tree tests).
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_the_letter(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, transcribed."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_letter(leaves[:k]) + by_the_letter(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    assert Frontier(map(leaf_hash, CT_LEAVES[:size])).root.hex() == CT_ROOTS[size]


@given(st.lists(st.binary(max_size=40), max_size=130))
def test_the_frontier_is_the_recursion_of_the_rfc(leaves: list[bytes]) -> None:
    frontier = Frontier(map(leaf_hash, leaves))
    assert frontier.size == len(leaves)
    assert frontier.root == by_the_letter(leaves)


def test_four_readings_agree_at_every_size_to_130() -> None:
    leaves = [f"entry {index}".encode() for index in range(130)]
    peer, ours = InmemoryTree(algorithm="sha256"), Frontier()
    verified = dict(merkle.roots_at(map(merkle.leaf, leaves), set(range(131))))
    assert sorted(verified) == list(range(131))
    for size in range(131):
        if size:
            peer.append_entry(leaves[size - 1])
            ours.append(leaf_hash(leaves[size - 1]))
        assert ours.root == by_the_letter(leaves[:size]) == verified[size], size
        # pymerkle gives no digest to an empty tree; the RFC's is asserted above.
        if size:
            assert ours.root == peer.get_root(), size


def test_a_copy_is_independent() -> None:
    tree = Frontier([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    before, twin = tree.root, tree.copy()
    twin.append(leaf_hash(b"d"))
    assert (tree.size, tree.root) == (3, before)
    assert (twin.size, twin.root) == (4, by_the_letter([b"a", b"b", b"c", b"d"]))


def test_a_leaf_is_never_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)

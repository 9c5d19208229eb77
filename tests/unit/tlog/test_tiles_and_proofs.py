"""Tiles and proofs: the laws of RFC 6962, and two independent implementations (pymerkle here, Go's in its own file)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from huanshu.errors import HuanshuError, InputError, TamperedError
from huanshu.tlog import (
    Frontier,
    GrowingTiles,
    Tile,
    TileHashes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    require_consistency,
    require_inclusion,
)
from huanshu.tlog.tiles import bundle, tile_index, tiles_of, unbundle

LEAVES = [leaf_hash(b"entry %d" % index) for index in range(4097)]
#: Powers of two and their neighbours, beside every size to 1 030.
EDGES = sorted({near for power in range(13) for near in (2**power - 1, 2**power, 2**power + 1)})


class Published:
    """Every tile that a log of 4 097 entries ever published, made one leaf at a time."""

    def __init__(self) -> None:
        self.tiles: dict[str, bytes] = {}
        self.roots = [Frontier().root]
        growing = GrowingTiles()
        for leaf in LEAVES:
            for tile, raw in growing.append(leaf):
                assert self.tiles.setdefault(tile.path, raw) == raw
            for tile, raw in growing.partial():
                assert self.tiles.setdefault(tile.path, raw) == raw
            self.roots.append(growing.root)

    def hashes(self, size: int) -> TileHashes:
        return TileHashes(size, lambda tile: self.tiles[tile.path])


@cache
def published() -> Published:
    return Published()


def test_roots_out_of_tiles_are_the_frontiers_and_pymerkles() -> None:
    peer, frontier, compared = InmemoryTree(algorithm="sha256"), Frontier(), 0
    for size in range(1, len(LEAVES) + 1):
        peer.append_entry(b"entry %d" % (size - 1))
        frontier.append(LEAVES[size - 1])
        assert frontier.root == published().roots[size]
        if size <= 1030 or size in EDGES:
            assert peer.get_root() == frontier.root, size
            compared += 1
    assert compared > 1030


def sizes() -> Iterator[int]:
    yield from range(1, 1031)
    yield from (size for size in EDGES if size > 1030 and size <= len(LEAVES))


def test_inclusion_proofs_are_pymerkles_at_every_size_to_1030_and_at_the_edges() -> None:
    peer = InmemoryTree(algorithm="sha256")
    for index in range(len(LEAVES)):
        peer.append_entry(b"entry %d" % index)
    compared = 0
    for size in sizes():
        hashes = published().hashes(size)
        for index in {0, size // 2, (size * 7) // 11, size - 1}:
            ours = inclusion_proof(hashes, index, size)
            theirs = peer.prove_inclusion(index + 1, size)
            assert theirs.path == [LEAVES[index], *ours], (size, index)
            require_inclusion(LEAVES[index], index, size, published().roots[size], ours)
            compared += 1
    assert compared > 4000


def test_consistency_proofs_hold_between_roots_that_pymerkle_agrees_with() -> None:
    checked = 0
    for size in sizes():
        hashes = published().hashes(size)
        for old in {0, 1, size // 3, size // 2, size - 1, size}:
            proof = consistency_proof(hashes, old, size)
            require_consistency(old, published().roots[old], size, published().roots[size], proof)
            assert proof == by_the_letter(old, 0, size, whole=True) if old > 0 else proof == []
            checked += 1
    assert checked > 4000


def by_the_letter(m: int, begin: int, end: int, *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[begin:end], whole) of RFC 6962 section 2.1.2, transcribed."""
    n = end - begin
    if m == n:
        return [] if whole else [subtree(begin, end)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*by_the_letter(m, begin, begin + k, whole=whole), subtree(begin + k, end)]
    return [*by_the_letter(m - k, begin + k, end, whole=False), subtree(begin, begin + k)]


@cache
def subtree(begin: int, end: int) -> bytes:
    return Frontier(LEAVES[begin:end]).root


@given(st.data())
def test_a_proof_proves_nothing_else(data: st.DataObject) -> None:
    """Another leaf, index, size or root, or any hash changed, left out, doubled or added: refused."""
    size = data.draw(st.integers(1, 1030))
    index = data.draw(st.integers(0, size - 1))
    root, proof = published().roots[size], inclusion_proof(published().hashes(size), index, size)
    require_inclusion(LEAVES[index], index, size, root, proof)
    other = data.draw(st.integers(0, size + 3).filter(lambda other: other != index))
    wrong = [
        (LEAVES[other], index, size, root, proof),
        (LEAVES[index], other, size, root, proof),
        (LEAVES[index], index, size, published().roots[size - 1], proof),
        (LEAVES[index], index, size, root, [*proof, bytes(32)]),
        (LEAVES[index], index, size, root, [bytes(32), *proof]),
    ]
    for at in range(len(proof)):
        wrong.append((LEAVES[index], index, size, root, [*proof[:at], *proof[at + 1 :]]))
        wrong.append((LEAVES[index], index, size, root, [*proof[:at], bytes(32), *proof[at + 1 :]]))
        wrong.append((LEAVES[index], index, size, root, [*proof[:at], proof[at][:-1], *proof[at + 1 :]]))
    for given_ in wrong:
        with pytest.raises(InputError, match=r"tlog\.proof\.invalid"):
            require_inclusion(*given_)


@given(st.data())
def test_a_consistency_proof_proves_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 1030))
    old = data.draw(st.integers(1, size - 1))
    roots, proof = published().roots, consistency_proof(published().hashes(size), old, size)
    require_consistency(old, roots[old], size, roots[size], proof)
    wrong = [
        (old, bytes(32), size, roots[size], proof),
        (old, roots[old], size, bytes(32), proof),
        (old, roots[old], size, roots[size], []),
        (old, roots[old], size, roots[size], [*proof, bytes(32)]),
        (size, roots[size], old, roots[old], proof),
        (0, roots[0], size, roots[size], proof),
    ]
    for at in range(len(proof)):
        wrong.append((old, roots[old], size, roots[size], [*proof[:at], *proof[at + 1 :]]))
        wrong.append((old, roots[old], size, roots[size], [*proof[:at], bytes(32), *proof[at + 1 :]]))
    for given_ in wrong:
        with pytest.raises(InputError, match=r"tlog\.proof\.invalid"):
            require_consistency(*given_)


def test_what_lies_outside_the_tree_is_refused() -> None:
    hashes = published().hashes(10)
    for index in (-1, 10, 11):
        with pytest.raises(InputError, match=r"tlog\.proof\.outside"):
            inclusion_proof(hashes, index, 10)
    for old in (-1, 11):
        with pytest.raises(InputError, match=r"tlog\.proof\.outside"):
            consistency_proof(hashes, old, 10)


def test_growing_tiles_go_on_from_what_is_published() -> None:
    for size in (0, 1, 255, 256, 257, 511, 512, 4096):
        again = GrowingTiles(size, lambda tile: published().tiles[tile.path])
        assert again.root == published().roots[size]
        for leaf in LEAVES[size : size + 300]:
            for tile, raw in again.append(leaf):
                assert published().tiles[tile.path] == raw
        assert again.root == published().roots[min(size + 300, len(LEAVES))]


# C2SP tlog-tiles: the example in its text.
def test_a_tree_of_70_000_has_the_tiles_that_the_specification_counts() -> None:
    tiles = list(tiles_of(70_000))
    full = [(t.level, t.index) for t in tiles if t.full]
    partial = {(t.level, t.index, t.width) for t in tiles if not t.full}
    assert [sum(level == at for at, _ in full) for level in (0, 1, 2)] == [273, 1, 0]
    assert partial == {(0, 273, 112), (1, 1, 17), (2, 0, 1)}
    assert [(t.level, t.index, t.width) for t in tiles_of(256)] == [(0, 0, 256), (1, 0, 1)]


def test_paths_are_those_of_the_specification() -> None:
    assert tile_index(1234067) == "x001/x234/067"
    assert [tile_index(n) for n in (0, 999, 1000, 1_000_000)] == ["000", "999", "x001/000", "x001/x000/000"]
    assert Tile(0, 273, 112).path == "tile/0/273.p/112"
    assert Tile(0, 273, 112).bundle_path == "tile/entries/273.p/112"
    assert Tile(2, 0, 256).path == "tile/2/000"


@given(st.integers(0, 300_000), st.integers(0, 300_000))
def test_what_a_growth_changes_is_what_the_new_tree_has_and_the_old_had_not(a: int, b: int) -> None:
    since, size = sorted((a % 3000, b % 3000))
    before, after = set(tiles_of(since)), set(tiles_of(size))
    assert set(tiles_of(size, since)) == after - before


@given(st.lists(st.binary(max_size=70), max_size=300))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    raw = bundle(entries)
    assert unbundle(raw, len(entries)) == entries
    for bad, width in ((raw + b"\0", len(entries)), (raw, len(entries) + 1), (raw[:-1], len(entries))):
        if bad != raw or width != len(entries):
            with pytest.raises(TamperedError, match=r"tlog\.tile\.malformed"):
                unbundle(bad, width)


def test_a_tile_of_another_length_is_refused() -> None:
    raw = published().tiles["tile/0/003.p/10"]
    for bad in (b"", raw[:-1], raw + bytes(32)):
        hashes = TileHashes(3 * 256 + 10, lambda tile, bad=bad: bad)  # type: ignore[misc]
        with pytest.raises(HuanshuError, match=r"tlog\.tile\.malformed"):
            hashes(0, 3 * 256 + 1)
    with pytest.raises(HuanshuError, match=r"tlog\.tile\.malformed"):
        published().hashes(10)(0, 10)
    with pytest.raises(HuanshuError, match=r"tlog\.tile\.malformed"):
        published().hashes(10)(2, 2)

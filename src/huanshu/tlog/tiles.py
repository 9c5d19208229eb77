"""C2SP ``tlog-tiles``: the tree as static files of at most 256 hashes, the entries as bundles of at most 256.

    tile/<level>/<index>[.p/<width>]      hashes; at level 0 those of leaves, above those of full tiles below
    tile/entries/<index>[.p/<width>]      entries, each after its length in two bytes

A tile is full (256 wide, never written again) or partial (the rightmost of its level at some size of the tree).
What is read here is checked against nothing: whoever needs certainty folds it into a root and compares that with a
signed checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from huanshu.errors import TamperedError, Text
from huanshu.tlog.tree import Frontier, node_hash

WIDTH: Final = 256
HEIGHT: Final = 8
HASH: Final = 32
#: Gives the bytes of one tile; raises TamperedError when it has none or other than the tile's length.
ReadTile = Callable[["Tile"], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of hashes. ``width`` 1 to 256."""

    level: int
    index: int
    width: int

    @property
    def full(self) -> bool:
        return self.width == WIDTH

    @property
    def path(self) -> str:
        return f"tile/{self.level}/{tile_index(self.index)}{_partial(self.width)}"

    @property
    def bundle_path(self) -> str:
        """Where the entries of a tile of level 0 lie."""
        return f"tile/entries/{tile_index(self.index)}{_partial(self.width)}"


def tile_index(index: int) -> str:
    """Three digits a folder, all but the last behind an ``x``: 1234067 is ``x001/x234/067``."""
    text = f"{index % 1000:03d}"
    while index := index // 1000:
        text = f"x{index % 1000:03d}/{text}"
    return text


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """The tiles of a tree of ``size`` that one of ``since`` did not have, lowest level first, left to right."""
    level, old, new = 0, since, size
    while new:
        for index in range(old // WIDTH, -(-new // WIDTH)):
            width = min(new - index * WIDTH, WIDTH)
            if index * WIDTH + width > old:
                yield Tile(level, index, width)
        level, old, new = level + 1, old // WIDTH, new // WIDTH


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as they lie in a bundle. Each has at most 65 535 bytes."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(raw: bytes, width: int) -> list[bytes]:
    """Inverse of ``bundle``. TamperedError unless it holds exactly ``width`` entries."""
    entries, at = [], 0
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if at + 2 > len(raw) or end > len(raw):
            raise malformed_tile()
        entries.append(raw[at + 2 : end])
        at = end
    if len(entries) != width:
        raise malformed_tile()
    return entries


def split_tile(raw: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. TamperedError unless there are exactly ``width``."""
    if len(raw) != width * HASH:
        raise malformed_tile()
    return [raw[at : at + HASH] for at in range(0, len(raw), HASH)]


class TileHashes:
    """Hashes of complete subtrees of a tree of ``size``, out of its tiles; each tile is read once."""

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Root of the complete subtree over leaves ``index × 2^level`` to ``(index + 1) × 2^level``."""
        above, within = divmod(level, HEIGHT)
        first = index << within
        hashes = self._tile(above, first // WIDTH)
        wanted = hashes[first % WIDTH : first % WIDTH + (1 << within)]
        if len(wanted) != 1 << within:
            raise malformed_tile()
        return _fold(wanted)

    def _tile(self, level: int, index: int) -> list[bytes]:
        known = self._tiles.get((level, index))
        if known is None:
            width = min((self.size >> (HEIGHT * level)) - index * WIDTH, WIDTH)
            if width < 1:
                raise malformed_tile()
            known = split_tile(self._read(Tile(level, index, width)), width)
            self._tiles[level, index] = known
        return known


class GrowingTiles:
    """The rightmost tile of every level of a growing tree: what a publisher needs to know to go on.

    ``append`` gives the tiles that the leaf has filled; ``partial`` those that are open now."""

    def __init__(self, size: int = 0, read: ReadTile | None = None) -> None:
        self.size = size
        self._open: list[list[bytes]] = []
        level, left = 0, size
        while left:
            assert read is not None
            width = left % WIDTH
            hashes = split_tile(read(Tile(level, left // WIDTH, width)), width) if width else []
            self._open.append(hashes)
            level, left = level + 1, left // WIDTH

    @property
    def root(self) -> bytes:
        """The root over all leaves, out of the open tiles alone: they hold every complete subtree at the right edge."""
        tree = Frontier()
        for level in range(len(self._open) - 1, -1, -1):
            for hashed in self._open[level]:
                tree.append_subtree(HEIGHT * level, hashed)
        return tree.root

    def append(self, leaf: bytes) -> Iterator[tuple[Tile, bytes]]:
        """Append the hash of the next leaf."""
        self.size += 1
        level, hashed = 0, leaf
        while True:
            if level == len(self._open):
                self._open.append([])
            hashes = self._open[level]
            hashes.append(hashed)
            if len(hashes) < WIDTH:
                return
            yield Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1, WIDTH), b"".join(hashes)
            hashed, self._open[level] = _fold(hashes), []
            level += 1

    def partial(self) -> Iterator[tuple[Tile, bytes]]:
        """The open tiles that are not empty, lowest level first."""
        for level, hashes in enumerate(self._open):
            if hashes:
                yield Tile(level, self.size >> (HEIGHT * (level + 1)), len(hashes)), b"".join(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of equal subtrees."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def malformed_tile() -> TamperedError:
    """The one error of a published file that is missing or of another length than its name says."""
    return TamperedError(
        "tlog.tile.malformed",
        Text("a tile is missing or not as wide as its name says", "分块缺失，或与其名称所示宽度不符"),
        remedy=Text("run huanshu-verify and tell security staff", "运行 huanshu-verify 并通知安全人员"),
    )

"""The published log: plain static files, readable by anyone who is given the folder or its copy.

    checkpoint               the newest published checkpoint, with the cosignatures it has
    checkpoint.witnessed     the newest one that a quorum of witnesses has cosigned (where witnesses are named)
    tile/…  tile/entries/…   C2SP tlog-tiles
    bitmap/<aa>/<sha256>     sealed bitmaps that entries bind, by the digest that the entry names (aa: its first two
                             digits)

Every file is written whole: a temporary beside it, flushed, renamed. A full tile, a full bundle and a bitmap are never
written again; a checkpoint is replaced only when all it covers is durable.

Trust: who can change these files can mislead nobody who checks the checkpoint's signatures, and can withhold. The
folder holds no resident's identity; it names officials by person id, so it is not readable by every account.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from huanshu.errors import TamperedError, Text
from huanshu.store.durable import flush_folder
from huanshu.tlog.tiles import WIDTH, Tile, malformed_tile

CHECKPOINT = "checkpoint"
WITNESSED = "checkpoint.witnessed"
_TILE_BYTES = 32


class PublishedLog:
    """The folder at one path. Not thread-safe: its owner serialises. Raises OSError where the disk does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._touched: set[Path] = set()

    def make(self) -> None:
        """Make the folder when there is none."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, mode=0o750)
            flush_folder(self.folder.parent)

    # -- reading --------------------------------------------------------------------------------

    def note(self, name: str = CHECKPOINT) -> str | None:
        """The text of a checkpoint file; None when nothing was published yet."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):  # or there is no folder, and nothing can be published
            return None

    def tile(self, tile: Tile) -> bytes:
        """The bytes of a tile; of a partial one that has since been filled, the beginning of the full one."""
        raw = self._partial_or_full(tile.path, tile)
        if len(raw) < tile.width * _TILE_BYTES:
            raise malformed_tile()
        return raw[: tile.width * _TILE_BYTES]

    def bundle(self, tile: Tile) -> bytes:
        """The entries of a tile of level 0, of exactly its width or, where it has been filled since, of a full one."""
        return self._first_of(tile.bundle_path, Tile(0, tile.index, WIDTH).bundle_path)

    def _partial_or_full(self, path: str, tile: Tile) -> bytes:
        return self._first_of(path, Tile(tile.level, tile.index, WIDTH).path)

    def _first_of(self, *names: str) -> bytes:
        for name in dict.fromkeys(names):
            try:
                return (self.folder / name).read_bytes()
            except FileNotFoundError:
                continue
        raise malformed_tile()

    # -- writing --------------------------------------------------------------------------------

    def write_once(self, name: str, content: bytes) -> None:
        """A file that, once there, never changes. TamperedError when it is there with other bytes: only what the keeper
        had acknowledged is ever published, so somebody else wrote it."""
        path = self.folder / name
        try:
            there = path.read_bytes()
        except FileNotFoundError:
            self._write(path, content)
            return
        if there != content:
            raise TamperedError(
                "auditlog.published.not_ours",
                Text(
                    f"the published file {name} is not the one that was published",
                    f"已公布文件 {name} 与当初公布的不一致",
                ),
                remedy=Text(
                    "tell security staff; keep the folder as evidence, move it away, and it is published anew",
                    "请通知安全人员；将该文件夹移走留证，系统会重新公布",
                ),
            )

    def write_note(self, note: str, name: str = CHECKPOINT) -> None:
        """Replace a checkpoint, after everything written before is durable."""
        self._settle()
        self._write(self.folder / name, note.encode())
        self._settle()

    def drop_partial(self, path: str) -> None:
        """Remove the partial forms of a file that is full and durable now. A crash leaves some: harmless."""
        shutil.rmtree(self.folder / f"{path}.p", ignore_errors=True)

    def _write(self, path: Path, content: bytes) -> None:
        self._folder(path.parent)
        new = path.with_name(f".{path.name}.new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)  # a crash before this line leaves a stray .new, which the next attempt overwrites
        self._touched.add(path.parent)

    def _folder(self, path: Path) -> None:
        if not path.is_dir():
            self._folder(path.parent)
            path.mkdir()
            self._touched.add(path.parent)

    def _settle(self) -> None:
        """Flush the folders whose names have changed: from here on the files are there after a crash too."""
        for folder in sorted(self._touched):
            flush_folder(folder)
        self._touched.clear()

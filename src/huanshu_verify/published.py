"""Step 8: the published folder holds the tiles, bundles and bitmaps of exactly this log (C2SP tlog-tiles).

Every tile is made again from the leaves as they pass and compared with its file; so with the bundles where the leaves
come from a database. Memory: one open tile a level. What lies there beyond the published checkpoint is not looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huanshu_verify import merkle
from huanshu_verify.notes import NoteError, open_any
from huanshu_verify.policy import cosigned
from huanshu_verify.reading import WIDTH, bundle, tile_number
from huanshu_verify.report import Entry, Log, Step

_HASH = 32
CHECKPOINT, WITNESSED = "checkpoint", "checkpoint.witnessed"


def notes(folder: Path) -> dict[str, str]:
    """The notes of a published folder, by file name."""
    found = {}
    for name in (CHECKPOINT, WITNESSED):
        try:
            found[name] = (folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
    return found


class Published(Step):
    """The files are made of this log's leaves, and the newest cosignatures meet the policy's quorum."""

    name = "8 published"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._folder = log.options.published
        self._size = -1
        #: Of each level: index of its open tile, and its hashes.
        self._open: list[tuple[int, list[bytes]]] = []

    def begin(self, found: dict[str, str]) -> None:
        """``found`` are the folder's notes, read before anything else."""
        if self._folder is None:
            return
        if CHECKPOINT not in found:
            self.log.report.steps.append("published: there is no checkpoint yet")
            return
        self._size = self._signed_size(found[CHECKPOINT])
        if self.log.policy.quorum != "none":
            self._witnessed(found)

    def entry(self, entry: Entry) -> None:
        if entry.index >= self._size:
            return
        self._add(0, entry.hashed)

    def finish(self) -> None:
        if self._size < 0 or self._folder is None:
            return
        for level, (index, hashes) in enumerate(self._open):
            if hashes:
                self._compare(level, index, hashes)

    def memory(self) -> Any:
        return [[index, [hashed.hex() for hashed in hashes]] for index, hashes in self._open]

    def recall(self, memory: Any) -> None:
        self._open = [(index, [bytes.fromhex(hashed) for hashed in hashes]) for index, hashes in memory]

    def _add(self, level: int, hashed: bytes) -> None:
        if level == len(self._open):
            self._open.append((0, []))
        index, hashes = self._open[level]
        hashes.append(hashed)
        if len(hashes) == WIDTH:
            self._compare(level, index, hashes)
            self._open[level] = index + 1, []
            tree = merkle.Tree()
            for one in hashes:
                tree.append(one)
            self._add(level + 1, tree.root)

    def _compare(self, level: int, index: int, hashes: list[bytes]) -> None:
        assert self._folder is not None
        path = f"tile/{level}/{tile_number(index)}"
        self.log.report.tiles += 1
        if level == 0 and self.log.connection is not None:  # otherwise the leaves are the bundle's
            self._compare_bundle(index, hashes)
        for name in (f"{path}.p/{len(hashes)}", path) if len(hashes) < WIDTH else (path,):
            try:
                raw = (self._folder / name).read_bytes()
            except OSError:
                continue
            if raw[: len(hashes) * _HASH] != b"".join(hashes) or (
                name != path and len(raw) != len(hashes) * _HASH
            ):
                self.find(name, "this tile is not made of the log's leaves")
            return
        self.find(path, "this tile is missing")

    def _compare_bundle(self, number: int, hashes: list[bytes]) -> None:
        path, leaves = bundle(self.log.folders, number, len(hashes))
        if leaves is None:
            self.find(path, "this bundle is missing, or is none")
            return
        for place, (ours, leaf) in enumerate(zip(hashes, leaves, strict=True)):
            if merkle.leaf(leaf) != ours:
                self.find(path, f"entry {number * WIDTH + place} in it is not the log's")
                return

    def _signed_size(self, note: str) -> int:
        """The size of a note; -1 where it is not signed, which step 3 has found."""
        try:
            return open_any(note, self.log.key)[1]
        except (NoteError, ValueError):
            return -1

    def _witnessed(self, found: dict[str, str]) -> None:
        policy, report = self.log.policy, self.log.report
        best = -1
        for name, note in found.items():
            try:
                who = cosigned(note, policy)
            except NoteError as error:
                self.find(name, str(error))
                continue
            for label, time in who.items():
                report.witnessed[label] = max(time, report.witnessed.get(label, 0))
            if policy.met(who):
                best = max(best, self._signed_size(note))
        if best < 0:
            self.find(WITNESSED, "no checkpoint here has the cosignatures of a quorum")
        else:
            report.steps.append(
                f"published: a quorum of witnesses has cosigned {best} entries of {self._size}"
            )

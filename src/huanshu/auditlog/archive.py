"""Moving old entries of the published log to a place of their own, where they stay verifiable.

What is moved: full bundles of entries that all lie below a boundary, and the bitmaps that only they bind. Tiles stay:
they prove what is in the archive, and every later entry. Nothing is deleted; the database keeps what it has.

Order of effects, file by file: the copy is written whole and flushed; then the original goes. A crash leaves a file in
both places, and the next run finishes. A file that is in the archive already with other bytes is an error, and stays.

Trust: who can change the archive can withhold, and is found by the verifier (``--archive``): every bundle is compared
with the tree, every bitmap with the digest that its entry names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huanshu.auditlog.publisher import bitmap_path, bound_digests
from huanshu.errors import TamperedError, Text
from huanshu.store.durable import write_whole
from huanshu.tlog.tiles import WIDTH, Tile


@dataclass(frozen=True, slots=True)
class Movable:
    """What may be moved, as paths in the published folder; ``last`` is the last entry in it, -1 where there is none."""

    bundles: tuple[str, ...]
    bitmaps: tuple[str, ...]
    last: int

    @property
    def paths(self) -> tuple[str, ...]:
        return (*self.bundles, *self.bitmaps)


def movable(folder: Path, boundary: int, leaves: Iterable[bytes]) -> Movable:
    """What lies wholly below ``boundary`` and is still in the folder. ``leaves``: all of the log, in order."""
    end = boundary - boundary % WIDTH
    below: dict[str, None] = {}
    for index, leaf in enumerate(leaves):
        for digest in bound_digests(leaf):
            if index < end:
                below[digest] = None
            else:
                below.pop(digest, None)  # a later entry binds the same bytes
    bundles = [Tile(0, number, WIDTH).bundle_path for number in range(end // WIDTH)]
    return Movable(
        tuple(path for path in bundles if (folder / path).is_file()),
        tuple(path for path in map(bitmap_path, below) if (folder / path).is_file()),
        end - 1,
    )


def move(folder: Path, archive: Path, paths: Sequence[str]) -> int:
    """Move files, keeping their paths; how many. OSError where a disk says so: run it again."""
    for path in paths:
        raw, target = (folder / path).read_bytes(), archive / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            write_whole(target, raw, 0o640)
        elif target.read_bytes() != raw:
            raise TamperedError(
                "auditlog.archive.differs",
                Text(f"the archive holds another {path}", f"归档中的 {path} 与已公布的不一致"),
                remedy=Text(
                    "tell security staff; archive to another place", "请通知安全人员，并改用另一归档位置"
                ),
            )
        (folder / path).unlink()
    return len(paths)

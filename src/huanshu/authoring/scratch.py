"""A copy of a home to try edits on: what is proposed is what was tried, and the difference is the patch.

The copy lies in a temporary folder and is gone afterwards. Nothing of the home itself is touched.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huanshu.catalog.folder import Folder

PARTS = ("policies", "expectations", "dags", "audit")


class Scratch:
    """The copy, and what was edited in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before: dict[str, str] = {}

    def text(self, place: str) -> str:
        """The file as it is now; empty when there is none."""
        path = self.path / place
        return path.read_bytes().decode() if path.is_file() else ""

    def write(self, place: str, text: str) -> None:
        self._before.setdefault(place, self.text(place))
        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def append(self, place: str, lines: list[str], header: str = "") -> None:
        """Lines at the end of a file; ``header`` begins a file that is not there yet."""
        now = self.text(place) or header
        gap = "\n" if now and not now.endswith("\n") else ""
        self.write(place, now + gap + "".join(f"{line}\n" for line in lines))

    def patch(self) -> str:
        """Everything edited, as one unified diff that ``git apply`` and ``patch -p1`` take."""
        parts: list[str] = []
        for place, before in sorted(self._before.items()):
            old = f"a/{place}" if before else "/dev/null"
            parts += difflib.unified_diff(_lines(before), _lines(self.text(place)), old, f"b/{place}", n=3)
        return "".join(parts)


def _lines(text: str) -> list[str]:
    """Lines as a diff has them; a missing last newline is said in the diff's own words."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    if not lines[-1]:
        lines.pop()
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines


@contextmanager
def scratch_of(home: Path) -> Iterator[Scratch]:
    """A scratch copy of the four folders. ContentError when ``home`` is no home."""
    Folder(home)
    with tempfile.TemporaryDirectory(prefix="huanshu-scratch-") as folder:
        for part in PARTS:
            if (home / part).is_dir():
                shutil.copytree(home / part, Path(folder) / part)
        yield Scratch(Path(folder))

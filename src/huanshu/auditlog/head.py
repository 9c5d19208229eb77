"""The head file: the last (size, root) the keeper acknowledged, kept outside the database.

Trust: who can change this file alone makes the keeper refuse to start; who can change it *and* the
database can cut the log back to an older signed checkpoint — what witnesses are for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class HeadStore(Protocol):
    """Keeps one note: the newest acknowledged checkpoint."""

    def read(self) -> str | None: ...
    def write(self, note: str) -> None: ...


class HeadFile:
    """A head in a file, replaced whole: temporary, flush, rename.

    The folder is not flushed: that saves one flush an acknowledgement, and a power cut leaves the head before, beside a
    database that is ahead of it by entries we signed, which the next start adopts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")  # damage is told by the signature
        except FileNotFoundError:
            return None

    def write(self, note: str) -> None:
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._path)  # a crash before this line leaves the old head and a stray .new

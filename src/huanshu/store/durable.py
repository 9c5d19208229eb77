"""A file written whole or not at all, and durable when the call returns.

A crash before the rename leaves the file as it was and a stray ``.<name>.new``, which the next attempt replaces.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Make or replace a file. It never was readable by more accounts than ``mode`` says."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """From here on the names in it are as they are now, after a crash too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

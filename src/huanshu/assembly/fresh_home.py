"""The home as its files are now, without reading it again when none has changed.

Asked at every request of the keeper and at every connection: a look at forty files instead of a tenth of a second's
reading. A home that cannot be read now raises, request after request, until it is mended.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

from huanshu.catalog import Home, read_home
from huanshu.errors import HuanshuError

_Stamp: TypeAlias = frozenset[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found under one stamp. Replaced whole, so that threads see one state or the other."""

    stamp: _Stamp
    found: Home | HuanshuError


class FreshHome:
    """The home at one path: read again when any file's size or time has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen | None = None

    def __call__(self) -> Home:
        stamp, seen = self._look(), self._seen
        if seen is None or seen.stamp != stamp:
            # The stamp is older than the reading: what changes in between is seen at the next look.
            seen = self._seen = _Seen(stamp, self._read())
        if isinstance(seen.found, HuanshuError):
            raise seen.found
        return seen.found

    def _read(self) -> Home | HuanshuError:
        try:
            return read_home(self._path)
        except HuanshuError as fault:
            return fault

    def _look(self) -> _Stamp:
        found: list[tuple[str, int, int]] = []
        for folder in ("policies", "expectations", "dags", "audit"):
            _stamp(os.path.join(self._path, folder), found, _DEEPEST)
        return frozenset(found)


@lru_cache(maxsize=4)
def home_at(path: Path) -> FreshHome:
    """The home at ``path``, the same for everybody in this process: one of them reads it."""
    return FreshHome(path)


def home_now(path: Path) -> Home:
    """The home at ``path``; what this process has read before is read again only when it changed."""
    return home_at(path)()


#: Most files of a home lie here, and ``read_home`` reads none of them.
_UNREAD: Final = frozenset({"samples", "reports", "drills", "campaigns", "__pycache__"})
#: ``expectations/<dataset>/codes``; links are followed, so a ring of them must end somewhere.
_DEEPEST: Final = 3


def _stamp(folder: str, found: list[tuple[str, int, int]], depth: int) -> None:
    """Adds path, size and time of every file below ``folder`` that a home is read from. What is gone when it is
    looked at is not there: the stamp differs, and ``read_home`` says what is missing."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".csv", ".yaml", ".conf", ".policy")):
                with contextlib.suppress(OSError):
                    seen = entry.stat()
                    found.append((entry.path, seen.st_size, seen.st_mtime_ns))
            elif depth > 1 and entry.name not in _UNREAD and entry.is_dir():
                _stamp(entry.path, found, depth - 1)

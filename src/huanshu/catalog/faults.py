"""What happens to an error found while a home is read: it stops the reading, or it is noted and reading
goes on.

``read_home`` stops at the first fault; ``huanshu check`` wants all of them. Both run the same readers, so
neither can accept what the other refuses. A file with a fault is *spoilt*: what refers into it is not judged,
because the reference may be right and only the file wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huanshu.errors import ContentError


class Faults:
    """Collects ContentErrors in the order they are found, or raises the first when ``stop`` is set."""

    def __init__(self, *, stop: bool) -> None:
        self._stop = stop
        self.found: list[ContentError] = []
        self._spoilt: set[str] = set()

    def note(self, error: ContentError) -> None:
        """Note one fault (or raise it)."""
        if self._stop:
            raise error
        self.found.append(error)
        if error.where is not None:
            self._spoilt.add(error.where.file)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Notes a ContentError raised inside and goes on after the block; nothing else is caught."""
        try:
            yield
        except ContentError as error:
            self.note(error)

    def clean(self, *files: str) -> bool:
        """True when no fault was found in any of these files (or below these folders, named with a final
        /)."""
        return not any(
            spoilt == file or (file.endswith("/") and spoilt.startswith(file))
            for spoilt in self._spoilt
            for file in files
        )

"""An entry as it lies in the log: its index, its body (the parsed leaf), and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``leaf`` is its RFC 8785 bytes; ``body`` equals the same, parsed."""

    index: int
    event: str
    body: Mapping[str, Any]
    leaf: bytes

    @classmethod
    def of(cls, leaf: bytes) -> Entry:
        body = json.loads(leaf)
        return cls(int(body["index"]), str(body["event"]), body, leaf)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before the log gives it index and time. ``once`` makes a repeated append a look-up."""

    body: Mapping[str, Any]
    once: str | None = None
    #: Sealed bytes bound by ``subjects.sealed_sha256`` of the body.
    bitmap: bytes | None = None

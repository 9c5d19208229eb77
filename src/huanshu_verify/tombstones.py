"""Tombstones: what is left of an erased person, so that he is known when he comes again (docs/FORMAT.md, 18).

The entry of an erasure binds how many there are and whose: one that was taken away or added is named by that entry. The
link of a tombstone is a keyed value that changes with the links' generation; no entry binds it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

Find = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Buried:
    """What entry ``index`` says of the tombstones of an erasure. ``sha256`` is "" where an older version told none."""

    index: int
    erasure: int
    count: int
    sha256: str


def buried_by(body: Mapping[str, Any]) -> Buried | None:
    """What an entry binds of tombstones, or None."""
    if body["event"] != "erasure.subject.completed":
        return None
    detail = body["detail"]
    said = str(detail.get("tombstones_sha256", ""))
    return Buried(int(body["index"]), int(detail["erasure"]), int(detail["tombstones"]), said)


def check(
    connection: psycopg.Connection, buried: Iterable[Buried], under_way: Iterable[int], find: Find
) -> None:
    """Compare the tombstones with what erasures bind; those of an erasure that is not told yet are not judged."""
    lying: dict[int, list[tuple[bytes, int]]] = {}
    for erasure, kind, ordinal in connection.execute("SELECT erasure, kind, ordinal FROM district.tombstone"):
        lying.setdefault(int(erasure), []).append((str(kind).encode(), int(ordinal)))
    for each in buried:
        there = sorted(lying.pop(each.erasure, ()))
        digest = hashlib.sha256()
        for kind, ordinal in there:
            digest.update(struct.pack(">I", len(kind)) + kind + struct.pack(">Q", ordinal))
        if len(there) != each.count:
            find(f"entry {each.index}", f"left {each.count} tombstones, the store has {len(there)}")
        elif each.sha256 and digest.hexdigest() != each.sha256:
            find(f"entry {each.index}", "the tombstones that it left are not those in the store")
    for erasure in sorted(lying.keys() - set(under_way)):
        find(f"erasure {erasure}", "tombstones lie in the store, but no entry tells of this erasure")

"""What a loss makes the log forget that was done for ever: keys that were destroyed, persons who were erased.

The published log may still have the missing entries. They count where they continue what was restored up to a
checkpoint that the log's key has signed; what was not published, nobody knows. Reads only.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from huanshu.auditlog.custody import Selector
from huanshu.auditlog.entries import Entry
from huanshu.auditlog.origins import Origins
from huanshu.auditlog.published import PublishedLog
from huanshu.auditlog.reopening import Loss
from huanshu.errors import HuanshuError
from huanshu.tlog import leaf_hash
from huanshu.tlog.tiles import WIDTH, Tile, unbundle

#: So many fit into one entry with all else that it says.
_MOST: Final = 250


@dataclass(slots=True)
class Forgotten:
    """``until``: the missing entries below it were looked at. ``destroyed``: selectors of keys; ``erased``: the missing
    entries that confirmed erasures, each with its dataset."""

    until: int
    destroyed: list[dict[str, Any]] = field(default_factory=list)
    erased: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"until": self.until, "destroyed": self.destroyed, "erased": self.erased}


def forgotten(loss: Loss, origins: Origins, published: PublishedLog) -> Forgotten:
    """What the missing entries did, as far as the published log has them."""
    with suppress(HuanshuError, OSError, ValueError, KeyError, TypeError):
        return _folded(loss, _missing(loss, origins, published))
    return Forgotten(loss.first)


def _missing(loss: Loss, origins: Origins, published: PublishedLog) -> list[Entry]:
    """ValueError unless they are what was signed."""
    signed = origins.read(published.note() or "")
    tree, found = loss.tree.copy(), []
    for number in range(loss.first // WIDTH, -(-signed.size // WIDTH)):
        tile = Tile(0, number, min(signed.size - number * WIDTH, WIDTH))
        for place, leaf in enumerate(unbundle(published.bundle(tile), tile.width), number * WIDTH):
            if place >= loss.first:
                tree.append(leaf_hash(leaf))
                found.append(Entry.of(leaf))
    if (tree.size, tree.root) != (signed.size, signed.root):
        raise ValueError
    return found


def _folded(loss: Loss, entries: list[Entry]) -> Forgotten:
    made = Forgotten(loss.first)
    for entry in entries:
        if max(len(made.destroyed), len(made.erased)) == _MOST:
            break
        if entry.event == "keys.destruction.confirmed":
            made.destroyed.append(Selector.of(entry.body["detail"]["selector"]).as_json())
        elif entry.event == "erasure.subject.confirmed":
            made.erased.append({"entry": entry.index, "dataset": str(entry.body["dataset"])})
        made.until = entry.index + 1
    return made

"""Archiving what is past every period of audit/retention.yaml: told, logged, then moved.

Crash points: after the entry, nothing or some files moved; run it again, and what is left is moved under another entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huanshu.assembly.running import Running
from huanshu.auditlog.archive import Movable, movable, move
from huanshu.auditlog.reader import read_entries
from huanshu.exchange.retention import past_every_period

EVENT = "retention.files.archived"


@dataclass(frozen=True, slots=True)
class Archivable:
    """``before``: the instant whose things must still be kept, under ``obligations``."""

    before: datetime
    obligations: tuple[str, ...]
    found: Movable


def look(running: Running) -> Archivable:
    """What may be moved now. Changes nothing. InputError where the home says of no log how long it is kept."""
    before, obligations, boundary = past_every_period(running.ground())
    with running.district() as district:
        leaves = (entry.leaf for entry in read_entries(district))
        found = movable(running.deployment.settings.log_folder, boundary, leaves)
    return Archivable(before, obligations, found)


def archive(running: Running, to: Path) -> tuple[int, Archivable]:
    """Move it; (the entry that says so, what was moved). -1 when there is nothing. DeniedError for who may not."""
    seen = look(running)
    if not seen.found.paths:
        return -1, seen
    detail = {
        "before": seen.before.isoformat(),
        "bundles": len(seen.found.bundles),
        "bitmaps": len(seen.found.bitmaps),
        "last": seen.found.last,
    }
    ticket = running.keeper.append({"event": EVENT, "detail": detail})
    move(running.deployment.settings.log_folder, to, seen.found.paths)
    return ticket.index, seen

# ruff: noqa: INP001 - a folder of scripts, no package
"""What must come out, counted from the file alone: plain Python, nothing of Huanshu and no code of the sender.

An application that is published again keeps its first notice; every other row is good, and a row that is not would
show as a difference.
"""

from __future__ import annotations

import csv
from pathlib import Path


def recount(events: Path) -> tuple[int, dict[str, set[str]]]:
    """(rows in the file, local authority → references whose first notice names it)."""
    found: dict[str, set[str]] = {}
    seen: set[str] = set()
    rows = 0
    with events.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            if row["PA Ref"] not in seen:
                seen.add(row["PA Ref"])
                found.setdefault(row["Local Authority"], set()).add(row["PA Ref"])
    return rows, found

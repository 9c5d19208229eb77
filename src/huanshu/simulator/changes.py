"""What a month changed in a register, by key; told by row, which is what a reader of two extracts can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from huanshu.simulator.columns import Numbers


def _none() -> Numbers:
    return np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Changes:
    """Keys of the rows concerned, each at most once over all of these."""

    #: What a row that was not there before is called: born, added.
    coming: str
    moved: Numbers = field(default_factory=_none)
    #: Communities by position, in the order of ``moved``.
    moved_from: Numbers = field(default_factory=_none)
    moved_to: Numbers = field(default_factory=_none)
    left: Numbers = field(default_factory=_none)
    #: Why, in the order of ``left``.
    reasons: Numbers = field(default_factory=_none)
    added: Numbers = field(default_factory=_none)
    #: phone, address, … → who got another one.
    changed: dict[str, Numbers] = field(default_factory=dict)

    def told(self, before: Numbers, now: Numbers, communities: Sequence[str]) -> dict[str, Any]:
        """By 1-based data row. ``before`` and ``now``: the keys of the two extracts, in row order."""
        rows_now, rows_before = _rows(now), _rows(before)
        told: dict[str, Any] = {
            "moved": [
                {"row": row, "row_before": old, "from": communities[source], "to": communities[target]}
                for row, old, source, target in zip(
                    rows_now(self.moved),
                    rows_before(self.moved),
                    self.moved_from.tolist(),
                    self.moved_to.tolist(),
                    strict=True,
                )
            ],
            "left": [
                {"row_before": old, "reason": reason}
                for old, reason in zip(rows_before(self.left), self.reasons.tolist(), strict=True)
            ],
            self.coming: [{"row": row} for row in rows_now(self.added)],
        }
        for kind, keys in self.changed.items():
            told[f"{kind}_changed"] = [
                {"row": row, "row_before": old}
                for row, old in zip(rows_now(keys), rows_before(keys), strict=True)
            ]
        return told


class _rows:  # noqa: N801 - used as a function with a memory
    """Key → 1-based row."""

    def __init__(self, keys: Numbers) -> None:
        self.order = np.argsort(keys)
        self.keys = keys[self.order]

    def __call__(self, keys: Numbers) -> list[int]:
        if not len(keys):
            return []
        found: list[int] = (self.order[np.searchsorted(self.keys, keys)] + 1).tolist()
        return found

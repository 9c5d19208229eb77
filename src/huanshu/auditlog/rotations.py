"""Rotations: how far completed ones have brought each dataset, what came in late, and who ordered the next one.

A pure fold; no I/O, no clock. It says whether anything can be behind at all: so nobody borrows every key of a dataset
by claiming a rotation that nobody ordered.

Cells are brought to an epoch dataset by dataset; the links of all datasets, in one transaction, to a generation. *Late*
is a dataset of which a batch was told after a rotation was authorised though it was authorised before it: its rows may
lie under the keys before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from huanshu.auditlog.entries import Entry

CELLS: Final = "cells"
LINKS: Final = "links"
#: Which number of the rules in force says how far each kind is to be brought.
MEASURES: Final[Mapping[str, str]] = {CELLS: "epoch", LINKS: "generation"}
#: What tells of rows written under keys that an entry before it had borrowed.
_TELLS: Final = frozenset(
    {
        "exchange.intake.promoted",
        "exchange.intake.refused",
        "quarantine.repair.promoted",
        "quarantine.repair.refused",
        "correction.batch.judged",
        "correction.change.accepted",
    }
)
_FIRST: Final = 1


class Rotations:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        #: Measure → its number in the rules in force, and who adopted the rules that first said so.
        self._ordered: dict[str, tuple[int, str]] = {}
        #: Dataset → the epoch that nothing is behind, and the entry from which on that is so.
        self._cells: dict[str, tuple[int, int]] = {}
        self._links = _FIRST
        self._open: dict[int, str] = {}
        #: Dataset → the newest entry that told of something late.
        self._late: dict[str, int] = {}

    def apply(self, entry: Entry) -> None:
        match entry.event:
            case "policy.bundle.adopted":
                self._order(entry)
            case "exchange.intake.authorised":  # before the first one there was nothing under any epoch
                epoch, _ = self._ordered.get("epoch", (_FIRST, ""))
                self._cells.setdefault(str(entry.body["dataset"]), (epoch, entry.index))
            case "keys.rotation.authorised" if _kind(entry) == CELLS:
                self._open[entry.index] = str(entry.body["dataset"])
            case "keys.rotation.completed":
                self._complete(entry)
            case "keys.rotation.stopped":
                self._open.pop(int(entry.body["detail"]["authorised"]), None)
            case event if event in _TELLS:
                self._tell(entry)
            case _:
                pass

    def due(self, dataset: str, kind: str, wanted: int) -> bool:
        """Whether cells or links of a dataset can be behind the number that the rules in force want."""
        if kind == LINKS:
            return wanted > self._links
        reached, _ = self._cells.get(dataset, (_FIRST, -1))
        return wanted > reached or dataset in self._late

    def ordered_by(self, kind: str, wanted: int) -> str | None:
        """Who adopted the rules that first said this number; None where the log does not tell."""
        number, person = self._ordered.get(MEASURES[kind], (0, ""))
        return person if number == wanted else None

    def _order(self, entry: Entry) -> None:
        for measure in MEASURES.values():
            number = entry.body["detail"].get(measure)  # an older version did not tell
            if number is None:
                self._ordered.pop(measure, None)
            elif self._ordered.get(measure, (None,))[0] != number:
                self._ordered[measure] = (int(number), str(entry.body["person"]))

    def _tell(self, entry: Entry) -> None:
        dataset, authorised = str(entry.body["dataset"]), int(entry.body["detail"]["authorised"])
        _, since = self._cells.get(dataset, (_FIRST, -1))
        begun = [index for index, of in self._open.items() if of == dataset]
        if authorised < max([since, *begun]):
            self._late[dataset] = entry.index

    def _complete(self, entry: Entry) -> None:
        detail, dataset = entry.body["detail"], str(entry.body["dataset"])
        authorised = int(detail["authorised"])
        self._open.pop(authorised, None)
        if _kind(entry) == LINKS:
            self._links = max(self._links, int(detail["generation"]))
            return
        reached, since = self._cells.get(dataset, (_FIRST, -1))
        self._cells[dataset] = (max(reached, int(detail["epoch"])), max(since, authorised))
        if self._late.get(dataset, authorised) < authorised:
            del self._late[dataset]


def _kind(entry: Entry) -> str:
    """An older version did not tell; whatever it had begun, it ended by bringing cells further."""
    return str(entry.body["detail"].get("what", CELLS))

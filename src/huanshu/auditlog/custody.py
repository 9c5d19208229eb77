"""Custody: which keys the log says are destroyed, whom it says is erased, and what waits for a second person.

A pure fold; no I/O, no clock. What was destroyed or erased once is so for ever: no entry takes it back, and a store put
back from a backup changes nothing of it, for it is the log that says so. A log that was opened again after a loss says
which keys the missing entries had destroyed; whom they had erased has to be confirmed again (``auditlog.forgotten``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from huanshu.auditlog.entries import Entry

#: What a selector may name of a data key, in the order of its name.
PARTS: Final = ("domain", "dataset", "field")
_PROPOSED: Final = frozenset(
    {"keys.destruction.proposed", "keys.escrow.proposed", "erasure.subject.proposed"}
)
_SECONDED: Final = frozenset(
    {"keys.destruction.confirmed", "keys.escrow.sealed", "erasure.subject.confirmed"}
)


@dataclass(frozen=True, slots=True)
class Selector:
    """Data keys by the parts of their names that are given, up to and including an epoch; and with a dataset (and no
    domain or field) the keys of its quarantined rows."""

    epoch: int
    domain: str | None = None
    dataset: str | None = None
    field: str | None = None

    def covers(self, name: str) -> bool:
        """Whether a key of that name is one of them."""
        use, *parts = name.split("/")
        if use == "quarantine" and self.domain is None and self.field is None:
            dataset, epoch = parts
            return self.dataset in (None, dataset) and int(epoch) <= self.epoch
        if use != "data":
            return False
        *named, epoch = parts
        wanted = (self.domain, self.dataset, self.field)
        return int(epoch) <= self.epoch and all(
            want in (None, part) for want, part in zip(wanted, named, strict=True)
        )

    def as_json(self) -> dict[str, Any]:
        named = {part: getattr(self, part) for part in PARTS if getattr(self, part) is not None}
        return {**named, "epoch": self.epoch}

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Selector:
        """ValueError for what is none."""
        if not {"epoch"} <= members.keys() <= {"epoch", *PARTS} or int(members["epoch"]) < 1:
            raise ValueError
        return cls(int(members["epoch"]), *(members.get(part) for part in PARTS))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one person proposed and another has not confirmed yet."""

    index: int
    event: str
    person: str
    until: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Erasure:
    """A confirmed erasure: the entry that confirmed it, and the member that binds the subjects' bitmap."""

    index: int
    dataset: str
    subjects: Mapping[str, Any]
    backups_until: str


class Custody:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self._proposals: dict[int, Proposal] = {}
        self._destroyed: list[Selector] = []
        self._erasures: dict[int, Erasure] = {}
        self._carried_out: set[tuple[int, str]] = set()

    def apply(self, entry: Entry) -> None:
        body, detail = entry.body, entry.body["detail"]
        if entry.event in _PROPOSED:
            self._proposals[entry.index] = Proposal(
                entry.index,
                entry.event,
                str(body["person"]),
                datetime.fromisoformat(str(detail["until"])),
                body,
            )
        elif entry.event in _SECONDED:
            proposal = self._proposals.pop(int(detail["proposed"]))
            if entry.event == "keys.destruction.confirmed":
                self._destroyed.append(Selector.of(detail["selector"]))
            elif entry.event == "erasure.subject.confirmed":
                subjects, until = proposal.body["subjects"], str(detail["backups_until"])
                self._erasures[entry.index] = Erasure(entry.index, str(body["dataset"]), subjects, until)
        elif entry.event == "log.origin.reopened":  # what the missing entries destroyed is destroyed still
            lost = detail.get("forgotten", {}).get("destroyed", ())
            self._destroyed += [Selector.of(each) for each in lost]
        elif entry.event == "erasure.subject.completed":
            self._carried_out.add((int(detail["erasure"]), str(body["dataset"])))

    def proposal(self, index: int, event: str) -> Proposal | None:
        """What entry ``index`` proposed by an event of that name, while nobody has confirmed it; its end is the
        caller's to compare."""
        found = self._proposals.get(index)
        return found if found is not None and found.event == event else None

    @property
    def proposals(self) -> list[Proposal]:
        """What waits for a second person, oldest first, ended ones among them."""
        return list(self._proposals.values())

    @property
    def destroyed(self) -> list[Selector]:
        """Keys that are destroyed, for ever."""
        return list(self._destroyed)

    def is_destroyed(self, name: str) -> bool:
        return any(selector.covers(name) for selector in self._destroyed)

    @property
    def erasures(self) -> list[Erasure]:
        """Confirmed erasures, oldest first, for ever."""
        return list(self._erasures.values())

    def erasure(self, index: int) -> Erasure | None:
        return self._erasures.get(index)

    def carried_out(self, index: int, dataset: str) -> bool:
        """Whether the log says that an erasure has reached a dataset."""
        return (index, dataset) in self._carried_out

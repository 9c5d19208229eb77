"""Breaking the glass, as the log tells it: who declared what, until when, who reviewed it, and what is owed. Pure fold.

A declared emergency owes three things, each an entry: its data owner is told at once, its review settles what the owner
was told, and without a review in time it is escalated. What is owed is reckoned from the entries, so that a crash
between two of them leaves a debt and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from huanshu.auditlog.entries import Entry

FINDINGS: Final = "emergency/"
#: For so long whoever broke the glass without reason does not break it again.
MISUSED_FOR: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Declared:
    """One broken glass. ``fields``: name → rung's word. ``verdict`` is a second person's."""

    index: int
    person: str
    established: Mapping[str, str]
    post: str
    domain: str
    dataset: str
    purpose: str
    fields: Mapping[str, str]
    owner_post: str
    until: datetime
    review_by: datetime
    verdict: Literal["justified", "misuse"] | None = None
    reviewer: Mapping[str, Any] | None = None
    escalated: bool = False

    @property
    def finding(self) -> str:
        """What its data owner is told by."""
        return f"{FINDINGS}{self.index}"

    @property
    def escalation(self) -> str:
        """What security staff are told by."""
        return f"{self.finding}/escalated"

    def covers(self, asked: Mapping[str, Any], at: datetime) -> bool:
        """Whether it stands for a claim about one record: by the same person, for no other field, post or purpose."""
        named = all(
            getattr(self, name) == asked.get(name)
            for name in ("person", "post", "domain", "dataset", "purpose")
        )
        fields = all(self.fields.get(name) == word for name, word in asked["fields"].items())
        return named and fields and at < self.until and self.verdict != "misuse"


class Emergencies:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self._declared: dict[int, Declared] = {}
        self._opened: set[str] = set()
        self._settled: set[str] = set()

    def apply(self, entry: Entry) -> None:
        body, detail = entry.body, entry.body["detail"]
        match entry.event:
            case "access.emergency.declared":
                self._declared[entry.index] = Declared(
                    index=entry.index,
                    **{name: body[name] for name in ("person", "established", "post", "domain", "dataset")},
                    purpose=str(body["purpose"]),
                    fields=dict(body["fields"]),
                    owner_post=str(detail["owner_post"]),
                    until=datetime.fromisoformat(str(detail["until"])),
                    review_by=datetime.fromisoformat(str(detail["review_by"])),
                )
            case "access.emergency.reviewed":
                said = {name: body[name] for name in ("person", "established")}
                self._change(int(detail["declared"]), verdict=detail["verdict"], reviewer=said)
            case "access.emergency.escalated":
                self._change(int(detail["declared"]), escalated=True)
            case "finding.case.opened" if str(detail["finding"]).startswith(FINDINGS):
                self._opened.add(str(detail["finding"]))
            case "finding.case.settled" if str(detail["finding"]).startswith(FINDINGS):
                self._settled.add(str(detail["finding"]))
            case _:
                pass

    def _change(self, index: int, **changes: Any) -> None:
        self._declared[index] = replace(self._declared[index], **changes)

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._declared.values())

    def declared(self, index: int) -> Declared | None:
        """The emergency that entry ``index`` declared."""
        return self._declared.get(index)

    def covering(self, asked: Mapping[str, Any], at: datetime) -> Declared | None:
        """The emergency, standing at that instant, under which a claim is allowed."""
        return next((each for each in self if each.covers(asked, at)), None)

    def suspended(self, person: str, at: datetime) -> bool:
        """Whether a person may not break the glass: the last time is overdue for review, or was misuse."""
        return any(
            (each.verdict is None and each.review_by <= at)
            or (each.verdict == "misuse" and at < each.until + MISUSED_FOR)
            for each in self
            if each.person == person
        )

    def untold(self) -> Iterator[Declared]:
        """Those whose data owner has not been told."""
        return (each for each in self if each.finding not in self._opened)

    def unsettled(self) -> Iterator[Declared]:
        """Those that were reviewed while what their owner was told stands open."""
        return (each for each in self if each.verdict is not None and self.open_of(each))

    def open_of(self, declared: Declared) -> list[str]:
        """The findings about one that stand open."""
        return [
            each for each in (declared.finding, declared.escalation) if each in self._opened - self._settled
        ]

    def overdue(self, at: datetime) -> Iterator[Declared]:
        """Those that nobody reviewed in time and nobody was told of."""
        late = (each for each in self if each.verdict is None and each.review_by <= at)
        return (each for each in late if not each.escalated)

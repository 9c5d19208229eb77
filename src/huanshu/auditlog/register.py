"""The register: what the log's own entries establish, as a pure fold. No I/O, no clock.

Approvals, the adopted bundle, senders' keys, the sandbox flag, holds and open findings are not files that somebody
could edit: they are what the log says, entry by entry, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from huanshu.auditlog.custody import Custody
from huanshu.auditlog.emergencies import Emergencies
from huanshu.auditlog.entries import Entry
from huanshu.auditlog.holds import Holds
from huanshu.auditlog.rotations import Rotations
from huanshu.auditlog.tellings import Tellings


@dataclass(frozen=True, slots=True)
class Approval:
    """批准: a person's consent to one exact digest of a flow, with an end."""

    flow: str
    digest: str
    person: str
    post: str
    until: datetime
    index: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A bundle that its author has asked to put in the place of the one in force."""

    before: str
    digest: str
    person: str
    index: int
    #: Hash of the plan that its author has read, and the end; both missing from proposals of before they were bound.
    plan: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Withholding:
    """An entry that a resident is not told of, by law: from ``confirmed`` (the reviewer's entry) to ``until``."""

    index: int
    entry: int
    reason: str
    person: str
    reviewer: str
    until: datetime
    confirmed: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that were acknowledged and are gone: ``first`` to ``last`` of ``origin``, given up by entry ``index``.
    What was logged between ``since`` and ``until`` is not known."""

    index: int
    origin: str
    first: int
    last: int
    since: str
    until: str
    persons: tuple[str, str]

    def within(self, start: datetime, end: datetime) -> bool:
        """Whether some of what was lost may be of this window."""
        return datetime.fromisoformat(self.since) < end and datetime.fromisoformat(self.until) >= start

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Gap:
        """As ``log.origin.reopened`` says."""
        detail = body["detail"]
        return cls(
            index=int(body["index"]),
            origin=str(detail["given_up"]["origin"]),
            first=int(detail["first"]),
            last=int(detail["last"]),
            since=str(detail["since"]),
            until=str(body["at"]),
            persons=(str(detail["signed"]["person"]), str(body["person"])),
        )


class Register:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self.size = 0
        self.policy_digest: str | None = None
        #: In whose name the platform speaks for itself: who adopted the rules in force, before that who began the log.
        self.answerable: str | None = None
        self.witnesses: str | None = None
        #: The origin that the entries speak under, and what was lost before one of them; "" before the first.
        self.origin = ""
        self.gaps: list[Gap] = []
        self.sandbox = False
        self.holds = Holds()
        self.custody = Custody()
        self.rotations = Rotations()
        self.tellings = Tellings()
        self.emergencies = Emergencies()
        self._proposal: Proposal | None = None
        self._approvals: dict[tuple[str, str], Approval] = {}
        self._seconded: set[int] = set()
        self._senders: dict[str, str] = {}
        self._orders: dict[int, Mapping[str, Any]] = {}
        self._findings: dict[str, Mapping[str, Any]] = {}
        self._withheld: dict[int, Withholding] = {}

    def apply(self, entry: Entry) -> None:
        detail = entry.body["detail"]
        self.size = entry.index + 1
        self.holds.apply(entry)
        self.custody.apply(entry)
        self.rotations.apply(entry)
        self.tellings.apply(entry)
        self.emergencies.apply(entry)
        match entry.event:
            case "log.origin.created":
                self.sandbox = bool(detail["sandbox"])
                self.answerable = str(entry.body["person"])
                self.origin = str(detail.get("origin", ""))
            case "log.origin.reopened":
                self.origin = str(detail["origin"])
                self.gaps.append(Gap.of(entry.body))
            case "log.witnesses.named":
                self.witnesses = str(detail["digest"])
            case "policy.bundle.proposed" | "policy.bundle.adopted":
                self._bundle(entry)
            case "key.sender.enrolled":
                self._senders[str(detail["sender"])] = str(detail["public_key"])
            case "approval.flow.granted" | "approval.flow.revoked" | "approval.flow.seconded":
                self._consent(entry)
            case "quarantine.repair.ordered":
                self._orders[entry.index] = entry.body
            case "quarantine.repair.promoted" | "quarantine.repair.refused":
                self._orders.pop(int(detail["ordered"]), None)
            case "finding.case.opened":
                self._findings[str(detail["finding"])] = {**detail, "opened": entry.index}
            case "finding.case.settled":
                self._findings.pop(str(detail["finding"]), None)
            case "access.sighting.withheld":
                self._withheld[entry.index] = Withholding(
                    index=entry.index,
                    entry=int(detail["entry"]),
                    reason=str(detail["reason"]),
                    person=str(entry.body["person"]),
                    reviewer=str(detail["reviewer"]),
                    until=datetime.fromisoformat(str(detail["until"])),
                )
            case "access.sighting.confirmed":
                known = self._withheld[int(detail["withheld"])]
                self._withheld[known.index] = replace(known, confirmed=entry.index)
            case _:
                pass

    def _bundle(self, entry: Entry) -> None:
        """The rules in force, in whose name; or what somebody wants in their place."""
        detail, person = entry.body["detail"], str(entry.body["person"])
        if entry.event == "policy.bundle.proposed":
            until = datetime.fromisoformat(str(detail["until"])) if "until" in detail else None
            pair = (str(detail["before"]), str(detail["digest"]))
            self._proposal = Proposal(*pair, person, entry.index, str(detail.get("plan", "")), until)
            return
        self.policy_digest, self.answerable, self._proposal = str(detail["digest"]), person, None

    def _consent(self, entry: Entry) -> None:
        """To a flow's digest: given, taken back, or agreed to by another person."""
        detail = entry.body["detail"]
        flow, digest = str(detail["flow"]), str(detail["digest"])
        if entry.event == "approval.flow.seconded":
            self._seconded.add(int(detail["approval"]))
        elif entry.event == "approval.flow.revoked":
            self._approvals.pop((flow, digest), None)
        else:
            person, post = str(entry.body["person"]), str(entry.body["post"])
            until = datetime.fromisoformat(str(detail["until"]))
            self._approvals[flow, digest] = Approval(flow, digest, person, post, until, entry.index)

    def proposal(self, before: str, digest: str) -> Proposal | None:
        """The last proposal, when it is of exactly this pair; whatever was adopted since has ended it."""
        found = self._proposal
        return found if found is not None and (found.before, found.digest) == (before, digest) else None

    def seconded(self, approval: int) -> bool:
        """Whether another person has agreed to the approval of entry ``approval``."""
        return approval in self._seconded

    def approval(self, flow: str, digest: str) -> Approval | None:
        """The standing approval of exactly this digest; the caller compares its end with the time."""
        return self._approvals.get((flow, digest))

    def sender_key(self, sender: str) -> str | None:
        """Hex Ed25519 public key enrolled for a sender."""
        return self._senders.get(sender)

    def order(self, index: int) -> Mapping[str, Any] | None:
        """The entry by which a steward ordered a repair, while nobody has carried it out."""
        return self._orders.get(index)

    def withholding(self, index: int) -> Withholding | None:
        """The withholding that entry ``index`` proposed; its end is the caller's to compare."""
        return self._withheld.get(index)

    def withheld(self, at: datetime) -> dict[int, Withholding]:
        """Entry → the withholding that is confirmed and in force; of what was there when it was proposed."""
        found = (each for each in self._withheld.values() if each.confirmed and each.until > at)
        return {each.entry: each for each in found if each.entry < each.index}

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """Open findings, oldest first."""
        return list(self._findings.values())

"""Facts: a log read once, as what a report asks of it. Pure; entries, window and time are given.

Two times are kept apart. What *happened* is counted within the window (from ≤ at < until). What *stands* (held,
open, unsigned, approved) follows from every entry given and is judged at ``now``.
Local dates are those of the district's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from huanshu.auditlog.register import Gap
from huanshu.catalog import Flow, Home, Obligation
from huanshu.catalog.working_days import due
from huanshu.errors import ContentError, Text, Where
from huanshu.report.evidence import Body

#: Obligations (audit/obligations.yaml) by which a delivery is late.
RECEIPT_DUE: Final = "receipt_due"
SIGNATURE_DUE: Final = "signature_due"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one receiver, with the entries that tell of it so far.

    A delivery stopped and authorised again is one delivery: ``authorised`` is the last authorisation."""

    delivery: str
    receiver: str
    flow: str
    authorised: Body
    arrived: Body | None = None
    stopped: Body | None = None
    signed: Body | None = None

    @property
    def under_way(self) -> bool:
        return self.arrived is None and self.stopped is None


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval ever given, and what has become of it."""

    granted: Body
    revoked: Body | None
    until: datetime
    #: in_force · ended · revoked · void (the flow's file is another now) · orphaned (approver left the post)
    state: str


@dataclass(frozen=True)
class Facts:
    """``log`` is every entry of the checkpoint in order."""

    log: Sequence[Body]
    home: Home
    begin: datetime
    until: datetime
    now: datetime

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.home.timezone)

    def at(self, body: Body) -> datetime:
        """When an entry was appended, local."""
        return datetime.fromisoformat(body["at"]).astimezone(self.zone)

    @cached_property
    def inside(self) -> tuple[Body, ...]:
        """The entries of the window."""
        return tuple(body for body in self.log if self.begin <= self.at(body) < self.until)

    def lately(self, event: str) -> list[Body]:
        """Entries of one event within the window."""
        return [body for body in self.inside if body["event"] == event]

    def ever(self, event: str) -> list[Body]:
        """Entries of one event, all."""
        return self._by_event.get(event, [])

    @cached_property
    def gaps(self) -> list[Gap]:
        """What was lost of the log and given up, oldest first."""
        return [Gap.of(body) for body in self.ever("log.origin.reopened")]

    @cached_property
    def _by_event(self) -> dict[str, list[Body]]:
        found: dict[str, list[Body]] = {}
        for body in self.log:
            found.setdefault(str(body["event"]), []).append(body)
        return found

    # -- deliveries -----------------------------------------------------------------------------

    @cached_property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every delivery ever authorised, in order of its last authorisation."""
        arrived = {str(b["detail"]["delivery"]): b for b in self.ever("exchange.delivery.arrived")}
        signed = {str(b["detail"]["delivery"]): b for b in self.ever("exchange.delivery.signed")}
        stopped = {int(b["detail"]["authorised"]): b for b in self.ever("exchange.delivery.stopped")}
        last = {str(b["detail"]["delivery"]): b for b in self.ever("exchange.delivery.authorised")}
        return tuple(
            Delivery(
                delivery=delivery,
                receiver=str(body["domain"]),
                flow=str(body["flow"]["id"]),
                authorised=body,
                arrived=arrived.get(delivery),
                stopped=stopped.get(int(body["index"])),
                signed=signed.get(delivery),
            )
            for delivery, body in sorted(last.items(), key=lambda item: int(item[1]["index"]))
        )

    @cached_property
    def under_way(self) -> tuple[Delivery, ...]:
        """Authorised, and neither arrived nor stopped."""
        return tuple(delivery for delivery in self.deliveries if delivery.under_way)

    @cached_property
    def unsigned(self) -> tuple[Delivery, ...]:
        """Arrived, and no clerk has signed."""
        return tuple(d for d in self.deliveries if d.arrived is not None and d.signed is None)

    def arrival_due(self, delivery: Delivery) -> datetime:
        return self.due(delivery.authorised, RECEIPT_DUE)

    def signature_due(self, delivery: Delivery) -> datetime:
        assert delivery.arrived is not None
        return self.due(delivery.arrived, SIGNATURE_DUE)

    def holding(self, receiver: str) -> tuple[Body, ...]:
        """The last arrival of each flow: together they tell what the receiver holds now."""
        return tuple(self._last_arrivals.get(receiver, {}).values())

    @cached_property
    def _last_arrivals(self) -> dict[str, dict[str, Body]]:
        found: dict[str, dict[str, Body]] = {}
        for body in self.ever("exchange.delivery.arrived"):
            found.setdefault(str(body["domain"]), {})[str(body["flow"]["id"])] = body
        return found

    @cached_property
    def receivers(self) -> tuple[str, ...]:
        """Declared receivers in tree order; then those that have received something and are declared no more."""
        declared = {code for flow in self.delivery_flows for code in flow.receivers}
        known = [domain.code for domain in self.home.policies.domains if domain.code in declared]
        return tuple(dict.fromkeys([*known, *(delivery.receiver for delivery in self.deliveries)]))

    @cached_property
    def delivery_flows(self) -> tuple[Flow, ...]:
        return tuple(flow for flow in self.home.flows.values() if flow.kind == "delivery")

    @cached_property
    def senders(self) -> tuple[str, ...]:
        """Declared sources of intakes; then senders of the log that are declared no more."""
        declared = [flow.source for flow in self.home.flows.values() if flow.kind == "intake"]
        logged = [str(b["detail"]["sender"]) for b in self.ever("exchange.intake.authorised")]
        return tuple(dict.fromkeys([*declared, *logged]))

    # -- findings -------------------------------------------------------------------------------

    @cached_property
    def findings(self) -> tuple[Body, ...]:
        """Entries that opened what nobody has settled, earliest due date first."""
        found: dict[str, Body] = {}
        for body in self.log:
            if body["event"] == "finding.case.opened":
                found[str(body["detail"]["finding"])] = body
            elif body["event"] == "finding.case.settled":
                found.pop(str(body["detail"]["finding"]), None)
        return tuple(sorted(found.values(), key=lambda body: (self.finding_due(body), int(body["index"]))))

    def finding_due(self, finding: Body) -> datetime:
        return datetime.fromisoformat(finding["detail"]["due"]).astimezone(self.zone)

    def findings_about(self, domain: str) -> tuple[Body, ...]:
        return tuple(body for body in self.findings if body["detail"]["about"] == domain)

    def _found(self, delivery: Delivery) -> bool:
        return any(
            body.get("flow", {}).get("id") == delivery.flow for body in self.findings_about(delivery.receiver)
        )

    @cached_property
    def overdue(self) -> tuple[Body, ...]:
        """What is late at ``now``, each matter once: findings; signatures; deliveries under way that nobody has
        made a finding of yet."""
        late = [body for body in self.findings if self.finding_due(body) < self.now]
        late += [d.arrived for d in self.unsigned if d.arrived and self.signature_due(d) < self.now]
        late += [
            d.authorised for d in self.under_way if not self._found(d) and self.arrival_due(d) < self.now
        ]
        return tuple(late)

    # -- approvals ------------------------------------------------------------------------------

    @cached_property
    def approvals(self) -> tuple[Approval, ...]:
        """The last approval of each digest of each flow, those in force first, then by end date."""
        given: dict[tuple[str, str], tuple[Body, Body | None]] = {}
        for body in self.log:
            if body["event"] in ("approval.flow.granted", "approval.flow.revoked"):
                thing = (str(body["detail"]["flow"]), str(body["detail"]["digest"]))
                if body["event"] == "approval.flow.granted":
                    given[thing] = (body, None)
                elif thing in given:
                    given[thing] = (given[thing][0], body)
        found = [self._approval(granted, revoked) for granted, revoked in given.values()]
        return tuple(sorted(found, key=lambda a: (a.state != "in_force", a.until, int(a.granted["index"]))))

    def _approval(self, granted: Body, revoked: Body | None) -> Approval:
        detail = granted["detail"]
        until = datetime.fromisoformat(detail["until"]).astimezone(self.zone)
        flow = self.home.flows.get(str(detail["flow"]))
        if revoked is not None:
            state = "revoked"
        elif until <= self.now:
            state = "ended"
        elif flow is None or flow.digest != detail["digest"]:
            state = "void"
        elif granted["person"] not in {
            holding.person
            for holding in self.home.policies.holders(flow.accountable_post, self.now.astimezone(self.zone))
        }:
            state = "orphaned"
        else:
            state = "in_force"
        return Approval(granted, revoked, until, state)

    @cached_property
    def unapproved(self) -> tuple[Flow, ...]:
        """Flows of the home that may not run now, for want of an approval in force."""
        approved = {str(a.granted["detail"]["flow"]) for a in self.approvals if a.state == "in_force"}
        return tuple(flow for flow in self.home.flows.values() if flow.flow not in approved)

    # -- deadlines ------------------------------------------------------------------------------

    def obligation(self, key: str) -> Obligation:
        """Raises ContentError ``report.obligation.missing``: no deadline is guessed."""
        if key not in self.home.obligations:
            raise ContentError(
                "report.obligation.missing",
                Text(f"the report needs the obligation {key}", f"报告需要义务 {key}"),
                remedy=Text("declare it; the sample home shows its form", "请登记该义务；格式参见示例目录"),
                where=Where("audit/obligations.yaml"),
            )
        return self.home.obligations[key]

    def due(self, body: Body, key: str) -> datetime:
        return due(self.at(body), self.obligation(key), self.home.calendar)

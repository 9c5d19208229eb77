"""May this entry be appended, by this asker, with these members? Pure: no I/O, no clock.

Rules
    A *claim* is what a client asks to have logged. The client's word selects (which flow, which receiver,
    which record); everything else in the entry is looked up here in the keeper's own reading of the home.

    event                            who                                  decided by
    log.origin.created               first person of an empty log         nothing before it
    policy.bundle.*                  see ``adopting``
    key.sender.enrolled              holder of a security_officer post    —
    approval.flow.granted / .revoked holder or deputy of its post         flow digest as read now
    approval.flow.seconded           see ``large``
    exchange.*.authorised            the flow's approver                  access plan, every field allowed
    exchange.* (settling)            the flow's approver                  the open ticket it settles
    exchange.delivery.signed         holder of a post in the receiver     an arrived delivery to it
    quarantine.*                     see ``quarantine``
    exchange.*.held .released .recalled   see ``holding``
    access.record.*                  holder of the post named             access plan, every field allowed
    access.comparison.authorised     see ``comparing``
    access.count.*, access.column.*  see ``counting``
    access.budget.raised             see ``budgets``
    access.emergency.*               see ``emergency``
    access.seen.* .exposure.* .sighting.*, log.entries.read   see ``tracing``
    retention.*                      a security officer                   see ``retention``
    keys.*, erasure.*                see ``custody``
    finding.*, report.*, drill.*     an established person; flow findings: the approver; alert/…: see ``alerts``
    correction.*, access.correction.*, access.workbook.*     see ``corrections``

A refusal raises DeniedError; the service logs it for the person established.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from huanshu.access import Enforcer, Plan, PlanRequest
from huanshu.access.terms import READS, WRITES
from huanshu.auditlog import EVENTS, Register
from huanshu.auditlog.rotations import Rotations
from huanshu.catalog.nouns import Flow, Holding, Home, Policies, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper import (
    adopting,
    alerts,
    budgets,
    comparing,
    corrections,
    counting,
    custody,
    emergency,
    holding,
    large,
    quarantine,
    retention,
    tracing,
)
from huanshu.keeper.establish import Asker, triggered
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.tickets import OpenTickets, Ticket

Claim = Mapping[str, Any]
#: Why a look-up found nothing.
_MISSES: Final = ("absent", "elsewhere")


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything a decision may look at, frozen at one instant."""

    home: Home
    enforcer: Enforcer
    register: Register
    tickets: OpenTickets
    at: datetime
    #: The bundle in force, where another one is to take its place, and whether that one may let anybody do more.
    in_force: Policies | None = None
    widens: Callable[[], bool] = lambda: True
    second: SecondPerson = field(default_factory=SecondPerson)
    #: What compares who confirms with who proposed.
    another: Callable[[str, str], None] = custody.require_another
    #: What says whether a rotation can have anything to do.
    due: Callable[[Rotations, str, str, int], bool] = Rotations.due

    def admit(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """The entry's body (without index, at, policy). Raises DeniedError."""
        rule = _RULES.get(claim["event"])
        if rule is None:
            raise _denied(
                "keeper.event.not_admitted", f"no client may log {claim['event']}", "客户端不得写入该事件"
            )
        return {"event": claim["event"], **rule(self, asker, claim)}

    def denial(self, asker: Asker, claim: Claim, denied: DeniedError) -> dict[str, Any] | None:
        """The entry of a refusal: who asked what, and why not; None when no person answers for it.

        A system's refused run is told in the name of whoever holds the flow's accountable post."""
        flow = self.home.flows.get(str((claim.get("flow") or {}).get("id", "")))
        person, post = asker.person, claim.get("post")
        by: str = asker.by
        if flow is not None and person is None:
            post = flow.accountable_post
            holders = self.home.policies.holders(flow.accountable_post, self.at)
            person, by = (holders[0].person if holders else None), "post"
            with suppress(DeniedError):  # started by hand: told in the name of who did, whatever the refusal
                asker = self._started(asker, claim)
                person, by = asker.person or person, asker.by if asker.person else by
        if person is None:
            return None
        body: dict[str, Any] = {
            "event": "access.request.denied",
            "person": person,
            "established": {"by": by, "account": asker.account},
            "detail": {"reason": denied.code, "asked": _known(claim.get("event"), EVENTS) or "unknown"},
        }
        known = {
            "post": _known(post, self.home.policies.posts),
            "domain": _known(claim.get("domain"), self.home.policies.domains),
            "dataset": flow.dataset if flow else _known(claim.get("dataset"), self.home.contracts),
            "purpose": flow.purpose if flow else _known(claim.get("purpose"), self.home.policies.purposes),
        }
        body.update({member: value for member, value in known.items() if value is not None})
        if fields := self._known_fields(claim, flow):
            body["fields"] = fields
        if flow is not None:
            body["flow"] = {"id": flow.flow, "digest": flow.digest}
        return body

    def _known_fields(self, claim: Claim, flow: Flow | None) -> dict[str, str]:
        """What was asked of fields that exist, in words that exist: so that the refusal can be replayed."""
        if flow is not None:
            if flow.kind == "intake":
                return dict.fromkeys((f.name for f in self.home.contracts[flow.dataset].fields), "write")
            return {name: rung.word for name, rung in flow.fields.items()}
        contract = self.home.contracts.get(str(claim.get("dataset")))
        asked = claim.get("fields")
        if contract is None or not isinstance(asked, Mapping):
            return {}
        words = {*READS, *WRITES}
        known = {field.name for field in contract.fields}
        return {
            name: word
            for name, word in asked.items()
            if name in known and isinstance(word, str) and word in words
        }

    # -- administrators -------------------------------------------------------------------------

    def _origin(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        if self.register.policy_digest is not None:
            raise _denied("keeper.origin.exists", "the log has an origin already", "日志已有起点")
        if (asker.by == "sandbox") != bool(claim["detail"]["sandbox"]):
            raise _denied(
                "keeper.origin.acting",
                "only a sandbox begins with a fictional person",
                "仅演练环境可由虚构人员创建",
            )
        return {**self.in_person(asker), "detail": dict(claim["detail"])}

    def _enrolment(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        sender = claim["detail"]["sender"]
        if sender not in self.home.policies.domains:
            raise _denied("key.sender.unknown", f"no domain {sender}", f"没有域 {sender}")
        post = self.post_with_role(asker, "security_officer")
        detail = {"sender": sender, "public_key": claim["detail"]["public_key"]}
        return {**self.in_person(asker), "post": post, "detail": detail}

    def _approval(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        flow = self.flow(claim)
        self.require_post(asker, flow.accountable_post)
        detail: dict[str, Any] = {"flow": flow.flow, "digest": flow.digest}
        if claim["event"] == "approval.flow.granted":
            if claim["detail"]["digest"] != flow.digest:
                raise _denied(
                    "approval.flow.other_digest",
                    "the flow read now has another digest",
                    "流向文件摘要与所批准的不符",
                )
            until = datetime.fromisoformat(claim["detail"]["until"])
            if until <= self.at:
                raise _denied(
                    "approval.flow.ended", "an approval needs a future end", "批准须有未来的截止时间"
                )
            detail["until"] = claim["detail"]["until"]
        return {
            **self.in_person(asker),
            "post": flow.accountable_post,
            "dataset": flow.dataset,
            "detail": detail,
        }

    # -- exchanges ------------------------------------------------------------------------------

    def _delivery(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        flow = self.flow(claim, kind="delivery")
        receiver = claim["detail"]["receiver"]
        if receiver not in flow.receivers:
            raise _denied(
                "exchange.receiver.undeclared",
                f"{flow.flow} does not go to {receiver}",
                f"流向未声明接收方 {receiver}",
            )
        named = ("delivery", "content", "receiver", "upserts", "withdrawals")
        detail = {member: claim["detail"][member] for member in named}
        holding.require_moving(self.register, flow, detail)
        holding.require_expected(self.register, flow, receiver, detail)
        plan = self.plan(flow.accountable_post, receiver, flow.dataset, flow.fields, flow.purpose)
        return self._authorised(asker, {**claim, "detail": detail}, flow, receiver, plan, "moved")

    def _intake(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        flow = self.flow(claim, kind="intake")
        if claim["detail"]["sender"] != flow.source:
            raise _denied("exchange.sender.undeclared", "another sender is declared", "申报的报送方不同")
        holding.require_moving(self.register, flow)
        (receiver,) = flow.receivers
        names = {field.name: "write" for field in self.home.contracts[flow.dataset].fields}
        plan = self.plan(flow.accountable_post, receiver, flow.dataset, names, flow.purpose)
        return self._authorised(asker, claim, flow, receiver, plan, "moved")

    def _repair(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """One quarantined row, repaired as its steward ordered, by whoever may run the intake."""
        flow = self.flow(claim, kind="intake")
        holding.require_moving(self.register, flow)
        (receiver,) = flow.receivers
        names = {field.name: "write" for field in self.home.contracts[flow.dataset].fields}
        plan = self.plan(flow.accountable_post, receiver, flow.dataset, names, flow.purpose)
        claim = {**claim, "detail": quarantine.order_of(self, claim, flow.dataset)}
        return self._authorised(asker, claim, flow, receiver, plan, "moved")

    def _authorised(
        self, asker: Asker, claim: Claim, flow: Flow, domain: str, plan: Plan, how: str
    ) -> dict[str, Any]:
        body = self.for_flow(asker, claim, flow, domain)
        until = min(plan.valid_until, self.flow_approval(flow).until)
        return {
            **body,
            "purpose": flow.purpose,
            "fields": {name: _word(asked) for name, asked in plan.asked.items()},
            "how": how,
            "contract": self.home.contracts[flow.dataset].digest,
            "detail": {**claim["detail"], "until": until.isoformat()},
        }

    def _settling(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """``arrived``, ``stopped``, ``promoted``, ``refused``: settles exactly one open ticket of the same flow,
        by whoever may run that flow.

        Not bound to the policy of now: an effect that has happened is told even when the rule has gone."""
        ticket = Ticket(claim["ticket"]["index"], claim["ticket"]["leaf_hash"])
        opened = self.tickets.entry(ticket)
        self.require_runner(asker, str(opened["post"]))
        kind = claim["event"].rsplit(".", 1)[0]
        if opened["event"] != f"{kind}.authorised":
            raise _denied("keeper.ticket.other_kind", "the ticket is of another kind", "凭据种类不符")
        detail = {**claim["detail"], "authorised": ticket.index}
        for bound in ("delivery", "content", "batch", "of", "row", "ordered"):
            if bound in opened["detail"]:
                detail[bound] = opened["detail"][bound]
        carried = ("person", "established", "post", "domain", "dataset", "purpose", "flow", "contract")
        body = {member: opened[member] for member in carried if member in opened}
        return {**body, "detail": detail}

    def _run(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        flow = self.flow(claim)
        return {**self.for_flow(asker, claim, flow, flow.source), "detail": dict(claim["detail"])}

    def _signature(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """By a post of the receiving domain, for a delivery that has arrived there; all else is looked up."""
        arrived = self.tickets.arrived(str(claim["detail"]["delivery"]))
        if arrived is None or arrived.body["domain"] != claim["domain"]:
            raise _denied(
                "exchange.receipt.unknown",
                "no such delivery has arrived at this domain",
                "该域没有收到此次交付",
            )
        receiver = str(arrived.body["domain"])
        post = self.post_in(asker, receiver)
        return {
            **self.in_person(asker),
            "post": post,
            "domain": receiver,
            "dataset": arrived.body["dataset"],
            "detail": {"delivery": arrived.body["detail"]["delivery"], "arrived": arrived.index},
        }

    # -- single records -------------------------------------------------------------------------

    def _sought(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """A look-up by the one kind of identifier that the dataset's records go by: a link of another kind finds
        nothing here, and everything elsewhere."""
        body = self._record(asker, claim)
        tracing.require_kind(claim, {self.home.contracts[claim["dataset"]].primary_key.link_kind})
        return {**body, "detail": {}}

    def _record(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        self.require_post(asker, claim["post"])
        valid_until, declared = self.allowed_until(asker, claim)
        body: dict[str, Any] = {
            **self.in_person(asker),
            "post": claim["post"],
            "domain": claim["domain"],
            "dataset": claim["dataset"],
            "purpose": claim["purpose"],
            "fields": dict(claim["fields"]),
        }
        if claim["event"] != "access.record.authorised":
            if claim["detail"].get("reason", _MISSES[0]) not in _MISSES:
                raise ValueError  # a person's own words could be a value, in the log for ever
            return {**body, "detail": dict(claim["detail"])}
        ends = min(valid_until, self.at + timedelta(seconds=self.home.policies.keys.lend_max_seconds))
        under = {} if declared is None else {"emergency": declared}
        return {
            **body,
            "how": "viewed",
            "contract": self.home.contracts[claim["dataset"]].digest,
            "detail": {**claim["detail"], "until": ends.isoformat(), **under},
        }

    def allowed_until(self, asker: Asker, claim: Claim) -> tuple[datetime, int | None]:
        """Until when the rules allow this look; or, where they do not, until when a broken glass does, and which."""
        asked = {name: Rung.of(word) for name, word in claim["fields"].items()}
        try:
            plan = self.plan(claim["post"], claim["domain"], claim["dataset"], asked, claim["purpose"])
        except DeniedError:
            said = {**claim, "person": self.in_person(asker)["person"]}
            found = self.register.emergencies.covering(said, self.at)
            if found is None:
                raise
            return found.until, found.index
        return plan.valid_until, None

    # -- findings, reports, drills --------------------------------------------------------------

    def _finding(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        """Findings belong to a flow, whose approver's run opens and settles them."""
        if claim.get("flow") is None and str(claim["detail"]["finding"]).startswith(corrections.FINDINGS):
            return corrections.finding(self, asker, claim)
        if claim.get("flow") is None and str(claim["detail"]["finding"]).startswith(quarantine.FINDINGS):
            return quarantine.finding_settled(self, asker, claim)
        if claim.get("flow") is None and str(claim["detail"]["finding"]).startswith(alerts.FINDINGS):
            return alerts.finding(self, asker, claim)
        if claim.get("flow") is None:
            raise _denied("finding.case.unowned", "a finding belongs to a flow", "发现须归属某一流向")
        flow = self.flow(claim)
        body = self.for_flow(asker, claim, flow, claim["domain"])
        if str(claim["detail"]["finding"]).split("/")[1:2] not in ([flow.flow], [flow.dataset]):
            raise _denied("finding.case.unowned", "the finding is of another flow", "该发现属于另一流向")
        return {**body, "detail": dict(claim["detail"])}

    def _by_person(self, asker: Asker, claim: Claim) -> dict[str, Any]:
        return {**self.in_person(asker), "detail": dict(claim["detail"])}

    # -- look-ups -------------------------------------------------------------------------------

    def flow(self, claim: Claim, kind: str | None = None) -> Flow:
        flow = self.home.flows.get(claim["flow"]["id"])
        if flow is None or (kind is not None and flow.kind != kind):
            raise _denied("exchange.flow.unknown", "no such flow", "没有该流向")
        return flow

    def flow_approval(self, flow: Flow) -> Any:
        """The approval of this very digest by a person who holds the accountable post now (invariant 5)."""
        approval = self.register.approval(flow.flow, flow.digest)
        holders = {h.person for h in self.home.policies.holders(flow.accountable_post, self.at)}
        if approval is None or approval.until <= self.at or approval.person not in holders:
            raise DeniedError(
                "exchange.flow.unapproved",
                Text(
                    f"{flow.flow} at digest {flow.digest[:12]} is not approved by a holder of {flow.accountable_post}",
                    f"流向 {flow.flow}（摘要 {flow.digest[:12]}）未经 {flow.accountable_post} 任职者批准",
                ),
                remedy=Text(
                    f"a holder runs: huanshu flow approve {flow.flow} --until DATE",
                    f"由任职者运行：huanshu flow approve {flow.flow} --until 日期",
                ),
                where=flow.where,
            )
        return approval

    def for_flow(self, asker: Asker, claim: Claim, flow: Flow, domain: str) -> dict[str, Any]:
        """Members of a flow run's entry. A system runs in the approver's name; a person must hold the post, as must who
        started the run by hand in Airflow."""
        asker = self._started(asker, claim)
        self.require_runner(asker, flow.accountable_post)
        approval = self.flow_approval(flow)
        named: dict[str, Any] = {"id": flow.flow, "digest": flow.digest, "approval": approval.index}
        if claim["flow"].get("run"):
            named["run"] = claim["flow"]["run"]
        return {
            "person": asker.person or approval.person,
            "established": {
                "by": asker.by if asker.person else "approval",
                "account": asker.account,
            },
            "post": flow.accountable_post,
            "domain": domain,
            "dataset": flow.dataset,
            "flow": named,
        }

    def _started(self, asker: Asker, claim: Claim) -> Asker:
        """Who started the run by hand, where a scheduler says so; otherwise whoever asks."""
        account = claim["flow"].get("triggered_by")
        if account is None:
            return asker
        self.require_scheduler(asker)
        return triggered(asker, str(account), self.home.policies)

    def plan(self, post: str, domain: str, dataset: str, fields: Mapping[str, Any], purpose: str) -> Plan:
        plan = self.enforcer.plan(PlanRequest(post, domain, dataset, fields, purpose, self.at))
        if not plan.allowed:
            raise DeniedError(
                "access.request.denied",
                plan.explanation,
                remedy=plan.remedy,
            )
        return plan

    def in_person(self, asker: Asker) -> dict[str, Any]:
        if asker.person is None:
            raise _denied("identity.person.missing", "a system cannot do this", "系统账号不能执行此操作")
        return {"person": asker.person, "established": {"by": asker.by, "account": asker.account}}

    def require_runner(self, asker: Asker, post: str) -> None:
        """Who may run a flow: a person who holds its post now, a scheduler, or the owner of a sandbox."""
        if asker.person is not None:
            self.require_post(asker, post)
            return
        self.require_scheduler(asker)

    def require_scheduler(self, asker: Asker) -> None:
        """A system that runs flows, or a sandbox's owner in nobody's name."""
        system = self.home.policies.systems.get(asker.system or "")
        if asker.person is not None:
            raise _denied("identity.person.stated", "a person states nobody else", "个人不能代他人申请")
        if asker.by != "sandbox" and (system is None or system.kind != "scheduler"):
            raise _denied(
                "identity.system.no_scheduler", "this system runs no flows", "该系统账号不能运行流向"
            )

    def require_seconded(self, asker: Asker, claim: Claim, event: str) -> None:
        """DeniedError unless the asker may confirm what the claim cites."""
        custody.second(self, asker, claim, event)

    def require_carrying_out(self, asker: Asker) -> None:
        """Who carries out an erasure: the platform, or a person who may confirm one."""
        if asker.person is None:
            self.require_scheduler(asker)
        else:
            custody.seconding_post(self, asker)

    def require_post(self, asker: Asker, post: str) -> None:
        person = self.in_person(asker)["person"]
        if person not in {h.person for h in self.home.policies.holders(post, self.at)}:
            raise DeniedError(
                "identity.post.not_held",
                Text(f"{person} does not hold {post} now", f"{person} 当前未任 {post}"),
                remedy=Text(
                    "act in a post you hold (policies/posts.csv)",
                    "请以本人现任岗位操作（policies/posts.csv）",
                ),
            )

    def post_with_role(self, asker: Asker, role: str) -> str:
        return self.post_where(asker, lambda holding: holding.role == role, role)

    def post_in(self, asker: Asker, domain: str) -> str:
        """A post that the asker, a person, holds in the domain now."""
        return self.post_where(asker, lambda holding: holding.domain == domain, domain)

    def post_where(self, asker: Asker, fits: Callable[[Holding], bool], wanted: str) -> str:
        """A post that the asker, a person, holds now and that fits. DeniedError, naming what was wanted, otherwise."""
        person = self.in_person(asker)["person"]
        for post in self.home.policies.posts_of(person, self.at):
            if fits(post):
                return post.post
        raise DeniedError(
            "identity.post.not_held",
            Text(f"{person} holds no post for {wanted} now", f"{person} 当前没有与 {wanted} 对应的岗位"),
            remedy=Text(
                "act in a post you hold (policies/posts.csv)", "请以本人现任岗位操作（policies/posts.csv）"
            ),
        )


def _known(token: object, known: Container[str]) -> str | None:
    """A token only when it names something known: what somebody typed by mistake may be a value."""
    return token if isinstance(token, str) and token in known else None


def _word(asked: object) -> str:
    return asked.word if isinstance(asked, Rung) else str(asked)


def _denied(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


_RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "log.origin.created": Admission._origin,
    **adopting.RULES,
    "key.sender.enrolled": Admission._enrolment,
    "approval.flow.granted": Admission._approval,
    "approval.flow.revoked": Admission._approval,
    **large.RULES,
    "exchange.intake.authorised": Admission._intake,
    "exchange.intake.promoted": Admission._settling,
    "exchange.intake.refused": Admission._settling,
    "exchange.delivery.authorised": Admission._delivery,
    "exchange.delivery.arrived": Admission._settling,
    "exchange.delivery.stopped": Admission._settling,
    "exchange.delivery.signed": Admission._signature,
    "exchange.run.started": Admission._run,
    "exchange.run.completed": Admission._run,
    "exchange.coverage.reached": Admission._run,
    "exchange.run.held": holding.run_held,
    "exchange.run.released": holding.run_released,
    "exchange.flow.held": holding.flow_held,
    "exchange.flow.released": holding.flow_released,
    "exchange.delivery.recalled": holding.delivery_recalled,
    "access.record.sought": Admission._sought,
    "access.record.authorised": Admission._record,
    "access.record.missed": Admission._record,
    **emergency.RULES,
    **comparing.RULES,
    **counting.RULES,
    **budgets.RULES,
    **tracing.RULES,
    **retention.RULES,
    **custody.RULES,
    "finding.case.opened": Admission._finding,
    "finding.case.settled": Admission._finding,
    "report.page.built": Admission._by_person,
    "drill.run.completed": Admission._by_person,
    **corrections.RULES,
    "access.quarantine.authorised": quarantine.shown,
    "quarantine.row.dismissed": quarantine.row_dismissed,
    quarantine.ORDERED: quarantine.repair_ordered,
    "quarantine.repair.authorised": Admission._repair,
    "quarantine.repair.promoted": Admission._settling,
    "quarantine.repair.refused": Admission._settling,
}

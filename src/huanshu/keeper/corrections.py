"""Admission of corrections and workbooks. Pure: no I/O, no clock.

    event                         who                                         decided by
    correction.batch.authorised   holder of the proposing post                plan: ``propose`` on every field
    correction.batch.held         holder of the post named, in its domain     —
    correction.batch.judged       the platform                                the open ticket it settles
    correction.change.authorised  the steward of the field's authority, not    plan: ``approve``
                                  the person who proposed
    correction.change.accepted, .conflicted  the same person                  the open ticket it settles
    correction.change.refused     the steward of the field's authority        plan: ``approve``
    correction.change.withdrawn   holder of the proposing post                plan: ``propose``
    access.correction.authorised  holder of the post named                    plan: a rung
    access.workbook.authorised    holder of the post named                    plan: a rung for every field
    finding.case.* (correction/…) who holds, judges or answers the correction

The *platform* is a system that runs flows, or the owner of a sandbox acting in nobody's name. Judging a proposal
compares it with fields that its proposer may not see, and a workbook holds thousands of values: keys for either are
lent to the platform's process and never to a person's (``PLATFORM_ONLY``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog import Contract, Rung, steward_of
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.tickets import Ticket
from huanshu.quality import touching

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: Keys against these entries leave for the platform's own process only.
PLATFORM_ONLY: Final = frozenset({"correction.batch.authorised", "access.workbook.authorised"})
#: Why a steward refuses; the sentences are ``huanshu.exchange.corrections.reasons``.
REFUSALS: Final = frozenset(
    {"evidence_insufficient", "register_right", "other_authority", "other_procedure", "already_corrected"}
)
#: Why a batch is held: nothing of it takes effect, and somebody is told.
HOLDS: Final = frozenset(
    {
        "correction.sequence.replayed",
        "correction.sequence.gap",
        "correction.origin.foreign",
        "correction.workbook.altered",
    }
)
COMPARED: Final = "compare"
RESEALED: Final = "reseal"
FINDINGS: Final = "correction/"
_JUDGED_WITHIN: Final = timedelta(days=1)
_EXPORTED_WITHIN: Final = timedelta(hours=1)


def correctable(contract: Contract, field: str) -> bool:
    """An identifier says whom a record is about, the home field who may see it: neither is changed from below."""
    known = contract.field(field)
    return not known.primary_key and known.link_kind is None and field != contract.home_field


def _batch(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    body, plan = _planned(admission, asker, claim, dict.fromkeys(claim["fields"], "propose"))
    contract = admission.home.contracts[body["dataset"]]
    for name in claim["fields"]:
        _require_correctable(contract, name)
    suite = admission.home.suites[contract.dataset]
    looked_at = {other for name in claim["fields"] for other in touching(name, suite, contract)}
    looked_at |= _delivered(admission, body["domain"], contract).intersection(claim.get("compared", ()))
    until = min(plan.valid_until, admission.at + _JUDGED_WITHIN)
    return {
        **body,
        "fields": {**dict.fromkeys(sorted(looked_at), COMPARED), **body["fields"]},
        "how": "compared",
        "contract": contract.digest,
        "detail": {**claim["detail"], "sender": body["domain"], "until": until.isoformat()},
    }


def _delivered(admission: Admission, domain: str, contract: Contract) -> set[str]:
    """What a workbook of this domain can show: all its columns are compared with what was given out."""
    flows = admission.home.flows.values()
    return {
        f
        for flow in flows
        if flow.dataset == contract.dataset and domain in flow.receivers
        for f in flow.fields
    }


def _held(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    admission.require_post(asker, claim["post"])
    _require_in(admission, claim["post"], claim["domain"])
    if claim["detail"]["reason"] not in HOLDS or claim["dataset"] not in admission.home.contracts:
        raise _unknown()
    return {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": claim["dataset"],
        "detail": dict(claim["detail"]),
    }


def _judged(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    require_platform(admission, asker)
    return _settled(admission, claim, "correction.batch", ("batch",))


def _change(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """One entry names the field that changes, and every sealed field that is re-sealed with it."""
    body, _, contract = _answering(admission, asker, claim)
    batch, change = str(claim["detail"]["batch"]), str(claim["detail"]["change"])
    proposers = admission.tickets.proposers(batch)
    if not proposers or not change.startswith(f"{batch[:12]}."):
        raise _unknown()
    if body["person"] in proposers:
        raise DeniedError(
            "correction.steward.proposer",
            Text(
                "nobody accepts what he proposed himself, in whichever posts",
                "提出更正者不得由本人采纳，不论以何岗位",
            ),
            remedy=Text("leave it to another holder of the post", "请由该岗位的其他任职者答复"),
        )
    resealed = {field.name: RESEALED for field in contract.sealed_fields}
    until = admission.at + timedelta(seconds=admission.home.policies.keys.lend_max_seconds)
    return {
        **body,
        "fields": {**resealed, **body["fields"]},
        "how": "moved",
        "contract": contract.digest,
        "detail": {**claim["detail"], "until": until.isoformat()},
    }


def _outcome(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    body = _settled(admission, claim, "correction.change", ("change", "batch", "record"))
    if admission.in_person(asker)["person"] != body["person"]:
        raise _unknown()
    opened = admission.tickets.entry(_ticket(claim))
    return {**body, "fields": {n: word for n, word in opened["fields"].items() if word == "approve"}}


def _refusal(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    if claim["detail"]["reason"] not in REFUSALS:
        raise _unknown()
    body, _, _ = _answering(admission, asker, claim)
    return {**body, "detail": dict(claim["detail"])}


def _withdrawal(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    body, _ = _planned(admission, asker, claim, dict.fromkeys(claim["fields"], "propose"))
    return {**body, "detail": dict(claim["detail"])}


def _look(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    seconds = admission.home.policies.keys.lend_max_seconds
    return _viewed(admission, asker, claim, timedelta(seconds=seconds))


def _workbook(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    _require_in(admission, claim["post"], claim["domain"])
    return _viewed(admission, asker, claim, _EXPORTED_WITHIN)


def _viewed(admission: Admission, asker: Asker, claim: Claim, within: timedelta) -> dict[str, Any]:
    asked = {name: Rung.of(word) for name, word in claim["fields"].items()}
    body, plan = _planned(admission, asker, claim, asked)
    return {
        **body,
        "fields": {name: rung.word for name, rung in asked.items()},
        "how": "viewed",
        "contract": admission.home.contracts[body["dataset"]].digest,
        "detail": {**claim["detail"], "until": min(plan.valid_until, admission.at + within).isoformat()},
    }


def finding(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Opened with the entry that holds or judges a batch; settled by its owner, by security staff, or — a gap that was
    filled — by the community whose batch it was."""
    detail = dict(claim["detail"])
    if claim["event"] == "finding.case.opened" and claim.get("ticket") is not None:
        require_platform(admission, asker)
        opened = admission.tickets.entry(_ticket(claim))
        carried = ("person", "established", "post", "domain", "dataset")
        return {**{member: opened[member] for member in carried}, "detail": detail}
    person = admission.in_person(asker)
    admission.require_post(asker, claim["post"])
    if claim["event"] == "finding.case.settled":
        known = next((f for f in admission.register.findings if f["finding"] == detail["finding"]), None)
        if known is None:
            raise _unknown()
        holding = next(h for h in admission.home.policies.holdings if h.post == claim["post"])
        ours = known["about"] == holding.domain and detail["disposition"] in ("filled", "withdrawn")
        if not (claim["post"] == known["owner_post"] or holding.role == "security_officer" or ours):
            raise _unknown()
    else:
        _require_in(admission, claim["post"], claim["domain"])
    return {
        **person,
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": claim["dataset"],
        "detail": detail,
    }


def require_platform(admission: Admission, asker: Asker) -> None:
    """A system that runs flows, or a sandbox's owner in nobody's name."""
    if asker.person is not None:
        raise DeniedError(
            "correction.judge.in_person",
            Text("judging is the platform's, not a person's", "核对由平台执行，不由个人执行"),
            remedy=Text(
                "it follows by itself; or the scheduler's account runs: huanshu correction judge",
                "系统会自动核对；或由调度账号运行：huanshu correction judge",
            ),
        )
    admission.require_scheduler(asker)


# -- what the rules share ---------------------------------------------------------------------------------


def _planned(
    admission: Admission, asker: Asker, claim: Claim, asked: Mapping[str, Any]
) -> tuple[dict[str, Any], Any]:
    admission.require_post(asker, claim["post"])
    plan = admission.plan(claim["post"], claim["domain"], claim["dataset"], asked, claim["purpose"])
    body = {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": claim["dataset"],
        "purpose": claim["purpose"],
        "fields": dict(asked),
    }
    return body, plan


def _answering(admission: Admission, asker: Asker, claim: Claim) -> tuple[dict[str, Any], Any, Contract]:
    (name,) = claim["fields"]
    body, plan = _planned(admission, asker, claim, {name: "approve"})
    contract = admission.home.contracts[claim["dataset"]]
    _require_correctable(contract, name)
    steward = steward_of(admission.home, contract, contract.field(name))
    if claim["post"] != steward:
        raise DeniedError(
            "correction.steward.other",
            Text(f"{steward} answers for this field", f"该字段由 {steward} 答复"),
            remedy=Text("leave it to that post", "请交由该岗位答复"),
        )
    return body, plan, contract


def _settled(admission: Admission, claim: Claim, kind: str, bound: Iterable[str]) -> dict[str, Any]:
    ticket = _ticket(claim)
    opened = admission.tickets.entry(ticket)
    if opened["event"] != f"{kind}.authorised":
        raise _unknown()
    carried = ("person", "established", "post", "domain", "dataset", "purpose", "contract")
    detail = {
        **claim["detail"],
        **{member: opened["detail"][member] for member in bound},
        "authorised": ticket.index,
    }
    return {**{member: opened[member] for member in carried}, "detail": detail}


def _ticket(claim: Claim) -> Ticket:
    return Ticket(claim["ticket"]["index"], claim["ticket"]["leaf_hash"])


def _require_in(admission: Admission, post: str, domain: str) -> None:
    if domain not in {h.domain for h in admission.home.policies.holdings if h.post == post}:
        raise DeniedError(
            "correction.origin.foreign",
            Text("the post is not of that domain", "该岗位不属于此域"),
            remedy=Text("act for your own domain", "请以本人岗位所在的域操作"),
        )


def _require_correctable(contract: Contract, name: str) -> None:
    if not correctable(contract, name):
        raise DeniedError(
            "correction.field.fixed",
            Text(
                "identifiers and the home community are corrected by the department alone",
                "标识与所属社区只由部门更正",
            ),
            remedy=Text("ask the department", "请联系主管部门"),
        )


def _unknown() -> DeniedError:
    return DeniedError(
        "correction.claim.unknown",
        Text("there is no such correction to act on", "没有可如此处理的更正"),
        remedy=Text("see: huanshu correction list", "参见：huanshu correction list"),
    )


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "access.correction.authorised": _look,
    "access.workbook.authorised": _workbook,
    "correction.batch.authorised": _batch,
    "correction.batch.held": _held,
    "correction.batch.judged": _judged,
    "correction.change.authorised": _change,
    "correction.change.accepted": _outcome,
    "correction.change.conflicted": _outcome,
    "correction.change.refused": _refusal,
    "correction.change.withdrawn": _withdrawal,
}

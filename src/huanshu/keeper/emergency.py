"""Breaking the glass (紧急调阅): what nobody granted, for a few hours, told to the data owner at once. Pure.

    event                       who                                   bound to
    access.emergency.declared   holder of a post whose role the       own domain or below, one dataset, purpose, fields
                                limits name                           at rungs; at most four hours
    access.emergency.reviewed   holder of the data owner's post, or   the declaration, by another person
                                a security officer
    access.emergency.escalated  the keeper                            a declaration that nobody reviewed in time

Under it only single records are read, one entry each, within the person's budgets like any other look. Without a review
in time the person breaks no glass any more, and security staff have a finding; nor after misuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.access.terms import offers
from huanshu.auditlog import Register
from huanshu.auditlog.emergencies import Declared
from huanshu.catalog.nouns import Contract, Home, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.holding import in_words
from huanshu.keeper.tracing import reading_post

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

VERDICTS: Final = ("justified", "misuse")
_SEEN: Final = (Rung.MASK, Rung.REVEAL)


def _declared(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    admission.require_post(asker, claim["post"])
    said, home, limits = admission.in_person(asker), admission.home, admission.home.policies.limits.emergency
    holding = next(
        h for h in home.policies.holders(claim["post"], admission.at) if h.person == said["person"]
    )
    if holding.role not in limits.roles:
        raise _refused(
            "access.emergency.role", f"a {holding.role} breaks no glass here", f"{holding.role} 无权紧急调阅"
        )
    if not _reaches(home, holding.domain, str(claim["domain"])):
        raise _refused("access.emergency.elsewhere", "only in the own domain or below", "仅限本域及下级域")
    if admission.register.emergencies.suspended(said["person"], admission.at):
        raise _refused(
            "access.emergency.suspended",
            "the last time was not reviewed in time, or was misuse",
            "上次紧急调阅逾期未复核或被认定为滥用",
        )
    contract = home.contracts[claim["dataset"]]
    purpose = home.policies.purposes[claim["purpose"]]
    hours = int(claim["detail"]["hours"])
    sound = (
        contract.dataset in purpose.datasets
        and purpose.valid_from <= admission.at.date() <= purpose.valid_until
    )
    if not sound or not 0 < hours <= limits.hours:
        raise _refused(
            "access.emergency.bounds",
            f"a purpose that is valid for the dataset, and at most {limits.hours} hours",
            f"须为该数据集的有效用途，且不超过 {limits.hours} 小时",
        )
    return {
        **said,
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": contract.dataset,
        "purpose": purpose.purpose,
        "fields": _fields(contract, claim["fields"]),
        "detail": {
            "reason": in_words(claim, "reason"),
            "until": (admission.at + timedelta(hours=hours)).isoformat(),
            "review_by": (admission.at + timedelta(hours=limits.review_hours)).isoformat(),
            "owner_post": contract.steward_post,
        },
    }


def _fields(contract: Contract, asked: Mapping[str, str]) -> dict[str, str]:
    rungs = {name: Rung.of(word) for name, word in asked.items()}
    if not rungs or not all(
        rung in _SEEN and offers(contract.field(name), rung.word) for name, rung in rungs.items()
    ):
        raise ValueError
    return {name: rung.word for name, rung in rungs.items()}


def _reaches(home: Home, own: str, domain: str) -> bool:
    """The own domain, or an administrative unit below it; for a department: below what it stands under."""
    tree = home.policies.domains
    if domain not in tree:
        return False
    base = tree[own].parent if tree[own].kind == "department" else own
    below = base is not None and tree.is_below(domain, base) and tree[domain].kind != "department"
    return domain == own or below


def _reviewed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    detail = claim["detail"]
    declared, said = (
        admission.register.emergencies.declared(int(detail["declared"])),
        admission.in_person(asker),
    )
    if declared is None or declared.verdict is not None or detail["verdict"] not in VERDICTS:
        raise _refused(
            "access.emergency.unknown", "nothing of that kind waits for review", "没有待复核的紧急调阅"
        )
    admission.second.require_other(declared.person, said["person"])
    post = declared.owner_post
    try:
        admission.require_post(asker, post)
    except DeniedError:
        post = admission.post_with_role(asker, "security_officer")
    return {
        **said,
        "post": post,
        "dataset": declared.dataset,
        "detail": {
            "declared": declared.index,
            "verdict": str(detail["verdict"]),
            "reason": in_words(claim, "reason"),
        },
    }


def owed(register: Register, home: Home, at: datetime, spoken: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the keeper owes the log about emergencies; ``spoken``: in whose name it speaks for itself."""
    for each in list(register.emergencies.untold()):
        yield _told(each, each.finding, each.owner_post, each.review_by)
    for each in list(register.emergencies.unsettled()):
        assert each.reviewer is not None
        for finding in register.emergencies.open_of(each):
            settled = {"finding": finding, "disposition": each.verdict}
            yield {"event": "finding.case.settled", **each.reviewer, "detail": settled}
    officers = (h.post for h in home.policies.holdings if h.role == "security_officer")
    officer = next((post for post in officers if home.policies.holders(post, at)), None)
    for each in list(register.emergencies.overdue(at)):
        late = {
            "declared": each.index,
            "review_by": each.review_by.isoformat(),
            "owner_post": officer or each.owner_post,
        }
        if officer is not None:
            yield _told(each, each.escalation, officer, at)
        yield {**spoken, "event": "access.emergency.escalated", "dataset": each.dataset, "detail": late}


def _told(of: Declared, finding: str, owner: str, due: datetime) -> dict[str, Any]:
    return {
        "event": "finding.case.opened",
        "person": of.person,
        "established": dict(of.established),
        "post": of.post,
        "domain": of.domain,
        "dataset": of.dataset,
        "detail": {
            "finding": finding,
            "kind": "emergency",
            "due": due.isoformat(),
            "owner_post": owner,
            "about": of.person,
        },
    }


def require_reader(admission: Admission, asker: Asker, of: Declared) -> None:
    """DeniedError unless the asker answers for the data or may read the log."""
    try:
        admission.require_post(asker, of.owner_post)
    except DeniedError:
        reading_post(admission, asker)


def told(of: Declared) -> dict[str, Any]:
    """What its readers are told of an emergency."""
    return {
        "index": of.index,
        "person": of.person,
        "post": of.post,
        "domain": of.domain,
        "dataset": of.dataset,
        "fields": dict(of.fields),
        "until": of.until.isoformat(),
        "review_by": of.review_by.isoformat(),
        "owner_post": of.owner_post,
        "verdict": of.verdict,
        "escalated": of.escalated,
    }


def _refused(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(
        code,
        Text(en, zh),
        remedy=Text("ask for a rule, or for somebody who has one", "请申请授权，或由有权者办理"),
    )


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "access.emergency.declared": _declared,
    "access.emergency.reviewed": _reviewed,
}

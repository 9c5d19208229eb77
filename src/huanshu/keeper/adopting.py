"""Admission of policy bundles: who puts which rules in force. Pure: no I/O, no clock.

    event                    who                                        bound to
    policy.bundle.proposed   a security officer, its author             the pair: digest in force and proposed; the hash
                                                                        of the plan that was read; thirty days
    policy.bundle.adopted    the first of a log: a security officer     the digest read now
                             that only narrows: a security officer      the digest read now; at once
                             that may widen: a security officer or      the proposal of this very pair and plan, by
                             the district's chief data officer, not     another person, who is a security officer
                             its author                                 still; while it stands

Who proposes or adopts is who he is by the bundle in force (``establish``), and holds the role by it *and* by the one
read now: otherwise whoever can write the files would name himself in them first.

The plan (``huanshu access plan``) says what a change gives to whom. The keeper does not work it out; but both persons
name its hash, and it must be one: whoever agrees has been shown what was proposed.

Whether a change only narrows is worked out by the keeper, from the files kept under the digest in force and those read
now (``catalog.narrowing``, and ``catalog.lockout`` for who guards); a client's word is not asked. A bundle in force
that was not kept cannot be compared: then nothing takes its place until its own files have been put back once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog.lockout import seconds_bundles
from huanshu.catalog.nouns import Holding, Policies
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker, unkept

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

_STANDS: Final = timedelta(days=30)
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def _proposed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    detail = {**_pair(admission, claim), "plan": _plan(claim)}
    post = _post(admission, asker, _officer)
    detail["until"] = (admission.at + _STANDS).isoformat()
    return {**admission.in_person(asker), "post": post, "detail": detail}


def _adopted(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """With what it says of keys: so the log tells who ordered a rotation, whoever adopts other rules after him."""
    body, keys = _put_in_force(admission, asker, claim), admission.home.policies.keys
    told = {"epoch": keys.epoch, "generation": keys.link_generation}
    return {**body, "detail": {**body["detail"], **told}}


def _put_in_force(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    said, before = admission.in_person(asker), admission.register.policy_digest
    if before is None:
        post = admission.post_with_role(asker, "security_officer")
        return {**said, "post": post, "detail": {"digest": _now(admission, claim)}}
    pair = _pair(admission, {**claim, "detail": {"before": before, **claim["detail"]}})
    if before == pair["digest"] or not admission.widens():
        post = _post(admission, asker, _officer)
        return {**said, "post": post, "detail": {**pair, "author": said["person"]}}
    proposal = admission.register.proposal(before, pair["digest"])
    if proposal is None or proposal.until is None or proposal.until <= admission.at:
        raise DeniedError(
            "policy.bundle.unproposed",
            Text(
                f"{before[:12]} → {pair['digest'][:12]} may widen who sees what: that takes two persons",
                f"{before[:12]} → {pair['digest'][:12]} 可能扩大权限，须由两人完成",
            ),
            remedy=Text(
                "one security officer runs: huanshu policy propose; then another person: huanshu policy adopt",
                "请一名安全员运行 huanshu policy propose，再由另一人运行 huanshu policy adopt",
            ),
        )
    admission.second.require_other(proposal.person, said["person"])
    post = _post(admission, asker, seconds_bundles)
    if _plan(claim) != proposal.plan:
        raise DeniedError(
            "policy.bundle.other_plan",
            Text("its author has read another plan of this change", "提出人所核阅的变更方案与此不同"),
            remedy=Text(
                "compare what each of you read: huanshu access plan; then propose again",
                "请比对双方所核阅的方案（huanshu access plan），再重新提出",
            ),
        )
    for policies in (_in_force(admission), admission.home.policies):
        if not any(_officer(policies, held) for held in policies.posts_of(proposal.person, admission.at)):
            raise DeniedError(
                "policy.bundle.author_left",
                Text(
                    f"{proposal.person}, its author, is no security officer any more",
                    f"提出人 {proposal.person} 已不再担任安全员",
                ),
                remedy=Text("a security officer proposes it again", "请由现任安全员重新提出"),
            )
    detail = {**pair, "author": proposal.person, "proposed": proposal.index, "plan": proposal.plan}
    return {**said, "post": post, "detail": detail}


def _officer(_: Policies, holding: Holding) -> bool:
    return holding.role == "security_officer"


def _plan(claim: Claim) -> str:
    plan = str(claim["detail"].get("plan", ""))
    if _HASH.fullmatch(plan) is None:
        raise DeniedError(
            "policy.bundle.planless",
            Text("what may widen names the plan that was read", "可能扩大权限的变更须指明已核阅的变更方案"),
            remedy=Text(
                "read “huanshu access plan”, and give its hash", "请先查看“huanshu access plan”，并给出其摘要"
            ),
        )
    return plan


def _in_force(admission: Admission) -> Policies:
    if admission.in_force is None:
        raise unkept()
    return admission.in_force


def _post(admission: Admission, asker: Asker, may: Callable[[Policies, Holding], bool]) -> str:
    """A post of that kind that the asker holds by both bundles."""
    now, old = admission.home.policies, _in_force(admission)
    post = admission.post_where(asker, lambda held: may(now, held), "security_officer")
    person = admission.in_person(asker)["person"]
    if not any(may(old, held) for held in old.posts_of(person, admission.at)):
        raise DeniedError(
            "policy.bundle.self_named",
            Text(
                f"{person} may do so by the bundle read now, and not by the one in force",
                f"{person} 按当前读取的策略方有此权，按生效策略则无",
            ),
            remedy=Text("let somebody do it who holds the role now", "请由现任者办理"),
        )
    return post


def _pair(admission: Admission, claim: Claim) -> dict[str, str]:
    """The digest in force and the one read now, which must be those that the claim names."""
    before = admission.register.policy_digest
    if before is None or str(claim["detail"]["before"]) != before:
        raise DeniedError(
            "policy.bundle.overtaken",
            Text("other rules are in force than those compared with", "生效策略已变，与所比较的不同"),
            remedy=Text(
                "compare again: huanshu policy propose --dry-run",
                "请重新比较：huanshu policy propose --dry-run",
            ),
        )
    return {"before": before, "digest": _now(admission, claim)}


def _now(admission: Admission, claim: Claim) -> str:
    digest = admission.home.policies.digest
    if claim["detail"]["digest"] != digest:
        raise DeniedError(
            "policy.bundle.other",
            Text("the bundle read now has another digest", "当前读取的策略摘要与申请不符"),
        )
    return digest


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "policy.bundle.proposed": _proposed,
    "policy.bundle.adopted": _adopted,
}

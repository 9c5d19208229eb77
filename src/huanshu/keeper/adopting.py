"""Admission of policy bundles: who puts which rules in force. Pure: no I/O, no clock.

    event                    who                                        bound to
    policy.bundle.proposed   a security officer, its author             the pair: digest in force, digest proposed
    policy.bundle.adopted    the first of a log: a security officer     the digest read now
                             that only narrows: a security officer      the digest read now; at once
                             that may widen: a security officer or      the proposal of this very pair by another person
                             chief data officer, not its author

Who proposes or adopts must be that person, with that role, by the bundle in force *and* by the one read now: otherwise
whoever can write the files would name himself in them first.

Whether a change only narrows is worked out by the keeper, from the files kept under the digest in force and those read
now (``catalog.narrowing``); a client's word is not asked. A bundle in force that was not kept cannot be compared: then
nothing takes its place until its own files have been put back once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.second_person import SECOND, second_post

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim


def _proposed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    pair = _pair(admission, claim)
    post = _post(admission, asker, SECOND[:1])
    return {**admission.in_person(asker), "post": post, "detail": pair}


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
        post = _post(admission, asker, SECOND[:1])
        return {**said, "post": post, "detail": {**pair, "author": said["person"]}}
    proposal = admission.register.proposal(before, pair["digest"])
    if proposal is None:
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
    detail = {**pair, "author": proposal.person, "proposed": proposal.index}
    return {**said, "post": _post(admission, asker, SECOND), "detail": detail}


def _post(admission: Admission, asker: Asker, roles: Collection[str]) -> str:
    """A post with one of the roles that the asker holds by both bundles."""
    post = second_post(admission, asker) if len(roles) > 1 else admission.post_with_role(asker, SECOND[0])
    old, person = admission.in_force(), admission.in_person(asker)["person"]
    if old is None:
        raise DeniedError(
            "policy.bundle.unkept",
            Text("the bundle in force was not kept, or was changed", "生效中的策略包未留存或已被改动"),
            remedy=Text(
                "put its files back, start the keeper once, then change them again",
                "请先恢复其文件并启动一次钥匙保管，再行修改",
            ),
        )
    known = old.persons.get(person)
    stranger = asker.by == "os" and (known is None or known.os_account != asker.account)
    if stranger or not any(held.role in roles for held in old.posts_of(person, admission.at)):
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

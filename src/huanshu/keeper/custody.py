"""Admission of what is done to keys and with subjects for ever. Pure: no I/O, no clock.

    event                                 who                                      bound to
    keys.rotation.authorised              the platform, for who raised the number  cells or links that can be behind
    keys.rotation.completed .stopped      the platform                             the open ticket it settles
    keys.destruction.proposed             a security officer                       a selector of keys, a reason
    keys.escrow.proposed                  a security officer                       a reason
    erasure.subject.proposed              a security officer                       the subjects' bitmap, a case
    keys.destruction.confirmed            another natural person: an auditor, the  the one proposal, while it stands
    keys.escrow.sealed                    chief data officer of the district, or
    erasure.subject.confirmed             another security officer
    erasure.subject.completed             the platform, or who confirmed it        a confirmed erasure
    keys.escrow.rehearsed                 a security officer or an auditor         a copy's digest

Nobody confirms what he proposed, by whatever account or post: persons are compared, not accounts. The one who orders a
rotation is whoever adopted the rules that raised ``epoch`` (of links: ``link_generation``); no person's process holds
its keys, and the platform is lent them only while the log says that something can be behind (``auditlog.rotations``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.auditlog.custody import Custody, Proposal, Selector
from huanshu.auditlog.rotations import CELLS, MEASURES
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.holding import in_words

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

ROTATION: Final = "keys.rotation.authorised"
#: A proposal waits so long for the second person.
_WAITS: Final = timedelta(days=30)
#: A rotation that takes longer asks anew.
_ROTATES: Final = timedelta(days=3)
#: A number of a person's or a domain's records goes into an entry's text, never more of them.
_NAME: Final = re.compile(r"rotation/[0-9a-f]{16}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


def rotation(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    admission.require_scheduler(asker)
    contract = admission.home.contracts.get(claim["dataset"])
    name, what = str(claim["detail"]["rotation"]), str(claim["detail"]["what"])
    if contract is None or _NAME.fullmatch(name) is None or what not in MEASURES:
        raise ValueError
    keys, rotations = admission.home.policies.keys, admission.register.rotations
    wanted = keys.epoch if what == CELLS else keys.link_generation
    if not admission.due(rotations, contract.dataset, what, wanted):
        raise _not_due(contract.dataset)
    return {
        **_for_platform(admission, asker),
        "person": rotations.ordered_by(what, wanted) or admission.register.answerable,
        "domain": admission.home.policies.domains.district.code,
        "dataset": contract.dataset,
        "fields": {field.name: "write" for field in contract.fields},
        "how": "moved",
        "contract": contract.digest,
        "detail": {
            "rotation": name,
            "what": what,
            "epoch": keys.epoch,
            "generation": keys.link_generation,
            "until": (admission.at + _ROTATES).isoformat(),
        },
    }


def rotated(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Told whatever the rules are by then: the rows are as they are."""
    from huanshu.keeper.tickets import Ticket

    admission.require_scheduler(asker)
    ticket = Ticket(claim["ticket"]["index"], claim["ticket"]["leaf_hash"])
    opened = admission.tickets.entry(ticket)
    if opened["event"] != ROTATION:
        raise _denied("keeper.ticket.other_kind", "the ticket is of another kind", "凭据种类不符")
    carried = ("person", "established", "domain", "dataset", "contract")
    told = claim["detail"]
    members = ("rotation", "what", "epoch", "generation")
    detail: dict[str, Any] = {
        "authorised": ticket.index,
        **{member: opened["detail"][member] for member in members if member in opened["detail"]},
        "written": _written(told["written"]),
    }
    if claim["event"] == "keys.rotation.stopped":
        detail["reason"] = str(told["reason"])[:200]
    return {**{member: opened[member] for member in carried}, "detail": detail}


def destruction_proposed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    selector = Selector.of(claim["detail"]["selector"])
    policies = admission.home.policies
    known = (
        (selector.domain is None or selector.domain in policies.domains)
        and (selector.dataset is None or selector.dataset in admission.home.contracts)
        and selector.epoch <= policies.keys.epoch
    )
    if not known:
        raise _denied(
            "keys.selector.unknown", "no key of that name or epoch is known", "没有该名称或该版本的密钥"
        )
    return {
        **_proposed(admission, asker),
        "detail": {
            "selector": selector.as_json(),
            "keys": int(claim["detail"]["keys"]),
            "reason": in_words(claim, "reason"),
            "until": (admission.at + _WAITS).isoformat(),
        },
    }


def destruction_confirmed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    proposal, post = second(admission, asker, claim, "keys.destruction.proposed")
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {
            "proposed": proposal.index,
            "selector": proposal.body["detail"]["selector"],
            "keys": int(claim["detail"]["keys"]),
            "backups_until": backups_until(admission),
        },
    }


def escrow_proposed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    return {
        **_proposed(admission, asker),
        "detail": {
            "reason": in_words(claim, "reason"),
            "until": (admission.at + _WAITS).isoformat(),
        },
    }


def escrow_sealed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    proposal, post = second(admission, asker, claim, "keys.escrow.proposed")
    detail = {"proposed": proposal.index, "copy": _hex(claim["detail"]["copy"])}
    return {**admission.in_person(asker), "post": post, "detail": detail}


def escrow_rehearsed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    detail = {"copy": _hex(claim["detail"]["copy"]), "keys": int(claim["detail"]["keys"])}
    post = _post_of(admission, asker, ("security_officer", "auditor"))
    return {**admission.in_person(asker), "post": post, "detail": detail}


def erasure_proposed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    contract = admission.home.contracts.get(claim["dataset"])
    if contract is None:
        raise _denied("access.dataset.unknown", "no such dataset", "没有该数据集")
    return {
        **_proposed(admission, asker),
        "dataset": contract.dataset,
        "detail": {"case": in_words(claim, "case"), "until": (admission.at + _WAITS).isoformat()},
    }


def erasure_confirmed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    proposal, post = second(admission, asker, claim, "erasure.subject.proposed")
    return {
        **admission.in_person(asker),
        "post": post,
        "dataset": proposal.body["dataset"],
        "detail": {"proposed": proposal.index, "backups_until": backups_until(admission)},
    }


def erasure_completed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    erasure = admission.register.custody.erasure(int(claim["detail"]["erasure"]))
    if erasure is None or admission.register.custody.carried_out(erasure.index, erasure.dataset):
        raise _denied(
            "erasure.subject.unknown", "no such erasure waits to be carried out", "没有待执行的该项删除"
        )
    if asker.person is None:
        admission.require_scheduler(asker)
        person = _for_platform(admission, asker)
    else:
        person = admission.in_person(asker)
    post = "" if asker.person is None else _post_of(admission, asker, _SECONDS)
    told = claim["detail"]
    counts = {member: int(told[member]) for member in ("removed", "quarantined", "corrections", "tombstones")}
    return {
        **person,
        "post": post or "platform",
        "dataset": erasure.dataset,
        "detail": {
            "erasure": erasure.index,
            **counts,
            "tombstones_sha256": _hex(told["tombstones_sha256"]),
            "written": _written(told["written"]),
        },
    }


# -- two natural persons ----------------------------------------------------------------------------

_SECONDS: Final = ("security_officer", "auditor", "cdo")


def second(admission: Admission, asker: Asker, claim: Claim, event: str) -> tuple[Proposal, str]:
    """The proposal that the asker may confirm, and the post in which. DeniedError for who proposed it himself."""
    proposal = admission.register.custody.proposal(int(claim["detail"]["proposed"]), event)
    if proposal is None or proposal.until <= admission.at:
        raise DeniedError(
            "keys.proposal.unknown",
            Text("no such proposal waits for a second person", "没有待第二人确认的该项提请"),
            remedy=Text("see: huanshu keys status", "参见：huanshu keys status"),
        )
    admission.another(proposal.person, str(admission.in_person(asker)["person"]))
    return proposal, _post_of(admission, asker, _SECONDS)


def seconding_post(admission: Admission, asker: Asker) -> str:
    """A post in which the asker may confirm what another proposed."""
    return _post_of(admission, asker, _SECONDS)


def covered(custody: Custody, proposed: int, names: Iterable[str]) -> int:
    """How many of these keys a proposed destruction covers; 0 for no such proposal."""
    proposal = custody.proposal(proposed, "keys.destruction.proposed")
    if proposal is None:
        return 0
    selector = Selector.of(proposal.body["detail"]["selector"])
    return sum(selector.covers(name) for name in names)


def told(custody: Custody, names: Iterable[str], at: datetime) -> dict[str, Any]:
    """What stands, for people: counts and entries."""
    names, by_use = list(names), dict[str, int]()
    for name in names:
        use = name.split("/", 1)[0]
        by_use[use] = by_use.get(use, 0) + 1
    return {
        "keys": by_use,
        "waiting": [
            {"entry": p.index, "event": p.event, "person": p.person, "until": p.until.isoformat(), **_of_what(p, names)}
            for p in custody.proposals
            if p.until > at
        ],
        "destroyed": [selector.as_json() for selector in custody.destroyed],
        "erased": [
            {"entry": e.index, "dataset": e.dataset, "backups_until": e.backups_until,
             "carried_out": custody.carried_out(e.index, e.dataset)}
            for e in custody.erasures
        ],
    }  # fmt: skip


def _of_what(proposal: Proposal, names: Iterable[str]) -> dict[str, Any]:
    """What a second person agrees to: how many keys, how many persons. As the keeper counts, not as its author says."""
    body, detail = proposal.body, proposal.body["detail"]
    what = {member: detail[member] for member in ("selector", "reason", "case") if member in detail}
    if "selector" in detail:
        what["keys"] = sum(map(Selector.of(detail["selector"]).covers, names))
    if "subjects" in body:
        what |= {"dataset": body["dataset"], "subjects": body["subjects"]["count"]}
    return what


def require_another(proposer: str, person: str) -> None:
    """DeniedError when both are the same natural person."""
    if proposer == person:
        raise DeniedError(
            "keys.proposal.own",
            Text("nobody confirms what he proposed himself", "本人不能确认自己的提请"),
            remedy=Text(
                "another security officer, an auditor or the district's chief data officer confirms it",
                "请由另一名安全员、审计员或区首席数据官确认",
            ),
        )


def backups_until(admission: Admission) -> str:
    """The day when the last backup that was taken until now has expired."""
    kept = timedelta(days=admission.home.policies.keys.backups_kept_days)
    return (admission.at + kept).date().isoformat()


def _post_of(admission: Admission, asker: Asker, roles: tuple[str, ...]) -> str:
    """A post of one of these roles; a chief data officer's counts in the district's own domain only."""
    person = admission.in_person(asker)["person"]
    district = admission.home.policies.domains.district.code
    for post in admission.home.policies.posts_of(person, admission.at):
        if post.role in roles and (post.role != "cdo" or post.domain == district):
            return str(post.post)
    raise DeniedError(
        "identity.post.not_held",
        Text(
            f"{person} holds no post that may do this: {', '.join(roles)}",
            f"{person} 未任可执行此操作的岗位：{'、'.join(roles)}",
        ),
    )


# -- pieces -----------------------------------------------------------------------------------------


def _proposed(admission: Admission, asker: Asker) -> dict[str, Any]:
    post = _post_of(admission, asker, ("security_officer",))
    return {**admission.in_person(asker), "post": post}


def _for_platform(admission: Admission, asker: Asker) -> dict[str, Any]:
    return {
        "person": admission.register.answerable,
        "established": {"by": "approval", "account": asker.account},
    }


def _written(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"rows": int(told["rows"]), "ended": int(told["ended"]), "sha256": _hex(told["sha256"])}


def _hex(text: object) -> str:
    if _HEX.fullmatch(str(text)) is None:
        raise ValueError
    return str(text)


def _not_due(dataset: str) -> DeniedError:
    return DeniedError(
        "keys.rotation.not_due",
        Text(
            f"by the log nothing of {dataset} lies under keys before those in force",
            f"按日志，{dataset} 没有仍处于旧版密钥之下的数据",
        ),
        remedy=Text(
            "finish what was taken in and not told yet (run its flow again), or raise epoch in policies/keys.yaml",
            "请先完成尚未入链的接收（重新运行该流向），或将 policies/keys.yaml 的 epoch 加一",
        ),
    )


def _denied(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    ROTATION: rotation,
    "keys.rotation.completed": rotated,
    "keys.rotation.stopped": rotated,
    "keys.destruction.proposed": destruction_proposed,
    "keys.destruction.confirmed": destruction_confirmed,
    "keys.escrow.proposed": escrow_proposed,
    "keys.escrow.sealed": escrow_sealed,
    "keys.escrow.rehearsed": escrow_rehearsed,
    "erasure.subject.proposed": erasure_proposed,
    "erasure.subject.confirmed": erasure_confirmed,
    "erasure.subject.completed": erasure_completed,
}

"""Holds, releases and recalls: who may put and lift them, and what they refuse. Pure: no I/O, no clock.

Rules
    event                        who                                         bound to
    exchange.run.held            whoever may run the flow                    the deliveries that were due
    exchange.run.released        holder of the flow's accountable post       the one hold that stands, by index
    exchange.flow.held           holder of the accountable post, or a        everything of the flow, from the next
                                 security officer                            decision on
    exchange.flow.released       holder of the post that put it              that hold, by index
    exchange.delivery.recalled   as exchange.flow.held                       one delivery and its records

The numbers of a run come from the worker. What the keeper knows by itself it checks by itself: the fields each
receiver has had, and how much of what it holds would be withdrawn. A worker's word never releases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from huanshu.auditlog import Hold, Register, content_digest
from huanshu.auditlog.holds import NAMED
from huanshu.catalog.nouns import Flow
from huanshu.errors import DeniedError, HeldError, InputError, Text
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

REASON_LIMIT: Final = 200
_NUMBER: Final = re.compile(r"(?<![0-9])(?:[0-9]{11}|[0-9]{17}[0-9Xx])(?![0-9Xx])")
_DELIVERY: Final = re.compile(rf"[0-9a-f]{{{NAMED}}}")
_COUNTS: Final = ("bound", "before", "after", "entering", "leaving")


def run_held(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """A worker holds a run. More may be held than need be; that harms nobody's data."""
    flow = admission.flow(claim, kind="delivery")
    deliveries: dict[str, str] = {}
    for receiver, delivery in dict(claim["detail"]["deliveries"]).items():
        if receiver not in flow.receivers or _DELIVERY.fullmatch(str(delivery)) is None:
            raise ValueError
        deliveries[str(receiver)] = str(delivery)
    reasons = [_reason_of_run(reason, flow) for reason in claim["detail"]["reasons"]]
    if not deliveries or not reasons:
        raise ValueError
    return {
        **admission.for_flow(asker, claim, flow, flow.source),
        "detail": {
            "digest": content_digest(deliveries),
            "reasons": reasons,
            "outside": max(int(claim["detail"]["outside"]), len(reasons)),
            "deliveries": deliveries,
        },
    }


def _reason_of_run(reason: Mapping[str, Any], flow: Flow) -> dict[str, Any]:
    """Rebuilt from its known members: codes, counts and names of fields, never free text."""
    about, kind = str(reason["about"]), str(reason["kind"])
    if about not in (*flow.receivers, flow.flow) or kind not in (
        "subjects",
        "per_receiver",
        "fields",
        "standing",
    ):
        raise ValueError
    told: dict[str, Any] = {"about": about, "kind": kind}
    told |= {name: int(reason[name]) for name in _COUNTS if name in reason}
    if "fields" in reason:
        told["fields"] = [name for name in reason["fields"] if name in flow.fields]
    return told


def run_released(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    flow = admission.flow(claim)
    admission.require_post(asker, flow.accountable_post)
    hold = _standing(admission.register, flow, int(claim["detail"]["held"]))
    if hold is None or hold.by_hand:
        raise _no_such_hold(flow)
    detail = {"held": hold.index, "digest": hold.digest, "reason": in_words(claim, "reason")}
    return {**_in_post(admission, asker, flow, flow.accountable_post), "detail": detail}


def flow_held(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    flow = admission.flow(claim)
    post = _stopping_post(admission, asker, flow)
    return {**_in_post(admission, asker, flow, post), "detail": {"reason": in_words(claim, "reason")}}


def flow_released(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    flow = admission.flow(claim)
    hold = _standing(admission.register, flow, int(claim["detail"]["held"]))
    if hold is None or not hold.by_hand:
        raise _no_such_hold(flow)
    admission.require_post(asker, hold.post)
    detail = {"held": hold.index, "reason": in_words(claim, "reason")}
    return {**_in_post(admission, asker, flow, hold.post), "detail": detail}


def delivery_recalled(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Everything about the delivery is looked up in its own entry; its records come sealed beside this one."""
    delivery = str(claim["detail"]["delivery"])
    arrived = admission.tickets.arrived(delivery)
    if arrived is not None:
        body, authorised = arrived.body, int(arrived.body["detail"]["authorised"])
    else:
        ticket = admission.tickets.about("exchange.delivery.authorised", delivery)
        if ticket is None:
            raise DeniedError(
                "exchange.delivery.unknown",
                Text("no such delivery has arrived or is under way", "没有该交付，或其已终止"),
                remedy=Text("see: huanshu receipt list", "参见：huanshu receipt list"),
            )
        body, authorised = admission.tickets.entry(ticket), ticket.index
    flow = admission.flow({"flow": {"id": body["flow"]["id"]}})
    post = _stopping_post(admission, asker, flow)
    return {
        **_in_post(admission, asker, flow, post),
        "domain": body["domain"],
        "detail": {
            "delivery": delivery,
            "receiver": body["domain"],
            "authorised": authorised,
            "arrived": arrived is not None,
            "reason": in_words(claim, "reason"),
            **({"content": body["detail"]["content"]} if "content" in body["detail"] else {}),
        },
    }


# -- what they refuse -------------------------------------------------------------------------------


def require_moving(register: Register, flow: Flow, detail: Mapping[str, Any] | None = None) -> None:
    """Neither the flow nor this delivery of it is held, nor was it, or another of the same content, recalled.
    ``detail`` is that of the delivery's entry or claim. Asked at every append and every loan."""
    delivery, content = (str((detail or {}).get(member, "")) for member in ("delivery", "content"))
    if delivery and register.holds.was_recalled(delivery, content):
        raise DeniedError(
            "exchange.delivery.recalled",
            Text(
                f"delivery {delivery[:12]} was recalled; the same content does not come again",
                f"交付 {delivery[:12]} 已被召回，相同内容不再下发",
            ),
            remedy=Text(
                "correct the data at its source; the next delivery replaces what was recalled",
                "请从源头更正数据，下一次交付将替换被召回的内容",
            ),
        )
    for hold in register.holds.standing(flow.flow):
        raise held(hold)


def require_expected(register: Register, flow: Flow, receiver: str, detail: Mapping[str, Any]) -> None:
    """What the keeper can know of the bounds by itself. ``detail`` is that of the delivery about to be authorised."""
    delivery = str(detail["delivery"])
    if register.holds.is_released(flow.flow, receiver, delivery):
        return
    unseen = register.holds.unseen(flow.dataset, receiver, flow.fields)
    if unseen:
        raise _unexpected(
            f"it would carry what {receiver} has never had: {', '.join(unseen)}",
            f"将向 {receiver} 首次提供字段：{'、'.join(unseen)}",
            flow,
        )
    before, leaving = register.holds.held_by(flow.flow, receiver), int(detail["withdrawals"])
    bounds = flow.expect
    if bounds is not None and before is not None and bounds.outside(bounds.per_receiver, leaving, before):
        raise _unexpected(
            f"it would withdraw {leaving} of the {before} records of {receiver}",
            f"将从 {receiver} 的 {before} 条记录中撤回 {leaving} 条",
            flow,
        )


def held(hold: Hold) -> HeldError:
    """The one shape of "this flow is held"."""
    return HeldError(
        "exchange.flow.held" if hold.by_hand else "exchange.run.held",
        Text(
            f"{hold.flow} is held by entry {hold.index}; nothing is opened",
            f"流向 {hold.flow} 已暂停（条目 {hold.index}），不开启任何值",
        ),
        remedy=Text(
            f"a holder of {hold.post} looks at: huanshu flow holds,"
            f" then: huanshu flow release {hold.flow} --reason TEXT",
            f"由 {hold.post} 任职者查看 huanshu flow holds 后运行：huanshu flow release {hold.flow} --reason 理由",
        ),
    )


def _unexpected(en: str, zh: str, flow: Flow) -> DeniedError:
    return DeniedError(
        "exchange.delivery.unexpected",
        Text(f"outside what {flow.flow} expects: {en}", f"超出流向 {flow.flow} 的期望范围：{zh}"),
        remedy=Text(
            "run the whole flow: it is held, and a person looks at it",
            "请运行整个流向：将被暂停并由责任人核查",
        ),
        where=flow.where,
    )


# -- pieces -----------------------------------------------------------------------------------------


def _standing(register: Register, flow: Flow, index: int) -> Hold | None:
    return next((hold for hold in register.holds.standing(flow.flow) if hold.index == index), None)


def _stopping_post(admission: Admission, asker: Asker, flow: Flow) -> str:
    """Stopping is easy: the accountable post, or any security officer. Letting go again is not."""
    try:
        admission.require_post(asker, flow.accountable_post)
    except DeniedError:
        return admission.post_with_role(asker, "security_officer")
    return flow.accountable_post


def _in_post(admission: Admission, asker: Asker, flow: Flow, post: str) -> dict[str, Any]:
    return {
        **admission.in_person(asker),
        "post": post,
        "domain": flow.source,
        "dataset": flow.dataset,
        "flow": {"id": flow.flow, "digest": flow.digest},
    }


def in_words(claim: Claim, member: str) -> str:
    """A person's own words, for ever in the log: short, and no place for a resident's number."""
    reason = str(claim["detail"][member]).strip()
    if not reason or len(reason) > REASON_LIMIT or _NUMBER.search(reason):
        raise InputError(
            "exchange.reason.unfit",
            Text(
                f"a {member} has 1 to {REASON_LIMIT} characters and no telephone or citizen number",
                f"理由为 1 至 {REASON_LIMIT} 字，且不得含电话或身份号码",
            ),
            remedy=Text("say why, in words; the log keeps it for ever", "请用文字说明缘由，日志将永久保存"),
        )
    return reason


def _no_such_hold(flow: Flow) -> DeniedError:
    return DeniedError(
        "exchange.hold.unknown",
        Text(f"no such hold of {flow.flow} stands", f"流向 {flow.flow} 没有该暂停"),
        remedy=Text("see: huanshu flow holds", "参见：huanshu flow holds"),
    )

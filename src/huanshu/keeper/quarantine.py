"""Admission around quarantined rows. Pure: no I/O, no clock.

    event                            who                                  decided by
    access.quarantine.authorised     holder of the post named             plan: a rung for every field, in the district
    quarantine.row.dismissed         the dataset's steward                a reason
    quarantine.repair.ordered        the dataset's steward                plan: ``write`` for every field that changes
    quarantine.repair.authorised     whoever may run the intake flow      an order that is open
    quarantine.repair.promoted, .refused   the same                       the open ticket it settles
    finding.case.settled (quarantine/…)  also the dataset's steward

A row that failed has no home that could be trusted: all about it is asked in the district's own domain. The steward
orders, the platform repairs: keys are lent to the process that runs the intake, never to the steward's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog import Contract, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.holding import in_words

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

FINDINGS: Final = "quarantine/"
ORDERED: Final = "quarantine.repair.ordered"


def shown(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    admission.require_post(asker, claim["post"])
    contract = _contract(admission, claim)
    asked = {name: Rung.of(word) for name, word in claim["fields"].items()}
    plan = admission.plan(claim["post"], _district(admission), contract.dataset, asked, claim["purpose"])
    ends = min(
        plan.valid_until, admission.at + timedelta(seconds=admission.home.policies.keys.lend_max_seconds)
    )
    return {
        **_asked(admission, asker, claim, contract, claim["post"]),
        "how": "viewed",
        "contract": contract.digest,
        "detail": {**_place(claim), "values": len(asked), "until": ends.isoformat()},
    }


def repair_ordered(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    contract = _contract(admission, claim)
    admission.require_post(asker, contract.steward_post)
    fields = dict.fromkeys(claim["fields"], "write")
    admission.plan(contract.steward_post, _district(admission), contract.dataset, fields, claim["purpose"])
    return {
        **_asked(admission, asker, {**claim, "fields": fields}, contract, contract.steward_post),
        "contract": contract.digest,
        "detail": _place(claim),
    }


def row_dismissed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    contract = _contract(admission, claim)
    admission.require_post(asker, contract.steward_post)
    detail: dict[str, Any] = {
        "batch": str(claim["detail"]["batch"]),
        "rows": int(claim["detail"]["rows"]),
        "reason": in_words(claim, "reason"),
    }
    if "row" in claim["detail"]:
        detail["row"] = int(claim["detail"]["row"])
    if "rule" in claim["detail"]:
        detail["rule"] = str(claim["detail"]["rule"])
    return {
        **admission.in_person(asker),
        "post": contract.steward_post,
        "domain": _district(admission),
        "dataset": contract.dataset,
        "detail": detail,
    }


def order_of(admission: Admission, claim: Claim, dataset: str) -> dict[str, Any]:
    """The members of a repair's detail, from the open order it cites."""
    order = admission.register.order(int(claim["detail"]["ordered"]))
    if order is None or order["dataset"] != dataset:
        raise DeniedError(
            "quarantine.order.unknown",
            Text("no such repair was ordered, or it was done", "没有该修复指令，或已执行"),
            remedy=Text("see: huanshu quarantine list", "参见：huanshu quarantine list"),
        )
    return {
        "batch": str(claim["detail"]["batch"]),
        "of": order["detail"]["batch"],
        "row": order["detail"]["row"],
        "ordered": int(claim["detail"]["ordered"]),
    }


def finding_settled(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """By the steward whose rows they are; the flow's own run settles it as any other finding."""
    contract = _contract(admission, claim)
    admission.require_post(asker, contract.steward_post)
    ours = str(claim["detail"]["finding"]).startswith(f"{FINDINGS}{contract.dataset}/")
    if not ours or claim["event"] != "finding.case.settled":
        raise DeniedError(
            "finding.case.unowned",
            Text("a steward settles findings of his dataset alone", "数据管家只能了结本数据集的发现"),
        )
    return {
        **admission.in_person(asker),
        "post": contract.steward_post,
        "domain": _district(admission),
        "dataset": contract.dataset,
        "detail": dict(claim["detail"]),
    }


def _asked(admission: Admission, asker: Asker, claim: Claim, contract: Contract, post: str) -> dict[str, Any]:
    return {
        **admission.in_person(asker),
        "post": post,
        "domain": _district(admission),
        "dataset": contract.dataset,
        "purpose": claim["purpose"],
        "fields": dict(claim["fields"]),
    }


def _place(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {"batch": str(claim["detail"]["batch"]), "row": int(claim["detail"]["row"])}


def _district(admission: Admission) -> str:
    return admission.home.policies.domains.district.code


def _contract(admission: Admission, claim: Claim) -> Contract:
    contract = admission.home.contracts.get(claim["dataset"])
    if contract is None:
        raise DeniedError("access.dataset.unknown", Text("no such dataset", "没有该数据集"))
    return contract

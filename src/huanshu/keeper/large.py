"""A delivery that carries many takes two persons: who approved the flow, and who seconds that very approval. Pure.

    event                    who                                                  bound to
    approval.flow.seconded   a security officer, or the chief data officer of     the approval that stands, by index
                             the dataset's department or of a domain above it,
                             never the approver

What counts is one delivery to one receiver, as the keeper counts it: the subjects that its entry binds, or the records
that it brings, whichever is more. Whatever ends the approval — a changed byte, a revocation, its end — ends this too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pyroaring import BitMap

from huanshu.auditlog import Register
from huanshu.catalog.nouns import Limits
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.second_person import dataset_post

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim


def _seconded(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    flow = admission.flow(claim, kind="delivery")
    approval, said = admission.flow_approval(flow), admission.in_person(asker)
    if claim["detail"]["digest"] != flow.digest:
        raise DeniedError(
            "approval.flow.other_digest",
            Text("the flow read now has another digest", "流向文件摘要与所批准的不符"),
        )
    admission.second.require_other(approval.person, said["person"])
    contract = admission.home.contracts[flow.dataset]
    return {
        **said,
        "post": dataset_post(admission, asker, contract),
        "dataset": flow.dataset,
        "detail": {"flow": flow.flow, "digest": flow.digest, "approval": approval.index},
    }


def require_seconded(
    register: Register, limits: Limits, body: Mapping[str, Any], bitmap: BitMap | None
) -> None:
    """DeniedError when a delivery about to be authorised carries more than one person alone lets go."""
    if body["event"] != "exchange.delivery.authorised" or register.seconded(int(body["flow"]["approval"])):
        return
    carries = max(len(bitmap or ()), int(body["detail"]["upserts"]))
    if carries > limits.deliver_alone:
        flow = body["flow"]["id"]
        raise DeniedError(
            "exchange.delivery.unseconded",
            Text(
                f"it carries {carries} to one receiver, and one person alone lets go {limits.deliver_alone}",
                f"本次向一个接收方交付 {carries} 名，一人单独批准不得超过 {limits.deliver_alone} 名",
            ),
            remedy=Text(
                f"somebody else, a security officer or chief data officer, runs: huanshu flow second {flow}",
                f"由另一名安全员或首席数据官核实后运行：huanshu flow second {flow}",
            ),
        )


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "approval.flow.seconded": _seconded,
}

"""What a run would do, without doing it: due records per receiver, the decision, the approval. Opens nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from huanshu.access import Enforcer, PlanRequest
from huanshu.errors import Text
from huanshu.exchange.due import difference, slice_size
from huanshu.exchange.ground import Ground
from huanshu.exchange.tables import create, district_tables


@dataclass(frozen=True, slots=True)
class ReceiverPlan:
    """One receiver: how many records it would have, get, lose; whether the gate would allow it."""

    receiver: str
    name: Text
    slice: int
    upserts: int
    withdrawals: int
    allowed: bool
    why_not: Text | None
    remedy: Text | None


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """A flow as it would run now."""

    flow: str
    digest: str
    approved: bool
    approved_until: str | None
    fields: dict[str, str]
    receivers: tuple[ReceiverPlan, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_delivery(ground: Ground, name: str) -> FlowPlan:
    """The plan of a delivery flow against the district store of now."""
    flow = ground.flow(name, "delivery")
    contract = ground.contract(flow)
    enforcer = Enforcer(ground.home.policies, ground.home.contracts, zone=ZoneInfo(ground.home.timezone))
    now = ground.clock()
    receivers = []
    with ground.district() as connection:
        create(connection, *district_tables(contract))
        for code in flow.receivers:
            due = difference(connection, ground.home, contract, flow, code)
            upserts = sum(act == "upsert" for _, _, act in due)
            request = PlanRequest(flow.accountable_post, code, flow.dataset, flow.fields, flow.purpose, now)
            decided = enforcer.plan(request)
            receivers.append(
                ReceiverPlan(
                    receiver=code,
                    name=ground.home.policies.domains[code].name,
                    slice=slice_size(connection, ground.home, contract, code),
                    upserts=upserts,
                    withdrawals=len(due) - upserts,
                    allowed=decided.allowed,
                    why_not=None if decided.allowed else decided.explanation,
                    remedy=None if decided.allowed else decided.remedy,
                )
            )
    approval = ground.keeper.approval(flow.flow, flow.digest)
    return FlowPlan(
        flow=flow.flow,
        digest=flow.digest,
        approved=approval is not None,
        approved_until=None if approval is None else str(approval["until"]),
        fields={field: rung.word for field, rung in flow.fields.items()},
        receivers=tuple(receivers),
    )

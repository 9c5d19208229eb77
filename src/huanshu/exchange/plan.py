"""What a run would do, without doing it: due records per receiver, the decision, the approval.

Opens nothing and makes nothing: a dataset that has never been taken in has no table, and a plan must not give it
one from a contract that is still being written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from huanshu.access import Enforcer, Plan, PlanRequest, alike
from huanshu.catalog import Contract, Flow, Home
from huanshu.errors import Text
from huanshu.exchange.due import difference, homes_of, versions_table
from huanshu.exchange.ground import Ground
from huanshu.exchange.holds import outside

_SUBJECTS = sql.SQL("""
    SELECT count(DISTINCT subject) FROM {versions}, unnest(subjects) AS subject
    WHERE batch_out IS NULL AND home = ANY(%s)
""")


@dataclass(frozen=True, slots=True)
class ReceiverPlan:
    """One receiver: how many records about how many subjects it would have, get, lose; the gate's answer."""

    receiver: str
    name: Text
    slice: int
    subjects: int
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
    #: Why a run would be held now, in numbers (``exchange.holds``).
    held: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_delivery(ground: Ground, name: str) -> FlowPlan:
    """The plan of a delivery flow against the district store of now."""
    flow = ground.flow(name, "delivery")
    contract = ground.contract(flow)
    decisions = _decisions(ground, flow)
    receivers = []
    with ground.district() as connection:
        there = _taken_in(connection, contract)
        for code in flow.receivers:
            due = difference(connection, ground.home, contract, flow, code) if there else None
            decided = decisions[code]
            receivers.append(
                ReceiverPlan(
                    receiver=code,
                    name=ground.home.policies.domains[code].name,
                    slice=len(due.slice) if due is not None else 0,
                    subjects=_subjects(connection, ground.home, contract, code) if there else 0,
                    upserts=due.upserts if due is not None else 0,
                    withdrawals=due.withdrawals if due is not None else 0,
                    allowed=decided.allowed,
                    why_not=None if decided.allowed else decided.explanation,
                    remedy=None if decided.allowed else decided.remedy,
                )
            )
        held = tuple(outside(connection, ground, flow)) if there else ()
    approval = ground.keeper.approval(flow.flow, flow.digest)
    return FlowPlan(
        flow=flow.flow,
        digest=flow.digest,
        approved=approval is not None,
        approved_until=None if approval is None else str(approval["until"]),
        fields={field: rung.word for field, rung in flow.fields.items()},
        receivers=tuple(receivers),
        held=held,
    )


def _decisions(ground: Ground, flow: Flow) -> dict[str, Plan]:
    """The gate's answer for every receiver, asked once for all that no rule tells apart."""
    policies, contracts = ground.home.policies, ground.home.contracts
    enforcer, now = Enforcer(policies, contracts, zone=ZoneInfo(ground.home.timezone)), ground.clock()
    found: dict[str, Plan] = {}
    for group in alike(policies, flow.accountable_post, flow.dataset, flow.receivers):
        request = PlanRequest(flow.accountable_post, group[0], flow.dataset, flow.fields, flow.purpose, now)
        found.update(dict.fromkeys(group, enforcer.plan(request)))
    return found


def _taken_in(connection: psycopg.Connection, contract: Contract) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (f"district.{contract.dataset}",)).fetchone()
    return row is not None and row[0] is not None


def _subjects(connection: psycopg.Connection, home: Home, contract: Contract, receiver: str) -> int:
    row = connection.execute(
        _SUBJECTS.format(versions=versions_table(contract)), (homes_of(home, receiver),)
    ).fetchone()
    return int(row[0]) if row else 0

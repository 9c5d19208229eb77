"""Holds: is what a run is about to move what the flow expects? If not, nothing moves until a person says so.

A run is judged once and whole, before any of its deliveries, against what each receiver holds:
    whole flow     how far the number of records moves                              ``expect.subjects``
    per receiver   the share of records that come new or leave, the larger of both   ``expect.per_receiver``
    fields         a field a receiver has never had, or never at so high a rung
The share of what comes and leaves is what finds two swapped communities of equal size; a changed record is neither.
A receiver's first delivery is exempt: there is nothing to compare it with, and a person has just approved the flow.

What is held is named by the ids of its deliveries, so a release lets through exactly that content; other content is
held anew. The numbers here are the worker's. The keeper refuses to authorise anything of a held flow, and checks by
itself what it can know (``huanshu.keeper.holding``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from huanshu.auditlog import Hold, content_digest
from huanshu.auditlog.holds import NAMED
from huanshu.catalog import Bounds, Contract, Flow
from huanshu.catalog.working_days import due as due_by
from huanshu.errors import InputError, Text
from huanshu.exchange import due as dues
from huanshu.exchange.ground import Ground
from huanshu.exchange.tables import create, district_tables
from huanshu.keeper.holding import held
from huanshu.keeper.tickets import Ticket

#: Which obligation dates the finding about a held run (audit/obligations.yaml).
HELD_DUE: Final = "receipt_due"
#: How many reasons an entry lists; how many there were it says beside them.
_LISTED: Final = 100

_NUMBERS = sql.SQL("""
    WITH place AS (SELECT * FROM unnest(%(receivers)s::text[], %(homes)s::text[]) AS p (receiver, home)),
    mine AS (
        SELECT place.receiver, v.record FROM {versions} v JOIN place USING (home) WHERE v.batch_out IS NULL
    ), theirs AS (
        SELECT receiver, unnest(records) AS record FROM district.delivered
        WHERE flow = %(flow)s AND receiver IN (SELECT receiver FROM place)
    )
    SELECT receiver, count(theirs.record), count(mine.record),
           count(*) FILTER (WHERE theirs.record IS NULL), count(*) FILTER (WHERE mine.record IS NULL)
    FROM mine FULL JOIN theirs USING (receiver, record) GROUP BY receiver ORDER BY receiver
""")
_SERVED = "SELECT DISTINCT receiver FROM district.delivery WHERE flow = %s AND state = 'arrived'"
_JUDGED_OVER = "SELECT batch FROM district.run_judged WHERE flow = %s AND run = %s"
#: How many batches took effect. One under way has its line too, and no effect yet.
_TAKEN_IN = "SELECT count(*) FROM district.batch WHERE dataset = %s AND state = 'promoted'"


@dataclass(frozen=True, slots=True)
class Turnover:
    """One receiver before and after a run: records held, records in its slice, those new to it, those that leave."""

    receiver: str
    before: int
    after: int
    entering: int
    leaving: int


def require_expected(ground: Ground, flow: Flow, run: str) -> None:
    """Raises HeldError when the flow is held, or when this run has to be: then the log says so, with the reasons."""
    standing = ground.keeper.holds(flow.flow)
    for hold in standing:
        if hold.by_hand:
            raise held(hold)
    with ground.district() as district:
        contract = ground.contract(flow)
        with district.transaction():
            district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"judge/{flow.flow}",))
            create(district, *district_tables(contract))
        taken_in = _taken_in(district, flow)
        if not standing and _judged(district, flow, run, taken_in):
            return
        expectations = ground.keeper.expectations(flow.flow)
        reasons = list(_reasons(flow, turnover(district, ground, flow), expectations["unseen"]))
        if reasons or standing:
            deliveries = _deliveries(district, ground, contract, flow)
            if standing or not deliveries.items() <= expectations["released"].items():
                since = standing[0].index if standing else int(expectations["since"])
                _hold(ground, flow, run, reasons, deliveries, standing, since)
        _note_judged(district, flow, run, taken_in)
    _settle_finding(ground, flow, run)


def is_overtaken(snapshot: psycopg.Connection, flow: Flow, run: str) -> bool:
    """Whether the run was judged over something else than this connection sees: an extract came in between."""
    found = snapshot.execute(_JUDGED_OVER, (flow.flow, run)).fetchone()
    return found is not None and int(found[0]) != _taken_in(snapshot, flow)


def outside(district: psycopg.Connection, ground: Ground, flow: Flow) -> list[dict[str, Any]]:
    """Why a run would be held now, in numbers; nothing when it would not. Changes nothing."""
    unseen = ground.keeper.expectations(flow.flow)["unseen"]
    return list(_reasons(flow, turnover(district, ground, flow), unseen))


def turnover(district: psycopg.Connection, ground: Ground, flow: Flow) -> list[Turnover]:
    """Every receiver that has had a delivery of this flow, before and after what is due now."""
    served = {row[0] for row in district.execute(_SERVED, (flow.flow,))}
    places = [
        (receiver, home)
        for receiver in flow.receivers
        if receiver in served
        for home in dues.homes_of(ground.home, receiver)
    ]
    given = {"flow": flow.flow, "receivers": [r for r, _ in places], "homes": [h for _, h in places]}
    if not places:
        return []
    query = _NUMBERS.format(versions=dues.versions_table(ground.contract(flow)))
    return [Turnover(*row) for row in district.execute(query, given)]


def _reasons(
    flow: Flow, turnovers: list[Turnover], unseen: Mapping[str, list[str]]
) -> Iterable[dict[str, Any]]:
    bounds = flow.expect
    assert isinstance(bounds, Bounds)  # the reader of flow files requires it of a delivery
    before, after = sum(t.before for t in turnovers), sum(t.after for t in turnovers)
    if bounds.outside(bounds.subjects, abs(after - before), before):
        yield {
            "about": flow.flow,
            "kind": "subjects",
            "bound": bounds.subjects,
            "before": before,
            "after": after,
        }
    for receiver, fields in sorted(unseen.items()):
        yield {"about": receiver, "kind": "fields", "fields": fields}
    for t in turnovers:
        if bounds.outside(bounds.per_receiver, max(t.entering, t.leaving), t.before):
            yield {
                "about": t.receiver, "kind": "per_receiver", "bound": bounds.per_receiver, "before": t.before,
                "after": t.after, "entering": t.entering, "leaving": t.leaving,
            }  # fmt: skip


def _deliveries(
    district: psycopg.Connection, ground: Ground, contract: Contract, flow: Flow
) -> dict[str, str]:
    """Receiver → id of what is due to it now."""
    policy = str(ground.keeper.status()["policy"])
    found = {}
    for receiver in flow.receivers:
        due = dues.difference(district, ground.home, contract, flow, receiver)
        if due:
            found[receiver] = dues.named(due, contract, flow, receiver, policy, ground.chunk)[:NAMED]
    return found


def _hold(
    ground: Ground,
    flow: Flow,
    run: str,
    reasons: list[dict[str, Any]],
    deliveries: Mapping[str, str],
    standing: list[Hold],
    since: int,
) -> None:
    """Raises HeldError; appends the hold first, unless exactly this content is held already or nothing is due."""
    digest = content_digest(deliveries)
    for hold in standing:
        if hold.digest == digest or not deliveries:
            raise held(hold)
    if not deliveries:
        return
    if not reasons:
        reasons = [{"about": flow.flow, "kind": "standing"}]
    ground.keeper.append(
        {
            "event": "exchange.run.held",
            # Since which release: content that was released and held anew is another hold of the same run.
            "once": f"exchange.run.held/{flow.flow}/{run}/{digest}/{since}",
            "flow": {"id": flow.flow, "run": run},
            "detail": {"reasons": reasons[:_LISTED], "outside": len(reasons), "deliveries": dict(deliveries)},
        }
    )
    (new,) = [hold for hold in ground.keeper.holds(flow.flow) if not hold.by_hand]
    _open_finding(ground, flow, run)
    raise held(new)


# -- what persons do --------------------------------------------------------------------------------


def put(ground: Ground, name: str, reason: str) -> Ticket:
    """Hold a flow by hand: nothing of it is authorised or opened from the next decision on."""
    flow = ground.flow(name)
    return ground.keeper.append(
        {"event": "exchange.flow.held", "flow": {"id": flow.flow}, "detail": {"reason": reason}}
    )


def release(ground: Ground, named: str, reason: str) -> list[Ticket]:
    """Release what is held of a flow, or of the run of that id, as the person established. Each hold is lifted by the
    post that may; what remains held is said by the error of the first that could not be."""
    holds = [hold for hold in ground.keeper.holds() if named in (hold.flow, hold.run)]
    if not holds:
        raise InputError(
            "exchange.hold.none",
            Text(f"nothing is held of {named}", f"{named} 没有被暂停"),
            remedy=Text("see: huanshu flow holds", "参见：huanshu flow holds"),
        )
    tickets = []
    for hold in holds:
        tickets.append(
            ground.keeper.append(
                {
                    "event": "exchange.flow.released" if hold.by_hand else "exchange.run.released",
                    "flow": {"id": hold.flow},
                    "detail": {"held": hold.index, "reason": reason},
                }
            )
        )
        if not hold.by_hand:
            _settle_finding(ground, ground.flow(hold.flow), hold.run)
    return tickets


# -- findings ---------------------------------------------------------------------------------------


def _finding(flow: Flow) -> str:
    return f"held/{flow.flow}"


def _open_finding(ground: Ground, flow: Flow, run: str) -> None:
    if any(known["finding"] == _finding(flow) for known in ground.keeper.findings()):
        return
    obligation = ground.home.obligations[HELD_DUE]
    ground.keeper.append(
        {
            "event": "finding.case.opened",
            "flow": {"id": flow.flow, "run": run},
            "domain": flow.source,
            "detail": {
                "finding": _finding(flow),
                "kind": "exchange.run.held",
                "due": due_by(ground.clock(), obligation, ground.home.calendar).isoformat(),
                "owner_post": flow.accountable_post,
                "about": flow.flow,
            },
        }
    )


def _settle_finding(ground: Ground, flow: Flow, run: str) -> None:
    """Also by the next run that may go, should the person's command have died between its two entries."""
    if any(known["finding"] == _finding(flow) for known in ground.keeper.findings()):
        ground.keeper.append(
            {
                "event": "finding.case.settled",
                "flow": {"id": flow.flow, "run": run},
                "domain": flow.source,
                "detail": {"finding": _finding(flow), "disposition": "released"},
            }
        )


# -- what was judged --------------------------------------------------------------------------------


def _taken_in(district: psycopg.Connection, flow: Flow) -> int:
    row = district.execute(_TAKEN_IN, (flow.dataset,)).fetchone()
    return int(row[0]) if row else 0


def _judged(district: psycopg.Connection, flow: Flow, run: str, taken_in: int) -> bool:
    row = district.execute(
        "SELECT 1 FROM district.run_judged WHERE flow = %s AND run = %s AND digest = %s AND batch = %s",
        (flow.flow, run, flow.digest, taken_in),
    ).fetchone()
    return row is not None


def _note_judged(district: psycopg.Connection, flow: Flow, run: str, taken_in: int) -> None:
    district.execute(
        "INSERT INTO district.run_judged (flow, run, digest, batch) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (flow, run) DO UPDATE SET digest = excluded.digest, batch = excluded.batch, judged_at = now()",
        (flow.flow, run, flow.digest, taken_in),
    )

"""Going on with what was interrupted: the same run, for the receivers that still lack something, exactly once.

Nothing here knows a short cut: a resumption is a run, through the gate, of the run id that was interrupted. What
took effect is told to the log and not opened again; a receiver that lacks nothing is not asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from huanshu.auditlog import Entry
from huanshu.catalog import Flow
from huanshu.errors import InputError, Text
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.due import difference
from huanshu.exchange.ground import Ground
from huanshu.exchange.intake import IntakeOutcome, run_intake
from huanshu.exchange.runs import complete_run, run_delivery


@dataclass(frozen=True, slots=True)
class Resumption:
    """What would go on: ``receivers`` of a delivery, in the flow's order; of an intake none are named."""

    flow: str
    kind: str
    run: str
    receivers: tuple[str, ...]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to go on with."""
        return self.kind == "delivery" and not self.receivers


def resumable(ground: Ground, subject: str, only: Sequence[str] = ()) -> Resumption:
    """What a resumption of a flow, or of a run, would do. Changes nothing. InputError for a run the log does not know
    and a receiver the flow does not have."""
    with ground.district() as district:
        flow, run = _found(ground, district, subject)
        if strangers := [code for code in only if code not in flow.receivers]:
            raise InputError(
                "exchange.receiver.unknown",
                Text(f"{flow.flow} does not go to {strangers[0]}", f"{flow.flow} 不送往 {strangers[0]}"),
                remedy=Text("huanshu flow plan lists the receivers", "huanshu flow plan 列出接收方"),
            )
        if flow.kind == "intake":
            return Resumption(flow.flow, flow.kind, run, ())
        lacking = set(only) or _lacking(ground, district, flow)
    chosen = tuple(code for code in flow.receivers if code in lacking)
    return Resumption(flow.flow, flow.kind, run, chosen)


def resume(ground: Ground, made: Resumption, folder: Path) -> list[Outcome] | IntakeOutcome:
    """Go on. Raises as a run does, after everyone has been tried."""
    if made.kind == "intake":
        return run_intake(ground, made.flow, made.run, folder)
    outcomes = run_delivery(ground, made.flow, made.run, made.receivers)
    complete_run(ground, made.flow, made.run, outcomes)
    return outcomes


def _found(ground: Ground, district: psycopg.Connection, subject: str) -> tuple[Flow, str]:
    """The flow, and the run to go on with: the one that did not complete, or a new one."""
    flows = ground.home.flows
    if subject in flows:
        row = district.execute(
            "SELECT leaf FROM log.entry WHERE event = 'exchange.run.started' AND starts_with(once, %s)"
            " ORDER BY index DESC LIMIT 1",
            (f"exchange.run.started/{subject}/",),
        ).fetchone()
        if row is None:
            return flows[subject], f"resumed-{uuid.uuid4()}"
    else:
        row = district.execute(
            "SELECT leaf FROM log.entry WHERE once = ANY(%s) ORDER BY index DESC LIMIT 1",
            ([f"exchange.run.started/{flow}/{subject}" for flow in flows],),
        ).fetchone()
        if row is None:
            raise InputError(
                "exchange.run.unknown",
                Text(
                    f"neither a flow nor a run that began: {subject}",
                    f"既不是流向，也不是已开始的运行：{subject}",
                ),
                remedy=Text(
                    "huanshu flow diagnose FLOW names what is open",
                    "huanshu flow diagnose 流向 会列出未了结的事项",
                ),
            )
    named = Entry.of(bytes(row[0])).body["flow"]
    flow, run = flows[str(named["id"])], str(named["run"])
    done = district.execute(
        "SELECT 1 FROM log.entry WHERE once = %s", (f"exchange.run.completed/{flow.flow}/{run}",)
    ).fetchone()
    return flow, (run if done is None else f"resumed-{uuid.uuid4()}")


def _lacking(ground: Ground, district: psycopg.Connection, flow: Flow) -> set[str]:
    """Receivers with a delivery under way, an open finding, or something due: a run that was refused, or never
    began because a part was down, leaves no other trace."""
    rows = district.execute(
        "SELECT DISTINCT receiver FROM district.delivery WHERE flow = %s AND state IN ('frozen', 'authorised')",
        (flow.flow,),
    ).fetchall()
    start = f"receipt/{flow.flow}/"
    findings = {
        str(found["finding"]).removeprefix(start)
        for found in ground.keeper.findings()
        if str(found["finding"]).startswith(start)
    }
    contract = ground.contract(flow)
    due: set[str] = set()
    if district.execute("SELECT to_regclass(%s)", (f"district.{contract.dataset}",)).fetchone() != (None,):
        due = {code for code in flow.receivers if difference(district, ground.home, contract, flow, code)}
    return {str(row[0]) for row in rows} | findings | due

"""Runs: a flow, all its receivers, one outcome each; and the findings that keep a failure from being silent.

A receiver that cannot be served does not hold up the others: its error becomes an open finding with owner and
due date, and is raised after everyone has been tried. When it is served later, the finding is settled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from huanshu.catalog import Flow
from huanshu.catalog.working_days import due
from huanshu.errors import DeniedError, HuanshuError, Text, UnavailableError
from huanshu.exchange import holds, recalls
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.ground import Ground
from huanshu.exchange.serving import Failure, each

#: Which obligation dates a finding about a missing receipt (audit/obligations.yaml).
RECEIPT_DUE = "receipt_due"


class RunError(UnavailableError):
    """Some receivers were not served; the others were. ``failures`` says which and why."""

    def __init__(self, flow: Flow, failures: Sequence[Failure]) -> None:
        reasons = "; ".join(f"{f.receiver}: {f.error.code}" for f in failures)
        super().__init__(
            "exchange.run.incomplete",
            Text(
                f"{flow.flow} did not reach {len(failures)} receiver(s) ({reasons})",
                f"流向 {flow.flow} 有 {len(failures)} 个接收方未送达（{reasons}）",
            ),
            remedy=Text(f"huanshu flow diagnose {flow.flow}", f"huanshu flow diagnose {flow.flow}"),
        )
        self.failures = tuple(failures)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run at its receivers: who was served, and who was not."""

    outcomes: tuple[Outcome, ...]
    failures: tuple[Failure, ...]


def run_delivery(
    ground: Ground, name: str, run: str, receivers: Sequence[str] | None = None
) -> list[Outcome]:
    """Deliver to every receiver (or the ones named). Raises after trying all: the one DeniedError as it is,
    otherwise RunError."""
    attempt = attempt_delivery(ground, name, run, receivers)
    if attempt.failures and all(isinstance(f.error, DeniedError) for f in attempt.failures):
        raise attempt.failures[0].error
    if attempt.failures:
        raise RunError(ground.flow(name), attempt.failures)
    return list(attempt.outcomes)


def attempt_delivery(ground: Ground, name: str, run: str, receivers: Sequence[str] | None = None) -> Attempt:
    """Deliver to every receiver (or the ones named), and tell of each. Raises only when the flow may not run, or
    is held: then before the first receiver."""
    flow = ground.flow(name, "delivery")
    ground.begin(flow, run)
    recalls.prepare(ground, flow)
    holds.require_expected(ground, flow, run)
    chosen = [r for r in flow.receivers if receivers is None or r in receivers]
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    known = {str(finding["finding"]) for finding in ground.keeper.findings()}
    for found in each(ground, flow, run, chosen):
        if isinstance(found, Outcome):
            outcomes.append(found)
            if _finding(flow, found.receiver) in known:
                _settle_finding(ground, flow, found.receiver, run)
        else:
            failures.append(found)
            # A flow that may not run at all may not open a finding either; its denial is in the log.
            with contextlib.suppress(DeniedError):
                _open_finding(ground, flow, found.receiver, run, found.error)
    outcomes.sort(key=lambda outcome: chosen.index(outcome.receiver))
    return Attempt(tuple(outcomes), tuple(failures))


def complete_run(ground: Ground, name: str, run: str, outcomes: Sequence[Outcome]) -> None:
    """Log what the run did, once per run id."""
    flow = ground.flow(name)
    states = [outcome.state for outcome in outcomes]
    ground.keeper.append(
        {
            "event": "exchange.run.completed",
            "once": f"exchange.run.completed/{flow.flow}/{run}",
            "flow": {"id": flow.flow, "run": run},
            "detail": {
                "arrived": states.count("arrived"),
                "unchanged": states.count("unchanged"),
                "opened": sum(outcome.opened for outcome in outcomes),
                "upserts": sum(outcome.upserts for outcome in outcomes),
                "withdrawals": sum(outcome.withdrawals for outcome in outcomes),
            },
        }
    )


def _finding(flow: Flow, receiver: str) -> str:
    return f"receipt/{flow.flow}/{receiver}"


def _open_finding(ground: Ground, flow: Flow, receiver: str, run: str, error: HuanshuError) -> None:
    """Every delivery has a receipt or an open finding. Without a log there is no finding: the error is raised."""
    finding = _finding(flow, receiver)
    if any(known["finding"] == finding for known in ground.keeper.findings()):
        return
    now = ground.clock()
    obligation = ground.home.obligations[RECEIPT_DUE]
    ground.keeper.append(
        {
            "event": "finding.case.opened",
            "flow": {"id": flow.flow, "run": run},
            "domain": receiver,
            "detail": {
                "finding": finding,
                "kind": error.code,
                "due": due(now, obligation, ground.home.calendar).isoformat(),
                "owner_post": flow.accountable_post,
                "about": receiver,
            },
        }
    )


def _settle_finding(ground: Ground, flow: Flow, receiver: str, run: str) -> None:
    finding = _finding(flow, receiver)
    if any(known["finding"] == finding for known in ground.keeper.findings()):
        ground.keeper.append(
            {
                "event": "finding.case.settled",
                "flow": {"id": flow.flow, "run": run},
                "domain": receiver,
                "detail": {"finding": finding, "disposition": "arrived"},
            }
        )

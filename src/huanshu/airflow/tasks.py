"""What the tasks do: connect, call the exchange, hand on codes and counts.

Errors: what a person must mend (denied, wrong file, wrong input, tampering) fails at once and is never
retried; what is down is retried. Only the explanation reaches Airflow's log, never a chained traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from huanshu import telemetry
from huanshu.assembly import Running, connect
from huanshu.errors import HuanshuError, UnavailableError
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.settings import read_settings


def intake(flow: str) -> dict[str, Any]:
    """Take in every extract whose turn has come; skips (and updates no asset) when there is none."""
    with _running() as running:
        folder = running.deployment.settings.intake_folder / flow
        outcome = run_intake(running.ground(), flow, _run_id(), folder)
    if not outcome.promoted:
        raise AirflowSkipException("no new extract")
    return {"batches": [{k: v for k, v in asdict(b).items() if k != "rules"} for b in outcome.batches]}


def deliver(flow: str, receivers: list[str]) -> list[dict[str, Any]]:
    """Deliver to some receivers; the outcome per receiver, in counts."""
    with _running() as running:
        return [asdict(outcome) for outcome in run_delivery(running.ground(), flow, _run_id(), receivers)]


def complete(flow: str, outcomes: list[list[dict[str, Any]]]) -> None:
    """Log what the whole run did, once."""
    with _running() as running:
        complete_run(running.ground(), flow, _run_id(), [Outcome(**o) for batch in outcomes for o in batch])


@contextmanager
def _running() -> Iterator[Running]:
    try:
        settings = read_settings()
        if settings.otlp_endpoint:
            telemetry.export_to(settings.otlp_endpoint)
        running = connect(settings)
        with telemetry.span("huanshu.airflow.task", run=_run_id()):
            yield running
        running.keeper.close()
    except UnavailableError as error:
        raise AirflowException(error.explain("en")) from None
    except HuanshuError as error:
        raise AirflowFailException(error.explain("en")) from None


def _run_id() -> str:
    return str(get_current_context()["run_id"])

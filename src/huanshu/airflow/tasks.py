"""What the tasks do: connect, call the exchange, hand on codes and counts, say which partitions are up to date.

Errors: what a person must mend (denied, wrong file, wrong input, tampering) fails at once and is never
retried; ``Away`` is what may be tried again. Only the explanation reaches Airflow's log, never a chained traceback;
of a foreign exception only its class and place.

A delivery task whose receivers were served in part tells of each: the served ones are partitions, the others
are carried to ``complete``, which fails. Tried again, a delivery opens nothing that has arrived; where one
receiver was denied, nothing is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
)

from huanshu import telemetry
from huanshu.assembly import Running, connect
from huanshu.assembly.lineage import tell_lineage
from huanshu.defects import unforeseen
from huanshu.errors import HuanshuError, Text, UnavailableError
from huanshu.exchange.corrections import judge as judge_corrections
from huanshu.exchange.coverage import tell_coverage
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import attempt_delivery, complete_run
from huanshu.exchange.serving import Failure
from huanshu.settings import read_settings


class Away(AirflowException):  # type: ignore[misc]
    """Something is down: the keeper, a database, a receiver's server. Tried again by the retry policy."""


_BY_ITSELF: Final = frozenset({"scheduled", "asset_triggered"})
#: Words of ours, or fixed ones: how a task ends.
_AIRFLOW_S_OWN: Final = (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    KeyboardInterrupt,
    SystemExit,
)


def intake(flow: str) -> dict[str, Any]:
    """Take in every extract whose turn has come; skips (and updates no asset) when there is none."""
    with _running() as running:
        folder = running.deployment.settings.intake_folder / flow
        outcome = run_intake(running.ground(), flow, _run_id(), folder)
        declared = running.home.flows[flow]
        taken = [batch for batch in outcome.batches if batch.state == "promoted"]
        tell_lineage(running, flow, _run_id(), dict.fromkeys(declared.receivers, sum(b.good for b in taken)))
    if not taken:
        raise AirflowSkipException("no new extract")
    _up_to_date([f"{batch.sequence:06d}" for batch in taken])
    return {"batches": [{k: v for k, v in asdict(b).items() if k != "rules"} for b in outcome.batches]}


def deliver(flow: str, receivers: list[str] | None) -> dict[str, Any]:
    """Deliver to the receivers of this task, or to the one this run is the partition of."""
    with _running() as running:
        chosen = _chosen(running, flow, receivers)
        attempt = attempt_delivery(running.ground(), flow, _run_id(), chosen)
        tell_lineage(
            running, flow, _run_id(), {o.receiver: o.upserts for o in attempt.outcomes if o.delivery}
        )
        if attempt.failures and _worth_another_try(attempt.failures):
            raise UnavailableError(
                "airflow.deliver.away",
                Text(
                    f"{len(attempt.failures)} of {len(chosen)} receivers were away",
                    f"{len(chosen)} 个接收方中有 {len(attempt.failures)} 个暂不可达",
                ),
            )
    _up_to_date([outcome.receiver for outcome in attempt.outcomes])
    return {
        "outcomes": [asdict(outcome) for outcome in attempt.outcomes],
        "failures": [[failure.receiver, failure.error.code] for failure in attempt.failures],
    }


def complete(flow: str, parts: list[dict[str, Any]]) -> None:
    """Log what the whole run did, once; fail when somebody was not served, so that the run shows it."""
    with _running() as running:
        outcomes = [Outcome(**outcome) for part in parts for outcome in part["outcomes"]]
        complete_run(running.ground(), flow, _run_id(), outcomes)
    failures = [f"{receiver} ({code})" for part in parts for receiver, code in part["failures"]]
    if failures:
        raise AirflowFailException(f"not served: {', '.join(failures)} → huanshu flow diagnose {flow}")


def coverage(flow: str) -> dict[str, Any]:
    """Say in the log how many receivers are up to date and who is missing."""
    with _running() as running:
        told = tell_coverage(running.ground(), flow, _run_id())
    return {"up_to_date": told.up_to_date, "missing": list(told.missing)}


def judge() -> dict[str, Any]:
    """Judge the corrections that wait; skips when there are none."""
    with _running() as running:
        judged = judge_corrections(running.ground())
    if not judged:
        raise AirflowSkipException("no correction waits")
    return {"batches": judged}


def _chosen(running: Running, flow: str, receivers: list[str] | None) -> list[str]:
    """A run with a receiver as its partition key serves that one: how one receiver is run again by hand."""
    key = get_current_context()["dag_run"].partition_key
    declared = running.home.flows[flow].receivers
    if key in declared:
        return [key] if receivers is None or key in receivers else []
    if receivers is None:
        raise AirflowFailException(f"this run's partition key names no receiver of {flow}")
    return receivers


def _worth_another_try(failures: Sequence[Failure]) -> bool:
    """True while everybody who failed was merely away and a try is left. A denial is never tried again."""
    instance = get_current_context()["ti"]
    all_away = all(isinstance(failure.error, UnavailableError) for failure in failures)
    return all_away and instance.try_number <= instance.max_tries


def _up_to_date(partitions: Sequence[str]) -> None:
    context = get_current_context()
    if partitions:
        for asset in context["task"].outlets:
            context["outlet_events"][asset].add_partitions(list(partitions))


@contextmanager
def _running() -> Iterator[Running]:
    try:
        settings = read_settings()
        if settings.otlp_endpoint:
            telemetry.export_to(settings.otlp_endpoint)
        running = connect(settings, triggered_by=_triggered_by())
        with telemetry.span("huanshu.airflow.task", run=_run_id()):
            yield running
        running.keeper.close()
    except UnavailableError as error:
        raise Away(error.explain("en")) from None
    except HuanshuError as error:
        raise AirflowFailException(error.explain("en")) from None
    except _AIRFLOW_S_OWN as error:
        raise error from None  # without what it may have interrupted
    except BaseException as error:  # noqa: BLE001 - foreign: its words may quote a value
        raise AirflowFailException(unforeseen(error).explain("en")) from None
    finally:
        telemetry.flush()


def _triggered_by() -> str | None:
    """The user whom Airflow authenticated when the run was started by hand; None when it began by itself. A run by
    hand that names nobody (from Airflow's own command line, say) is nobody's, and the keeper refuses it."""
    run = get_current_context()["dag_run"]
    return None if str(run.run_type.value) in _BY_ITSELF else run.triggering_user_name or ""


def _run_id() -> str:
    return str(get_current_context()["run_id"])

"""A month of the district: the department sends, the district takes in, every community gets its slice.

Through Airflow when it runs: the intake is triggered, the delivery follows by itself because the dataset's asset was
updated. Without Airflow the same functions are called here.
"""

from __future__ import annotations

from huanshu.cli.demonstration.show import Show, failed
from huanshu.errors import HuanshuError, Text
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.simulator import Form, Simulation, write


def send(show: Show, period: int, form: Form, simulation: Simulation | None = None) -> None:
    """The department's extract of a month, signed. The platform has it only until it is taken in."""
    extract = (simulation or show.simulation).extract(show.intake.dataset, period)
    folder = show.sandbox.settings.state / "department"
    written = write(show.sandbox.home, extract, folder, form)
    show.truths.append(dict(extract.truth))
    show.sandbox.sign_extract(show.intake, written.manifest)


def take_in(show: Show, period: int) -> None:
    flow = show.intake.flow
    if show.airflow is None:
        folder = show.sandbox.settings.intake_folder / flow
        run_intake(show.running.ground(), flow, f"demo-{period}", folder)
        return
    run = show.airflow.trigger(flow)
    state = show.airflow.wait(flow, run)
    if state != "success":
        raise _ended(show, flow, run, state)


def deliver(show: Show, period: int) -> HuanshuError | None:
    """Everybody's delivery of a month. None when it came through; a run that failed in Airflow or was held here
    answers why instead, and the caller says whether that was to be."""
    flow = show.delivery.flow
    if show.airflow is None:
        try:
            outcomes = run_delivery(show.running.ground(), flow, f"demo-{period}")
        except HuanshuError as error:
            return error
        complete_run(show.running.ground(), flow, f"demo-{period}", outcomes)
        return None
    # Nobody triggers this one: the intake updated the dataset's asset, and the flow waits for that.
    run = show.airflow.wait_for_asset_run(flow, after=period - 1)
    state = show.airflow.wait(flow, run)
    return None if state == "success" else _ended(show, flow, run, state)


def _ended(show: Show, dag: str, run: str, state: str) -> HuanshuError:
    logs = show.sandbox.settings.state / "airflow/logs"
    return failed(
        Text(f"{dag} run {run} ended as {state}", f"{dag} 运行 {run} 结束状态为 {state}"),
        Text(f"logs: {logs}", f"日志：{logs}"),
    )

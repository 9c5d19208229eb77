"""``huanshu up``, ``status``, ``keeper``, ``demo``: the deployment as processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from huanshu.assembly import open_deployment, running
from huanshu.assembly.keeper_process import run_keeper
from huanshu.assembly.stack import evidence
from huanshu.assembly.verifying import verify_deployment
from huanshu.cli.context import CONTEXT
from huanshu.cli.demonstration import demonstrate
from huanshu.cli.upkeep import bring_up
from huanshu.errors import Text
from huanshu_verify.__main__ import told


def status() -> None:
    """Who you are here, and the state of log and policies.  Example: huanshu status"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        found = here.keeper.status()
    words = {
        "origin": Text("log", "日志"),
        "size": Text("entries", "条目数"),
        "root": Text("root", "树根"),
        "policy": Text("policies as read", "当前策略"),
        "adopted": Text("policies in force", "生效策略"),
        "sandbox": Text("sandbox", "演练环境"),
        "person": Text("you are", "责任人"),
    }
    CONTEXT.speech.table(
        Text("Status", "状态"),
        [Text("what", "项目"), Text("value", "值")],
        [*((words[k], _word(found[k])) for k in words), *_ages(found["evidence"])],
    )
    CONTEXT.speech.result(found)


def _word(value: object) -> object:
    if isinstance(value, bool):
        return Text("yes", "是") if value else Text("no", "否")
    return Text("nobody known here", "未登记") if value is None else value


def _ages(evidence: dict[str, Any]) -> list[tuple[Text, Text]]:
    """How old the log's own evidence is, and when it would be too old to open anything."""
    names = {
        "checkpoint": Text("published checkpoint", "已公布检查点"),
        "witness": Text("witnesses' word", "见证签名"),
    }
    told = []
    for name, words in names.items():
        if f"{name}_max_s" not in evidence:
            continue
        age, most = evidence[f"{name}_age_s"], evidence[f"{name}_max_s"] // 60
        told.append(
            (
                words,
                Text(
                    f"{'none yet' if age is None else f'{age} s old'}, at most {most} min",
                    f"{'尚无' if age is None else f'{age} 秒前'}，时限 {most} 分钟",
                ),
            )
        )
    return told


def verify(
    archive: Annotated[
        Path | None, typer.Option(help="Where old published entries lie, if not in the state folder.")
    ] = None,
) -> None:
    """Run the independent verifier over this deployment's log, head and every receiver's store.

    Example: huanshu verify"""
    with evidence(CONTEXT.settings, CONTEXT.acting_as) as here:
        report = verify_deployment(here, archive=archive)
    for line in told(report, CONTEXT.speech.language):
        CONTEXT.speech.tell(Text(line, line))
    CONTEXT.speech.result(report)
    if not report.clean:
        raise typer.Exit(7)


def keeper() -> None:
    """Serve as the keeper process (started by ``up``; in production by a service manager)."""
    run_keeper(open_deployment(CONTEXT.settings))


def up(
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="First start only: a fictional district, for ever marked as one."),
    ] = False,
    airflow: Annotated[bool, typer.Option(help="Also start Airflow.")] = True,
) -> None:
    """Start embedded PostgreSQL, keeper and Airflow; Ctrl-C stops all of it.

    Example: huanshu up --sandbox"""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bring_up(CONTEXT.settings, CONTEXT.speech, sandbox=sandbox, airflow=airflow, acting_as=CONTEXT.acting_as)


def demo(
    residents: Annotated[int, typer.Option(help="Fictional residents, 5 000 or more.", min=5_000)] = 20_000,
    airflow: Annotated[bool, typer.Option(help="Move the data through Airflow.")] = True,
    keep: Annotated[
        bool, typer.Option(help="Keep an earlier demo's state instead of starting afresh.")
    ] = False,
) -> None:
    """The whole loop on a fictional district, in a few minutes, with its result on the screen.

    Example: huanshu demo"""
    demonstrate(CONTEXT.settings, CONTEXT.speech, residents=residents, airflow=airflow, keep=keep)

"""``huanshu drill``: list and run attacks on purpose, each with a control arm that must go red."""

from __future__ import annotations

from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.drill import read_drills, run_drill
from huanshu.drill.running import Arm, Outcome
from huanshu.errors import HuanshuError, Text

app = typer.Typer(no_args_is_help=True, help="Attack drills. 演练。")


@app.command("list")
def list_drills() -> None:
    """The drills of this home.  Example: huanshu drill list"""
    drills = read_drills(CONTEXT.settings.home)
    CONTEXT.speech.table(
        Text("Drills", "演练"),
        [Text("id", "编号"), Text("title", "名称"), Text("class", "类别"), Text("ATT&CK", "ATT&CK")],
        [(d.id, d.title, d.kind, d.technique) for d in drills],
    )
    CONTEXT.speech.result([d.id for d in drills])


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Drill ids (default: all).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps only.")] = False,
) -> None:
    """Run drills in a throw-away range: attack, control arm, legitimate twin. Where a deployment runs, its log is told.

    Example: huanshu --as p.chen drill run cross_domain_read"""
    speech = CONTEXT.speech
    chosen = [d for d in read_drills(CONTEXT.settings.home) if not names or d.id in names]
    outcomes = []
    for drill in chosen:
        speech.tell(Text(f"▶ {drill.id}: {drill.title.en}", f"▶ {drill.id}：{drill.title.zh}"), style="bold")
        if dry_run:
            for step in drill.steps:
                speech.tell(Text(f"   {step.en}", f"   {step.zh}"))
            continue
        outcome = run_drill(CONTEXT.settings.home, drill)
        outcomes.append(outcome)
        for arm in outcome.arms:
            mark, style = ("✓", "green") if arm.as_expected else ("✗", "red")
            speech.tell(
                Text(f"   {mark} {arm.name.en}: {arm.what.en}", f"   {mark} {arm.name.zh}：{arm.what.zh}"),
                style=style,
            )
    _tell_log(outcomes)
    speech.result(outcomes)
    if not all(outcome.held for outcome in outcomes):
        raise typer.Exit(1)


def _tell_log(outcomes: list[Outcome]) -> None:
    """An entry for each drill, in the name of whoever ran it. A drill needs no deployment; that is told then."""
    if not outcomes:
        return
    try:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here:
            for outcome in outcomes:
                arms = dict(zip(("attack", "control", "twin"), map(_word, outcome.arms), strict=True))
                detail = {"drill": outcome.drill, **arms, "verdict": "passed" if outcome.held else "failed"}
                here.keeper.append({"event": "drill.run.completed", "detail": detail})
    except HuanshuError as error:
        CONTEXT.speech.err.print(
            CONTEXT.speech.say(
                Text(
                    f"not in any log: {error.explain('en')}",
                    f"未写入日志：{error.explain('zh')}",
                )
            ),
            markup=False,
        )


def _word(arm: Arm) -> str:
    return "as_expected" if arm.as_expected else "not_as_expected"

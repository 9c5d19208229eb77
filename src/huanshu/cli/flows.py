"""``huanshu flow``: list, plan, approve, revoke, run, diagnose."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from huanshu.assembly import running
from huanshu.catalog import Home, read_home
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.diagnosis import diagnose as find_symptoms
from huanshu.exchange.intake import run_intake
from huanshu.exchange.plan import plan_delivery
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.identity import approve_flow, revoke_flow

app = typer.Typer(no_args_is_help=True, help="Declared exchanges: plan, approve, run, diagnose. 流向。")
Name = Annotated[str, typer.Argument(help="Flow id: the file's stem in dags/flows.")]


@app.command("list")
def list_flows() -> None:
    """All declared flows.  Example: huanshu flow list"""
    home = read_home(CONTEXT.settings.home)
    CONTEXT.speech.table(
        Text("Flows", "流向"),
        [
            Text("flow", "流向"),
            Text("kind", "种类"),
            Text("dataset", "数据集"),
            Text("receivers", "接收方"),
            Text("accountable", "责任岗位"),
        ],
        [(f.flow, f.kind, f.dataset, len(f.receivers), f.accountable_post) for f in home.flows.values()],
    )
    CONTEXT.speech.result([f.flow for f in home.flows.values()])


@app.command()
def plan(name: Name) -> None:
    """What a delivery would do now: nothing is opened or sent.

    Example: huanshu flow plan resident.district_to_communities"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        made = plan_delivery(here.ground(), name)
    speech = CONTEXT.speech
    speech.tell(Text(f"{made.flow}  digest {made.digest[:16]}", f"{made.flow}  摘要 {made.digest[:16]}"))
    until = made.approved_until or ""
    speech.tell(
        Text(f"approved until {until}", f"已批准至 {until}")
        if made.approved
        else Text(
            f"NOT APPROVED → huanshu flow approve {made.flow} --until DATE",
            f"未批准 → huanshu flow approve {made.flow} --until 日期",
        ),
        style=None if made.approved else "red",
    )
    speech.table(
        Text("Receivers", "接收方"),
        [
            Text("code", "代码"),
            Text("name", "名称"),
            Text("slice", "应有"),
            Text("upserts", "新增/变更"),
            Text("withdrawals", "撤回"),
            Text("gate", "闸口"),
        ],
        [
            (
                r.receiver,
                r.name,
                r.slice,
                r.upserts,
                r.withdrawals,
                Text("allowed", "允许") if r.allowed else r.why_not or "",
            )
            for r in made.receivers
        ],
    )
    speech.result(made)


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise InputError(
            "cli.date.malformed",
            Text("a day is written YYYY-MM-DD", "日期应写作 YYYY-MM-DD"),
        ) from None


@app.command()
def approve(
    name: Name,
    until: Annotated[str, typer.Option(help="Last day of the approval, YYYY-MM-DD.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be approved.")] = False,
) -> None:
    """Approve a flow's digest of now, as a holder of its accountable post.

    Example: huanshu flow approve resident.district_to_communities --until 2027-06-30"""
    day = _day(until)
    home = read_home(CONTEXT.settings.home)
    if dry_run:
        digest = home.flows[name].digest if name in home.flows else "?"
        CONTEXT.speech.tell(
            Text(f"would approve {name} at {digest} until {day}", f"将批准 {name}（{digest}）至 {day}")
        )
        CONTEXT.speech.result({"flow": name, "digest": digest, "until": day})
        return
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = approve_flow(here.keeper, here.home, name, day)
    CONTEXT.speech.tell(Text(f"approved: entry {ticket.index}", f"已批准：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index})


@app.command()
def revoke(name: Name) -> None:
    """Take an approval back at once; a running delivery stops within one chunk.

    Example: huanshu flow revoke resident.district_to_communities"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = revoke_flow(here.keeper, name)
    CONTEXT.speech.tell(Text(f"revoked: entry {ticket.index}", f"已撤销：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index})


@app.command()
def run(
    name: Name,
    only: Annotated[list[str] | None, typer.Option(help="Only this receiver (repeatable).")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder with manifests (intake); default: intake/<flow> in the state."),
    ] = None,
    run_id: Annotated[str, typer.Option("--run-id", help="Id of this run in the log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only.")] = False,
) -> None:
    """Run a flow. Safe to interrupt and to repeat: its effect comes exactly once.

    Example: huanshu flow run resident.district_to_communities"""
    if dry_run:
        plan(name)
        return
    run_id = run_id or f"cli-{uuid.uuid4()}"
    speech = CONTEXT.speech
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=speech.err,
    )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here, bars:
        tasks: dict[str, int] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(_named(here.home, what, speech.language), total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        ground = here.ground(progress)
        flow = ground.flow(name)
        if flow.kind == "intake":
            outcome = run_intake(ground, name, run_id, source or CONTEXT.settings.intake_folder / name)
            speech.table(
                Text("Intake", "接收"),
                [
                    Text("sequence", "序号"),
                    Text("state", "状态"),
                    Text("good", "合格"),
                    Text("quarantined", "隔离"),
                    Text("unchanged", "未变"),
                    Text("withdrawn", "退出"),
                ],
                [
                    (b.sequence, b.state, b.good, b.quarantined, b.unchanged, b.withdrawn)
                    for b in outcome.batches
                ],
            )
            speech.result(outcome)
            return
        outcomes = run_delivery(ground, name, run_id, only)
        complete_run(ground, name, run_id, outcomes)
    _show(outcomes)


def _named(home: Home, what: str, language: str) -> str:
    return home.policies.domains[what].name.in_language(language) if what in home.policies.domains else what


def _show(outcomes: list[Outcome]) -> None:
    words = {
        "arrived": Text("arrived", "已送达"),
        "unchanged": Text("nothing due, nothing opened", "无变化，未开启任何值"),
    }
    CONTEXT.speech.table(
        Text("Deliveries", "交付"),
        [
            Text("receiver", "接收方"),
            Text("state", "状态"),
            Text("upserts", "新增/变更"),
            Text("withdrawals", "撤回"),
            Text("opened now", "本次开启"),
        ],
        [(o.receiver, words[o.state], o.upserts, o.withdrawals, o.opened) for o in outcomes],
    )
    CONTEXT.speech.result(outcomes)


@app.command()
def diagnose(name: Name) -> None:
    """What is wrong with a flow, and the command that is safe now. Changes nothing.

    Example: huanshu flow diagnose resident.district_to_communities"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        symptoms = find_symptoms(here.ground(), name)
    if not symptoms:
        CONTEXT.speech.tell(Text("nothing is wrong and nothing is under way", "一切正常，没有未了结的运行"))
    else:
        CONTEXT.speech.table(
            Text("Symptoms", "症状"),
            [
                Text("about", "对象"),
                Text("state", "状态"),
                Text("what", "情况"),
                Text("until", "期限"),
                Text("safe now", "可安全执行"),
            ],
            [(s.about, s.state, s.what, s.until, s.safe) for s in symptoms],
        )
    CONTEXT.speech.result(symptoms)

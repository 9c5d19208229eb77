"""``huanshu flow``: list, plan, approve, second, revoke, run, resume, diagnose."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from huanshu.assembly import running
from huanshu.assembly.diagnosing import examine
from huanshu.assembly.stack import mended
from huanshu.catalog import Home, read_home
from huanshu.cli.context import CONTEXT
from huanshu.cli.planning import plan, rehearse
from huanshu.errors import InputError, Text
from huanshu.exchange.delivery import Outcome
from huanshu.exchange.diagnosis import Diagnosis
from huanshu.exchange.failures import FAILURES
from huanshu.exchange.failures import markdown as failure_table
from huanshu.exchange.intake import IntakeOutcome, run_intake
from huanshu.exchange.resuming import Resumption, resumable
from huanshu.exchange.resuming import resume as resume_run
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.identity import approve_flow, revoke_flow, second_flow

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


app.command()(plan)
app.command()(rehearse)


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
def second(name: Name) -> None:
    """Agree to a flow's approval, as somebody else: needed where one delivery brings a receiver more residents than
    policies/limits.yaml lets one person alone let go. A security officer, or the chief data officer of its data. 附议。

    Example: huanshu --as p.chen flow second resident.district_to_communities"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = second_flow(here.keeper, here.home, name)
    CONTEXT.speech.tell(Text(f"seconded: entry {ticket.index}", f"已附议：条目 {ticket.index}"))
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
            folder = _folder(source, name)
            _show_intake(run_intake(ground, name, run_id, folder), folder)
            return
        outcomes = run_delivery(ground, name, run_id, only)
        complete_run(ground, name, run_id, outcomes)
    _show(outcomes)


def _named(home: Home, what: str, language: str) -> str:
    return home.policies.domains[what].name.in_language(language) if what in home.policies.domains else what


def _folder(given: Path | None, flow: str) -> Path:
    """Where an intake looks. A folder that was named must be there: nothing found would look like nothing sent."""
    if given is not None and not given.is_dir():
        raise InputError(
            "cli.folder.missing",
            Text(f"{given.name} is no folder", f"{given.name} 不是目录"),
            remedy=Text("name the folder that holds extract and manifest", "请指定存放报送文件与清单的目录"),
        )
    return given or CONTEXT.settings.intake_folder / flow


def _show_intake(outcome: IntakeOutcome, folder: Path) -> None:
    if not outcome.batches:
        CONTEXT.speech.tell(
            Text(
                f"nothing to take in: {folder} holds no extract with its signed <name>.manifest.json",
                f"没有可接收的内容：{folder} 中没有报送文件及其已签名的 <名称>.manifest.json",
            )
        )
        CONTEXT.speech.result(outcome)
        return
    words = {
        "promoted": Text("taken in", "已接收"),
        "refused": Text("refused", "已拒收"),
        "known": Text("taken in before", "此前已接收"),
    }
    CONTEXT.speech.table(
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
            (b.sequence, words[b.state], b.good, b.quarantined, b.unchanged, b.withdrawn)
            for b in outcome.batches
        ],
    )
    CONTEXT.speech.result(outcome)


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
def resume(
    subject: Annotated[str, typer.Argument(metavar="RUN|FLOW", help="A run's id, or a flow.")],
    only: Annotated[list[str] | None, typer.Option(help="Only this receiver (repeatable).")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder with manifests (intake); default: intake/<flow> in the state."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go on.")] = False,
) -> None:
    """Go on with what was interrupted, exactly once: receivers with a delivery under way, an open finding, or something
    due. Starts what is down of this machine's own first. Exit 0: done, or nothing to do; otherwise as flow run.

    Example: huanshu flow resume resident.district_to_communities --only 990101001003"""
    speech = CONTEXT.speech
    with mended(CONTEXT.settings, CONTEXT.acting_as) as here:
        ground = here.ground()
        made = resumable(ground, subject, only or ())
        if dry_run or made.idle:
            _show_resumption(made)
            return
        folder = _folder(source, made.flow)
        done = resume_run(ground, made, folder)
    speech.tell(Text(f"run {made.run}", f"运行 {made.run}"))
    if isinstance(done, IntakeOutcome):
        _show_intake(done, folder)
    else:
        _show(done)


def _show_resumption(made: Resumption) -> None:
    if made.idle:
        CONTEXT.speech.tell(Text("nothing is interrupted and nothing is due", "没有中断，也没有应交付的内容"))
    else:
        CONTEXT.speech.table(
            Text("Would go on", "将继续"),
            [Text("flow", "流向"), Text("run", "运行"), Text("receiver", "接收方")],
            [(made.flow, made.run, receiver) for receiver in made.receivers or ("",)],
        )
    CONTEXT.speech.result(made)


@app.command()
def diagnose(
    subject: Annotated[
        str, typer.Argument(metavar="RUN|FLOW", help="A run's id (Airflow's or flow run's), or a flow.")
    ],
) -> None:
    """What is wrong with a run or a flow, who waits for whom until when, and the commands that are safe now. Changes
    nothing; works while keeper or database are down. Exit 0, whatever it finds.

    Example: huanshu flow diagnose resident.district_to_communities"""
    speech = CONTEXT.speech
    found = examine(CONTEXT.settings, CONTEXT.acting_as, subject)
    _show_run(found)
    if not found.symptoms:
        speech.tell(Text("nothing is wrong and nothing is under way", "一切正常，没有未了结的运行"))
    for number, symptom in enumerate(found.symptoms, 1):
        rows: list[tuple[Text, object]] = [
            (Text("about", "对象"), " ".join(part for part in (symptom.flow, symptom.about) if part)),
            (Text("state", "状态"), symptom.state),
            (Text("what happened", "情况"), symptom.what),
            (Text("who acts", "谁处理"), symptom.acts.named(speech.language)),
            (Text("who waits", "谁在等"), symptom.waits.named(speech.language)),
            (Text("until", "期限"), symptom.until),
            (Text("first", "先"), symptom.first),
            (Text("safe now", "可安全执行"), "\n".join(symptom.safe)),
            (Text("do not", "不要"), symptom.never),
        ]
        speech.table(
            Text(f"{number}  {symptom.failure}", f"{number}  {symptom.failure}"),
            [Text("what", "项目"), Text("value", "值")],
            [row for row in rows if row[1] not in ("", Text("", ""))],
        )
    speech.result(found)


def _show_run(found: Diagnosis) -> None:
    if found.run is not None:
        run = found.run
        counts = ", ".join(f"{event} {count}" for event, count in run.counts.items())
        CONTEXT.speech.tell(
            Text(
                f"run {run.run} of {run.flow}, begun {run.began} for {run.person},"
                f" {'completed' if run.completed else 'not completed'}: {counts}",
                f"运行 {run.run}（{run.flow}），{run.began} 由 {run.person} 名义开始，"
                f"{'已完成' if run.completed else '未完成'}：{counts}",
            )
        )
    elif not found.known and not any(s.failure == "home_broken" for s in found.symptoms):
        CONTEXT.speech.tell(
            Text(
                f"the log knows no run {found.subject}: it never began; this is every flow as it is now",
                f"日志中没有运行 {found.subject}：它没有开始；以下是各流向的现状",
            )
        )


@app.command()
def failures(
    markdown: Annotated[bool, typer.Option(help="As it stands in the documentation.")] = False,
) -> None:
    """The failure table: what can happen, who acts, what is safe, what not to do.

    Example: huanshu flow failures --lang zh"""
    speech = CONTEXT.speech
    if markdown:
        speech.tell(Text(failure_table("en"), failure_table("zh")))
    else:
        speech.table(
            Text("Failures", "故障"),
            [
                Text("failure", "故障"),
                Text("what happened", "发生了什么"),
                Text("safe", "可安全执行"),
                Text("do not", "不要"),
            ],
            [(f.key, f.what, "\n".join(f.commands), f.never) for f in FAILURES],
        )
    speech.result(FAILURES)

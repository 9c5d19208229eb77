"""``huanshu quarantine``: rows that failed a rule, for their steward. Values by ``show`` alone, through the gate."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.cli.holds import DryRun, Reason
from huanshu.errors import InputError, Text
from huanshu.exchange import quarantine as rows
from huanshu.exchange.repairs import ordered, run_repairs
from huanshu.gate.quarantine import show_row

app = typer.Typer(no_args_is_help=True, help="Rows that failed a rule: list, show, repair, dismiss. 隔离区。")
Batch = Annotated[str, typer.Argument(help="Batch: the first 8 characters or more.")]
RowNumber = Annotated[int, typer.Argument(metavar="ROW", help="Data row of the extract, from 1.")]
_STATES = {
    "open": Text("open", "待处理"),
    "ordered": Text("repair ordered", "已下修复指令"),
    "repaired": Text("repaired", "已修复"),
    "resubmitted": Text("sent anew", "已重报"),
    "superseded": Text("superseded", "已被取代"),
    "dismissed": Text("dismissed", "不予处理"),
}


@app.command("list")
def list_rows(
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only this batch; with its open rows.")] = None,
    rule: Annotated[str | None, typer.Option(help="With --batch: only rows that failed this rule.")] = None,
) -> None:
    """What lies in quarantine, by batch and rule: counts, and titles of rules; never a value.

    Example: huanshu quarantine list --dataset resident"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        found = rows.heaps(here.ground(), dataset, batch)
        listed = rows.rows_of(here.ground(), batch, rule) if batch else []
    speech = CONTEXT.speech
    speech.table(
        Text("Quarantine", "隔离区"),
        [
            Text("dataset", "数据集"),
            Text("batch", "批次"),
            Text("sequence", "序号"),
            Text("rule", "规则"),
            Text("open", "待处理"),
            Text("settled", "已了结"),
            Text("due", "期限"),
        ],
        [
            (
                h.dataset,
                h.batch[:12],
                h.sequence,
                h.title,
                h.open,
                sum(h.states.values()) - h.open,
                h.due[:10],
            )
            for h in found
        ],
    )
    if batch:
        speech.table(
            Text("Open rows", "待处理的行"),
            [
                Text("row", "行"),
                Text("rules", "规则"),
                Text("state", "状态"),
                Text("last repair failed", "上次修复未过"),
            ],
            [(r.row, ", ".join(r.rules), _STATES[r.state], ", ".join(r.failed)) for r in listed],
        )
    plain = [{"row": r.row, "rules": r.rules, "state": r.state, "failed": r.failed} for r in listed]
    speech.result({"heaps": found, "rows": plain})


@app.command()
def show(
    batch: Batch,
    row: RowNumber,
    post: Annotated[str, typer.Option(help="The post you act in.")],
    purpose: Annotated[str, typer.Option(help="The registered purpose.")] = "register_upkeep",
) -> None:
    """One row, at the rungs your post has in the district. The access is in the log before anything is opened.

    Example: huanshu --as p.he quarantine show 3f2a9c01 17 --post psb.steward"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ground = here.ground()
        found = rows.one(ground, batch, row)
        contract = here.home.contracts[found.dataset]
        answer = show_row(
            here.home, here.keeper, contract, (found.batch, found.row), found.sealed, found.subjects, post, purpose,
            ground.clock(),
        )  # fmt: skip
    CONTEXT.speech.table(
        Text(
            f"Row {row}: {', '.join(found.rules)} — entry {answer.entry}",
            f"第 {row} 行：{'、'.join(found.rules)} — 条目 {answer.entry}",
        ),
        [Text("field", "字段"), Text("rung", "可见级别"), Text("value", "值")],
        [(name, answer.rungs[name].word, value or "—") for name, value in answer.values.items()],
    )
    CONTEXT.speech.result(
        {"entry": answer.entry, "rules": found.rules, "state": found.state, "values": dict(answer.values)}
    )


@app.command()
def repair(
    batch: Batch,
    row: RowNumber,
    purpose: Annotated[str, typer.Option(help="The registered purpose.")] = "register_upkeep",
    dry_run: DryRun = False,
) -> None:
    """Order new values, read from standard input (never from the line): one field=value a line; field= for absent.

    The next run of the intake, or “quarantine apply”, judges the row by the same suite and promotes it.
    Example: echo "phone=10012345678" | huanshu --as p.he quarantine repair 3f2a9c01 17"""
    values = dict(_assigned(line) for line in sys.stdin.read().splitlines() if line.strip())
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            found = rows.one(here.ground(), batch, row)
            named = ", ".join(values)
            CONTEXT.speech.tell(Text(f"would change {named} of row {row}", f"将更改第 {row} 行的 {named}"))
            CONTEXT.speech.result({"batch": found.batch, "row": found.row, "fields": sorted(values)})
            return
        ticket = rows.order_repair(here.ground(), batch, row, purpose, values)
    CONTEXT.speech.tell(
        Text(
            f"ordered: entry {ticket.index}; the next run of the intake carries it out",
            f"已下指令：条目 {ticket.index}；由下一次接收运行执行",
        )
    )
    CONTEXT.speech.result({"entry": ticket.index})


@app.command()
def apply(
    flow: Annotated[str, typer.Argument(help="The dataset's intake flow.")], dry_run: DryRun = False
) -> None:
    """Carry out the repairs that were ordered, as a run of the intake flow.

    Example: huanshu quarantine apply resident.psb_to_district"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            waiting = ordered(here.ground(), flow)
            for batch, row in waiting:
                CONTEXT.speech.tell(
                    Text(f"would judge row {row} of {batch[:12]}", f"将核验批次 {batch[:12]} 第 {row} 行")
                )
            CONTEXT.speech.result(
                [{"batch": batch, "row": row, "state": "ordered"} for batch, row in waiting]
            )
            return
        done = run_repairs(here.ground(), flow)
    CONTEXT.speech.table(
        Text("Repairs", "修复"),
        [Text("batch", "批次"), Text("row", "行"), Text("state", "结果"), Text("still fails", "仍未通过")],
        [(d.batch[:12], d.row, d.state, ", ".join(d.rules)) for d in done],
    )
    CONTEXT.speech.result(done)


@app.command()
def dismiss(
    batch: Batch,
    reason: Reason,
    row: Annotated[int | None, typer.Option(help="Only this row.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only rows that failed this rule.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Say why nothing is to be done about a row, a rule's rows, or all open rows of a batch.

    Example: huanshu --as p.he quarantine dismiss 3f2a9c01 --row 17 --reason "sent twice by mistake"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            count = 1 if row is not None else len(rows.rows_of(here.ground(), batch, rule))
            CONTEXT.speech.tell(Text(f"would dismiss {count} rows", f"将对 {count} 行不予处理"))
            CONTEXT.speech.result({"rows": count})
            return
        ticket, count = rows.dismiss(here.ground(), batch, reason, row=row, rule=rule)
    CONTEXT.speech.tell(
        Text(f"dismissed {count} rows: entry {ticket.index}", f"{count} 行不予处理：条目 {ticket.index}")
    )
    CONTEXT.speech.result({"entry": ticket.index, "rows": count})


def _assigned(line: str) -> tuple[str, str | None]:
    name, equals, value = line.partition("=")
    if not equals or not name.strip():
        raise InputError("cli.value.unclear", Text("write field=value, one a line", "请逐行写 字段=值"))
    return name.strip(), value.strip() or None

"""``huanshu flow plan`` and ``flow rehearse``: what a flow would do, what it lacks elsewhere, and what would arrive."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.assembly.deployment import exists
from huanshu.authoring.planning import FieldPlan, FlowOutline, ReceiverAnswer, outline
from huanshu.cli.context import CONTEXT
from huanshu.cli.speech import Speech
from huanshu.drill.rehearsal import Rehearsal, RuleTried
from huanshu.drill.rehearsal import rehearse as run_rehearsal
from huanshu.errors import DeniedError, Text, UnavailableError
from huanshu.exchange.plan import FlowPlan, plan_delivery

Name = Annotated[str, typer.Argument(help="Flow id: the file's stem in dags/flows.")]


def plan(
    name: Name,
    patch: Annotated[
        bool, typer.Option("--patch", help="Print the missing policies/ lines alone, as a diff.")
    ] = False,
) -> None:
    """What a flow would do now: nothing is opened or sent. Works without a deployment, and before the policies of
    a new flow are written: then it prints the lines they lack, as a patch for security staff.

    Example: huanshu flow plan resident.district_to_communities"""
    planned = outline(CONTEXT.settings.home, name, datetime.now().astimezone())
    if patch:
        if not CONTEXT.speech.as_json:
            sys.stdout.write(planned.patch)
        CONTEXT.speech.result({"patch": planned.patch})
        return
    live = _live(planned)
    show(CONTEXT.speech, planned, live)
    told = {key: getattr(planned, key) for key in FlowOutline.__dataclass_fields__}
    CONTEXT.speech.result({**told, "live": live.plan, "unknown": live.unknown, "done": sorted(live.done)})


def rehearse(name: Name) -> None:
    """Run a flow on the dataset's samples in a throw-away district: what would arrive where, what is quarantined.

    Needs no deployment, no adoption and no approval, and leaves nothing behind.

    Example: huanshu flow rehearse resident.district_to_communities"""
    speech = CONTEXT.speech
    with speech.err.status(speech.say(Text("rehearsing …", "正在演练 …"))):
        seen = run_rehearsal(CONTEXT.settings.home, name, datetime.now().astimezone())
    _show_rehearsal(speech, seen)
    speech.result(seen)


def _show_rehearsal(speech: Speech, seen: Rehearsal) -> None:
    flows = ", ".join(seen.flows)
    speech.tell(
        Text(f"rehearsed on samples, in a throw-away district: {flows}", f"以样例在一次性环境中演练：{flows}")
    )
    if seen.patch:
        speech.tell(
            Text(
                "policies/ lacks lines: rehearsed as if the patch of `huanshu flow plan` were in",
                "policies/ 尚缺条目：已按 huanshu flow plan 的补丁演练",
            ),
            style="yellow",
        )
    for arrived in seen.arrived:
        name = arrived.name
        speech.table(
            Text(
                f"{arrived.receiver} {name.en}: {arrived.records} records of {arrived.flow}",
                f"{arrived.receiver} {name.zh}：{arrived.flow} 记录 {arrived.records} 条",
            ),
            [Text("field", "字段"), Text("rung", "可见级别"), Text("would arrive", "将送达")],
            [
                (field, rung, " · ".join("—" if value is None else value for value in values))
                for field, (rung, values) in arrived.fields.items()
            ],
        )
    speech.tell(
        Text(
            f"{seen.good} sample records taken in; {seen.idle_receivers} receivers have none of them",
            f"接收样例 {seen.good} 条；{seen.idle_receivers} 个接收方没有样例记录",
        )
    )
    speech.table(
        Text(
            f"Failing samples: {seen.quarantined} rows quarantined", f"不合格样例：隔离 {seen.quarantined} 行"
        ),
        [Text("rule", "规则"), Text("scope", "范围"), Text("rows", "行数"), Text("then", "处置")],
        [(tried.rule, tried.scope, tried.rows, _fate(tried)) for tried in seen.rules],
    )
    speech.table(
        Text("Entries written (and gone)", "写入的日志条目（已随环境销毁）"),
        [Text("event", "事件"), Text("entries", "条目数")],
        seen.entries.items(),
    )


def _fate(tried: RuleTried) -> Text:
    if not tried.caught:
        return Text("NOT CAUGHT", "未发现")
    if tried.severity == "warning":
        return Text("told, not stopped", "仅提示")
    if tried.scope == "batch":
        return Text("the whole extract is refused", "整批退回")
    return Text("quarantined", "隔离")


@dataclass(frozen=True, slots=True)
class Live:
    """What a deployment says: its numbers, or why they are unknown; the acts that are done; the approval's end."""

    plan: FlowPlan | None = None
    unknown: Text | None = None
    done: frozenset[str] = frozenset()
    approved_until: str | None = None


def _live(planned: FlowOutline) -> Live:
    if not planned.readable:
        return Live(
            unknown=Text(
                "unknown: no deployment can read this home before the patch is applied",
                "未知：应用补丁之前，部署无法读取本治理目录",
            )
        )
    if not exists(CONTEXT.settings):
        return Live(unknown=Text("unknown: no deployment has been made here", "未知：此处尚未创建部署"))
    try:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here:
            flow, status = here.home.flows[planned.flow], here.keeper.status()
            approval = here.keeper.approval(flow.flow, flow.digest)
            done = {
                "propose": status["adopted"] == status["policy"],
                "adopt": status["adopted"] == status["policy"],
                "approve": approval is not None,
                "enrol": flow.kind == "intake" and here.keeper.sender_key(flow.source) is not None,
            }
            return Live(
                plan=plan_delivery(here.ground(), flow.flow) if flow.kind == "delivery" else None,
                done=frozenset(act for act, is_done in done.items() if is_done),
                approved_until=str(approval["until"]) if approval else None,
            )
    except (UnavailableError, DeniedError) as error:
        return Live(
            unknown=Text(f"unknown: {error.what.en} [{error.code}]", f"未知：{error.what.zh} [{error.code}]")
        )


def show(speech: Speech, planned: FlowOutline, live: Live) -> None:
    """The plan on the screen, most important last: what is missing, and who does what next."""
    speech.tell(
        Text(
            f"{planned.flow}  digest {planned.digest[:16]}  purpose {planned.purpose}",
            f"{planned.flow}  摘要 {planned.digest[:16]}  用途 {planned.purpose}",
        )
    )
    _show_receivers(speech, planned, live)
    if live.plan and live.plan.held:
        about = ", ".join(str(reason["about"]) for reason in live.plan.held[:3])
        more = f" +{len(live.plan.held) - 3}" if len(live.plan.held) > 3 else ""
        speech.tell(
            Text(
                f"! outside what the flow expects: {about}{more}; a run waits for a release",
                f"! 超出流向期望范围：{about}{more}；运行将等待放行",
            ),
            style="red",
        )
    if planned.kind == "delivery":
        speech.table(
            Text("Fields", "字段"),
            [
                Text("field", "字段"),
                Text("level", "级"),
                Text("asked", "申请"),
                Text("lowest that serves", "够用的最低级"),
                Text("receivers may read", "接收方至多可读"),
                Text("remark", "提示"),
            ],
            [(f.field, f.level, f.asked, f.serves or "–", _roles(f), f.remark or "") for f in planned.fields],
        )
    for text in planned.undecided:
        speech.tell(Text(f"! {text.en}", f"! {text.zh}"), style="red")
    if planned.patch:
        speech.tell(
            Text("missing in policies/, for security staff:", "policies/ 尚缺以下各行，请安全人员审阅："),
            style="red",
        )
        speech.tell(Text(planned.patch, planned.patch))
    if live.approved_until is not None:
        speech.tell(Text(f"approved until {live.approved_until}", f"已批准至 {live.approved_until}"))
    for step in planned.steps:
        if step.act in live.done:
            continue
        who = ", ".join(step.who) or "?"
        speech.tell(
            Text(f"→ {who}: {step.command}   ({step.why.en})", f"→ {who}：{step.command}   （{step.why.zh}）")
        )


def _show_receivers(speech: Speech, planned: FlowOutline, live: Live) -> None:
    if live.unknown is not None and planned.kind == "delivery":
        speech.tell(Text(f"subjects {live.unknown.en}", f"主体数{live.unknown.zh}"), style="yellow")
    counts = {r.receiver: r for r in live.plan.receivers} if live.plan else {}
    numbers = [Text("records", "记录"), Text("subjects", "主体"), Text("new", "新增"), Text("gone", "撤回")]
    rows: list[tuple[object, ...]] = []
    for answer in planned.receivers:
        count = counts.get(answer.receiver)
        told = (count.slice, count.subjects, count.upserts, count.withdrawals) if count else ()
        rows.append((answer.receiver, answer.name, *told, _gate(answer)))
    speech.table(
        Text("Receivers", "接收方"),
        [
            Text("code", "代码"),
            Text("name", "名称"),
            *(numbers if live.plan else ()),
            Text("gate", "闸口"),
        ],
        rows,
    )


def _roles(field: FieldPlan) -> str:
    """``reveal: station_head; mask: data_clerk``; the rung alone where all roles have it."""
    rungs = list(dict.fromkeys(field.roles.values()))
    if len(rungs) < 2:
        return "".join(rungs)
    return "; ".join(f"{r}: {', '.join(k for k, v in field.roles.items() if v == r)}" for r in rungs)


def _gate(answer: ReceiverAnswer) -> Text:
    if answer.allowed:
        return Text("allowed", "允许")
    if answer.allowed_with_patch:
        return Text("allowed once the patch is in", "补丁生效后允许")
    return answer.why_not or Text("denied", "拒绝")

"""``huanshu flow hold | release | holds | recall``: what waits for a person, and why; the person's word."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from huanshu.assembly import running
from huanshu.auditlog import Hold
from huanshu.catalog import Home
from huanshu.cli.context import CONTEXT
from huanshu.cli.flows import Name
from huanshu.errors import Text
from huanshu.exchange import holds as exchange_holds
from huanshu.exchange import recalls

Reason = Annotated[
    str,
    typer.Option(help="Why, in words; no resident's data. The log keeps it for ever. 理由，勿写居民信息。"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")]


def list_holds() -> None:
    """What is held now, and the numbers that are why.  Example: huanshu flow holds"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        standing, home = here.keeper.holds(), here.home
    _show(standing, home)
    CONTEXT.speech.result(standing)


def hold(name: Name, reason: Reason, dry_run: DryRun = False) -> None:
    """Hold a flow by hand: from the next decision nothing of it is opened; what runs stops within one chunk.

    Example: huanshu --as p.lin flow hold resident.district_to_communities --reason "wrong period"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            flow = here.ground().flow(name)
            CONTEXT.speech.tell(Text(f"would hold {flow.flow}", f"将暂停 {flow.flow}"))
            CONTEXT.speech.result({"flow": flow.flow})
            return
        ticket = exchange_holds.put(here.ground(), name, reason)
    CONTEXT.speech.tell(Text(f"held: entry {ticket.index}", f"已暂停：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index})


def release(
    named: Annotated[str, typer.Argument(metavar="RUN|FLOW", help="Id of the held run, or of the flow.")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """Release exactly the content that is held. Other content than that is held again. Then run the flow.

    Example: huanshu --as p.lin flow release resident.district_to_communities --reason "two streets were re-assigned"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            standing = [h for h in here.keeper.holds() if named in (h.flow, h.run)]
            _show(standing, here.home)
            CONTEXT.speech.result(standing)
            return
        tickets = exchange_holds.release(here.ground(), named, reason)
    entries = [ticket.index for ticket in tickets]
    listed = ", ".join(map(str, entries))
    CONTEXT.speech.tell(Text(f"released: entry {listed}", f"已放行：条目 {listed}"))
    CONTEXT.speech.result({"entries": entries})


def recall(
    named: Annotated[
        str,
        typer.Argument(metavar="DELIVERY|FLOW", help="A delivery's id (12 characters or more), or a flow."),
    ],
    reason: Reason,
    receiver: Annotated[str | None, typer.Option(help="With a flow: whose newest delivery is meant.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Take a delivery back: from the next decision nothing of it is opened, until a later delivery replaces it.

    Prints who had opened how many of its subjects before.
    Example: huanshu --as p.lin flow recall resident.district_to_communities --receiver 990101001001
    --reason "wrong slice"
    """
    speech = CONTEXT.speech
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            found = recalls.find(here.ground(), named, receiver)
            speech.tell(
                Text(
                    f"would recall {found.delivery[:16]} to {found.receiver}: {found.records} records",
                    f"将召回对 {found.receiver} 的交付 {found.delivery[:16]}：{found.records} 条记录",
                )
            )
            speech.result(found)
            return
        made = recalls.recall(here.ground(), named, receiver, reason)
    what = made.what
    speech.tell(
        Text(
            f"recalled: entry {made.entry}, delivery {what.delivery[:16]} to {what.receiver}, {what.records} records",
            f"已召回：条目 {made.entry}，对 {what.receiver} 的交付 {what.delivery[:16]}，{what.records} 条记录",
        )
    )
    if not made.opened:
        speech.tell(Text("nobody there had opened any of its subjects", "此前该域无人开启其中任何主体"))
    else:
        speech.table(
            Text("Opened before the recall", "召回前的开启情况"),
            [
                Text("post", "岗位"),
                Text("person", "责任人"),
                Text("openings", "开启次数"),
                Text("subjects", "主体数"),
                Text("first", "首次"),
                Text("last", "末次"),
            ],
            [(o.post, o.person, o.openings, o.subjects, o.first[:16], o.last[:16]) for o in made.opened],
        )
    speech.result(made)


def _show(standing: list[Hold], home: Home) -> None:
    speech = CONTEXT.speech
    if not standing:
        speech.tell(Text("nothing is held", "没有被暂停的流向"))
    for hold in standing:
        detail = hold.detail or {}
        by = Text(f"by {hold.person} ({hold.post})", f"由 {hold.person}（{hold.post}）")
        what = by if hold.by_hand else Text(f"run {hold.run}", f"运行 {hold.run}")
        speech.tell(
            Text(
                f"{hold.flow}: held {what.en}, entry {hold.index}, {hold.at}; released by a holder of {hold.post}",
                f"{hold.flow}：{what.zh}暂停，条目 {hold.index}，{hold.at}；由 {hold.post} 任职者放行",
            ),
            style="bold",
        )
        if hold.by_hand:
            speech.tell(Text(f"  {detail['reason']}", f"  {detail['reason']}"))
            continue
        speech.table(
            Text(f"Reasons ({detail['outside']})", f"原因（{detail['outside']}）"),
            [
                Text("about", "对象"),
                Text("what", "情况"),
                Text("held before", "原有"),
                Text("would hold", "将有"),
                Text("come", "进入"),
                Text("leave", "离开"),
                Text("bound", "范围"),
            ],
            [_line(reason, home) for reason in detail["reasons"]],
        )


def _line(reason: dict[str, Any], home: Home) -> tuple[object, ...]:
    domains = home.policies.domains
    about = reason["about"]
    named = domains[about].name if about in domains else Text(about, about)
    what = {
        "subjects": Text("records of the whole flow", "整个流向的记录数"),
        "per_receiver": Text("records that come or leave", "进入或离开的记录"),
        "fields": Text(
            f"never had before: {', '.join(reason.get('fields', []))}",
            f"首次提供的字段：{'、'.join(reason.get('fields', []))}",
        ),
        "standing": Text("other content while the flow was held", "暂停期间内容有变"),
    }[reason["kind"]]
    bound = f"±{reason['bound']} %" if "bound" in reason else ""
    return (
        named, what, reason.get("before"), reason.get("after"), reason.get("entering"), reason.get("leaving"), bound,
    )  # fmt: skip

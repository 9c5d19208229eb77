"""``huanshu emergency``: breaking the glass, for hours, and the second person's review."""

from __future__ import annotations

from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text

app = typer.Typer(
    no_args_is_help=True, help="Breaking the glass: read for hours what nobody granted. 紧急调阅。"
)


@app.command()
def declare(
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    domain: Annotated[str, typer.Option(help="The own domain, or one below it.")],
    post: Annotated[str, typer.Option(help="The post you act in; policies/limits.yaml names the roles.")],
    purpose: Annotated[str, typer.Option(help="The registered purpose.")],
    fields: Annotated[str, typer.Option(help="field[:rung],… (rung: mask or reveal; default reveal).")],
    reason: Annotated[
        str, typer.Option(help="Why; no resident's data. The log keeps it. 理由，勿写居民信息。")
    ],
    hours: Annotated[int, typer.Option(min=1, max=4, help="For how long, at most four.")] = 1,
) -> None:
    """Break the glass: for some hours, read single records at rungs that the rules do not grant. The data owner is told
    at once; somebody else reviews it within a day, or it is escalated. Exit code 5: not allowed. 紧急调阅。

    Example: huanshu --as p.yang emergency declare resident --domain 990101001001 --post yulan.station_head
    --purpose grassroots_service --fields employer --hours 2 --reason "fire in building 3" """
    asked = {}
    for each in fields.split(","):
        name, _, rung = each.strip().partition(":")
        if rung not in ("", "mask", "reveal"):
            raise InputError(
                "cli.rung.unknown", Text("a rung is mask or reveal", "可见级别为 mask 或 reveal")
            )
        asked[name] = rung or "reveal"
    claim = {
        "event": "access.emergency.declared",
        "post": post,
        "domain": domain,
        "dataset": dataset,
        "purpose": purpose,
        "fields": asked,
        "detail": {"reason": reason, "hours": hours},
    }
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = here.keeper.append(claim)
        (declared,) = [each for each in here.keeper.emergencies() if each["index"] == ticket.index]
    CONTEXT.speech.tell(
        Text(
            f"entry {ticket.index}: until {declared['until']}; {declared['owner_post']} has been told and reviews it"
            f" until {declared['review_by']}",
            f"条目 {ticket.index}：有效至 {declared['until']}；已告知 {declared['owner_post']}，"
            f"须于 {declared['review_by']} 前复核",
        )
    )
    CONTEXT.speech.result(declared)


@app.command()
def review(
    declared: Annotated[int, typer.Argument(help="The entry that declared it.")],
    verdict: Annotated[str, typer.Argument(help="justified 正当, or misuse 滥用.")],
    reason: Annotated[str, typer.Option(help="What was found; no resident's data.")],
) -> None:
    """Review, as another person, what was read in an emergency: the data owner's post or a security officer. 复核。

    Example: huanshu --as p.he emergency review 4711 justified --reason "report of the fire brigade seen" """
    if verdict not in ("justified", "misuse"):
        raise InputError(
            "cli.verdict.unknown", Text("the verdict is justified or misuse", "结论为 justified 或 misuse")
        )
    detail = {"declared": declared, "verdict": verdict, "reason": reason}
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = here.keeper.append({"event": "access.emergency.reviewed", "detail": detail})
    CONTEXT.speech.tell(Text(f"reviewed: entry {ticket.index}", f"已复核：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index, "declared": declared, "verdict": verdict})


@app.command("list")
def list_(
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those without a review. 仅未复核者。")
    ] = False,
) -> None:
    """Broken glasses that you may know of: your own, and others' for the data owner and who may read the log. 列表。

    Example: huanshu --as p.he emergency list --waiting"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        found = [each for each in here.keeper.emergencies() if not (waiting and each["verdict"])]
    heads = [
        Text("entry", "条目"), Text("person", "人员"), Text("domain", "域"), Text("fields", "字段"),
        Text("until", "有效至"), Text("review by", "复核期限"), Text("verdict", "结论"),
    ]  # fmt: skip
    CONTEXT.speech.table(
        Text("Emergencies", "紧急调阅"),
        heads,
        [
            (
                each["index"], each["person"], each["domain"], ", ".join(each["fields"]), each["until"],
                each["review_by"], each["verdict"] or ("escalated" if each["escalated"] else "—"),
            )
            for each in found
        ],
    )  # fmt: skip
    CONTEXT.speech.result(found)

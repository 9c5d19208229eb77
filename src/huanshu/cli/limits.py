"""``huanshu access budget`` and ``access raise``: how much a person has seen, and a second person's consent to more."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import Text


def budget(
    person: Annotated[
        str, typer.Argument(help="Whose (default: your own); others' for who may read the log.")
    ] = "",
) -> None:
    """What a person has used up of the budgets in policies/limits.yaml: numbers only. 已用的查看限额。

    Example: huanshu access budget
    Example: huanshu --as p.chen access budget p.tang --json"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        spent, limits = here.keeper.spent(person or None), here.home.policies.limits
    rows = (
        (Text("looked at within 24 hours", "24 小时内查看"), spent["day"], limits.subjects_per_day),
        (Text("looked at within 30 days", "30 日内查看"), spent["month"], limits.subjects_per_month),
        (
            Text("taken along in workbooks, 30 days", "30 日内以工作簿带出"),
            spent["exported"],
            limits.export_alone,
        ),
        (Text("wrong numbers, 24 hours", "24 小时内未查得或不一致"), spent["misses"], limits.misses_per_day),
    )
    CONTEXT.speech.table(
        Text("Budgets", "查看限额"), [Text("", ""), Text("used", "已用"), Text("limit", "限额")], rows
    )
    CONTEXT.speech.result(
        {
            "spent": spent,
            "limits": {
                "day": limits.subjects_per_day,
                "month": limits.subjects_per_month,
                "exported": limits.export_alone,
                "misses": limits.misses_per_day,
            },
        }
    )


def raise_(
    person: Annotated[str, typer.Argument(help="Who may see more; never yourself.")],
    dataset: Annotated[str, typer.Option(help="Of which dataset.")],
    purpose: Annotated[str, typer.Option(help="For which registered purpose.")],
    subjects: Annotated[int, typer.Option(min=1, help="How many residents.")],
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD; within a week.")],
    reason: Annotated[str, typer.Option(help="Why; no resident's data. 理由，勿写居民信息。")],
) -> None:
    """Agree, as a second person, that somebody sees more than alone. Needs a security officer or chief data officer;
    exit code 5 when the rules say no. 由第二人同意提高限额。

    Example: huanshu --as p.chen access raise p.tang --dataset resident --purpose grassroots_service --subjects 3000
    --until 2026-07-03 --reason "house-to-house census" """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ends = datetime.combine(date.fromisoformat(until), time(23, 59, 59), ZoneInfo(here.home.timezone))
        ticket = here.keeper.append(
            {
                "event": "access.budget.raised",
                "dataset": dataset,
                "purpose": purpose,
                "detail": {"for": person, "subjects": subjects, "until": ends.isoformat(), "reason": reason},
            }
        )
    CONTEXT.speech.tell(
        Text(
            f"entry {ticket.index}: {person} may see {subjects} more of {dataset} until {until}",
            f"条目 {ticket.index}：{person} 可于 {until} 前另外查看 {dataset} 的 {subjects} 名主体",
        )
    )
    CONTEXT.speech.result({"entry": ticket.index, "person": person, "subjects": subjects, "until": ends})

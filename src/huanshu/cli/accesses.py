"""``huanshu access``: why may this post see that field, or why not — from the files alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from huanshu.access import Request
from huanshu.assembly.keeper_process import enforcer_of
from huanshu.catalog import read_home
from huanshu.cli.context import CONTEXT
from huanshu.errors import Text

app = typer.Typer(no_args_is_help=True, help="Who may see what, and why. 权限。")


@app.command()
def explain(
    post: Annotated[str, typer.Option(help="The post that asks.")],
    domain: Annotated[str, typer.Option(help="The domain asked about.")],
    field: Annotated[str, typer.Option(help="The field.")],
    purpose: Annotated[str, typer.Option(help="The purpose.")] = "",
    action: Annotated[
        str, typer.Option(help="count, match, mask, reveal, propose, write, approve, trace.")
    ] = "reveal",
    dataset: Annotated[str, typer.Option(help="The dataset.")] = "resident",
    on: Annotated[str, typer.Option(help="As of this day, YYYY-MM-DD (default: now).")] = "",
) -> None:
    """The rule that decides, or the nearest miss and the smallest grant that would do. Logs and opens nothing.

    Example: huanshu access explain --post yulan.data_clerk --domain 990101001001 --field phone
    --purpose grassroots_service"""
    home = read_home(CONTEXT.settings.home)
    zone = ZoneInfo(home.timezone)
    at = datetime.fromisoformat(on).replace(hour=12, tzinfo=zone) if on else datetime.now(zone)
    decision = enforcer_of(home).decide(Request(post, domain, dataset, field, purpose, action, at))
    CONTEXT.speech.tell(
        Text("allowed", "允许") if decision.allowed else Text("denied", "拒绝"),
        style="green" if decision.allowed else "red",
    )
    CONTEXT.speech.tell(decision.explanation)
    if decision.remedy:
        CONTEXT.speech.tell(decision.remedy)
    CONTEXT.speech.result(
        {"allowed": decision.allowed, "explanation": decision.explanation, "remedy": decision.remedy,
         "rule": str(decision.rule.where) if decision.rule else None}
    )  # fmt: skip

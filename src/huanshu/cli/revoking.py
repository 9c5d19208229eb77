"""``huanshu access revoke``: take a rule or a post away, at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from huanshu.assembly import running
from huanshu.authoring.revoking import Ended, end_holding, end_rule, written
from huanshu.catalog import read_home
from huanshu.cli.context import CONTEXT
from huanshu.errors import HuanshuError, InputError, Text
from huanshu.identity import adopt_policies

_POSTS = "policies/posts.csv"


def revoke(
    rule: Annotated[str, typer.Option(help="The rule's place, as explain prints it: FILE:LINE.")] = "",
    post: Annotated[str, typer.Option(help="A post, with --person.")] = "",
    person: Annotated[str, typer.Option(help="Who is not to hold the post any more.")] = "",
    now: Annotated[
        bool, typer.Option("--now", help="Do it: change the file and put it in force. Otherwise only shown.")
    ] = False,
) -> None:
    """Take away a rule, or a post from a person. It ends yesterday, at once and by one person (a security officer):
    taking away needs no second one. What runs stops within one chunk. Without --now nothing is changed. 立即收回权限。

    Exit codes: 4 no such rule or holding, 5 not allowed, 6 the keeper is down (nothing is changed then).

    Example: huanshu --as p.chen access revoke --rule policies/rules/community.csv:21 --now
    Example: huanshu --as p.chen access revoke --post yulan.data_clerk --person p.ma --now"""
    if bool(rule) == bool(post and person):
        raise InputError(
            "cli.revoke.unclear",
            Text(
                "give either --rule, or --post and --person", "请给出 --rule，或同时给出 --post 与 --person"
            ),
        )
    home = read_home(CONTEXT.settings.home)
    today = datetime.now(ZoneInfo(home.timezone)).date()
    path = Path(home.path) / (rule.partition(":")[0] if rule else _POSTS)
    if rule and not any(known.where.file == rule.partition(":")[0] for known in home.policies.rules):
        raise InputError("access.revoke.unknown", Text("no such rule file", "没有该规则文件"))
    text = path.read_text("utf-8")
    ended = [end_rule(home, rule, text, today)] if rule else end_holding(home, post, person, text, today)
    entry = _put_in_force(path, text, written(text, ended)) if now else None
    CONTEXT.speech.table(
        Text(
            "Taken away" if now else "Would be taken away",
            "已收回" if now else "将收回（未执行，加 --now 执行）",
        ),
        [Text("place", "位置"), Text("before", "原"), Text("after", "现")],
        [(f"{each.file}:{each.line}", each.before, each.after or "—") for each in ended],
    )
    CONTEXT.speech.result({"entry": entry, "dry_run": not now, "ended": [_told(each) for each in ended]})


def _put_in_force(path: Path, before: str, after: str) -> int:
    """Write, read the whole home again, adopt. Whatever refuses, the file is as it was."""
    path.write_text(after, "utf-8")
    try:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here:
            return adopt_policies(here.keeper, here.home).index
    except HuanshuError:
        path.write_text(before, "utf-8")
        raise


def _told(ended: Ended) -> dict[str, object]:
    return {"file": ended.file, "line": ended.line, "before": ended.before, "after": ended.after}

"""``huanshu access plan``, ``test`` and ``lint``: a change of the rules, looked at before it is in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from huanshu.access.cases import run_cases, untried
from huanshu.access.change import Change, Shift, Side, change_between
from huanshu.access.lint import lint
from huanshu.assembly import Running, running
from huanshu.assembly.changing import ADOPTED, folder_side, kept, needs_log
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Home, read_home
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text, Where
from huanshu.gate.again import Again, decided_again, since, subjects_by_home
from huanshu.gate.replay import decide_again, requests_of

_SHOWN = 40
Days = Annotated[
    int,
    typer.Option(min=0, max=3660, help="So many days of real decisions as well. 并回放最近若干日的判定。"),
]
Case = Annotated[str, typer.Option(help="The case the log is read for, with --days. 案由。")]


def plan(
    old: Annotated[str, typer.Argument(help="adopted, a digest, or a folder. 变更前。")] = ADOPTED,
    new: Annotated[
        str, typer.Argument(help="A folder, adopted, or a digest (default: the home). 变更后。")
    ] = "",
    days: Days = 0,
    case: Case = "",
    only_hash: Annotated[bool, typer.Option("--hash", help="Print the hash alone. 仅输出摘要。")] = False,
) -> None:
    """Who gains or loses what: persons × fields × domains × subjects, today and on every later day that matters.

    Its hash is what “huanshu policy adopt --plan” wants before anything is widened. Changes nothing.

    Example: huanshu access plan adopted policies-draft --days 30 --case "review of rules" """
    home = read_home(CONTEXT.settings.home)
    at = datetime.now(ZoneInfo(home.timezone))
    target = new or str(CONTEXT.settings.home)
    counted: dict[tuple[str, str], int] | None = None
    again: Again | None = None
    if needs_log(old) or needs_log(target) or days:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here:
            sides = [_side(here, home, word) for word in (old, target)]
            with here.district() as district:
                counted = subjects_by_home(district, home.contracts)
            again = _again(here, sides, days, case, at) if days else None
    else:
        sides = [folder_side(Path(word), home.timezone) for word in (old, target)]
    change = change_between(sides[0], sides[1], at)
    if only_hash and not CONTEXT.speech.as_json:
        typer.echo(change.digest)
        return
    _show(change, counted, again)


def _side(here: Running, home: Home, word: str) -> Side:
    return kept(here, word) if needs_log(word) else folder_side(Path(word), home.timezone)


def _again(here: Running, sides: Sequence[Side], days: int, case: str, at: datetime) -> Again:
    with here.district() as district:
        entries = read_entries(district, _read_for(here, case, since(district, at - timedelta(days=days))))
        return decided_again(entries, sides[0].enforcer, sides[1].enforcer)


def _read_for(here: Running, case: str, first: int) -> int:
    """Says in the log who reads it, what for and from where; appended before anything is read."""
    if not case:
        raise InputError(
            "cli.case.missing",
            Text("real decisions are read for a case", "回放真实判定须写明案由"),
            remedy=Text('add --case "why"', '请加 --case "案由"'),
        )
    detail = {"tool": "plan", "case": case, "first": first, "last": first}
    return min(first, here.keeper.append({"event": "log.entries.read", "detail": detail}).index)


def _show(change: Change, counted: dict[tuple[str, str], int] | None, again: Again | None) -> None:
    speech = CONTEXT.speech
    speech.tell(
        Text(f"{change.old[:12]} → {change.new[:12]}", f"{change.old[:12]} → {change.new[:12]}"), style="bold"
    )
    for title, shifts, style in (
        (Text("Gains", "新增授权"), change.widening, "red"),
        (Text("Losses", "收回授权"), change.narrowing, "green"),
    ):
        extent = change.extent(shifts, counted)
        told = extent.subjects if extent.subjects is not None else "?"
        reach = (extent.persons, extent.fields, extent.domains, told)
        speech.tell(
            Text(
                "{}: {} persons × {} fields × {} domains × {} subjects".format(title.en, *reach),
                "{}：{} 人 × {} 个字段 × {} 个域 × {} 个主体".format(title.zh, *reach),
            ),
            style=style if shifts else None,
        )
        if shifts:
            _table(title, shifts)
    for line in change.beside:
        speech.tell(Text(f"Weaker: {line}", f"放宽：{line}"), style="red")
    if again is not None:
        _turned(again)
    speech.tell(Text(f"hash {change.digest}", f"方案摘要 {change.digest}"))
    speech.result(
        {
            "hash": change.digest, "old": change.old, "new": change.new, "widens": change.widens,
            "gains": change.widening, "losses": change.narrowing, "beside": change.beside,
            "extent": {
                "gains": change.extent(change.widening, counted),
                "losses": change.extent(change.narrowing, counted),
            },
            "replayed": again,
        }
    )  # fmt: skip


def _table(title: Text, shifts: Sequence[Shift]) -> None:
    nothing = Text("nothing", "无")
    rows: list[tuple[Any, ...]] = [
        (
            ", ".join(shift.persons), shift.post, f"{shift.dataset}.{shift.field}", shift.purpose,
            shift.domains[0] if len(shift.domains) == 1 else f"× {len(shift.domains)}",
            ", ".join(shift.before) or nothing, ", ".join(shift.after) or nothing, shift.since,
        )
        for shift in shifts[:_SHOWN]
    ]  # fmt: skip
    CONTEXT.speech.table(
        title,
        [
            Text("persons", "责任人"), Text("post", "岗位"), Text("field", "字段"), Text("purpose", "用途"),
            Text("domains", "域"), Text("before", "变更前"), Text("after", "变更后"), Text("from", "自"),
        ],
        rows,
    )  # fmt: skip
    if len(shifts) > _SHOWN:
        CONTEXT.speech.tell(
            Text(f"… and {len(shifts) - _SHOWN} more: --json", f"……另有 {len(shifts) - _SHOWN} 项，见 --json")
        )


def _turned(again: Again) -> None:
    CONTEXT.speech.tell(
        Text(
            f"{again.decisions} real decisions of {again.entries} entries asked again: {len(again.turned)} turn",
            f"回放 {again.entries} 条日志的 {again.decisions} 项真实判定：{len(again.turned)} 项结论改变",
        )
    )
    for turned in again.turned[:_SHOWN]:
        fields = ", ".join(turned.fields)
        CONTEXT.speech.tell(
            Text(
                f"  entry {turned.entry}, {turned.person} ({turned.post}), {turned.dataset} {fields}: would be"
                f" {'allowed' if turned.allowed else 'denied'}",
                f"  条目 {turned.entry}，{turned.person}（{turned.post}），{turned.dataset} {fields}："
                f"将{'允许' if turned.allowed else '拒绝'}",
            )
        )


def test() -> None:
    """The cases beside the rules, and whether every role is shown once allowed and once denied. Exit 3 when not.

    Example: huanshu access test"""
    home = read_home(CONTEXT.settings.home)
    failures = run_cases(home)
    missing = untried(home.policies)
    for failure in failures:
        CONTEXT.speech.tell(Text(failure.error.explain("en"), failure.error.explain("zh")), style="red")
    for each in missing:
        outcome = Text("allowed", "允许") if each.missing == "allow" else Text("denied", "拒绝")
        CONTEXT.speech.tell(
            Text(
                f"no case shows {each.role} ({each.kind}, {each.where}) {outcome.en}",
                f"没有用例表明 {each.role}（{each.kind}，{each.where}）被{outcome.zh}",
            ),
            style="red",
        )
    asked, failed = len(home.policies.cases), len(failures)
    CONTEXT.speech.tell(
        Text(f"{asked - failed} of {asked} cases hold", f"{asked} 个用例中 {asked - failed} 个成立"),
        style="red" if failed else "green",
    )
    CONTEXT.speech.result(
        {"cases": asked, "failed": [f.error.as_json() for f in failures], "untried": missing}
    )
    if failed or missing:
        raise typer.Exit(3)


def lint_rules(days: Days = 0, case: Case = "") -> None:
    """Rules that a person should look at: shadowed, unreachable, contradicting, never used, over-wide, expired.

    Stops nothing, and exits 0. Example: huanshu access lint --days 90 --case "yearly review" """
    home = read_home(CONTEXT.settings.home)
    at = datetime.now(ZoneInfo(home.timezone))
    used: set[Where] | None = None
    if days:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here:
            used = _used(here, home, days, case, at)
    found = lint(home.policies, home.contracts, at.date(), used)
    CONTEXT.speech.table(
        Text("Rules to look at", "应予复核的规则"),
        [Text("rule", "规则"), Text("kind", "类别"), Text("what", "说明")],
        [(str(each.where), each.kind, each.what) for each in found],
    )
    CONTEXT.speech.tell(
        Text(
            f"{len(found)} of {len(home.policies.rules)} rules",
            f"共 {len(home.policies.rules)} 条规则，{len(found)} 处",
        )
    )
    CONTEXT.speech.result({"rules": len(home.policies.rules), "oddities": found})


def _used(here: Running, home: Home, days: int, case: str, at: datetime) -> set[Where]:
    """The rules by which the decisions of some days would be made now."""
    enforcer = Side.of(home.policies, home.contracts, home.timezone).enforcer
    by_word = {str(rule.where): rule.where for rule in home.policies.rules}
    with here.district() as district:
        entries: Iterable[Any] = read_entries(
            district, _read_for(here, case, since(district, at - timedelta(days=days)))
        )
        decided = {
            each.rule for entry in entries for each in decide_again(enforcer, list(requests_of(entry.body)))
        }
    return {by_word[word] for word in decided if word in by_word}

"""``huanshu policy`` and ``huanshu sender``: what security staff put in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.assembly.changing import pending, require_seen
from huanshu.assembly.keeper_process import clock_of
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.identity import adopt_policies, enrol_sender, propose_policies

app = typer.Typer(no_args_is_help=True, help="The policy bundle: what is read, what is in force. 策略。")
#: Digits of a digest that say which one is meant.
_SHORTEST = 12
senders = typer.Typer(no_args_is_help=True, help="Senders of extracts and their keys. 报送方。")


@app.command()
def propose(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what may widen.")] = False,
) -> None:
    """Ask, as their author, that the policies as they are read now replace those in force (a security officer). Whoever
    else adopts them is given this very pair of digests. What only takes away needs no proposal. 提出策略变更。

    Example: huanshu --as p.chen policy propose --dry-run
    Example: huanshu --as p.chen policy propose"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        status = here.keeper.status()
        now, before = str(status["policy"]), str(status["adopted"])
        widens = here.keeper.changes() if now != before else []
        plan = None if dry_run or now == before else pending(here, clock_of(here.home)()).digest
        entry = None if plan is None else propose_policies(here.keeper, here.home, plan).index
    _told(before, now)
    CONTEXT.speech.table(
        Text("What may widen", "可能扩大权限的改动"),
        [Text("file", "文件"), Text("line", "行")],
        [(file, change or Text("changed", "有改动")) for file, change in widens],
    )
    if entry is not None:
        CONTEXT.speech.tell(
            Text(
                "somebody else reads huanshu access plan and runs, within thirty days:"
                f" huanshu policy adopt --change {before[:16]}:{now[:16]} --plan {plan}",
                "请另一人在三十日内核阅 huanshu access plan 后运行："
                f"huanshu policy adopt --change {before[:16]}:{now[:16]} --plan {plan}",
            )
        )
    CONTEXT.speech.result(
        {
            "before": before,
            "now": now,
            "dry_run": dry_run,
            "entry": entry,
            "plan": plan,
            "widens": [list(each) for each in widens],
        }
    )


@app.command()
def adopt(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare the digests only.")] = False,
    change: Annotated[
        str,
        typer.Option(help="The pair that was read, BEFORE:NOW, at least 12 digits each; another is refused."),
    ] = "",
    plan: Annotated[
        str,
        typer.Option(help="The hash of the plan that was read, or a file with it. 已核阅的变更方案摘要。"),
    ] = "",
) -> None:
    """Put the policies as they are read now in force. What only takes away, and the first bundle of a log: a security
    officer. Everything else: another person than the one who proposed it. Exit code 5: not allowed. 使策略生效。

    What gives anybody more than before wants the hash that “huanshu access plan” prints: the one that its author named.

    Example: huanshu access plan --hash > change.plan
    Example: huanshu --as p.deng policy adopt --plan change.plan --change 3f9a0c11d2e4:8b71c0aa93ff"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        status = here.keeper.status()
        now, before = str(status["policy"]), str(status["adopted"] or "")
        _require_read(change, before, now)
        if not dry_run and before != now:
            read = _named(plan)
            if before:  # before the first adoption nobody may do anything that could be widened
                what = pending(here, clock_of(here.home)())
                require_seen(what, read)
                read = read or what.digest  # it gives nobody more: there was nothing to read
            adopt_policies(here.keeper, here.home, read)
    _told(before, now)
    CONTEXT.speech.result({"before": before, "now": now, "dry_run": dry_run})


def _told(before: str, now: str) -> None:
    if now == before:
        CONTEXT.speech.tell(Text(f"in force already: {now[:16]}", f"已在生效：{now[:16]}"))
    else:
        CONTEXT.speech.tell(Text(f"{before[:16]} → {now[:16]}", f"{before[:16]} → {now[:16]}"))


def _require_read(change: str, before: str, now: str) -> None:
    """The pair that somebody has read is the one that is about to be put in force."""
    if not change:
        return
    first, _, second = change.partition(":")
    if (
        len(first) < _SHORTEST
        or len(second) < _SHORTEST
        or not (before.startswith(first) and now.startswith(second))
    ):
        raise InputError(
            "policy.bundle.overtaken",
            Text("the policies have changed since they were read", "策略在核阅后又有改动"),
            remedy=Text("huanshu policy propose --dry-run", "huanshu policy propose --dry-run"),
        )


def _named(plan: str) -> str:
    """The hash itself, or what ``huanshu access plan --hash`` wrote into a file."""
    file = Path(plan) if plan and "\0" not in plan else None
    return (
        file.read_text(encoding="utf-8", errors="replace")[:100].strip() if file and file.is_file() else plan
    )


@senders.command()
def enrol(
    sender: Annotated[str, typer.Argument(help="Domain code of the sender.")],
    public_key: Annotated[str, typer.Argument(help="Its Ed25519 public key, 64 hex digits.")],
) -> None:
    """Accept manifests that a sender signs with this key (needs a security officer).

    Example: huanshu sender enrol dept.public_security 8a88e3dd…"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = enrol_sender(here.keeper, sender, public_key)
    CONTEXT.speech.tell(Text(f"enrolled: entry {ticket.index}", f"已登记：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index})

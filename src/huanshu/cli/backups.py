"""``huanshu backup`` and ``huanshu restore``: one consistent set, and no way back in time unnoticed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import backup as set_
from huanshu.assembly import running
from huanshu.catalog import read_home
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text


def backup(
    to: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")],
    case: Annotated[str, typer.Option(help="What it is taken for; it stays in the log. 备份事由。")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; nothing is.")
    ] = False,
) -> None:
    """Write databases, log and keys as one set, as of one moment. The keys' passphrase comes from standard input, never
    from the line. Who takes it is in the log.

    Example: huanshu backup /backup/2026-07-01 --case nightly < passphrase.txt
    """
    passphrase = "" if dry_run else _passphrase()
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        size = int(here.keeper.status()["size"])
        if dry_run:
            names = [name for name in here.deployment.embedded if name != "district"]
            CONTEXT.speech.tell(
                Text(
                    f"would write the district's database and {len(names)} stores",
                    f"将写出区库及 {len(names)} 个接收方存储",
                )
            )
            CONTEXT.speech.result({"size": size, "stores": names})
            return
        detail = {"tool": "backup", "case": case, "first": 0, "last": size - 1}
        here.keeper.append({"event": "log.entries.read", "detail": detail})
        made = set_.take(here.deployment, to, passphrase)
    CONTEXT.speech.tell(
        Text(
            f"{made.size} entries and all data of that moment are in {to}; keep the passphrase elsewhere",
            f"{to} 已含截至该时刻的 {made.size} 条日志与全部数据；口令请另行保管",
        )
    )
    CONTEXT.speech.result(set_.words(made))


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that huanshu backup wrote.")],
    newest: Annotated[
        Path,
        typer.Option(
            help="The newest known note of the log: the old keeper's head, or any copy's checkpoint."
        ),
    ],
) -> None:
    """Make a deployment of a backup in an empty state folder. When the log is known to have gone on since, the keeper
    stays closed until two persons give up what is missing: huanshu audit reopen.

    Example: huanshu restore /backup/2026-07-01 --newest /old/keeper/head < passphrase.txt
    """
    settings = CONTEXT.settings
    try:
        note = newest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(
            "cli.note.unreadable", Text(f"{newest.name} cannot be read", f"无法读取 {newest.name}")
        ) from None
    base = read_home(settings.home).log_origin
    deployment, made = set_.restore(settings, source, _passphrase(), note, base)
    for name in reversed(deployment.embedded):
        deployment.server(name).stop()
    CONTEXT.speech.tell(
        Text(
            f"restored with {made.size} entries; now: huanshu up, huanshu verify",
            f"已恢复至 {made.size} 条日志；下一步：huanshu up、huanshu verify",
        )
    )
    CONTEXT.speech.result(set_.words(made))


def _passphrase() -> str:
    return sys.stdin.readline().rstrip("\r\n")

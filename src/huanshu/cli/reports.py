"""``huanshu report``: pages a chief data officer reads, made from the log alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.assembly.reporting import build_report
from huanshu.cli.context import CONTEXT
from huanshu.errors import Text

app = typer.Typer(no_args_is_help=True, help="Reports from the log. 报告。")


@app.command()
def build(
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD (default: 30 days ago).")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
) -> None:
    """Build the exchange summary: one self-contained page. Building it is itself an entry.

    Example: huanshu --as p.song report build --since 2026-01-01"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        path, entry = build_report(here, CONTEXT.speech.language, since or None, out)
    CONTEXT.speech.tell(Text(f"written: {path}", f"已生成：{path}"))
    CONTEXT.speech.result({"path": str(path), "entry": entry})

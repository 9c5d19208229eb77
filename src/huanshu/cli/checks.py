"""``huanshu check`` and ``huanshu domains import``: the four folders, before anything runs on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from huanshu.alerting import sound_alerts
from huanshu.assembly.checking import access_cases, flow_rules, quality_samples
from huanshu.catalog import Home
from huanshu.catalog.divisions import domains_csv, read_divisions
from huanshu.cli.context import CONTEXT
from huanshu.conformance import check_home
from huanshu.drill.definition import sound_drills
from huanshu.errors import HuanshuError, InputError, Text
from huanshu.report.page import sound_reports

domains = typer.Typer(no_args_is_help=True, help="The domain tree. 域。")


def check(
    home: Annotated[Path | None, typer.Argument(help="The home (default: HUANSHU_HOME).")] = None,
) -> None:
    """Check the four folders: every file, every reference, every sample and case.

    Example: huanshu check"""
    problems = check_home(
        home or CONTEXT.settings.home,
        extra=(access_cases, flow_rules, quality_samples, drills, sound_reports, sound_alerts),
    )
    for problem in problems:
        CONTEXT.speech.err.print(f"✗ {problem.explain(CONTEXT.speech.language)}", style="red", markup=False)
    CONTEXT.speech.result([problem.as_json() for problem in problems])
    if problems:
        raise typer.Exit(3)
    CONTEXT.speech.tell(Text("the home is in order", "四个文件夹检查通过"), style="green")


def drills(home: Home) -> Iterator[HuanshuError]:
    """The drills of ``audit/drills``."""
    yield from sound_drills(Path(home.path))


@domains.command("import")
def import_domains(
    table: Annotated[Path, typer.Argument(help="Division table: code,name,level,parent_code,kind.")],
    out: Annotated[Path | None, typer.Option(help="Write here (default: standard output).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only.")] = False,
) -> None:
    """Turn a table of division codes into domains.csv; every problem is reported by line, at once.

    Example: huanshu domains import divisions.csv --out policies/domains.csv"""
    speech = CONTEXT.speech
    if not table.is_file():
        raise InputError(
            "division.table.missing",
            Text(f"{table.name} is not a file", f"{table.name} 不是文件"),
            remedy=Text("give the path of a table", "请给出表格文件的路径"),
        )
    found = read_divisions(table)
    for finding in (*found.problems, *found.remarks):
        speech.err.print(finding.explain(speech.language), markup=False)
    text = "" if found.problems else domains_csv(found)
    if not found.problems and not dry_run:
        if out is None and not speech.as_json:
            sys.stdout.write(text)
        elif out is not None:
            new = out.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.rename(out)
    speech.result(
        {
            "encoding": found.encoding,
            "rows": len(found.rows),
            "problems": [problem.as_json() for problem in found.problems],
            "remarks": [remark.as_json() for remark in found.remarks],
        }
    )
    if found.problems:
        raise typer.Exit(4)

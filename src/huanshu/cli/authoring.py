"""``huanshu init``, ``huanshu dataset new``, ``huanshu flow new``, ``huanshu schema``: new files of a home."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from huanshu.authoring import Draft, create_home, draft_dataset, draft_flow, write_drafts, write_schemas
from huanshu.authoring.flow_files import PLURALS, FlowWish, Kind
from huanshu.authoring.proposal import readable_home
from huanshu.authoring.schemas import FOLDER
from huanshu.catalog import Home
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text

datasets = typer.Typer(no_args_is_help=True, help="Datasets: contract, suite, samples. 数据集。")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the files; write nothing. 只显示，不写入。")]


def init(
    directory: Annotated[Path, typer.Argument(help="The new home; must not exist, or be empty.")],
) -> None:
    """Write the smallest home that passes check and runs; its comments are in the language of --lang.

    Example: huanshu init ./our-district --lang en"""
    places = create_home(directory.absolute(), CONTEXT.settings.language, datetime.now().astimezone().date())
    CONTEXT.speech.tell(
        Text(f"{len(places)} files in {directory}:", f"{directory} 中有 {len(places)} 个文件：")
    )
    for place in places:
        CONTEXT.speech.tell(Text(f"  {place}", f"  {place}"))
    CONTEXT.speech.tell(
        Text(
            f"next: export HUANSHU_HOME={directory}; huanshu schema; huanshu check; huanshu flow rehearse "
            "household.district_to_communities",
            f"接下来：export HUANSHU_HOME={directory}；huanshu schema；huanshu check；huanshu flow rehearse "
            "household.district_to_communities",
        )
    )
    CONTEXT.speech.result({"home": str(directory), "files": places})


@datasets.command("new")
def new_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset: a-z, 0-9, _.")],
    department: Annotated[
        str, typer.Option("--department", help="Its authoritative department, dept.<name>.")
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Contract, suite and samples of a new dataset, as a commented skeleton that passes check.

    Example: huanshu dataset new vaccination_due --department dept.health"""
    home = readable_home(CONTEXT.settings.home)
    draft = draft_dataset(home, name, CONTEXT.settings.language, _today(home), department=department or None)
    _put(draft, dry_run=dry_run)


def new_flow(
    dataset: Annotated[str, typer.Argument(help="The dataset to move.")],
    source: Annotated[str, typer.Option("--from", help="Domain code: a department, or the district.")],
    to: Annotated[
        list[str], typer.Option("--to", help=f"Domain code (repeatable), or one of {', '.join(PLURALS)}.")
    ],
    kind: Annotated[str, typer.Option(help="intake or delivery (default: by --from and --to).")] = "",
    purpose: Annotated[str, typer.Option(help="A purpose of policies/purposes.yaml.")] = "",
    name: Annotated[str, typer.Option(help="The flow's id (default: <dataset>.<from>_to_<to>).")] = "",
    dry_run: DryRun = False,
) -> None:
    """A commented flow file: every field at the lowest sensible rung, the accountable post proposed.

    Example: huanshu flow new vaccination_due --from dept.health --to 990101000000"""
    home = readable_home(CONTEXT.settings.home)
    wish = FlowWish(dataset, source, tuple(to), _kind(kind), purpose or None, name or None)
    draft = draft_flow(home, wish, CONTEXT.settings.language)
    _put(draft, dry_run=dry_run)
    flow = Path(draft.root).stem
    CONTEXT.speech.tell(
        Text(f"next: huanshu flow plan {flow}", f"接下来：huanshu flow plan {flow}"),
    )


def write_schema(
    out: Annotated[
        Path | None, typer.Option(help=f"Folder to write into (default: {FOLDER} in the home).")
    ] = None,
) -> None:
    """Write the JSON Schemas of the home's YAML files, for editors that know the YAML language server.

    Example: huanshu schema"""
    folder = out or CONTEXT.settings.home / FOLDER
    names = write_schemas(folder)
    CONTEXT.speech.tell(Text(f"{len(names)} schemas in {folder}", f"{folder} 中有 {len(names)} 个模式文件"))
    CONTEXT.speech.result({"folder": str(folder), "files": names})


def _put(draft: Draft, *, dry_run: bool) -> None:
    speech = CONTEXT.speech
    if not dry_run:
        write_drafts(CONTEXT.settings.home, draft)
    for place, text in draft.files.items():
        if dry_run and not speech.as_json:
            sys.stdout.write(f"# ── {place}\n{text}\n")
        else:
            speech.tell(Text(f"written: {place}", f"已写入：{place}"))
    speech.result({"files": dict(draft.files), "written": not dry_run})


def _kind(given: str) -> Kind | None:
    if given == "intake":
        return "intake"
    if given in {"delivery", ""}:
        return "delivery" if given else None
    raise InputError(
        "cli.kind.unknown",
        Text("--kind is intake or delivery", "--kind 须为 intake 或 delivery"),
    )


def _today(home: Home) -> date:
    return datetime.now(ZoneInfo(home.timezone)).date()

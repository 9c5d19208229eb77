"""``huanshu workbook``: a community's slice as a spreadsheet, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.cli.corrections import tell_receipt
from huanshu.errors import InputError, Text, Where
from huanshu.exchange import workbooks
from huanshu.exchange.manifest import read_bytes
from huanshu.exchange.workbooks.reading import MAX_BYTES, read

app = typer.Typer(no_args_is_help=True, help="A slice as a spreadsheet, and corrections from it. 工作簿。")
Dataset = Annotated[str, typer.Argument(help="Dataset.")]
Post = Annotated[str, typer.Option(help="The post you act in; its domain is the slice.")]
Out = Annotated[Path, typer.Option("--out", help="Where the workbook goes (readable by you alone).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count rows and columns; open nothing.")]


@app.command()
def export(
    dataset: Dataset,
    post: Post,
    out: Out,
    changes: Annotated[
        bool, typer.Option("--changes", help="Only what earlier ones have not shown.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Make a workbook of your domain's slice. The access is in the log before anything is opened.

    Example: huanshu --as p.tang workbook export resident --post yulan.data_clerk --out yulan.xlsx"""
    if out.exists() and not dry_run:
        raise InputError(
            "cli.file.exists",
            Text("the file is there already", "文件已存在"),
            remedy=Text("choose another name", "请换一个文件名"),
            where=Where(out.name),
        )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        made = workbooks.issue(
            here.ground(), dataset, post, changes=changes, language=CONTEXT.speech.language, dry_run=dry_run
        )
    if not dry_run:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.content)
    CONTEXT.speech.tell(
        Text(
            f"{made.rows} records; {len(made.proposable)} of {len(made.fields)} columns may be changed;"
            f" {made.answers} answers",
            f"{made.rows} 条记录，{len(made.fields)} 列，其中 {len(made.proposable)} 列可改，{made.answers} 项答复",
        )
    )
    CONTEXT.speech.result(
        {
            "workbook": made.workbook,
            "domain": made.domain,
            "dataset": made.dataset,
            "sequence": made.sequence,
            "records": made.rows,
            "fields": made.fields,
            "proposable": made.proposable,
            "answers": made.answers,
            "entry": made.entry_index,
        }
    )


@app.command()
def answer(dataset: Dataset, post: Post, out: Out, dry_run: DryRun = False) -> None:
    """The next workbook: what changed since the last one, and what became of your corrections.

    Example: huanshu --as p.tang workbook answer resident --post yulan.data_clerk --out answers.xlsx"""
    export(dataset, post, out, changes=True, dry_run=dry_run)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="The workbook, filled in.")],
    post: Post,
    dry_run: DryRun = False,
) -> None:
    """Hand in a workbook: each changed cell becomes one correction. The same file again changes nothing.

    Example: huanshu --as p.tang workbook submit yulan.xlsx --post yulan.data_clerk"""
    raw = read_bytes(file, MAX_BYTES)
    if dry_run:
        upload = read(raw)
        CONTEXT.speech.tell(
            Text(
                f"workbook {upload.shape.workbook} of {upload.shape.domain}: {len(upload.rows)} rows",
                f"工作簿 {upload.shape.workbook}（{upload.shape.domain}）：{len(upload.rows)} 行",
            )
        )
        CONTEXT.speech.result(
            {"workbook": upload.shape.workbook, "domain": upload.shape.domain, "records": len(upload.rows)}
        )
        return
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        tell_receipt(workbooks.submit(here.ground(), raw, post))

"""``huanshu record``: read one record, through the gate."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.catalog import Rung
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.gate.read import Asked
from huanshu.gate.read import read as read_record

app = typer.Typer(no_args_is_help=True, help="One record, through the gate. 单条记录。")


@app.command()
def read(
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    domain: Annotated[str, typer.Option(help="The domain whose record it is.")],
    post: Annotated[str, typer.Option(help="The post you act in.")],
    purpose: Annotated[str, typer.Option(help="The registered purpose; no read without one.")] = "",
    fields: Annotated[
        str, typer.Option(help="field[:rung],… (rung: mask or reveal; default reveal).")
    ] = "name",
    record: Annotated[int | None, typer.Option(help="Record number.")] = None,
    identifier: Annotated[
        bool,
        typer.Option("--identifier", help="Read the identifier from standard input (never from the line)."),
    ] = False,
) -> None:
    """Read fields of one record. The access is in the log before anything is opened.

    Example: huanshu --as p.tang record read resident --domain 990101001001 --post yulan.data_clerk
    --purpose grassroots_service --fields name,phone,citizen_number:mask --record 17"""
    asked = Asked(
        post=post,
        domain=domain,
        dataset=dataset,
        purpose=purpose,
        fields=_fields(fields),
        record=record,
        identifier=sys.stdin.readline().strip() if identifier else None,
    )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        answer = read_record(here.home, here.keeper, here.district, asked)
    CONTEXT.speech.table(
        Text(
            f"Record {answer.record} — entry {answer.entry_index}",
            f"记录 {answer.record} — 条目 {answer.entry_index}",
        ),
        [Text("field", "字段"), Text("value", "值")],
        [(name, value if value is not None else "—") for name, value in answer.values.items()],
    )
    CONTEXT.speech.result({"entry": answer.entry_index, "record": answer.record, "values": answer.values})


def _fields(given: str) -> dict[str, Rung]:
    asked: dict[str, Rung] = {}
    for part in given.split(","):
        name, _, word = part.strip().partition(":")
        try:
            asked[name] = Rung.of(word or "reveal")
        except KeyError:
            raise InputError(
                "cli.rung.unknown",
                Text("a rung is count, match, mask or reveal", "可见级别为 count、match、mask 或 reveal"),
            ) from None
    return asked

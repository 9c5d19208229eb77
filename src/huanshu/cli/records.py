"""``huanshu record``: read one record, through the gate; and ask who has."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import Running, running
from huanshu.assembly.keeper_process import clock_of
from huanshu.auditlog import PublishedLog
from huanshu.catalog import Rung
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.gate.compare import AskedWhether
from huanshu.gate.compare import compare as compare_record
from huanshu.gate.proofs import prove
from huanshu.gate.read import Asked
from huanshu.gate.read import read as read_record
from huanshu.gate.seen import AskedWho, WhoSaw, who_saw
from huanshu.report.statement import LIMIT, find_usage, told
from huanshu.report.statement import statement as as_statement

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


@app.command()
def compare(
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    domain: Annotated[str, typer.Option(help="The domain whose record it is.")],
    post: Annotated[str, typer.Option(help="The post you act in.")],
    purpose: Annotated[
        str, typer.Option(help="The registered purpose; nothing is compared without one.")
    ] = "",
    fields: Annotated[
        str, typer.Option(help="field,… : what the certificate says of each comes on standard input.")
    ] = "name",
    record: Annotated[int | None, typer.Option(help="Record number.")] = None,
    identifier: Annotated[
        bool, typer.Option("--identifier", help="The first line of standard input is the identifier.")
    ] = False,
) -> None:
    """Whether a certificate agrees with the record, field by field, without seeing it. Type what it says, one line a
    field, in the order of --fields. One entry; too many that disagree within a day end it (exit code 5). 核对。

    Example: huanshu --as p.tang record compare resident --domain 990101001001 --post yulan.data_clerk
    --purpose grassroots_service --fields name,birth_date --identifier < what-the-certificate-says.txt"""
    if (record is None) != identifier:
        raise InputError(
            "cli.record.unclear",
            Text("give either --record or --identifier", "--record 与 --identifier 须且只须给出一个"),
        )
    number = sys.stdin.readline().strip() if identifier else None
    typed = {name.strip(): sys.stdin.readline().rstrip("\r\n") for name in fields.split(",")}
    asked = AskedWhether(post, domain, dataset, purpose, typed, record, number)
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        answer = compare_record(here.home, here.keeper, here.district, asked)
    said = {True: Text("agrees", "一致"), False: Text("does not agree", "不一致")}
    CONTEXT.speech.table(
        Text(f"Record {answer.record} — entry {answer.entry}", f"记录 {answer.record} — 条目 {answer.entry}"),
        [Text("field", "字段"), Text("", "核对结果")],
        [(name, said[same]) for name, same in answer.agrees.items()],
    )
    CONTEXT.speech.result({"entry": answer.entry, "record": answer.record, "agrees": answer.agrees})


@app.command()
def seen(
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    post: Annotated[str, typer.Option(help="The post you act in.")],
    case: Annotated[
        str, typer.Option(help="The case this is asked for; no resident's data. 案由，勿写居民信息。")
    ],
    purpose: Annotated[str, typer.Option(help="The registered purpose.")] = "access_review",
    record: Annotated[int | None, typer.Option(help="Record number.")] = None,
    identifier: Annotated[
        bool,
        typer.Option("--identifier", help="Read the identifier from standard input (never from the line)."),
    ] = False,
    statement: Annotated[
        bool, typer.Option("--statement", help="As told to the resident: by post, what is withheld left out.")
    ] = False,
    usage: Annotated[
        bool, typer.Option("--usage", help="As told to the resident, a JSON list in the shape of findUsage.")
    ] = False,
    offset: Annotated[int, typer.Option(min=1, help="With --usage: from which usage on.")] = 1,
    limit: Annotated[int, typer.Option(min=1, help="With --usage: how many.")] = LIMIT,
    proofs: Annotated[
        Path | None,
        typer.Option(help="Folder for a tlog-proof of every entry; each is checked as it is made."),
    ] = None,
) -> None:
    """Who saw the person or organisation of a record, by the log. The question is itself an entry; nothing is opened.

    Example: huanshu --as p.xu record seen resident --record 17 --post district.auditor --case "complaint 2026-118"
    --statement"""
    if (record is None) != identifier:
        raise InputError(
            "cli.record.unclear",
            Text("give either --record or --identifier", "--record 与 --identifier 须且只须给出一个"),
        )
    asked = AskedWho(
        post, dataset, purpose, case, record, sys.stdin.readline().strip() if identifier else None
    )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        answer = who_saw(here.home, here.keeper, here.district, asked)
        pending = () if proofs is None else _write_proofs(here, answer, proofs)
        if statement or usage:
            _tell_resident(here, answer, case, usage=usage, offset=offset, limit=limit)
            return
    CONTEXT.speech.table(
        Text(f"Seen, by the log up to entry {answer.entry}", f"查看情况（日志截至条目 {answer.entry}）"),
        [
            Text("how", "方式"),
            Text("what for, by which post, who answers for it", "用途、岗位、责任人"),
            Text("about", "所涉域"),
            Text("entries, first and last", "条目、首次与末次"),
        ],
        [
            (
                _HOW[g.how],
                f"{g.purpose}\n{g.post} ({g.department})\n{', '.join(g.persons)}",
                g.domain,
                f"{', '.join(map(str, g.entries))}\n{_minute(g.first)}\n{_minute(g.last)}",
            )
            for g in answer.groups
        ],
    )
    for gap in answer.gaps:
        CONTEXT.speech.tell(
            Text(
                f"entries {gap.first} to {gap.last} of {gap.origin} are lost ({gap.since} to {gap.until}): what was"
                " seen then is not known",
                f"日志 {gap.origin} 的条目 {gap.first} 至 {gap.last} 已丢失（{gap.since} 至 {gap.until}），"
                "其间的查看无从得知",
            ),
            style="red",
        )
    if proofs is not None:
        CONTEXT.speech.tell(
            Text(
                f"proofs in {proofs}; younger than the published checkpoint: {len(pending)}",
                f"证明已写入 {proofs}；晚于已发布检查点的条目：{len(pending)}",
            )
        )
    CONTEXT.speech.result(
        {
            "entry": answer.entry,
            "groups": answer.groups,
            "sightings": answer.sightings,
            "gaps": answer.gaps,
            **({} if proofs is None else {"pending": pending}),
        }
    )


def _write_proofs(here: Running, answer: WhoSaw, folder: Path) -> tuple[int, ...]:
    """``<entry>.json`` and ``<entry>.tlog-proof`` for every entry of the answer; those not covered yet."""
    published = PublishedLog(here.deployment.settings.log_folder)
    with here.district() as district:
        found = prove(
            published, str(here.keeper.status()["vkey"]), district, (s.entry for s in answer.sightings)
        )
    folder.mkdir(parents=True, exist_ok=True)
    for each in found.proven:
        (folder / f"{each.index}.json").write_bytes(each.leaf)
        (folder / f"{each.index}.tlog-proof").write_text(each.proof.text, encoding="utf-8")
    return found.pending


def _tell_resident(here: Running, answer: WhoSaw, case: str, *, usage: bool, offset: int, limit: int) -> None:
    """The resident's view; a list of usages is JSON whether or not JSON was asked for."""
    view, speech = told(answer, here.keeper.withheld()), CONTEXT.speech
    if usage:
        found = find_usage(here.home, view, speech.language, offset, limit)
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        return
    lines = as_statement(here.home, answer, view, case, clock_of(here.home)())
    for line in lines:
        speech.tell(line)
    speech.result({"en": [line.en for line in lines], "zh": [line.zh for line in lines]})


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")


_HOW = {
    "moved": Text("moved (opened, no person looked)", "搬运（已开启，无人查看）"),
    "under_way": Text("authorised, under way", "已授权，进行中"),
    "stopped": Text("authorised, stopped before it was opened", "已授权，开启前停止"),
    "viewed": Text("viewed", "查看"),
    "unopened": Text("authorised, not opened", "已授权，未开启"),
    "compared": Text("compared", "比对"),
    "counted": Text("counted", "计数"),
}


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

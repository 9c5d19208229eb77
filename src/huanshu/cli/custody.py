"""What is done to keys and with persons for ever, by two natural persons: verbs of ``huanshu keys``.

One person proposes, another confirms by the entry's number; both are in the log before anything happens. A resident is
named by record number, never by name or identifier; passphrases come from standard input, never from the line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.assembly.recovery import rehearse as try_copy
from huanshu.cli.context import CONTEXT
from huanshu.cli.holds import DryRun, Reason
from huanshu.errors import InputError, Text
from huanshu.exchange import erasure

Entry = Annotated[int, typer.Argument(help="Entry of the proposal (huanshu keys status).")]


def destroy(
    reason: Reason,
    epoch: Annotated[int, typer.Option(help="Keys of this epoch and all before it.")],
    domain: Annotated[str | None, typer.Option(help="Only of this domain.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    field: Annotated[str | None, typer.Option(help="Only of this field.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to destroy data keys: what is sealed under them is then unreadable for ever, in every store.

    Nothing happens until another person confirms: huanshu keys confirm ENTRY. Backups taken before keep the wrapped
    keys until they expire (backups_kept_days). Exit code 5: not a security officer.
    Example: huanshu --as p.chen keys destroy --epoch 1 --reason "rotated to epoch 2" """
    named = {"domain": domain, "dataset": dataset, "field": field}
    selector = {name: value for name, value in named.items() if value is not None} | {"epoch": epoch}
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        keys = here.keeper.covered(selector)
        detail = {"selector": selector, "keys": keys, "reason": reason}
        claim = {"event": "keys.destruction.proposed", "detail": detail}
        index = None if dry_run else here.keeper.append(claim).index
    _proposed(index, Text(f"{keys} keys would be destroyed", f"将销毁 {keys} 个密钥"))
    CONTEXT.speech.result({"entry": index, "selector": selector, "keys": keys})


def erase(
    dataset: Annotated[str, typer.Argument(help="A dataset whose records are about one person.")],
    record: Annotated[int, typer.Argument(help="Number of a record about the person.")],
    case: Annotated[
        str, typer.Option(help="The request it answers; no resident's data. 案由，勿写居民信息。")
    ],
    dry_run: DryRun = False,
) -> None:
    """Propose to erase a person from a dataset: versions, links, quarantine, proposed values, communities' copies.

    When another person confirms (huanshu keys confirm ENTRY) nothing of the person is opened any more, and the records
    go. Who comes again in an extract is quarantined. Exit code 5: not a security officer.
    Example: huanshu --as p.chen keys erase resident 1204 --case "request 7 of 2026" """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ground = here.ground()
        found, _ = erasure.reach(ground, dataset, record)
        index = None if dry_run else erasure.propose(ground, dataset, record, case).index
    _proposed(
        index,
        Text(
            f"{found.versions} versions of {found.records} records, held by {len(found.held_by)} communities, would go",
            f"将删除 {found.records} 条记录的 {found.versions} 个版本，{len(found.held_by)} 个社区持有副本",
        ),
    )
    CONTEXT.speech.result({"entry": index, "reach": found})


def copy(reason: Reason, dry_run: DryRun = False) -> None:
    """Propose a sealed copy of the root key for another office.

    Another person makes it: huanshu keys confirm ENTRY --to FILE, with three custodians' passphrases, a line each, on
    standard input; two of the three open it later. Exit code 5: not a security officer.
    Example: huanshu --as p.chen keys copy --reason "for the city's archive" """
    claim = {"event": "keys.escrow.proposed", "detail": {"reason": reason}}
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        index = None if dry_run else here.keeper.append(claim).index
    _proposed(index, Text("a copy of the root key would be made", "将制作根密钥备存"))
    CONTEXT.speech.result({"entry": index})


def confirm(
    entry: Entry,
    to: Annotated[Path | None, typer.Option(help="For a copy of the root key: the file to write.")] = None,
) -> None:
    """Confirm, as another person, what was proposed; then it is done, and cannot be taken back.

    Exit code 5: nobody confirms his own proposal. What a confirmed erasure has left to do: huanshu keys apply.
    Example: huanshu --as p.xu keys confirm 212"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        waiting = {each["entry"]: each["event"] for each in here.keeper.custody()["waiting"]}
        match waiting.get(entry):
            case "keys.destruction.proposed":
                ticket, gone = here.keeper.destroy(entry)
                _done(
                    ticket.index,
                    Text(f"{gone} keys are destroyed", f"已销毁 {gone} 个密钥"),
                    {"destroyed": gone},
                )
            case "erasure.subject.proposed":
                ticket = erasure.confirm(here.ground(), entry)
                done = erasure.apply(here.ground())
                _done(ticket.index, _erased(done), {"erased": done})
            case "keys.escrow.proposed":
                if to is None or to.exists():
                    raise InputError(
                        "cli.copy.nowhere",
                        Text(
                            "name a file that is not there yet: --to FILE", "请指定尚不存在的文件：--to 文件"
                        ),
                    )
                ticket, made = here.keeper.escrow(entry, _lines())
                with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(made)
                _done(ticket.index, Text(f"the copy is in {to}", f"备存已写入 {to}"), {"copy": str(to)})
            case _:
                raise InputError(
                    "keys.proposal.unknown",
                    Text("no such proposal waits for a second person", "没有待第二人确认的该项提请"),
                    remedy=Text("see: huanshu keys status", "参见：huanshu keys status"),
                )


def apply(dry_run: DryRun = False) -> None:
    """Carry out what is left of confirmed erasures, by the platform's account or who may confirm one; repeatable.

    Example: huanshu keys apply"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            left = [each["index"] for each in here.keeper.erasures() if not each["carried_out"]]
            CONTEXT.speech.tell(
                Text(f"{len(left)} erasures are to be carried out", f"待执行删除 {len(left)} 项")
            )
            CONTEXT.speech.result({"erasures": left})
            return
        done = erasure.apply(here.ground())
    CONTEXT.speech.tell(_erased(done))
    CONTEXT.speech.result(done)


def rehearse(file: Annotated[Path, typer.Argument(help="A copy that huanshu keys confirm wrote.")]) -> None:
    """Rehearse recovery: do two custodians' passphrases (a line each on standard input) open every stored key?

    Nothing is kept or shown; the log says that it was tried. Exit code 4: they do not open it.
    Example: huanshu --as p.chen keys rehearse /archive/root.copy < two-passphrases.txt"""
    try:
        held = file.read_bytes()
    except OSError:
        raise InputError("cli.copy.unreadable", Text(f"{file} cannot be read", f"无法读取 {file}")) from None
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        told = try_copy(here, held, _lines())
    _done(
        told.entry,
        Text(f"it opens all {told.keys} keys", f"可打开全部 {told.keys} 个密钥"),
        {"keys": told.keys},
    )


def _lines() -> list[str]:
    return [line for line in sys.stdin.read().splitlines() if line]


def _proposed(index: int | None, what: Text) -> None:
    CONTEXT.speech.tell(what)
    if index is not None:
        CONTEXT.speech.tell(
            Text(
                f"proposed: entry {index}; another person runs: huanshu keys confirm {index}",
                f"已提请：条目 {index}；请另一人运行：huanshu keys confirm {index}",
            )
        )


def _done(entry: int, what: Text, result: dict[str, object]) -> None:
    CONTEXT.speech.tell(Text(f"{what.en} (entry {entry})", f"{what.zh}（条目 {entry}）"))
    CONTEXT.speech.result({"entry": entry, **result})


def _erased(done: list[erasure.Erased]) -> Text:
    removed, held = sum(d.removed for d in done), sorted({c for d in done for c in d.held_by})
    until = max((d.backups_until for d in done), default="—")
    return Text(
        f"{removed} versions erased; copies of {len(held)} communities leave with their next delivery;"
        f" backups until {until}",
        f"已删除 {removed} 个版本；{len(held)} 个社区的副本随下次交付撤回；备份保留至 {until}",
    )

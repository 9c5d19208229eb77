"""``huanshu correction``: sign, propose, judge, list, show, accept, refuse, withdraw, settle."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from huanshu.assembly import Running, running
from huanshu.auditlog import Signer
from huanshu.cli.context import CONTEXT
from huanshu.cli.speech import plain
from huanshu.errors import InputError, Text, Where
from huanshu.exchange import corrections
from huanshu.exchange.corrections import Correction, Receipt
from huanshu.exchange.corrections.answering import one
from huanshu.exchange.corrections.books import find
from huanshu.exchange.corrections.message import MAX_BYTES
from huanshu.exchange.corrections.reasons import STEWARD, sentence
from huanshu.exchange.manifest import read_bytes

app = typer.Typer(no_args_is_help=True, help="Corrections from communities: propose, answer. 回流更正。")
Id = Annotated[str, typer.Argument(help="Correction, as huanshu correction list shows it.")]
Post = Annotated[str, typer.Option(help="The post you act in (default: the one whose turn it is).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]

STATES = {
    "received": Text("to be judged", "待核对"),
    "proposed": Text("to be answered", "待答复"),
    "accepted": Text("accepted", "已采纳"),
    "refused": Text("refused", "未采纳"),
    "conflict": Text("conflict", "冲突"),
    "withdrawn": Text("withdrawn", "已撤回"),
}


@app.command()
def sign(
    changes: Annotated[Path, typer.Argument(help="JSON list of changes (docs/operations.md shows one).")],
    sender: Annotated[str, typer.Option(help="Code of the community that signs.")],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    sequence: Annotated[int, typer.Option(help="Number of the batch: the last one and one more.")],
    key: Annotated[Path, typer.Option(help="The community's Ed25519 key (PEM, mode 0600).")],
) -> None:
    """Sign a batch where the community's key is; the signed batch goes to standard output.

    Example: huanshu correction sign changes.json --sender 990101001001 --dataset resident --sequence 1 --key our.key"""
    try:
        listed = json.loads(read_bytes(changes, MAX_BYTES))
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        raise InputError(
            "cli.changes.malformed",
            Text("the file must be a JSON list of changes", "文件应为更正项的 JSON 列表"),
            where=Where(changes.name),
        )
    members: dict[str, Any] = {
        "corrections": 1, "sender": sender, "dataset": dataset, "sequence": sequence,
        "nonce": secrets.token_hex(16), "changes": listed,
    }  # fmt: skip
    members["signature"] = Signer.load(key).sign(corrections.signing_bytes(members)).hex()
    raw = json.dumps(members, ensure_ascii=False, indent=1)
    corrections.parse_message(raw.encode())
    sys.stdout.write(raw + "\n")


@app.command()
def propose(
    file: Annotated[Path, typer.Argument(help="A signed batch; - reads standard input.")],
    post: Annotated[str, typer.Option(help="The post you act in.")],
    dry_run: DryRun = False,
) -> None:
    """Propose a signed batch. Its values are sealed at once; the same batch again changes nothing.

    Example: huanshu --as p.tang correction propose batch.json --post yulan.data_clerk"""
    raw = sys.stdin.buffer.read(MAX_BYTES + 1) if str(file) == "-" else read_bytes(file, MAX_BYTES)
    if dry_run:
        message = corrections.parse_message(raw)
        told = {
            "batch": message.batch,
            "sender": message.sender,
            "dataset": message.dataset,
            "sequence": message.sequence,
            "changes": len(message.changes),
        }
        CONTEXT.speech.tell(
            Text(
                f"would propose {len(message.changes)} changes of {message.dataset}, batch {message.sequence}",
                f"将提出 {message.dataset} 第 {message.sequence} 批，共 {len(message.changes)} 项更正",
            )
        )
        CONTEXT.speech.result(told)
        return
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        tell_receipt(corrections.propose(here.ground(), raw, post))


def tell_receipt(receipt: Receipt) -> None:
    """What became of a batch, for people and for programs."""
    if receipt.known:
        CONTEXT.speech.tell(
            Text("this batch had come before; nothing was changed", "该批次此前已接收，未作任何改动")
        )
    if not receipt.judged:
        CONTEXT.speech.tell(Text("received; the platform has still to judge it", "已接收，待平台核对"))
    _table(receipt.corrections)
    CONTEXT.speech.result(
        {
            "batch": receipt.batch,
            "known": receipt.known,
            "judged": receipt.judged,
            "counts": {state: n for state in STATES if (n := receipt.count(state))},
            "corrections": [_json(c) for c in receipt.corrections],
        }
    )


@app.command()
def judge(dry_run: DryRun = False) -> None:
    """Judge what waits. Run by the platform's own account (a scheduler), never in a person's name.

    Example: huanshu correction judge"""
    if dry_run:
        with running(CONTEXT.settings, CONTEXT.acting_as) as here, here.district() as district:
            waiting = find(district, states=("received",))
        _table(waiting)
        CONTEXT.speech.result([_json(c) for c in waiting])
        return
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        done = corrections.judge(here.ground())
    CONTEXT.speech.tell(Text(f"judged: {len(done)} batches", f"已核对 {len(done)} 个批次"))
    CONTEXT.speech.result(done)


@app.command("list")
def list_corrections(
    dataset: Annotated[str, typer.Option(help="Only of this dataset.")] = "",
    home: Annotated[str, typer.Option(help="Only of this community.")] = "",
    state: Annotated[str, typer.Option(help=f"Only in this state: {', '.join(STATES)}.")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose answer is late.")] = False,
) -> None:
    """Corrections and their states; no value is shown.  Example: huanshu correction list --state proposed"""
    if state and state not in STATES:
        raise InputError(
            "cli.state.unknown", Text(f"states are {', '.join(STATES)}", f"状态有 {'、'.join(STATES)}")
        )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here, here.district() as district:
        now = here.ground().clock()
        found = find(district, dataset=dataset or None, home=home or None, states=(state,) if state else ())
    found = [c for c in found if not overdue or c.overdue(now)]
    _table(found)
    CONTEXT.speech.result([{**_json(c), "overdue": c.overdue(now)} for c in found])


@app.command()
def show(correction: Id, post: Post = "") -> None:
    """The proposed value beside the present one, as far as your post may see them. The look is logged first.

    Example: huanshu --as p.he correction show 3f0c9a2b7d11.1"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        seen = corrections.show(here.ground(), correction, post or _found(here, correction).steward)
    _table([seen.correction])
    rows = [
        (Text("proposed", "提议"), seen.proposed if seen.proposed is not None else "—"),
        (Text("registered", "现登记"), seen.current if seen.current is not None else "—"),
        (Text("evidence", "依据"), seen.reference or "—"),
    ]
    if seen.rung is not None:
        CONTEXT.speech.table(
            Text(
                f"At {seen.rung.word} — entry {seen.entry_index}",
                f"{seen.rung.word} 级 — 条目 {seen.entry_index}",
            ),
            [Text("what", "项目"), Text("value", "值")],
            rows,
        )
    CONTEXT.speech.result(
        {
            **_json(seen.correction),
            "entry": seen.entry_index,
            "rung": None if seen.rung is None else seen.rung.word,
            "proposed": seen.proposed,
            "current": seen.current,
            "reference": seen.reference,
        }
    )


@app.command()
def accept(correction: Id, post: Post = "", dry_run: DryRun = False) -> None:
    """Accept: the value goes into the record's next version and out with the next delivery.

    Example: huanshu --as p.he correction accept 3f0c9a2b7d11.1"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        found = _found(here, correction)
        if not _only_told(found, "accepted", dry_run=dry_run):
            _answered(corrections.accept(here.ground(), correction, post or found.steward))


@app.command()
def refuse(
    correction: Id,
    reason: Annotated[str, typer.Option(help=f"One of: {', '.join(STEWARD)}.")],
    post: Post = "",
    dry_run: DryRun = False,
) -> None:
    """Refuse, with a reason of the list.

    Example: huanshu --as p.he correction refuse 3f0c9a2b7d11.1 --reason register_right"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        found = _found(here, correction)
        if not _only_told(found, "refused", dry_run=dry_run):
            _answered(corrections.refuse(here.ground(), correction, post or found.steward, reason))


@app.command()
def withdraw(
    correction: Id,
    post: Annotated[str, typer.Option(help="The post that proposed.")],
    dry_run: DryRun = False,
) -> None:
    """Take back what has not been answered.

    Example: huanshu --as p.tang correction withdraw 3f0c9a2b7d11.1 --post yulan.data_clerk"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if not _only_told(_found(here, correction), "withdrawn", dry_run=dry_run):
            _answered(corrections.withdraw(here.ground(), correction, post))


@app.command()
def settle(
    finding: Annotated[str, typer.Argument(help="The finding about a held batch.")],
    post: Annotated[str, typer.Option(help="The post you act in: the finding's owner, or security staff.")],
    domain: Annotated[str, typer.Option(help="The community it is about.")],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    dry_run: DryRun = False,
) -> None:
    """Close a finding about a held batch, after somebody has looked into it.

    Example: huanshu --as p.chen correction settle correction/held/3f0c… --post district.security_officer
    --domain 990101001001 --dataset resident"""
    named = {"post": post, "domain": domain, "dataset": dataset}
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if dry_run:
            known = [f for f in here.keeper.findings() if f["finding"] == finding]
            CONTEXT.speech.tell(Text(f"would settle {len(known)} finding(s)", f"将了结 {len(known)} 项发现"))
            CONTEXT.speech.result(known)
            return
        corrections.settle(here.ground(), finding, named, "looked_into")
    CONTEXT.speech.tell(Text("settled", "已了结"))
    CONTEXT.speech.result({"finding": finding})


def _found(here: Running, correction: str) -> Correction:
    with here.district() as district:
        return one(district, correction)


def _only_told(found: Correction, state: str, *, dry_run: bool) -> bool:
    if dry_run:
        CONTEXT.speech.tell(
            Text(
                f"would make {found.correction} ({found.field} of record {found.record}) {state}",
                f"将把 {found.correction}（记录 {found.record} 的 {found.field}）置为{STATES[state].zh}",
            )
        )
        CONTEXT.speech.result({"correction": found.correction, "state": found.state, "would_be": state})
    return dry_run


def _answered(answer: Correction) -> None:
    _table([answer])
    CONTEXT.speech.result(_json(answer))


def _table(found: list[Correction] | tuple[Correction, ...]) -> None:
    CONTEXT.speech.table(
        Text("Corrections", "更正"),
        [
            Text("correction", "更正"),
            Text("community", "社区"),
            Text("record", "记录"),
            Text("field", "字段"),
            Text("state", "状态"),
            Text("reason", "原因"),
            Text("rules", "规则"),
            Text("answers", "答复岗位"),
            Text("due", "期限"),
        ],
        [
            (
                c.correction,
                c.home,
                c.record,
                c.field,
                STATES[c.state],
                sentence(c.reason),
                ", ".join(c.rules),
                c.steward,
                c.due.date().isoformat() if c.due is not None and c.is_open else "",
            )
            for c in found
        ],
    )


def _json(c: Correction) -> dict[str, Any]:
    """Everything but ciphertext."""
    hidden = ("value", "reference", "source_mark", "epoch")
    return {name: value for name, value in plain(c).items() if name not in hidden}

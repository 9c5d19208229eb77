"""``huanshu audit``: questions to the log. Every one of them needs a case and is itself an entry."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, cast, get_args
from zoneinfo import ZoneInfo

import typer

from huanshu.assembly import Running, archiving, running
from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.watching import open_findings, raised
from huanshu.auditlog import PublishedLog
from huanshu.auditlog.reader import read_entries
from huanshu.auditlog.witnesses import POLICY
from huanshu.catalog import Home
from huanshu.cli.context import CONTEXT
from huanshu.cli.speech import plain
from huanshu.errors import InputError, Text, UnavailableError
from huanshu.exchange.retention import delete, look
from huanshu.gate.exposure import AskedExposure, Kind, exposure
from huanshu.gate.replay import Replayed, replay
from huanshu.keeper.alerts import DISPOSITIONS
from huanshu.report.bundle import evidence, named_files
from huanshu.report.export import Format, export
from huanshu.report.incident import draft

_PATIENCE_SECONDS = 5.0
_YES = {True: Text("allowed", "允许"), False: Text("denied", "拒绝")}
_AGREES = Text("the rules of then explain what the log says", "当时的规则与日志记载一致")
_DIFFERS = Text(
    "the rules of then do not explain what the log says: tell security staff",
    "当时的规则与日志记载不一致，请通知安全人员",
)
app = typer.Typer(no_args_is_help=True, help="Questions to the log. 查问日志。")

Case = Annotated[
    str, typer.Option(help="The case this is asked for; no resident's data. 案由，勿写居民信息。")
]


@app.command("exposure")
def show_exposure(
    kind: Annotated[str, typer.Argument(help="person, account, session, key, workbook or domain.")],
    name: Annotated[str, typer.Argument(help="Its id, account, run or trace, key name, or domain code.")],
    case: Case,
    post: Annotated[str, typer.Option(help="The post you act in.")],
    since: Annotated[str, typer.Option("--from", help="ISO date or time, local.")],
    until: Annotated[
        str, typer.Option("--to", help="ISO date or time, local, not included (default: now).")
    ] = "",
    known: Annotated[
        str, typer.Option(help="When it became known: clocks run from then (default: now).")
    ] = "",
    purpose: Annotated[str, typer.Option(help="The registered purpose.")] = "access_review",
) -> None:
    """How many residents were exposed, by which fields, looked at or only moved; and the draft of the incident.

    Example: huanshu --as p.xu audit exposure person p.tang --from 2026-07-01 --post district.auditor --case "leak 7"
    """  # fmt: skip
    if kind not in get_args(Kind):
        raise InputError(
            "cli.exposure.kind",
            Text(
                f"exposure is of one of: {', '.join(get_args(Kind))}",
                f"须为以下之一：{'、'.join(get_args(Kind))}",
            ),
        )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        now = clock_of(here.home)()
        start, end = _instant(here.home, since), _instant(here.home, until) if until else now
        if start >= end:
            raise InputError(
                "cli.window.empty", Text("--from is not before --to", "--from 须早于 --to")
            )  # fmt: skip
        asked = AskedExposure(post, purpose, case, cast("Kind", kind), name, start, end)
        found = exposure(here.home, here.keeper, here.district, asked)
        lines = draft(here.home, found, _instant(here.home, known) if known else now)
    for line in lines:
        CONTEXT.speech.tell(line)
    said = {"en": [line.en for line in lines], "zh": [line.zh for line in lines]}
    CONTEXT.speech.result({"exposure": found, "draft": said})


@app.command("replay")
def show_replay(
    index: Annotated[int, typer.Argument(help="Index of the entry that records the decision.")], case: Case
) -> None:
    """Replay a past decision under the rules that were current then, beside the rules of now.

    Example: huanshu --as p.xu audit replay 118 --case "complaint 2026-118"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        _reading(here, "replay", case, index, index)
        with here.district() as district:
            published = PublishedLog(here.deployment.settings.log_folder)
            vkey = str(here.keeper.status()["vkey"])
            found = _when_published(lambda: replay(here.home, published, vkey, district, index))
    speech = CONTEXT.speech
    speech.table(
        Text(
            f"Entry {index}: {found.event} by {found.person}, policies {found.digest[:12]} adopted by entry"
            f" {found.adopted}",
            f"条目 {index}：{found.event}，{found.person}；策略 {found.digest[:12]} 由条目 {found.adopted} 启用",
        ),
        [
            Text("field", "字段"), Text("asked", "所求"), Text("then", "当时"), Text("now", "现行"),
            Text("why then", "当时理由"),
        ],
        [
            (each.field, each.asked, _YES[each.allowed], _YES[now.allowed], each.why)
            for each, now in zip(found.then, found.now, strict=True)
        ],
    )  # fmt: skip
    speech.tell(_AGREES if found.agrees else _DIFFERS, style="green" if found.agrees else "red")
    speech.result({**plain(found), "agrees": found.agrees})
    if not found.agrees:
        raise typer.Exit(7)


@app.command("export")
def write_export(
    out: Annotated[Path, typer.Option(help="File to write; whole or not at all.")],
    case: Case,
    form: Annotated[str, typer.Option("--format", help="ocsf (JSON lines, 1.8.0) or parquet.")] = "ocsf",
    first: Annotated[int, typer.Option(min=0, help="First entry.")] = 0,
    last: Annotated[int, typer.Option(min=-1, help="Last entry (default: the newest).")] = -1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read; nothing is.")] = False,
) -> None:
    """Export entries for a security operations centre or an analyst. No value and no resident's identity is in them.

    Example: huanshu --as p.xu audit export --format ocsf --out log.ocsf.jsonl --case "weekly hand-over"
    """
    if form not in get_args(Format):
        raise InputError(
            "cli.format.unknown", Text("a format is ocsf or parquet", "格式为 ocsf 或 parquet")
        )  # fmt: skip
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        status = here.keeper.status()
        end = int(status["size"]) - 1 if last < 0 else min(last, int(status["size"]) - 1)
        count = None
        if not dry_run:
            _reading(here, f"export.{form}", case, first, end)
            with here.district() as district:
                bodies = (entry.body for entry in read_entries(district, first, end + 1))
                count = export(bodies, str(status["origin"]), cast("Format", form), out)
    CONTEXT.speech.tell(
        Text(f"would read entries {first} to {end}", f"将读取条目 {first} 至 {end}")
        if count is None
        else Text(f"{count} entries written to {out}", f"已将 {count} 条写入 {out}")
    )
    CONTEXT.speech.result({"first": first, "last": end, "entries": count, "path": str(out)})


@app.command("export-evidence")
def export_evidence(
    index: Annotated[int, typer.Argument(min=0, help="Index of the entry to prove.")],
    out: Annotated[Path, typer.Option(help="Bundle to write (.zip); whole or not at all.")],
    case: Case,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; nothing is.")
    ] = False,
) -> None:
    """Prove one access to an outsider: the entry, its proof, the signed and cosigned checkpoint, contract and flow.

    Example: huanshu --as p.xu audit export-evidence 118 --out entry-118.zip --case "complaint 2026-118"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        settings, reading = here.deployment.settings, None
        if not dry_run:
            reading = _reading(here, "export.evidence", case, index, index)
        with here.district() as district:
            found = list(read_entries(district, index, index + 1))
        if not found:
            raise InputError("cli.entry.unknown", Text(f"there is no entry {index}", f"没有条目 {index}"))
        policy = settings.home / POLICY
        bundle = evidence(
            PublishedLog(settings.log_folder), str(here.keeper.status()["vkey"]), found[0],
            named_files(settings.home, found[0]),
            policy.read_text(encoding="utf-8") if policy.is_file() else "quorum none\n",
        )  # fmt: skip
        if not dry_run:
            new = out.with_name(f".{out.name}.new")
            new.write_bytes(bundle)
            new.rename(out)
    CONTEXT.speech.tell(
        Text(f"would write {len(bundle)} bytes", f"将写出 {len(bundle)} 字节")
        if dry_run
        else Text(
            f"written to {out}; checked anywhere by: huanshu-verify evidence {out.name} --vkey KEY",
            f"已写入 {out}；任何机器可核验：huanshu-verify evidence {out.name} --vkey 公钥",
        )
    )
    CONTEXT.speech.result({"entry": index, "bytes": len(bundle), "path": str(out), "read": reading})


@app.command("alerts")
def run_alerts(
    case: Case,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is raised; open no finding.")] = False,
) -> None:
    """Look at the whole log by the rules of audit/alerts and open a finding for what is new. The keeper does so by
    itself, every second; this is for a person who wants to see it now. Reading the log, it is an entry.

    Example: huanshu --as p.chen audit alerts --case "weekly review"
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        _reading(here, "alerts", case, 0, int(here.keeper.status()["size"]) - 1)
        found = raised(here)
        opened = [] if dry_run else list(open_findings(here, found))
    CONTEXT.speech.table(
        Text(f"{len(found)} raised", f"触发 {len(found)} 项"),
        [Text("alert", "告警"), Text("severity", "级别"), Text("group", "对象"), Text("entry", "条目"),
         Text("counted", "计数"), Text("owner", "责任岗位"), Text("finding", "发现")],
        [
            (r.alert.title, r.alert.severity, " · ".join(r.group), r.entry, r.total or "—", r.alert.owner, r.finding)
            for r in found
        ],
    )  # fmt: skip
    told = [
        {"finding": r.finding, "alert": r.alert.alert, "group": r.group, "entry": r.entry, "total": r.total}
        for r in found
    ]
    CONTEXT.speech.result({"raised": told, "opened": opened})


@app.command("settle")
def settle(
    finding: Annotated[str, typer.Argument(help="The finding, as audit alerts names it.")],
    disposition: Annotated[str, typer.Option(help="justified, mistake, misuse or false_alarm.")],
) -> None:
    """Settle a finding of an alert: by its owner post or a security officer, never by the person it is about.

    Example: huanshu --as p.chen audit settle alert/repeated_denials/118/p.tang --disposition mistake
    """
    if disposition not in DISPOSITIONS:
        raise InputError(
            "cli.disposition.unknown",
            Text(f"one of: {', '.join(sorted(DISPOSITIONS))}", f"须为：{'、'.join(sorted(DISPOSITIONS))}"),
        )
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        detail = {"finding": finding, "disposition": disposition}
        index = here.keeper.append({"event": "finding.case.settled", "detail": detail}).index
    CONTEXT.speech.tell(Text(f"settled by entry {index}", f"已由条目 {index} 了结"))
    CONTEXT.speech.result({"entry": index})


@app.command("archive")
def archive_entries(
    to: Annotated[
        Path | None, typer.Option(help="Where to; by default archive/ in the state folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved.")] = False,
) -> None:
    """Move published entries that are past every period of audit/retention.yaml, and their bitmaps, to a place of their
    own. It is logged first. Whoever verifies names the place: huanshu-verify --archive DIR. Nothing is deleted.

    Example: huanshu --as p.chen audit archive --dry-run
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        entry, seen = (
            (-1, archiving.look(here))
            if dry_run
            else archiving.archive(here, to or CONTEXT.settings.archive_folder)
        )
    found = seen.found
    CONTEXT.speech.tell(
        Text(
            f"{len(found.bundles)} bundles and {len(found.bitmaps)} bitmaps of before {seen.before:%Y-%m-%d}"
            f" ({', '.join(seen.obligations)}) {'would be' if dry_run else 'were'} moved",
            f"{seen.before:%Y-%m-%d} 之前的 {len(found.bundles)} 个条目包和 {len(found.bitmaps)} 个位图"
            f"（{'、'.join(seen.obligations)}）{'将' if dry_run else '已'}移至归档",
        )
    )
    CONTEXT.speech.result(
        {"entry": entry, "before": seen.before, "bundles": found.bundles, "bitmaps": len(found.bitmaps)}
    )


@app.command("retention")
def keep_retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is past its period.")] = False,
) -> None:
    """What is past its retention by audit/retention.yaml; quarantined rows that are, are deleted, and that is logged.

    Example: huanshu --as p.chen audit retention --dry-run
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ground = here.ground()
        found = look(ground)
        entry, rows = (-1, 0) if dry_run else delete(ground)
    unverified = Text(" (unverified)", "（未核实）")
    CONTEXT.speech.table(
        Text("Retention", "保存期限"),
        [Text("what", "记录"), Text("obligation", "依据"), Text("kept from", "保存起点"), Text("older", "更早"),
         Text("deletable", "可删除"), Text("overdue, not settled", "逾期未处理")],
        [
            (
                k.kind, k.citation + ("" if k.verified else CONTEXT.speech.say(unverified)), f"{k.since:%Y-%m-%d}",
                k.past, k.deletable, k.waiting,
            )
            for k in found
        ],
    )  # fmt: skip
    if entry >= 0:
        CONTEXT.speech.tell(Text(f"{rows} rows deleted, entry {entry}", f"已删除 {rows} 行，条目 {entry}"))
    CONTEXT.speech.result({"kept": found, "entry": entry if entry >= 0 else None, "deleted": rows})


@app.command("withhold")
def withhold(
    entry: Annotated[int, typer.Argument(help="The entry that residents are not to be told of.")],
    reason: Annotated[str, typer.Option(help="The provision and why; it stays in the log. 依据与理由。")],
    reviewer: Annotated[str, typer.Option(help="Person id of the auditor who has to confirm it.")],
    until: Annotated[str, typer.Option(help="ISO date: when it ends, within a year.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be logged.")] = False,
) -> None:
    """Keep one entry from residents' statements, by law: in force when another person, the reviewer, confirms it.

    Example: huanshu --as p.chen audit withhold 118 --reason "CPL 54" --reviewer p.xu --until 2026-12-31
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ends = _instant(here.home, until)
        detail = {"entry": entry, "reason": reason, "reviewer": reviewer, "until": ends.isoformat()}
        index = None
        if not dry_run:
            index = here.keeper.append({"event": "access.sighting.withheld", "detail": detail}).index
    CONTEXT.speech.tell(
        Text(f"would be logged: {detail}", f"将写入：{detail}")
        if index is None
        else Text(
            f"entry {index}: {reviewer} confirms with: huanshu audit confirm {index}",
            f"条目 {index}：请 {reviewer} 运行：huanshu audit confirm {index}",
        )
    )
    CONTEXT.speech.result({"entry": index, "detail": detail})


@app.command("confirm")
def confirm(index: Annotated[int, typer.Argument(help="Entry of the withholding.")]) -> None:
    """Confirm a withholding that names you as reviewer.

    Example: huanshu --as p.xu audit confirm 120
    """
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        claim = {"event": "access.sighting.confirmed", "detail": {"withheld": index}}
        confirmed = here.keeper.append(claim).index
    CONTEXT.speech.tell(Text(f"in force by entry {confirmed}", f"已由条目 {confirmed} 生效"))
    CONTEXT.speech.result({"entry": confirmed})


def _reading(here: Running, tool: str, case: str, first: int, last: int) -> int:
    """The entry that says who reads the log, what for and how far; appended before anything is read."""
    detail = {"tool": tool, "case": case, "first": first, "last": last}
    return here.keeper.append({"event": "log.entries.read", "detail": detail}).index


def _when_published(ask: Callable[[], Replayed]) -> Replayed:
    """An entry of a moment ago is asked about again until the keeper has published it."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except UnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _instant(home: Home, text: str) -> datetime:
    """A local day or time as people write it, in the district's zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            "cli.time.malformed",
            Text("a time is written 2026-07-01 or 2026-07-01T09:30", "时间写作 2026-07-01 或 2026-07-01T09:30"),
        ) from None  # fmt: skip
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(home.timezone))

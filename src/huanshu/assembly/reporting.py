"""Building a report over a running deployment: entries in, one page out, and an entry that says so."""

from __future__ import annotations

import hashlib
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.running import Running
from huanshu.auditlog.reader import last_checkpoint, read_entries
from huanshu.report import build

_DAYS = 30


def build_report(running: Running, language: str, since: str | None, out: Path | None) -> tuple[Path, int]:
    """Write the exchange summary; returns its path and the index of the entry that records the reading.

    The entry is appended first: reading the log is itself an access."""
    home, zone = running.home, ZoneInfo(running.home.timezone)
    now = clock_of(home)()
    begin = (
        datetime.combine(datetime.fromisoformat(since).date(), time.min, zone)
        if since
        else now - timedelta(days=_DAYS)
    )
    status = running.keeper.status()
    with running.district() as district:
        entries = list(read_entries(district, 0, int(status["size"])))
        note = last_checkpoint(district) or ""
    page = build(
        (entry.body for entry in entries),
        home,
        (begin, now),
        now,
        language,
        {"origin": status["origin"], "size": status["size"], "root": status["root"], "note": note},
        bool(status["sandbox"]),
    )
    digest = hashlib.sha256(page.encode()).hexdigest()
    ticket = running.keeper.append(
        {
            "event": "report.page.built",
            "detail": {"report": "exchange_summary", "entries": len(entries), "sha256": digest},
        }
    )
    path = (
        out
        or running.deployment.settings.reports_folder
        / f"exchange_summary.{now:%Y%m%d-%H%M%S}.{language}.html"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(page, encoding="utf-8")
    new.rename(path)
    return path, ticket.index

"""Alerts over a running deployment: entries in, findings out. Repeatable: what is open, or was, is not opened again."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from huanshu.alerting import Raised, read_alerts, watch
from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.running import Running
from huanshu.auditlog.reader import read_by_event, read_entries
from huanshu.catalog.working_days import due
from huanshu.keeper.alerts import about_whom


def raised(running: Running) -> list[Raised]:
    """What the home's alerts raise over the whole log and that no entry has opened yet."""
    alerts, zone = read_alerts(running.home), ZoneInfo(running.home.timezone)
    size = int(running.keeper.status()["size"])
    with running.district() as district:
        known = {
            str(entry.body["detail"]["finding"]) for entry in read_by_event(district, "finding.case.opened")
        }
        bodies = (entry.body for entry in read_entries(district, 0, size))
        found = list(watch(alerts, bodies, clock_of(running.home)(), zone))
    return [each for each in found if each.finding not in known]


def open_findings(running: Running, found: list[Raised]) -> Iterator[int]:
    """A finding for each, owned and due; the index of each entry."""
    home = running.home
    for each in found:
        obligation = home.obligations[each.alert.due]
        ends = due(clock_of(home)(), obligation, home.calendar)
        detail = {
            "finding": each.finding,
            "kind": "alert",
            "due": ends.isoformat(),
            "owner_post": each.alert.owner,
            "about": about_whom(each.finding, home.policies),
        }
        claim = {
            "event": "finding.case.opened",
            "once": f"finding.case.opened/{each.finding}",
            "detail": detail,
        }
        yield running.keeper.append(claim).index

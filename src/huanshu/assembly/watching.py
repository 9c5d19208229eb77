"""Alerts over the whole log of a running deployment, for a person who asks (``huanshu audit alerts``): the same as the
keeper's own watch raises (``watch``), told and opened now. Repeatable: what is open, or was, is not opened again."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from huanshu.alerting import Raised, read_alerts, watch
from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.running import Running
from huanshu.assembly.watch import OPENED, claim_of
from huanshu.auditlog.reader import read_by_event, read_entries


def raised(running: Running) -> list[Raised]:
    """What the home's alerts raise over the whole log and that no entry has opened yet."""
    alerts, zone = read_alerts(running.home), ZoneInfo(running.home.timezone)
    size = int(running.keeper.status()["size"])
    with running.district() as district:
        known = {str(entry.body["detail"]["finding"]) for entry in read_by_event(district, OPENED)}
        bodies = (entry.body for entry in read_entries(district, 0, size))
        found = list(watch(alerts, bodies, clock_of(running.home)(), zone))
    return [each for each in found if each.finding not in known]


def open_findings(running: Running, found: list[Raised]) -> Iterator[int]:
    """A finding for each, owned and due; the index of each entry."""
    for each in found:
        yield running.keeper.append(claim_of(running.home, each, clock_of(running.home)())).index

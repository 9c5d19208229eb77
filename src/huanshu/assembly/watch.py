"""The watch in the keeper's process: what was appended is looked at every second by the home's alerts, and what they
raise becomes a finding. Nothing has to be scheduled, and whoever keeps it from looking has stopped the keeper.

Crash points: a finding raised and not yet opened is raised again by the next fold over the same entries; one that is
open, or was, is not opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg

from huanshu.alerting import Alert, Raised, Watching, read_alerts
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Home
from huanshu.catalog.working_days import due
from huanshu.errors import DeniedError, UnavailableError
from huanshu.keeper.alerts import about_whom

OPENED: Final = "finding.case.opened"
#: Entries of one round: a long log is taken in over some rounds, beside the requests.
_AT_ONCE: Final = 5_000


class Watch:
    """One log, watched from its first entry on. ``size``: entries that are durable; ``open_`` appends a finding."""

    def __init__(
        self,
        read_home: Callable[[], Home],
        connect: Callable[[], psycopg.Connection],
        size: Callable[[], int],
        clock: Callable[[], datetime],
        open_: Callable[[Mapping[str, Any]], object],
    ) -> None:
        self._read_home, self._connect, self._size = read_home, connect, size
        self._clock, self._open = clock, open_
        self._home: Home | None = None
        self._alerts: list[Alert] = []
        self._begin([])

    def _begin(self, alerts: list[Alert]) -> None:
        self._alerts, self._next = alerts, 0
        self._watching = Watching(alerts, ZoneInfo(self._home.timezone if self._home else "UTC"))
        self._known: set[str] = set()
        self._waiting: dict[str, Raised] = {}

    def round(self) -> None:
        """Take in what is new, and open what it raises. What cannot be opened now is tried again in the next round."""
        home = self._read_home()
        if home is not self._home:
            alerts = read_alerts(home)
            before, self._home = self._home, home
            if alerts != self._alerts or before is None or before.timezone != home.timezone:
                self._begin(alerts)  # other rules: what they say of the whole log
        size = self._size()
        end = min(size, self._next + _AT_ONCE)
        if self._next < end:
            with self._connect() as connection:
                for entry in read_entries(connection, self._next, end):
                    if entry.event == OPENED:
                        self._known.add(str(entry.body["detail"]["finding"]))
                    self._wait(self._watching.see(entry.body))
                    self._next = entry.index + 1
        if self._next < size:
            return  # what is missing, and what was opened since, is known at the end
        self._wait(self._watching.missing(self._clock()))
        for name, found in list(self._waiting.items()):
            if name not in self._known:
                try:
                    self._open(claim_of(home, found, self._clock()))
                except (DeniedError, UnavailableError):
                    return  # rules that nobody has adopted, a log that takes nothing: it waits
                self._known.add(name)
            del self._waiting[name]

    def _wait(self, found: Iterator[Raised]) -> None:
        for each in found:
            if each.finding not in self._known:
                self._waiting[each.finding] = each


def claim_of(home: Home, found: Raised, now: datetime) -> dict[str, Any]:
    """What is asked to be logged of a finding: whom it is about, who settles it, until when."""
    ends = due(now, home.obligations[found.alert.due], home.calendar)
    return {
        "event": OPENED,
        "once": f"{OPENED}/{found.finding}",
        "detail": {
            "finding": found.finding,
            "kind": "alert",
            "due": ends.isoformat(),
            "owner_post": found.alert.owner,
            "about": about_whom(found.finding, home.policies),
        },
    }

"""Alerts over a stream of entries: a fold that holds one window a rule and group, never the log.

``watch`` takes entries in order and says what is raised, each with the entry at which the rule held (the last one, of
what is missing). A group is quiet for a window after it was raised: one finding, not one an entry. The same entries
raise the same, so a second run over the log names nothing new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol

from huanshu.alerting.declaration import Alert, Match, When

Body = Mapping[str, Any]
Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Raised:
    """``alert`` held for ``group`` at entry ``entry``. ``total``: what was counted, or 0 where nothing is."""

    alert: Alert
    group: Group
    entry: int
    at: datetime
    total: int

    @property
    def finding(self) -> str:
        """The finding's name: the same whenever the same entries are watched."""
        about = "" if not self.group else "/" + "+".join(self.group)
        return f"alert/{self.alert.alert}/{self.entry}{about}"[:200]


class _Watcher(Protocol):
    def see(self, body: Body, at: datetime) -> Iterator[Raised]: ...

    def end(self, now: datetime) -> Iterator[Raised]: ...


class Watching:
    """The fold itself, for whoever watches a log that grows: shown every entry once, in order, and asked for what is
    missing as often as one likes."""

    def __init__(self, alerts: Sequence[Alert], zone: tzinfo) -> None:
        """``zone``: the district's, for times of day."""
        self._watchers = [(alert, _WATCHERS[alert.when](alert)) for alert in alerts]
        self._zone = zone

    def see(self, body: Body) -> Iterator[Raised]:
        """What the next entry raises."""
        at = datetime.fromisoformat(str(body["at"]))
        for alert, watcher in self._watchers:
            if _fits(alert.match, body, at, self._zone):
                yield from watcher.see(body, at)
            elif isinstance(watcher, _Unanswered):
                yield from watcher.answered(body, at)

    def missing(self, now: datetime) -> Iterator[Raised]:
        """What is missing at ``now``: the same again while it is."""
        for _, watcher in self._watchers:
            yield from watcher.end(now)


def watch(alerts: Sequence[Alert], bodies: Iterable[Body], now: datetime, zone: tzinfo) -> Iterator[Raised]:
    """What the alerts raise over these entries, up to ``now``. ``zone``: the district's, for times of day."""
    watching = Watching(alerts, zone)
    for body in bodies:
        yield from watching.see(body)
    yield from watching.missing(now)


def _fits(match: Match, body: Body, at: datetime, zone: tzinfo) -> bool:
    if body["event"] not in match.events:
        return False
    for name, words in match.words.items():
        if name == "rung":
            if words.isdisjoint(_words(body.get("fields"))):
                return False
        elif str(body["detail"].get("reason") if name == "reason" else body.get(name)) not in words:
            return False
    if match.between is not None:
        start, end = match.between
        clock = at.astimezone(zone).time().replace(tzinfo=None)
        return start <= clock < end if start < end else clock >= start or clock < end
    return True


def _words(fields: object) -> list[str]:
    return [str(word) for word in fields.values()] if isinstance(fields, Mapping) else []


def _groups(alert: Alert, body: Body) -> list[Group]:
    """The groups an entry counts for; several when it is grouped by field."""
    plain = [
        str(body.get("flow", {}).get("id") if name == "flow" else body.get(name))
        for name in alert.by
        if name != "field"
    ]
    if "field" not in alert.by:
        return [tuple(plain)]
    return [(*plain, str(field)) for field in body.get("fields", ())]


class _Threshold:
    """So much within a window."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._within: dict[Group, deque[tuple[datetime, int]]] = {}
        self._sums: dict[Group, int] = {}
        self._quiet: dict[Group, datetime] = {}

    def see(self, body: Body, at: datetime) -> Iterator[Raised]:
        alert = self._alert
        amount = int(body.get("subjects", {}).get("count", 0)) if alert.count == "subjects" else 1
        for group in _groups(alert, body):
            within = self._within.setdefault(group, deque())
            within.append((at, amount))
            total = self._sums.get(group, 0) + amount
            while within[0][0] <= at - alert.window:
                total -= within.popleft()[1]
            self._sums[group] = total
            if total >= alert.threshold and self._quiet.get(group, at) <= at:
                self._quiet[group] = at + alert.window
                yield Raised(alert, group, int(body["index"]), at, total)

    def end(self, now: datetime) -> Iterator[Raised]:  # noqa: ARG002
        yield from ()


class _First:
    """What a group does for the first time, once the log is old enough to know."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._known: set[Group] = set()
        self._began: datetime | None = None

    def see(self, body: Body, at: datetime) -> Iterator[Raised]:
        self._began = self._began or at
        for group in _groups(self._alert, body):
            if group not in self._known:
                self._known.add(group)
                if at >= self._began + self._alert.learn:
                    yield Raised(self._alert, group, int(body["index"]), at, 0)

    def end(self, now: datetime) -> Iterator[Raised]:  # noqa: ARG002
        yield from ()


class _Unanswered:
    """What no other entry has cited within a window."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._open: dict[int, tuple[datetime, Group]] = {}

    def see(self, body: Body, at: datetime) -> Iterator[Raised]:
        self._open[int(body["index"])] = (at, _groups(self._alert, body)[0])
        yield from ()

    def answered(self, body: Body, at: datetime) -> Iterator[Raised]:
        """An answer that comes late takes nothing back: whether somebody watched in between must not matter."""
        cited = body["detail"].get("authorised") if isinstance(body["detail"], Mapping) else None
        if isinstance(cited, int) and cited in self._open:
            yield from self._late(cited, at)
            del self._open[cited]

    def end(self, now: datetime) -> Iterator[Raised]:
        for index in self._open:
            yield from self._late(index, now)

    def _late(self, index: int, now: datetime) -> Iterator[Raised]:
        asked, group = self._open[index]
        if asked + self._alert.window <= now:
            yield Raised(self._alert, group, index, asked + self._alert.window, 0)


class _Silence:
    """Groups that spoke once, and not for a window now."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._last: dict[Group, tuple[datetime, int]] = {}

    def see(self, body: Body, at: datetime) -> Iterator[Raised]:
        for group in _groups(self._alert, body):
            self._last[group] = (at, int(body["index"]))
        yield from ()

    def end(self, now: datetime) -> Iterator[Raised]:
        for group, (at, index) in self._last.items():
            if at + self._alert.window <= now:
                yield Raised(self._alert, group, index, at + self._alert.window, 0)


_WATCHERS: Mapping[When, Callable[[Alert], _Watcher]] = {
    "threshold": _Threshold,
    "first": _First,
    "unanswered": _Unanswered,
    "silence": _Silence,
}

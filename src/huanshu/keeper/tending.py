"""What the keeper does by itself so that the log's evidence stays fresh: heartbeats, publication, and telling
afterwards when the clock was moved or the evidence was too old.

A heartbeat is written only when nothing else was for a third of the longest age; so silence of the log is never normal.
It speaks in the name of the person who adopted the rules in force.

Threads: ``publish`` may be called by the keeper's rounds and, within a request, by whoever finds the evidence old; its
own lock is the innermost. Everything else is called under the service's lock.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from huanshu.auditlog import LogWriter, Publisher, Register
from huanshu.catalog import Home
from huanshu.errors import UnavailableError
from huanshu.keeper.freshness import Freshness

#: A wall clock that departs further than this from the unsettable one was moved.
_DRIFT: Final = timedelta(seconds=60)
Body = dict[str, Any]


def boot_seconds() -> float:
    """Seconds by a clock that nobody can set; where there is one, it goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Tending:
    """Keeps one log's evidence fresh, and knows how fresh it is."""

    def __init__(
        self,
        writer: LogWriter,
        publisher: Publisher,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = boot_seconds,
    ) -> None:
        self._writer, self._publisher = writer, publisher
        self._clock, self._monotonic = clock, monotonic
        self._freshness = Freshness(clock, monotonic)
        self._publishing = threading.Lock()
        self._published: str | None = None
        self._pace = (clock(), monotonic())
        self._closed_since: datetime | None = None

    def close(self) -> None:
        with self._publishing:
            self._publisher.close()

    def publish(self) -> None:
        """Publish what was acknowledged. Raises UnavailableError, or TamperedError when files and log differ."""
        with self._publishing:
            at, note = (
                self._writer.last,
                self._writer.note,
            )  # in this order: the time is never newer than the note
            if note != self._published:
                self._publisher.publish(note)
                self._published = note
            if at is not None:
                self._freshness.published(at)

    def require_fresh(self, home: Home) -> None:
        """Raises UnavailableError ``auditlog.log.stale``."""
        try:
            self._freshness.require(timedelta(minutes=home.checkpoint_minutes), None)
        except UnavailableError:
            self._closed_since = self._closed_since or self._writer.last
            raise

    def due(self, home: Home, register: Register) -> Iterator[Body]:
        """Entries that the keeper owes the log now. Consume one before the next is asked for: each is appended."""
        if register.answerable is None:
            return
        yield from self._moved_clock(register)
        yield from self._was_stale(home, register)
        last = self._writer.last
        pause = timedelta(minutes=home.checkpoint_minutes) / 3
        if last is None or self._writer.now() - last >= pause:
            yield _spoken("log.heartbeat.sent", register, {"published": self._publisher.size})

    def _moved_clock(self, register: Register) -> Iterator[Body]:
        wall, ticks = self._pace
        self._pace = now, elapsed = (self._clock(), self._monotonic())
        moved = (now - wall) - timedelta(seconds=elapsed - ticks)
        if abs(moved) > _DRIFT:
            detail = {
                "seconds": round(abs(moved).total_seconds()),
                "direction": "forward" if moved > timedelta(0) else "back",
            }
            yield _spoken("log.clock.moved", register, detail)

    def _was_stale(self, home: Home, register: Register) -> Iterator[Body]:
        since = self._closed_since
        if since is None:
            return
        try:
            self.require_fresh(home)
        except UnavailableError:
            return
        self._closed_since = None
        lasted = max(self._writer.now() - since, timedelta(0))
        detail = {
            "reason": "auditlog.log.stale",
            "since": since.isoformat(timespec="microseconds"),
            "seconds": round(lasted.total_seconds()),
        }
        yield _spoken("log.staleness.ended", register, detail)


def _spoken(event: str, register: Register, detail: Mapping[str, Any]) -> Body:
    """An entry of the keeper's own, in the name of who adopted the rules in force."""
    return {
        "event": event,
        "person": register.answerable,
        "established": {"by": "approval", "account": _account()},
        "detail": dict(detail),
    }


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid:{os.geteuid()}"

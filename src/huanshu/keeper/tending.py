"""What the keeper does by itself so that the log's evidence stays fresh: heartbeats, publication, witnesses, and
telling afterwards when the clock was moved or the evidence was too old.

A heartbeat is written only when nothing else was for a third of the longest age; so silence of the log is never normal.
It speaks in the name of the person who adopted the rules in force.

Threads: ``publish`` and ``ask_witnesses`` may be called by the keeper's rounds and, within a request, by whoever finds
the evidence old; their own locks are the innermost. Everything else is called under the service's lock.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from huanshu.auditlog import LogWriter, Publisher, Register, Witnessed, Witnesses
from huanshu.auditlog.published import WITNESSED
from huanshu.catalog import Home
from huanshu.errors import ContentError, UnavailableError
from huanshu.keeper.freshness import Freshness, stale
from huanshu.tlog.cosignatures import note_text

#: Seconds until witnesses are asked again when the quorum was not met.
_AGAIN: Final = 15.0
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
        witnesses: Witnesses,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = boot_seconds,
        freshness: type[Freshness] = Freshness,
    ) -> None:
        self._writer, self._publisher, self._witnesses = writer, publisher, witnesses
        self._clock, self.monotonic = clock, monotonic
        self._freshness = freshness(clock, monotonic)
        self._publishing, self._asking = threading.Lock(), threading.Lock()
        self._published: str | None = None
        self._witnessed: Witnessed | None = None
        self._doubted: set[str] = set()
        self._ask_at = 0.0
        self._pace = (clock(), monotonic())
        self._closed_since: datetime | None = None

    def close(self) -> None:
        with self._publishing:
            self._publisher.close()

    def begin(self, home: Home) -> None:
        """At start: no proof of a fork lies there, files and head are of one log, and the witnesses' last checkpoint
        is not ahead. TamperedError otherwise; UnavailableError when it cannot be told yet: then nothing is opened."""
        self._witnesses.require_unforked()
        self.publish()
        self.ask_witnesses(home)

    def publish(self) -> None:
        """Publish what was acknowledged. Raises UnavailableError, or TamperedError when files and log differ."""
        with self._publishing:
            at, note = (
                self._writer.last,
                self._writer.note,
            )  # in this order: the time is never newer than the note
            # Also when nothing is new: somebody may have taken the files away.
            self._publisher.publish(note)
            self._published = note
            if self._publisher.lost is not None:
                self._witnessed, self._ask_at = None, 0.0  # their note went with the others
            if at is not None:
                self._freshness.published(at)

    def ask_witnesses(self, home: Home) -> None:
        """Show the published checkpoint to the witnesses when it is time. TamperedError when one holds something
        against us: the proof of a fork lies among the published files from then on."""
        with self._asking:
            if self.monotonic() < self._ask_at or self._published is None:
                return
            _, policy = self._witnesses.policy()
            if not policy.asks:
                return
            self._ask_at = self.monotonic() + _AGAIN
            found = self._witnesses.round(self._published)
            if found is None:
                return
            if found != self._witnessed:
                self._keep(found)
                self._ask_at = self.monotonic() + home.witness_minutes * 60 / 5
            self._freshness.witnessed(datetime.fromtimestamp(found.time, UTC))

    def _keep(self, found: Witnessed) -> None:
        """The cosigned note among the published files; also as the checkpoint, while that is the same one."""
        with self._publishing:
            published = self._publisher.published
            published.write_note(found.note, WITNESSED)
            if (there := published.note()) is not None and note_text(there) == note_text(found.note):
                published.write_note(found.note)
        self._witnessed = found

    def ages(self, home: Home) -> dict[str, Any]:
        """For whoever asks how the log is: seconds since the evidence is of, and how old it may become. A witnesses'
        age is there only where somebody is named."""
        published, witnessed = self._freshness.ages()
        said: dict[str, Any] = {
            "checkpoint_age_s": _seconds(published), "checkpoint_max_s": home.checkpoint_minutes * 60,
            "published": self._publisher.size,
        }  # fmt: skip
        try:
            named = self._witnesses.policy()[1].asks
        except (ContentError, OSError):
            named = True  # nobody has vouched
        if named:
            said |= {"witness_age_s": _seconds(witnessed), "witness_max_s": home.witness_minutes * 60}
        return said

    def require_fresh(self, home: Home) -> None:
        """Raises UnavailableError ``auditlog.log.stale``; also when the witnesses' policy cannot be read."""
        try:
            _, policy = self._witnesses.policy()
            witness = timedelta(minutes=home.witness_minutes) if policy.asks else None
            self._freshness.require(timedelta(minutes=home.checkpoint_minutes), witness)
        except (ContentError, OSError):
            self._closed_since = self._closed_since or self._writer.last
            raise stale("audit/witnesses.policy cannot be read", "audit/witnesses.policy 无法读取") from None
        except UnavailableError:
            self._closed_since = self._closed_since or self._writer.last
            raise

    def due(self, home: Home, register: Register) -> Iterator[Body]:
        """Entries that the keeper owes the log now. Consume one before the next is asked for: each is appended."""
        if register.answerable is None:
            return
        yield from self._named_witnesses(register)
        yield from self._published_anew(register)
        yield from self._moved_clock(register)
        yield from self._doubted_witnesses(register)
        yield from self._was_stale(home, register)
        last = self._writer.last
        pause = timedelta(minutes=home.checkpoint_minutes) / 3
        if last is None or self._writer.now() - last >= pause:
            said = {"published": self._publisher.size}
            if self._witnessed is not None:
                said["witnessed"] = self._witnessed.size
            yield _spoken("log.heartbeat.sent", register, said)

    def _named_witnesses(self, register: Register) -> Iterator[Body]:
        """Whoever changes who vouches for the log says so in it."""
        try:
            digest, policy = self._witnesses.policy()
        except (ContentError, OSError):
            return  # nothing is opened meanwhile
        if digest != register.witnesses and (register.witnesses or policy.witnesses):
            said = {"digest": digest, "witnesses": len(policy.witnesses), "quorum": policy.quorum}
            yield _spoken("log.witnesses.named", register, said)

    def _published_anew(self, register: Register) -> Iterator[Body]:
        """Whoever took published files away, or put older ones there, is not passed over because it was mended."""
        if (lost := self._publisher.lost) is not None:
            self._publisher.lost = None
            yield _spoken("log.publication.renewed", register, {"entries": lost})

    def _moved_clock(self, register: Register) -> Iterator[Body]:
        wall, ticks = self._pace
        self._pace = now, elapsed = (self._clock(), self.monotonic())
        moved = (now - wall) - timedelta(seconds=elapsed - ticks)
        if abs(moved) > _DRIFT:
            detail = {
                "seconds": round(abs(moved).total_seconds()),
                "direction": "forward" if moved > timedelta(0) else "back",
            }
            yield _spoken("log.clock.moved", register, detail)

    def _doubted_witnesses(self, register: Register) -> Iterator[Body]:
        """A witness whose time has not come yet is not believed, and that is said, once until it is right again."""
        ahead = dict(self._witnesses.ahead)
        self._doubted &= ahead.keys()
        for label in sorted(ahead.keys() - self._doubted):
            self._doubted.add(label)
            name = "".join(c if c.isprintable() else "?" for c in label)[:100]
            yield _spoken("log.witness.doubted", register, {"witness": name, "seconds": ahead[label]})

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


def _seconds(age: timedelta) -> int | None:
    return None if age == timedelta.max else round(age.total_seconds())


def _spoken(event: str, register: Register, detail: Mapping[str, Any]) -> Body:
    """An entry of the keeper's own, in the name of who adopted the rules in force."""
    return {**speaking(register), "event": event, "detail": dict(detail)}


def speaking(register: Register) -> Body:
    """In whose name the keeper speaks for itself."""
    return {"person": register.answerable, "established": {"by": "approval", "account": own_account()}}


def own_account() -> str:
    """The OS account that the keeper runs under."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid:{os.geteuid()}"

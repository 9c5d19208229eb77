"""How old the log's own evidence is, and when that is too old to open anything sensitive. No I/O; clocks are handed in.

    checkpoint   the time of the last entry that the published checkpoint covers
    witnesses    the oldest cosignature of the quorum that has cosigned last (where witnesses are named)

Both ages are measured by the wall clock *and* by one that nobody can set; the greater counts, and a wall clock that is
behind the log's own time counts as much as one that is ahead. So whoever stops publication, keeps witnesses away or
turns the clock stops the opening of sensitive fields, and nothing else; with new evidence it resumes by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from huanshu.errors import Text, UnavailableError


@dataclass(frozen=True, slots=True)
class Seen:
    """A piece of evidence: the time it says, and the unsettable clock when it was obtained."""

    at: datetime
    monotonic: float


class Freshness:
    """The two ages. Begins with no evidence at all: nothing is opened before there is some."""

    def __init__(self, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._published: Seen | None = None
        self._witnessed: Seen | None = None

    def published(self, at: datetime) -> None:
        """A checkpoint was published whose last entry is of that time."""
        self._published = self._newer(self._published, at)

    def witnessed(self, at: datetime) -> None:
        """A quorum has cosigned; ``at`` is its oldest word."""
        self._witnessed = self._newer(self._witnessed, at)

    def require(self, checkpoint: timedelta, witness: timedelta | None) -> None:
        """Raises UnavailableError ``auditlog.log.stale`` when one is too old; ``witness`` None: nobody is named."""
        if self._age(self._published) > checkpoint:
            raise stale("its newest published checkpoint is too old", "最新公布的检查点已超过时限")
        if witness is not None and self._age(self._witnessed) > witness:
            raise stale("no quorum of witnesses has cosigned in time", "见证签名未在时限内达到法定数")

    def ages(self) -> tuple[timedelta, timedelta]:
        """Of the published checkpoint and of the witnesses' word; ``timedelta.max`` for what there is none of."""
        return self._age(self._published), self._age(self._witnessed)

    def _age(self, seen: Seen | None) -> timedelta:
        if seen is None:
            return timedelta.max
        return max(abs(self._clock() - seen.at), timedelta(seconds=self._monotonic() - seen.monotonic))

    def _newer(self, seen: Seen | None, at: datetime) -> Seen:
        """Evidence of the same time again is no newer evidence."""
        return seen if seen is not None and seen.at == at else Seen(at, self._monotonic())


def stale(en: str, zh: str) -> UnavailableError:
    """The one shape of a refusal because the log's evidence is old."""
    return UnavailableError(
        "auditlog.log.stale",
        Text(
            f"the log's evidence is too old, so nothing sensitive is opened: {en}",
            f"日志证据已过时限，因此不开启敏感字段：{zh}",
        ),
        remedy=Text(
            "are database, disk and witnesses reachable, and is the clock right? it resumes by itself",
            "请检查数据库、磁盘、见证方连接与系统时钟；恢复后自动继续",
        ),
    )

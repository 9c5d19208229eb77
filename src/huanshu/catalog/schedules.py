"""When a flow runs: ``manual``, ``asset`` (its dataset was updated), or a five-field cron expression.

Only what every cron means alike is taken: ``*``, numbers, ranges, lists and steps. Names, ``@daily``,
``L``, ``W`` and ``#`` differ between readers and are refused. Local time of the district. ``last_tick`` says when a
schedule last came round (for what is late); the next run is the scheduler's business.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Final

from huanshu.errors import ContentError, Text, Where

_PLACES: Final = (
    ("minute", "分", 0, 59),
    ("hour", "时", 0, 23),
    ("day of month", "日", 1, 31),
    ("month", "月", 1, 12),
    ("day of week", "星期", 0, 7),
)
_PART: Final = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")
#: The most days a month has, for dates that never come (30 February).
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def schedule(text: str, where: Where, *, asset: bool) -> str:
    """The schedule as written. ``asset`` says whether that word is allowed. Raises
    ``flow.schedule.malformed``."""
    if text == "manual" or (asset and text == "asset"):
        return text
    values = _fields(text, where)
    never = text.endswith(" *") and all(d > _LONGEST[m - 1] for d in values[2] for m in values[3])
    if never:
        raise _malformed(text, where, Text("this day never comes", "该日期不存在"))
    return text


def last_tick(text: str, before: datetime) -> datetime | None:
    """The newest instant before ``before`` (in its zone) at which a cron expression came round; None for ``manual``
    and ``asset``, and for what has not come round within five years."""
    if text in ("manual", "asset"):
        return None
    minutes, hours, days, months, weekdays = _fields(text, Where(""))
    by_day, by_weekday = (not text.split(" ")[n].startswith("*") for n in (2, 4))
    times = sorted((time(h, m) for h in hours for m in minutes), reverse=True)
    for back in range(5 * 366):
        day = before.date() - timedelta(days=back)
        in_month, in_week = day.day in days, bool(weekdays & {day.isoweekday(), day.isoweekday() % 7})
        # Where both are restricted, either is enough: so every cron reads it.
        named = in_month or in_week if by_day and by_weekday else in_month and in_week
        if day.month in months and named:
            for at in times:
                tick = datetime.combine(day, at, before.tzinfo)
                if tick < before:
                    return tick
    return None


def _fields(text: str, where: Where) -> list[frozenset[int]]:
    """The five fields as the numbers they stand for."""
    parts = text.split(" ")
    if len(parts) != 5:
        raise _malformed(text, where, Text("five fields are needed", "需要五个字段"))
    values: list[frozenset[int]] = []
    for part, (en, zh, low, high) in zip(parts, _PLACES, strict=True):
        chosen: set[int] = set()
        for piece in part.split(","):
            match = _PART.fullmatch(piece)
            if match is None:
                raise _malformed(text, where, Text(f"bad {en}", f"“{zh}”字段有误"))
            first = int(match[1]) if match[1] else low
            last = int(match[2]) if match[2] else (first if match[1] and not match[3] else high)
            step = int(match[3]) if match[3] else 1
            if not low <= first <= last <= high or step == 0:
                raise _malformed(text, where, Text(f"{en} out of range", f"“{zh}”字段超出范围"))
            chosen.update(range(first, last + 1, step))
        values.append(frozenset(chosen))
    return values


def _malformed(text: str, where: Where, why: Text) -> ContentError:
    return ContentError(
        "flow.schedule.malformed",
        Text(f"“{text[:64]}” is no schedule: {why.en}", f"“{text[:64]}”不是合法的调度：{why.zh}"),
        remedy=Text(
            "manual, asset (deliveries), or cron as in “30 5 * * 1-5”",
            "manual、asset（仅交付），或 cron，如“30 5 * * 1-5”",
        ),
        where=where,
    )

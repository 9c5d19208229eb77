"""When an obligation is due, counted in Chinese working days.

The day of the start is not counted; a counted period ends with the end of its last day (23:59:59 local time).
Weekends are off unless the calendar makes them working days, holidays are off. A year without a single line
in ``audit/calendar.csv`` is not counted by guess: that is an error. Hours are counted exactly. Days, months
and years are natural ones and are not moved off a day off; a month's missing last day becomes the last day
there is.
"""

from __future__ import annotations

import calendar as months
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from huanshu.catalog.nouns import Obligation
from huanshu.errors import ContentError, Text, Where

_END_OF_DAY: Final = time(23, 59, 59)


def is_working_day(day: date, calendar: Mapping[date, bool]) -> bool:
    """``calendar``: date → True for a make-up working day, False for a holiday (``Home.calendar``)."""
    return calendar.get(day, day.weekday() < 5)


def due(start: datetime, obligation: Obligation, calendar: Mapping[date, bool]) -> datetime:
    """The last instant at which ``obligation``, begun at ``start``, is in time; in the zone of ``start``.

    ``start`` must be aware and in the district's zone. Raises ContentError ``calendar.year.missing`` when
    working days have to be counted in a year that the calendar says nothing about."""
    if start.tzinfo is None:
        raise ValueError("start must carry a time zone")
    amount = obligation.value
    if obligation.unit == "hours":
        return (start.astimezone(UTC) + timedelta(hours=amount)).astimezone(start.tzinfo)
    first = start.date()
    if obligation.unit == "working_days":
        last = _working_days(first, amount, calendar)
    elif obligation.unit == "days":
        last = first + timedelta(days=amount)
    else:
        last = _months(first, amount * (12 if obligation.unit == "years" else 1))
    return datetime.combine(last, _END_OF_DAY, start.tzinfo)


def _working_days(first: date, amount: int, calendar: Mapping[date, bool]) -> date:
    years = {day.year for day in calendar}
    day = first
    while amount > 0:
        day += timedelta(days=1)
        if day.year not in years:
            raise ContentError(
                "calendar.year.missing",
                Text(f"the calendar says nothing about {day.year}", f"日历中没有 {day.year} 年的数据"),
                remedy=Text("enter the State Council's notice of that year", "请录入国务院当年的放假安排"),
                where=Where("audit/calendar.csv"),
            )
        amount -= is_working_day(day, calendar)
    return day


def _months(first: date, amount: int) -> date:
    years, month = divmod(first.month - 1 + amount, 12)
    year = first.year + years
    return date(year, month + 1, min(first.day, months.monthrange(year, month + 1)[1]))


def kept_from(now: datetime, obligation: Obligation, calendar: Mapping[date, bool]) -> datetime:
    """The first instant of the first local day whose things must still be kept at ``now``: what is older is past its
    period. Errs on the side of keeping."""
    day = (
        _months(now.date(), -12 * (obligation.value // 12 + 1)) if obligation.unit == "months" else now.date()
    )
    if obligation.unit == "years":
        day = _months(now.date(), -12 * (obligation.value + 1))
    elif obligation.unit != "months":
        day = now.date() - timedelta(days=obligation.value * 3 + 30)
    while due(datetime.combine(day, time.min, now.tzinfo), obligation, calendar) < now:
        day += timedelta(days=1)
    return datetime.combine(day, time.min, now.tzinfo)

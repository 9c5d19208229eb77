"""When obligations are due."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Obligation, due, is_working_day
from huanshu.errors import ContentError, Text, Where

ZONE = ZoneInfo("Asia/Shanghai")
#: National Day 2026 by the State Council: off 1–7 October, made up on 20 September and 10 October.
CALENDAR = {date(2026, 10, day): False for day in range(1, 8)} | {
    date(2026, 9, 20): True,
    date(2026, 10, 10): True,
    date(2027, 1, 1): False,
}


def obligation(value: int, unit: Literal["working_days", "days", "hours", "months", "years"]) -> Obligation:
    return Obligation("k", Text("k", "k"), "c", value, unit, False, Where("f"))


def at(year: int, month: int, day: int, hour: int = 9) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("start", "days", "last"),
    [
        (at(2026, 9, 14), 1, date(2026, 9, 15)),  # Monday → Tuesday
        (at(2026, 9, 11), 1, date(2026, 9, 14)),  # Friday → Monday
        (at(2026, 9, 18), 1, date(2026, 9, 20)),  # Friday → made-up Sunday
        (at(2026, 9, 30), 1, date(2026, 10, 8)),  # over the whole holiday
        (at(2026, 9, 30), 3, date(2026, 10, 10)),  # made-up Saturday counts
        (at(2026, 10, 3), 1, date(2026, 10, 8)),  # begun on a day off
        (at(2026, 12, 31), 1, date(2027, 1, 4)),  # over the year
    ],
)
def test_working_days(start: datetime, days: int, last: date) -> None:
    assert due(start, obligation(days, "working_days"), CALENDAR) == datetime(
        last.year, last.month, last.day, 23, 59, 59, tzinfo=ZONE
    )


def test_other_units() -> None:
    start = at(2026, 8, 31, 10)
    assert due(start, obligation(24, "hours"), {}) == at(2026, 9, 1, 10)
    assert due(start, obligation(30, "days"), {}).date() == date(2026, 9, 30)
    assert due(start, obligation(6, "months"), {}).date() == date(2027, 2, 28)
    assert due(start, obligation(3, "years"), {}).date() == date(2029, 8, 31)
    assert due(at(2028, 2, 29), obligation(1, "years"), {}).date() == date(2029, 2, 28)
    assert due(at(2026, 12, 15), obligation(12, "months"), {}).date() == date(2027, 12, 15)


def test_hours_are_exact_where_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, 12, tzinfo=zone)
    assert due(start, obligation(24, "hours"), {}) == datetime(2026, 10, 25, 11, tzinfo=zone)


def test_a_year_without_calendar_is_not_guessed() -> None:
    with pytest.raises(ContentError) as raised:
        due(at(2027, 12, 30), obligation(2, "working_days"), CALENDAR)
    assert raised.value.code == "calendar.year.missing"
    assert due(at(2027, 12, 30), obligation(1, "working_days"), CALENDAR).date() == date(2027, 12, 31)


def test_start_must_be_aware() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due(datetime(2026, 1, 1), obligation(1, "days"), {})


@given(st.dates(date(2026, 1, 1), date(2026, 11, 1)), st.integers(1, 60))
def test_exactly_so_many_working_days_lie_between(day: date, amount: int) -> None:
    start = datetime(day.year, day.month, day.day, 8, tzinfo=ZONE)
    last = due(start, obligation(amount, "working_days"), CALENDAR).date()
    assert is_working_day(last, CALENDAR)
    between = [day + timedelta(days=n) for n in range(1, (last - day).days + 1)]
    assert sum(is_working_day(d, CALENDAR) for d in between) == amount

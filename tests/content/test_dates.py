"""The calendar does not turn the tests red unannounced: what they run on is in force for a while yet, or says here that
it is not. Tests that need a day of their own bring a clock; the homes below are read by the clock of the wall.

The sample district is dated like a real one. When this fails, carry it on by a year: ``policies/`` (posts, rules,
purposes, and the cases of the day after), ``review_by`` in ``audit/drills``, and that year in ``audit/calendar.csv``.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from huanshu.catalog import read_home

ROOT = Path(__file__).parents[2]
#: How long beforehand somebody is told, by this one test.
NOTICE = timedelta(days=60)
TODAY = datetime.now(UTC).date()


def ends(home: Path) -> list[date]:
    """Until when posts, rules and purposes are in force; what ends on a day of its own, for one, is not the common end."""
    policies = read_home(home).policies
    found = [h.valid_until for h in policies.holdings]
    found += [r.valid_until for r in policies.rules if r.effect == "allow"]
    found += [p.valid_until for p in policies.purposes.values()]
    assert len(found) > 5
    return found


def test_the_sample_district_is_in_force_for_a_while() -> None:
    ((common, count),) = Counter(ends(ROOT)).most_common(1)
    assert count > 1000
    assert common >= TODAY + NOTICE, __doc__
    years = {day.year for day in read_home(ROOT).calendar}
    assert {TODAY.year, (TODAY + NOTICE).year} <= years, __doc__
    drills = list((ROOT / "audit/drills").glob("*.yaml"))
    assert drills
    for drill in drills:
        told = re.search(r'review_by: "?([0-9-]{10})', drill.read_text())
        assert told is not None, drill.name
        assert date.fromisoformat(told[1]) >= TODAY + NOTICE, f"{drill.name}: {__doc__}"


@pytest.mark.parametrize("home", ["tests/content/minimal_home", "examples/real"])
def test_the_other_homes_do_not_end_in_anybody_s_time(home: str) -> None:
    files = [path for path in (ROOT / home / "policies").rglob("*") if path.is_file()]
    days = {d for path in files for d in re.findall(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", path.read_text())}
    assert "2099-12-31" in days
    assert {day for day in days if "2026-06-01" < day < "2099-01-01"} == set()

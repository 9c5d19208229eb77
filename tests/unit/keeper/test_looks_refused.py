"""A look is refused when anything of it is not as granted: day, purpose, domain, post, field; and each refusal is an entry."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from keeping import BITMAP, Keeper, claim
from served import OWNER

from huanshu.errors import DeniedError

CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("name", "day", "changes"),
    [
        ("expired", datetime(2028, 1, 1, 9, tzinfo=CHINA), {}),
        ("a rule that has ended and another that has not begun", None, {"fields": {"employer": "reveal"}}),
        ("purpose swapped", None, {"purpose": "care_visit", "fields": {"insurance_kind": "reveal"}}),
        ("purpose of another dataset", None, {"purpose": "grid_management"}),
        ("no purpose", None, {"purpose": ""}),
        ("wrong domain", None, {"domain": "990101001002"}),
        ("the district's domain", None, {"domain": "990101000000"}),
        ("another's post", None, {"post": "yulan.station_head"}),
        ("a field more", None, {"fields": {"name": "reveal", "marital_status": "mask"}}),
        ("a rung more", None, {"fields": {"citizen_number": "reveal"}}),
        ("a domain in full width", None, {"domain": "９９０１０１００１００１"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_granted(
    keeper: Keeper, name: str, day: datetime | None, changes: dict[str, Any]
) -> None:
    if day is not None:
        keeper.ground.clock.at = day
    size = len(keeper.events())
    with pytest.raises(DeniedError):
        keeper.service.append(OWNER, "p.tang", claim(**changes), BITMAP)
    told = keeper.bodies()[size:]
    assert [body["event"] for body in told if body["event"].startswith("access.")] == [
        "access.request.denied"
    ], name
    assert keeper.ground.rows("SELECT * FROM log.loan") == []


def test_the_same_look_as_granted_goes_through(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]


def test_a_rule_that_had_not_begun_allows_on_its_first_day(keeper: Keeper) -> None:
    """The twin of the one refused above: employers are seen in September 2027, says the rule."""
    keeper.ground.clock.at = datetime(2027, 9, 1, 0, 5, tzinfo=CHINA)
    keeper.service.append(OWNER, "p.tang", claim(fields={"employer": "reveal"}), BITMAP)
    keeper.ground.clock.at = datetime(2027, 10, 1, 0, 5, tzinfo=CHINA)
    with pytest.raises(DeniedError):
        keeper.service.append(OWNER, "p.tang", claim(fields={"employer": "reveal"}), BITMAP)


def test_why_nothing_was_found_is_a_known_word(keeper: Keeper) -> None:
    """Whatever somebody writes there stays in the log for ever."""
    size = len(keeper.events())
    for reason in ("440604195001010023", ""):
        with pytest.raises(ValueError, match=r"^$"):
            keeper.service.append(
                OWNER, "p.tang", claim("access.record.missed", detail={"reason": reason}), None
            )
    assert len(keeper.events()) == size
    keeper.service.append(OWNER, "p.tang", claim("access.record.missed", detail={"reason": "absent"}), None)

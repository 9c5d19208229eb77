"""Breaking the glass: for hours, told at once, reviewed by somebody else or escalated; and nothing beyond it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from keeping import HERE, Keeper, claim
from pyroaring import BitMap
from served import OWNER

from huanshu.errors import DeniedError
from huanshu.keeper.tickets import Ticket

HEAD, CLERK, STEWARD, OFFICER = "p.yang", "p.tang", "p.he", "p.chen"
ONE = BitMap([1]).serialize()
HOUR = 3600


def glass(**changes: Any) -> dict[str, Any]:
    asked = claim("access.emergency.declared", post="yulan.station_head", fields={"employer": "reveal"})
    detail = {"reason": "fire in building 3, next of kin", "hours": 2, **changes.pop("detail", {})}
    return {**asked, "detail": detail, **changes}


def look(**changes: Any) -> dict[str, Any]:
    return claim(post="yulan.station_head", fields={"employer": "reveal"}, **changes)


def review(keeper: Keeper, person: str, declared: Ticket, verdict: str = "justified") -> Ticket:
    detail = {"declared": declared.index, "verdict": verdict, "reason": "read the report"}
    said = {"event": "access.emergency.reviewed", "detail": detail}
    return keeper.service.append(OWNER, person, said)


def last(keeper: Keeper, event: str) -> dict[str, Any]:
    return next(body for body in reversed(keeper.bodies()) if body["event"] == event)


def test_nobody_sees_it_without_and_the_owner_is_told_at_once(keeper: Keeper) -> None:
    with pytest.raises(DeniedError, match=r"access\.request\.denied"):
        keeper.service.append(OWNER, HEAD, look(), ONE)
    declared = keeper.service.append(OWNER, HEAD, glass())
    (finding,) = keeper.service.findings(OWNER, None)
    assert (finding["finding"], finding["owner_post"], finding["about"]) == (
        f"emergency/{declared.index}", "psb.steward", HEAD,
    )  # fmt: skip
    assert finding["opened"] == declared.index + 1
    ticket = keeper.service.append(OWNER, HEAD, look(), ONE)
    assert last(keeper, "access.record.authorised")["detail"]["emergency"] == declared.index
    assert keeper.service.open(OWNER, HEAD, ticket, [keeper.cell(field="employer")]) == ["张三"]


def test_it_is_for_these_fields_this_post_this_purpose_this_person_and_these_hours(keeper: Keeper) -> None:
    keeper.service.append(OWNER, HEAD, glass())
    beyond = [
        (HEAD, look() | {"fields": {"employer": "reveal", "marital_status": "reveal"}}),
        (HEAD, look() | {"purpose": "care_visit"}),
        (HEAD, look() | {"domain": "990101001002"}),
        (CLERK, look() | {"post": "yulan.data_clerk"}),
        (CLERK, look()),
    ]
    for person, asked in beyond:
        with pytest.raises(DeniedError):
            keeper.service.append(OWNER, person, asked, ONE)
    keeper.ground.clock.pass_(2 * HOUR)
    with pytest.raises(DeniedError, match=r"access\.request\.denied"):
        keeper.service.append(OWNER, HEAD, look(), ONE)


def test_no_client_says_that_the_glass_was_broken(keeper: Keeper) -> None:
    mine = claim(detail={"record": 7, "values": 1, "emergency": 0})
    keeper.service.append(OWNER, CLERK, mine, ONE)
    assert "emergency" not in keeper.bodies()[-1]["detail"]


@pytest.mark.parametrize(
    ("person", "asked", "code"),
    [
        (CLERK, glass(post="yulan.data_clerk"), "access.emergency.role"),
        (CLERK, glass(), "identity.post.not_held"),
        (HEAD, glass(domain="990101001002"), "access.emergency.elsewhere"),
        (HEAD, glass(detail={"hours": 5}), "access.emergency.bounds"),
        (HEAD, glass(detail={"hours": 0}), "access.emergency.bounds"),
        (HEAD, glass(purpose="grid_management"), "access.emergency.bounds"),
    ],
)
def test_whose_glass_it_is_not(keeper: Keeper, person: str, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(DeniedError) as refused:
        keeper.service.append(OWNER, person, asked)
    assert refused.value.code == code
    assert keeper.service.findings(OWNER, None) == []


def test_a_reason_is_said_and_is_no_number(keeper: Keeper) -> None:
    for reason in ("", "13800138000"):
        with pytest.raises(Exception, match=r"exchange\.reason\.unfit"):
            keeper.service.append(OWNER, HEAD, glass(detail={"reason": reason}))


def test_somebody_else_reviews_and_what_the_owner_was_told_is_settled(keeper: Keeper) -> None:
    declared = keeper.service.append(OWNER, HEAD, glass())
    for person in (HEAD, CLERK):
        with pytest.raises(DeniedError):
            review(keeper, person, declared)
    review(keeper, STEWARD, declared)
    assert keeper.service.findings(OWNER, None) == []
    assert last(keeper, "finding.case.settled")["person"] == STEWARD
    with pytest.raises(DeniedError, match=r"access\.emergency\.unknown"):
        review(keeper, OFFICER, declared)
    keeper.ground.clock.pass_(25 * HOUR)
    keeper.service.tend()
    assert "access.emergency.escalated" not in keeper.events()
    keeper.service.append(OWNER, HEAD, glass())


def test_misuse_ends_it_at_once_and_for_long(keeper: Keeper) -> None:
    declared = keeper.service.append(OWNER, HEAD, glass())
    review(keeper, STEWARD, declared, "misuse")
    with pytest.raises(DeniedError, match=r"access\.request\.denied"):
        keeper.service.append(OWNER, HEAD, look(), ONE)
    with pytest.raises(DeniedError, match=r"access\.emergency\.suspended"):
        keeper.service.append(OWNER, HEAD, glass())


def test_without_a_review_in_time_it_is_escalated_once_also_by_a_keeper_that_starts_again(
    keeper: Keeper,
) -> None:
    declared = keeper.service.append(OWNER, HEAD, glass())
    keeper.ground.clock.pass_(23 * HOUR)
    keeper.service.tend()
    assert "access.emergency.escalated" not in keeper.events()
    keeper.service.close()
    keeper.ground.clock.pass_(2 * HOUR)
    again = keeper.started()
    try:
        for _ in range(2):
            again.tend()
        assert keeper.events().count("access.emergency.escalated") == 1
        told = {finding["finding"]: finding["owner_post"] for finding in again.findings(OWNER, None)}
        assert told == {
            f"emergency/{declared.index}": "psb.steward",
            f"emergency/{declared.index}/escalated": "district.security_officer",
        }
        with pytest.raises(DeniedError, match=r"access\.emergency\.suspended"):
            again.append(OWNER, HEAD, glass())
        keeper.service = again
        review(keeper, OFFICER, declared)
        assert again.findings(OWNER, None) == []
        again.append(OWNER, HEAD, glass())
    finally:
        again.close()


def test_it_is_escalated_to_a_post_that_somebody_holds(keeper: Keeper) -> None:
    policies = keeper.home.policies
    officer = next(h for h in policies.holdings if h.role == "security_officer")
    left = replace(officer, post="former.security_officer", valid_until=date(2026, 6, 1))
    keeper.home = replace(keeper.home, policies=replace(policies, holdings=(left, *policies.holdings)))
    keeper.service.append(OWNER, HEAD, glass())
    keeper.service.close()
    keeper.ground.clock.pass_(25 * HOUR)
    again = keeper.started()
    try:
        again.tend()
        assert last(keeper, "access.emergency.escalated")["detail"]["owner_post"] == officer.post
    finally:
        again.close()


def test_who_may_know_of_it(keeper: Keeper) -> None:
    keeper.service.append(OWNER, HEAD, glass())
    for person, number in ((HEAD, 1), (STEWARD, 1), (OFFICER, 1), (CLERK, 0)):
        assert len(keeper.service.emergencies(OWNER, person)) == number
    assert keeper.service.emergencies(OWNER, HEAD)[0]["domain"] == HERE

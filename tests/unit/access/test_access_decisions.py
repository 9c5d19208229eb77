"""What is decided, until when, and which near miss a denial names: one table row each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest

from huanshu.access import MissKind, PlanRequest
from huanshu.catalog.nouns import Rung

ALWAYS = "2026-01-01, 2027-12-31"
COMMUNITY = [
    f"100, clerk, own, resident, name, service, reveal, {ALWAYS}, allow",
    f"100, clerk, own, resident, citizen_number, service, mask, {ALWAYS}, allow",
    f"100, clerk, own, resident, @level1, service, reveal, {ALWAYS}, allow",
    f"100, clerk, own, resident, phone, service, propose, {ALWAYS}, allow",
    "100, clerk, own, resident, phone, visit, reveal, 2026-01-01, 2026-03-31, allow",
    "100, clerk, own, resident, phone, census, reveal, 2026-04-01, 2026-04-30, allow",
    f"10, clerk, own, resident, marital_status, service, count, {ALWAYS}, deny",
    f"500, clerk, own, resident, marital_status, service, reveal, {ALWAYS}, allow",
    f"100, head, own, resident, care_status, visit, reveal, {ALWAYS}, allow",
]
DEPARTMENT = [
    f"100, officer, below, resident, name, service, reveal, {ALWAYS}, allow",
    f"100, officer, 990101000000, resident, name, service, write, {ALWAYS}, allow",
    f"100, cdo, below, resident, sex, service, count, {ALWAYS}, allow",
]


@pytest.fixture(scope="module")
def enforcer(district: Any) -> Any:
    return district.enforcer(district.rules(community=COMMUNITY, department=DEPARTMENT))


OFFICER = {"post": "police.officer"}
ALLOWED: list[tuple[dict[str, str], int]] = [
    ({}, 1),
    ({"action": "count"}, 1),
    ({"field": "citizen_number", "action": "mask"}, 2),
    ({"field": "citizen_number", "action": "match"}, 2),
    ({"field": "community"}, 3),
    ({"field": "phone", "action": "propose"}, 4),
    ({**OFFICER}, 1),
    ({**OFFICER, "domain": "990101001000"}, 1),
    ({**OFFICER, "domain": "990101001001001"}, 1),
    ({**OFFICER, "domain": "990101000000", "action": "write"}, 2),
]


@pytest.mark.parametrize(("asked", "line"), ALLOWED)
def test_allows_and_names_the_deciding_rule(
    district: Any, enforcer: Any, asked: dict[str, str], line: int
) -> None:
    decision = enforcer.decide(district.asks(**asked))
    assert decision.allowed, decision.explanation
    assert decision.rule.where.line == line
    assert f"{decision.rule.where}" in decision.explanation.en
    assert decision.nearest is None
    assert decision.remedy is None


DENIED: list[tuple[dict[str, Any], MissKind]] = [
    # nearest miss of the rules
    ({"post": "police.cdo", "dataset": "enterprise"}, "no_role"),
    ({"post": "district.cdo", "field": "sex", "action": "count"}, "no_role"),  # department.csv is not for it
    ({"domain": "990101001002"}, "reach"),
    ({"domain": "990101001000"}, "reach"),
    ({"domain": "990101001001001"}, "reach"),  # own is not the grid below
    ({**OFFICER, "domain": "990101000000"}, "reach"),  # below is not the district itself
    ({**OFFICER, "domain": "dept.police"}, "reach"),
    ({**OFFICER, "domain": "dept.civil"}, "reach"),  # below the district, but another department
    ({**OFFICER, "action": "write"}, "reach"),  # the district's code does not reach its communities
    ({"purpose": "visit"}, "purpose"),
    ({"field": "care_status"}, "field"),
    ({"post": "yulan.head", "field": "name", "purpose": "visit"}, "field"),
    ({"field": "citizen_number"}, "rung"),
    ({"field": "name", "action": "write"}, "action"),
    ({"field": "phone", "purpose": "visit"}, "expired"),
    ({"field": "phone", "purpose": "census", "at": "2026-03-15"}, "not_yet"),
    ({"field": "marital_status"}, "explicit_deny"),
    ({"field": "marital_status", "action": "count"}, "explicit_deny"),
    # the question is not in order
    ({"field": "care_status", "action": "mask"}, "not_offered"),
    ({"field": "name", "action": "match"}, "not_offered"),
    ({"post": "nobody.here"}, "unknown"),
    ({"domain": "990199999999"}, "unknown"),
    ({"dataset": "vehicle"}, "unknown"),
    ({"field": "nmae"}, "unknown"),
    ({"purpose": "curiosity"}, "unknown"),
    ({"action": "see"}, "unknown"),
    ({"purpose": ""}, "no_purpose"),
    ({"post": "old.clerk"}, "no_holding"),
    ({"post": "new.clerk"}, "no_holding"),
    ({"purpose": "census"}, "purpose_invalid"),
    ({"purpose": "census", "at": "2026-02-28"}, "purpose_invalid"),
    ({"dataset": "enterprise", "purpose": "visit"}, "purpose_elsewhere"),
]


@pytest.mark.parametrize(("asked", "kind"), DENIED)
def test_denies_and_names_the_nearest_miss(
    district: Any, enforcer: Any, asked: dict[str, Any], kind: str
) -> None:
    if isinstance(asked.get("at"), str):
        asked = {**asked, "at": district.at(asked["at"])}
    decision = enforcer.decide(district.asks(**asked))
    assert not decision.allowed
    assert decision.nearest.kind == kind, decision.explanation
    assert decision.valid_until is None
    assert decision.explanation.en
    assert decision.explanation.zh
    assert decision.remedy.en
    assert decision.remedy.zh


def test_every_kind_of_miss_has_a_row() -> None:
    untabled = {"not_canonical"}  # test_access_confusions.py
    assert {kind for _, kind in DENIED} == set(get_args(MissKind)) - untabled


def test_granted_is_the_highest_rung(district: Any, enforcer: Any) -> None:
    def granted(**asked: str) -> Rung | None:
        return enforcer.decide(district.asks(**asked)).granted  # type: ignore[no-any-return]

    assert granted(action="count") is Rung.REVEAL
    assert granted(field="citizen_number", action="reveal") is Rung.MASK
    assert granted(field="care_status", action="mask") is None
    assert granted(field="phone", action="propose") is None
    denied = enforcer.decide(district.asks(field="citizen_number"))
    assert "ask for mask, which is granted" in denied.remedy.en


def test_a_grant_of_a_rung_the_field_has_not_is_a_grant_of_the_next_lower(district: Any) -> None:
    enforcer = district.enforcer(
        district.rules(community=[f"100, clerk, own, resident, care_status, service, mask, {ALWAYS}, allow"])
    )
    asked = enforcer.decide(district.asks(field="care_status", action="mask"))
    assert not asked.allowed
    assert asked.granted is Rung.COUNT


def test_a_deny_goes_for_its_rung_and_above(district: Any) -> None:
    enforcer = district.enforcer(
        district.rules(
            community=[
                f"10, clerk, own, resident, phone, service, mask, {ALWAYS}, deny",
                f"100, clerk, own, resident, phone, service, reveal, {ALWAYS}, allow",
            ]
        )
    )
    outcome = {r.word: enforcer.decide(district.asks(field="phone", action=r.word)).allowed for r in Rung}
    # ``match`` is allowed by the rules, but a phone is no identifier.
    assert outcome == {"count": True, "match": False, "mask": False, "reveal": False}


def test_smaller_priority_wins_and_deny_wins_a_tie_whatever_the_order(district: Any) -> None:
    allow = f"{{}}, clerk, own, resident, name, service, reveal, {ALWAYS}, allow"
    deny = f"{{}}, clerk, own, resident, name, service, count, {ALWAYS}, deny"
    for lines, expected in (
        ([allow.format(5), deny.format(10)], True),
        ([deny.format(10), allow.format(5)], True),
        ([allow.format(10), deny.format(5)], False),
        ([allow.format(10), deny.format(9)], False),  # "10" < "9" as text
        ([allow.format(7), deny.format(7)], False),
        ([deny.format(7), allow.format(7)], False),
    ):
        decision = district.enforcer(district.rules(community=lines)).decide(district.asks())
        assert decision.allowed is expected, lines
        assert decision.rule.effect == ("allow" if expected else "deny")


def test_level_groups_come_from_the_contract_of_the_dataset_asked(district: Any) -> None:
    enforcer = district.enforcer(
        district.rules(
            community=[
                f"100, clerk, own, enterprise, @level1, service, reveal, {ALWAYS}, allow",
                f"100, clerk, own, resident, @sensitive_personal, service, count, {ALWAYS}, allow",
            ]
        )
    )
    assert enforcer.decide(district.asks(dataset="enterprise")).allowed  # name is level 1 there
    assert not enforcer.decide(district.asks()).allowed  # and level 3 here
    assert enforcer.decide(district.asks(field="care_status", action="count")).allowed
    assert not enforcer.decide(district.asks(field="sex", action="count")).allowed


def test_an_empty_policy_denies_everything(district: Any) -> None:
    enforcer = district.enforcer()
    asked = 0
    for post in district.policies().posts - {"old.clerk", "new.clerk"}:
        for domain in district.domains:
            for name in district.contracts["resident"].fields:
                for action in ("count", "reveal", "write"):
                    asked += 1
                    request = district.asks(post=post, domain=domain.code, field=name.name, action=action)
                    decision = enforcer.decide(request)
                    assert not decision.allowed
                    assert decision.nearest.kind == "no_role"
    assert asked > 500


# -- time ---------------------------------------------------------------------------------------------


def test_expiry_is_judged_at_the_instant_asked_by_one_and_the_same_enforcer(district: Any) -> None:
    """ranger#945: an expired policy went on allowing because expiry was looked at when it was loaded."""
    enforcer = district.enforcer(
        district.rules(
            community=["100, clerk, own, resident, name, service, reveal, 2026-03-01, 2026-03-31, allow"]
        )
    )
    outcome = {
        moment: enforcer.decide(district.asks(at=datetime.fromisoformat(moment))).allowed
        for moment in (
            "2026-02-28T23:59:59.999999+08:00",
            "2026-03-01T00:00:00+08:00",
            "2026-03-31T23:59:59.999999+08:00",
            "2026-04-01T00:00:00+08:00",
            "2026-03-31T16:00:00+00:00",  # already April in the district
            "2026-02-28T16:00:00+00:00",  # already March in the district
            "2026-03-01T00:00:00+08:00",  # and back: nothing was remembered
        )
    }
    assert list(outcome.values()) == [False, True, True, False, False, True]


def test_an_allow_ends_with_the_first_of_rule_holding_and_purpose(district: Any) -> None:
    lines = [
        "100, clerk, own, resident, name, service, reveal, 2026-01-01, 2026-09-30, allow",
        f"100, clerk, own, resident, name, census, reveal, {ALWAYS}, allow",
        f"100, clerk, own, resident, phone, service, reveal, {ALWAYS}, allow",
    ]
    enforcer = district.enforcer(district.rules(community=lines))

    def until(**asked: Any) -> str:
        return enforcer.decide(district.asks(**asked)).valid_until.isoformat()  # type: ignore[no-any-return]

    assert until() == "2026-09-30T23:59:59.999999+08:00"
    assert until(purpose="census", at=district.at("2026-04-01")) == "2026-05-31T23:59:59.999999+08:00"
    assert until(field="phone", post="old.clerk", at=district.at("2026-02-01")).startswith("2026-03-31T23")
    # asked in UTC, answered for the district's day
    assert until(at=datetime(2026, 6, 1, tzinfo=UTC)) == "2026-09-30T23:59:59.999999+08:00"


def test_the_first_of_several_holdings_to_end_counts(district: Any) -> None:
    first = district.policies().holdings[0]
    ends = (date(2027, 12, 31), date(2026, 7, 31), date(2026, 5, 31))  # the last one has ended already
    holdings = [replace(first, person=f"p.{end}", valid_until=end) for end in ends]
    enforcer = district.enforcer(district.rules(community=COMMUNITY), holdings)
    assert enforcer.decide(district.asks()).valid_until.date() == date(2026, 7, 31)


def test_an_allow_does_not_outlive_the_beginning_of_a_deny_that_outranks_it(district: Any) -> None:
    allow = f"100, clerk, own, resident, name, service, reveal, {ALWAYS}, allow"
    deny = "{}, clerk, own, resident, name, service, {}, 2026-08-01, 2027-12-31, deny"
    for priority, action, last in ((10, "count", "2026-07-31"), (200, "count", "2027-12-31")):
        enforcer = district.enforcer(district.rules(community=[allow, deny.format(priority, action)]))
        decision = enforcer.decide(district.asks())
        assert decision.allowed
        assert decision.valid_until.date().isoformat() == last
    masked = district.enforcer(district.rules(community=[allow, deny.format(10, "reveal")]))
    assert masked.decide(district.asks(action="mask")).valid_until.date() == date(2027, 12, 31)


# -- plans --------------------------------------------------------------------------------------------


def _plan(district: Any, enforcer: Any, fields: dict[str, Any], **changed: Any) -> Any:
    asked = district.asks(**changed)
    return enforcer.plan(
        PlanRequest(asked.post, asked.domain, asked.dataset, fields, asked.purpose, asked.at)
    )


def test_a_plan_is_its_fields_decided_one_by_one(district: Any, enforcer: Any) -> None:
    fields = {"name": Rung.REVEAL, "citizen_number": Rung.MASK, "community": "reveal", "phone": "propose"}
    plan = _plan(district, enforcer, fields)
    assert plan.allowed
    assert plan.policy_digest == "d" * 64 == enforcer.policy_digest
    assert plan.asked == fields
    assert not plan.denials
    assert plan.remedy is None
    for name, asked in fields.items():
        word = asked.word if isinstance(asked, Rung) else asked
        assert plan.decisions[name] == enforcer.decide(district.asks(field=name, action=word))
    assert plan.valid_until == min(d.valid_until for d in plan.decisions.values())


def test_one_denied_field_denies_the_plan(district: Any, enforcer: Any) -> None:
    fields = {
        "name": Rung.REVEAL,
        "citizen_number": Rung.REVEAL,
        "marital_status": Rung.COUNT,
        "zzz": Rung.MASK,
    }
    plan = _plan(district, enforcer, fields)
    assert not plan.allowed
    assert [*plan.denials] == ["citizen_number", "marital_status", "zzz"]
    assert plan.decisions["name"].allowed
    assert plan.valid_until == district.asks().at
    assert "citizen_number" in plan.explanation.en
    assert "Denied as well: marital_status" in plan.explanation.en
    assert "zzz" not in plan.explanation.en + plan.explanation.zh
    assert plan.remedy == plan.decisions["citizen_number"].remedy


def test_a_plan_of_no_fields_is_denied(district: Any, enforcer: Any) -> None:
    plan = _plan(district, enforcer, {})
    assert not plan.allowed
    assert plan.explanation.zh
    assert plan.remedy


def test_a_plan_whose_standing_fails_denies_every_field_for_that_reason(district: Any, enforcer: Any) -> None:
    plan = _plan(district, enforcer, {"name": Rung.MASK, "sex": Rung.COUNT}, purpose="")
    assert {d.nearest.kind for d in plan.decisions.values()} == {"no_purpose"}
    assert not plan.allowed


# -- the smallest grant -------------------------------------------------------------------------------


def test_the_smallest_grant_is_one_line_that_would_do(district: Any, enforcer: Any) -> None:
    decision = enforcer.decide(district.asks(domain="990101001002"))
    assert decision.nearest.grant_file == "policies/rules/community.csv"
    assert decision.nearest.grant == (
        "p, 100, yulan.clerk, 990101001002, resident, name, service, reveal, 2026-06-01, 2027-12-31, allow"
    )
    assert decision.nearest.grant in decision.remedy.en
    assert decision.nearest.grant in decision.remedy.zh


def test_no_grant_is_proposed_against_an_explicit_deny(district: Any, enforcer: Any) -> None:
    decision = enforcer.decide(district.asks(field="marital_status"))
    assert decision.nearest.grant is None
    assert decision.rule is decision.nearest.rule
    assert "policies/rules/community.csv:7" in decision.explanation.zh


def test_a_denial_does_not_depend_on_records_but_says_which_other_role_has_the_right(
    district: Any, enforcer: Any
) -> None:
    decision = enforcer.decide(district.asks(post="police.cdo", field="name"))
    assert (decision.nearest.kind, decision.nearest.also) == ("rung", ("field",))
    assert "grants only up to count and covers sex, not this field" in decision.explanation.en
    other = enforcer.decide(district.asks(post="district.cdo", field="sex", action="count"))
    assert (
        "policies/rules/department.csv:3 grants it to the role cdo of department posts"
        in other.explanation.en
    )


def test_a_rule_for_one_post_speaks_to_no_other_of_its_role(district: Any) -> None:
    """``yulan.clerk`` is named; ``wangjiang.clerk`` has the same role and gets nothing by it."""
    rules = district.rules(
        community=[f"100, yulan.clerk, 990101001001, resident, name, service, reveal, {ALWAYS}, allow"]
    )
    enforcer = district.enforcer(rules)
    assert enforcer.decide(district.asks()).allowed
    other = enforcer.decide(district.asks(post="wangjiang.clerk"))
    assert (other.allowed, other.nearest.kind) == (False, "no_role")
    assert "grants it to the post yulan.clerk" in other.explanation.en
    # The twin: the same rule for the role lets both.
    both = district.enforcer(
        district.rules(
            community=[f"100, clerk, 990101001001, resident, name, service, reveal, {ALWAYS}, allow"]
        )
    )
    assert both.decide(district.asks(post="wangjiang.clerk")).allowed


def test_a_deny_for_one_post_ends_its_allow(district: Any) -> None:
    rules = [
        f"100, clerk, own, resident, name, service, reveal, {ALWAYS}, allow",
        "10, yulan.clerk, own, resident, name, service, count, 2026-07-01, 2027-12-31, deny",
    ]
    enforcer = district.enforcer(district.rules(community=rules))
    assert enforcer.decide(district.asks()).valid_until.date() == date(2026, 6, 30)
    assert not enforcer.decide(district.asks(at=district.at("2026-07-01"))).allowed

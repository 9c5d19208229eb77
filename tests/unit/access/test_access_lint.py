"""Each oddity is found, a sound rule is not, and what is said never to decide never decides."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huanshu.access.lint import lint
from huanshu.catalog.nouns import Rule

from .conftest import CONTRACTS, District, rule
from .test_access_differential import POSTS, naive, worlds

TODAY = date(2026, 6, 1)
GRANT = "100, clerk, own, resident, name, service, mask, 2026-01-01, 2027-12-31, allow"


def oddities(
    district: District, *lines: str, kind: str = "community", **named: Any
) -> list[tuple[str, int | None]]:
    found = lint(district.policies(district.rules(**{kind: lines})), CONTRACTS, TODAY, **named)
    return [(oddity.kind, oddity.where.line) for oddity in found]


@pytest.mark.parametrize(
    ("expected", "kind", "lines"),
    [
        ([], "community", [GRANT]),
        ([("expired", 1)], "community", [GRANT.replace("2027-12-31", "2026-05-31")]),
        ([("unreachable", 1)], "community", [GRANT.replace("name, service", "name, census").replace("2026-01-01", "2026-06-01")]),
        ([("unreachable", 1)], "community", [GRANT.replace("resident, name", "enterprise, @level4")]),
        ([("unreachable", 1)], "community", [GRANT.replace("clerk", "wangjiang.clerk").replace("own", "below")]),
        ([("unreachable", 1)], "community", [GRANT.replace("clerk", "old.clerk")]),
        ([("not_offered", 1)], "community", [GRANT.replace("name", "sex")]),
        ([("shadowed", 2)], "community", [GRANT.replace("mask", "reveal"), GRANT.replace("100", "200")]),
        ([("shadowed", 2)], "community", [GRANT.replace("name", "@level3"), GRANT.replace("100", "200")]),
        ([("shadowed", 2)], "community", [GRANT, GRANT.replace("100, clerk, own", "200, yulan.clerk, 990101001001")]),
        ([("contradicting", 1)], "community", [GRANT, GRANT.replace("100", "10").replace("mask", "count").replace("allow", "deny")]),
        ([("contradicting", 1)], "community", [GRANT, GRANT.replace("name", "@level3").replace("allow", "deny")]),
        ([], "community", [GRANT.replace("mask", "reveal"), GRANT.replace("100", "10").replace("allow", "deny")]),
        ([("over_wide", 1)], "department", [GRANT.replace("clerk", "officer")]),
        ([("over_wide", 1)], "department", [GRANT.replace("clerk", "police.officer").replace("own", "below").replace("name", "@level3").replace("mask", "reveal")]),
        ([("over_wide", 1)], "community", [GRANT.replace("2026-01-01", "2025-01-01")]),
    ],
)  # fmt: skip
def test_each_oddity(district: District, expected: list[Any], kind: str, lines: list[str]) -> None:
    assert oddities(district, *lines, kind=kind) == expected


def test_a_rule_that_decided_nothing(district: District) -> None:
    rules = district.rules(community=[GRANT, GRANT.replace("name", "phone")])
    found = lint(district.policies(rules), CONTRACTS, TODAY, {rules[1].where})
    assert [(oddity.kind, oddity.where) for oddity in found] == [("never_used", rules[0].where)]


def test_what_is_said_never_to_decide_never_decides(district: District) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(worlds(), st.data())
    def never(world: tuple[list[Rule], Any], data: st.DataObject) -> None:
        rules, question = world
        known = [each for each in rules if each.role in {role for role, _, _ in POSTS.values()}]
        found = lint(district.policies(known), CONTRACTS, date(2026, 1, 1))
        idle = {
            o.where
            for o in found
            if o.kind == "shadowed" or (o.kind == "contradicting" and "never" in o.what.en)
        }
        _, decided = naive(known, question)
        if decided is not None:
            seen["decided"] += 1
            assert decided.where not in idle
        seen["idle"] += len(idle)

    never()
    assert min(seen["decided"], seen["idle"]) > 10, seen


def test_a_sample_home_of_four_hundred_rules_is_quick(district: District) -> None:
    many = [
        rule(GRANT.replace("2026-01-01", str(date(2026, 1, 1) + timedelta(day))), number=day + 1)
        for day in range(300)
    ]
    assert {o.kind for o in lint(district.policies(many), CONTRACTS, TODAY)} == {"shadowed"}

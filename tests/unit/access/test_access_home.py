"""The sample home: its cases hold, cover both outcomes of every role, and its flows get what they declare."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from huanshu.access import Enforcer, PlanRequest, Request, run_cases
from huanshu.catalog import Home, read_home

NOON = time(12)


@pytest.fixture(scope="module")
def home(repository: Path) -> Home:
    return read_home(repository)


def test_all_cases_hold(home: Home) -> None:
    assert len(home.policies.cases) > 100
    failures = run_cases(home)
    assert not failures, "\n".join(str(failure.error) for failure in failures)


def test_every_case_can_fail(home: Home) -> None:
    """Each case turned round is a failure: the runner does compare."""
    turned = tuple(
        replace(case, expect="deny" if case.expect == "allow" else "allow") for case in home.policies.cases
    )
    failures = run_cases(replace(home, policies=replace(home.policies, cases=turned)))
    assert [failure.case for failure in failures] == [*turned]
    assert all(failure.error.where == failure.case.where for failure in failures)


def test_the_cases_show_both_outcomes_of_every_role(home: Home) -> None:
    role_of = {holding.post: holding.role for holding in home.policies.holdings}
    outcomes = defaultdict(set)
    for case in home.policies.cases:
        outcomes[role_of[case.post]].add(case.expect)
    assert len(outcomes) >= 7
    assert outcomes == {role: {"allow", "deny"} for role in role_of.values()}


def test_every_rule_decides_a_case_or_is_one_of_a_kind_that_does(home: Home) -> None:
    """A rule that no case touches is one that nobody looked at: every (role, purpose, effect) has a case."""
    zone = ZoneInfo(home.timezone)
    enforcer = Enforcer(home.policies, home.contracts, zone=zone)
    touched = set()
    for case in home.policies.cases:
        at = datetime.combine(case.on, NOON, zone)
        parts = (case.post, case.domain, case.dataset, case.field, case.purpose, case.action)
        if (rule := enforcer.decide(Request(*parts, at)).rule) is not None:
            touched.add((rule.where.file, rule.role, rule.purpose, rule.effect))
    assert touched == {(r.where.file, r.role, r.purpose, r.effect) for r in home.policies.rules}


def test_deliveries_and_intakes_of_the_flows_are_allowed(home: Home) -> None:
    enforcer = Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
    at = datetime.combine(date(2026, 6, 1), NOON, ZoneInfo(home.timezone))
    planned = 0
    for flow in home.flows.values():
        fields = flow.fields or {field.name: "write" for field in home.contracts[flow.dataset].fields}
        for receiver in flow.receivers[
            ::10
        ]:  # rules reach "below": one community is as good as its neighbour
            request = PlanRequest(flow.accountable_post, receiver, flow.dataset, fields, flow.purpose, at)
            plan = enforcer.plan(request)
            assert plan.allowed, plan.explanation
            planned += 1
    assert planned >= 4 * (1 + 15)


def test_nobody_in_a_community_is_given_marital_status_or_ethnicity(home: Home) -> None:
    enforcer = Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
    at = datetime.combine(date(2026, 6, 1), NOON, ZoneInfo(home.timezone))
    asked = 0
    tree = home.policies.domains
    # Every twelfth community with its grids, and whatever a rule names by itself.
    some = {
        d.code for c in tree.below(tree.district.code, "community")[::12] for d in (c, *tree.below(c.code))
    }
    named = {word for rule in home.policies.rules for word in (rule.role, rule.reach)}
    for holding in home.policies.holdings:
        if tree[holding.domain].kind not in ("community", "grid"):
            continue
        if holding.domain not in some | named and holding.post not in named:
            continue
        for field in ("marital_status", "ethnicity"):
            for purpose in home.policies.purposes:
                for action in ("count", "reveal", "propose", "write"):
                    request = Request(holding.post, holding.domain, "resident", field, purpose, action, at)
                    assert not enforcer.decide(request).allowed
                    asked += 1
    assert asked > 100

"""Runs the cases that lie beside the rules: requests that must be allowed or denied, with the reason why.

A case asks at noon, local time, of its day. Nothing is written; what fails comes back with its decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from huanshu.access.decisions import Decision, Request
from huanshu.access.enforcer import Enforcer
from huanshu.access.rulebook import kind_of
from huanshu.catalog.nouns import Case, Home, Policies
from huanshu.errors import ContentError, Text, Where


@dataclass(frozen=True, slots=True)
class CaseFailure:
    """A case that the rules do not bear out."""

    case: Case
    decision: Decision

    @property
    def error(self) -> ContentError:
        """The failure as a fault of the policies, at the case's line."""
        case, decided = self.case, self.decision
        got = Text("allowed", "允许") if decided.allowed else Text("denied", "拒绝")
        expected = Text("deny", "拒绝") if case.expect == "deny" else Text("allow", "允许")
        return ContentError(
            "access.case.failed",
            Text(
                f"expected {expected.en} ({case.because}), but it is {got.en}: {decided.explanation.en}",
                f"应为{expected.zh}（{case.because}），实为{got.zh}：{decided.explanation.zh}",
            ),
            remedy=self._remedy,
            where=case.where,
        )

    @property
    def _remedy(self) -> Text:
        """Of a denial that must not be: the grant that would do, with its file."""
        if self.case.expect == "deny" or self.decision.remedy is None:
            return Text("correct the rule, or the case", "请更正规则或用例")
        grant = self.decision.remedy
        return Text(f"correct the case, or {grant.en}", f"请更正用例；或{grant.zh}")


@dataclass(frozen=True, slots=True)
class Untried:
    """A role (or post) that rules speak to and no case asks for that outcome."""

    kind: str
    role: str
    missing: Literal["allow", "deny"]
    where: Where  # of its first rule


def untried(policies: Policies) -> list[Untried]:
    """Every role and post of a rule of which no case shows that it is allowed something, or denied something.

    A role that only denials speak to need not be allowed anything."""
    tried: set[tuple[str, str, str]] = set()
    for case in policies.cases:
        holding = next(holding for holding in policies.holdings if holding.post == case.post)
        kind = policies.domains[holding.domain].kind
        tried |= {(kind, who, case.expect) for who in (holding.post, holding.role)}
    first: dict[tuple[str, str], Where] = {}
    allowed: set[tuple[str, str]] = set()
    for rule in policies.rules:
        first.setdefault((kind_of(rule), rule.role), rule.where)
        if rule.effect == "allow":
            allowed.add((kind_of(rule), rule.role))
    outcomes: tuple[Literal["allow", "deny"], ...] = ("allow", "deny")
    return [
        Untried(*who, outcome, where)
        for who, where in first.items()
        for outcome in outcomes
        if (*who, outcome) not in tried and (outcome == "deny" or who in allowed)
    ]


def run_cases(home: Home) -> list[CaseFailure]:
    """Every case of the home against its rules; the empty list when all hold."""
    zone = ZoneInfo(home.timezone)
    enforcer = Enforcer(home.policies, home.contracts, zone=zone)
    failures = []
    for case in home.policies.cases:
        at = datetime.combine(case.on, time(12), zone)
        decision = enforcer.decide(
            Request(case.post, case.domain, case.dataset, case.field, case.purpose, case.action, at)
        )
        if decision.allowed is not (case.expect == "allow"):
            failures.append(CaseFailure(case, decision))
    return failures

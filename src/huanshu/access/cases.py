"""Runs the cases that lie beside the rules: requests that must be allowed or denied, with the reason why.

A case asks at noon, local time, of its day. Nothing is written; what fails comes back with its decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from huanshu.access.decisions import Decision, Request
from huanshu.access.enforcer import Enforcer
from huanshu.catalog.nouns import Case, Home
from huanshu.errors import ContentError, Text


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

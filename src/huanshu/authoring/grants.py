"""What the rules still deny of a flow, and what receiving roles may see of it. Asked of the real enforcer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from huanshu.access import Decision, Enforcer, PlanRequest, Request, alike
from huanshu.catalog import Flow, Home, Rung
from huanshu.errors import ContentError, Text, Where

#: The misses that a line of a rule file can mend.
MENDABLE = frozenset({"no_role", "reach", "purpose", "field", "rung", "action", "expired"})


@dataclass(frozen=True, slots=True)
class Lack:
    """What the accountable post is denied, over a group of receivers that no rule tells apart."""

    domains: tuple[str, ...]
    denials: Mapping[str, Decision]

    @property
    def mendable(self) -> dict[str, Decision]:
        """Those that a rule would settle; the others need a person or another file."""
        return {
            name: decision
            for name, decision in self.denials.items()
            if decision.nearest is not None and decision.nearest.kind in MENDABLE
        }


def enforcer_of(home: Home) -> Enforcer:
    return Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))


def asked_of(home: Home, flow: Flow) -> dict[str, Rung | str]:
    """Field → what the gate will ask for it: the declared rungs, or ``write`` of every field."""
    if flow.kind == "delivery":
        return dict(flow.fields)
    return {field.name: "write" for field in home.contracts[flow.dataset].fields}


def lacks(home: Home, flow: Flow, at: datetime, enforcer: Enforcer | None = None) -> Iterator[Lack]:
    """Every group of receivers for which the gate would deny the flow now."""
    decider = enforcer or enforcer_of(home)
    asked = asked_of(home, flow)
    for group in alike(home.policies, flow.accountable_post, flow.dataset, flow.receivers):
        request = PlanRequest(flow.accountable_post, group[0], flow.dataset, asked, flow.purpose, at)
        denials = decider.plan(request).denials
        if denials:
            yield Lack(group, denials)


@dataclass(frozen=True, slots=True)
class Reader:
    """A role at the receivers, and the highest rung it may read of each field for the flow's purpose."""

    role: str
    kind: str
    rungs: Mapping[str, Rung | None]


def readers(home: Home, flow: Flow, at: datetime, enforcer: Enforcer | None = None) -> list[Reader]:
    """Every role that is held at or below the receivers, each asked at its first post."""
    decider = enforcer or enforcer_of(home)
    tree = home.policies.domains
    places = set(flow.receivers) | {d.code for r in flow.receivers for d in tree.below(r)}
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for holding in home.policies.holdings:
        if holding.domain in places and holding.valid_from <= at.date() <= holding.valid_until:
            first.setdefault((holding.role, tree[holding.domain].kind), (holding.post, holding.domain))
    return [
        Reader(role, kind, {name: _highest(decider, flow, post, domain, name, at) for name in flow.fields})
        for (role, kind), (post, domain) in first.items()
    ]


def _highest(decider: Enforcer, flow: Flow, post: str, domain: str, field: str, at: datetime) -> Rung | None:
    asked = Request(post, domain, flow.dataset, field, flow.purpose, Rung.REVEAL.word, at)
    return decider.decide(asked).granted


def granted_flows(home: Home, at: datetime) -> Iterator[ContentError]:
    """``huanshu check``: an error for every flow that the gate would deny for want of rules."""
    enforcer = enforcer_of(home)
    for flow in home.flows.values():
        for lack in lacks(home, flow, at, enforcer):
            for name, decision in lack.mendable.items():
                assert decision.nearest is not None
                yield ContentError(
                    "flow.rules.missing",
                    Text(
                        f"{flow.flow} would be denied: {decision.explanation.en}",
                        f"{flow.flow} 将被拒绝：{decision.explanation.zh}",
                    ),
                    remedy=Text(
                        f"the missing lines of {decision.nearest.grant_file}: huanshu flow plan {flow.flow}",
                        f"{decision.nearest.grant_file} 所缺各行：huanshu flow plan {flow.flow}",
                    ),
                    where=Where(flow.where.file, flow.where.line, name),
                )
                break


def tried_flows(home: Home) -> Iterator[ContentError]:
    """``huanshu check``: an error for every flow whose accountable post no case allows or none denies.

    A rule that no case tries may say anything; the cases of a new exchange are easily forgotten."""
    tried = {(case.post, case.dataset, case.expect) for case in home.policies.cases}
    for flow in home.flows.values():
        post = flow.accountable_post
        for expect, words in (("allow", Text("allowed", "允许")), ("deny", Text("denied", "拒绝"))):
            if (post, flow.dataset, expect) not in tried:
                yield ContentError(
                    "flow.cases.missing",
                    Text(
                        f"no case says what {post} must be {words.en} of {flow.dataset}",
                        f"没有用例说明 {post} 对 {flow.dataset} 的哪些请求必须{words.zh}",
                    ),
                    remedy=Text(
                        f"add it to policies/cases/{flow.dataset}.csv: huanshu flow plan {flow.flow}",
                        f"请补充到 policies/cases/{flow.dataset}.csv：huanshu flow plan {flow.flow}",
                    ),
                    where=flow.where,
                )

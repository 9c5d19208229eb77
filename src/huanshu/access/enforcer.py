"""The enforcer: one per policy digest, pure — no I/O, no clock; the instant is part of every question.

    1. Is the question in order? (``query``; exact identifiers, a held post, a valid purpose)
    2. Does the field offer that rung? (the contract)
    3. Casbin decides. (``rulebook``; over the candidates of its index)
    4. Until when, and if not, why not? (``explain``)

Expiry is judged against the instant asked, in every decision. All that is remembered between questions is a plan that
was allowed, for the local day it was asked on: rules, holdings and purposes begin and end with a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from huanshu.access import explain
from huanshu.access.alike import Marks
from huanshu.access.decisions import Decision, NearestMiss, Plan, PlanRequest, Request
from huanshu.access.nearest import Nearest
from huanshu.access.query import Disorder, Query, Standing, check_field, stand
from huanshu.access.rulebook import Rulebook
from huanshu.access.terms import READS, WRITES, Terms, offers
from huanshu.catalog.nouns import Contract, Policies, Rule, Rung
from huanshu.errors import Text

_DOWNWARD: Final = tuple(reversed(READS.items()))
#: Plans kept at once; a day's questions of a district are some thousands.
_REMEMBERED: Final = 20_000


class Enforcer:
    """Decides who may do what to which field. Raises ContentError when built from a model, rule or post that
    Casbin would read otherwise than a person; a decision never raises.

    ``zone`` is the district's time zone (``Home.timezone``): local days begin and end in it. Without it the
    offset of the instant asked counts."""

    def __init__(
        self, policies: Policies, contracts: Mapping[str, Contract], *, zone: tzinfo | None = None
    ) -> None:
        self.policy_digest = policies.digest
        self._policies = policies
        self._contracts = contracts
        self._zone = zone
        self._terms = Terms(policies.domains, contracts)
        self._allowed: dict[tuple[object, ...], Plan] = {}
        self._marks = Marks(policies)
        self._rulebook = Rulebook(policies.model, policies.rules, policies.holdings, self._terms)
        self._nearest = Nearest(self._rulebook.rules, self._terms)

    def decide(self, request: Request) -> Decision:
        """The decision for one field."""
        standing = self._stand(request.post, request.domain, request.dataset, request.purpose, request.at)
        return self._field(standing, request.field, request.action)

    def rights(self, request: Request) -> tuple[str, ...]:
        """What Casbin grants of one field, whatever ``request.action``: the highest rung's word, if any, then the write
        actions. Without a word why: for questions over a whole district (``change``, ``seeing``)."""
        standing = self._stand(request.post, request.domain, request.dataset, request.purpose, request.at)
        if isinstance(standing, Disorder) or request.field not in standing.contract.by_name:
            return ()
        kind = self._policies.domains[standing.holding.domain].kind
        query = standing.query(request.field, Rung.REVEAL.word, kind)
        candidates = self._rulebook.candidates(query)
        named = {self._rulebook.rules[number].action for number in candidates}
        rung = self._granted(standing, query, None, candidates) if named & READS.keys() else None
        writes = [
            word
            for word in sorted(named & WRITES)
            if self._rulebook.decide_over(candidates, query._replace(action=word))[0]
        ]
        return ((rung.word,) if rung else ()) + tuple(writes)

    def plan(self, request: PlanRequest) -> Plan:
        """The decisions for all fields of one access, for the caller to keep under ``policy_digest``.

        What is allowed is worked out once a day for all domains that no rule tells apart (``alike``)."""
        try:
            key = self._key(request)
            known = self._allowed.get(key)
        except (AttributeError, TypeError):  # not even a question in order
            return self._plan(request)
        if known is None:
            known = self._plan(request)
            if known.allowed:
                if len(self._allowed) >= _REMEMBERED:
                    self._allowed.clear()
                self._allowed[key] = known
        return known

    def _key(self, request: PlanRequest) -> tuple[object, ...]:
        about = (request.post, request.dataset)
        known = request.domain in self._policies.domains
        mark = self._marks.mark(*about, request.domain) if known else request.domain
        local = self._local(request.at)
        return (*about, request.purpose, tuple(request.fields.items()), local.date(), local.tzinfo, mark)

    def _plan(self, request: PlanRequest) -> Plan:
        standing = self._stand(request.post, request.domain, request.dataset, request.purpose, request.at)
        decisions = {
            name: self._field(standing, name, asked.word if isinstance(asked, Rung) else asked)
            for name, asked in request.fields.items()
        }
        ends = [decision.valid_until for decision in decisions.values() if decision.valid_until is not None]
        all_allowed = bool(decisions) and len(ends) == len(decisions)
        explanation, remedy = _in_sum(decisions)
        return Plan(
            policy_digest=self.policy_digest,
            asked=dict(request.fields),
            decisions=decisions,
            allowed=all_allowed,
            valid_until=min(ends) if all_allowed else request.at,
            explanation=explanation,
            remedy=remedy,
        )

    def _stand(self, post: str, domain: str, dataset: str, purpose: str, at: datetime) -> Standing | Disorder:
        return stand(self._policies, self._contracts, post, domain, dataset, purpose, self._local(at))

    def _local(self, at: datetime) -> datetime:
        return at if self._zone is None or at.tzinfo is None else at.astimezone(self._zone)

    def _field(self, standing: Standing | Disorder, field: str, action: str) -> Decision:
        if isinstance(standing, Disorder):
            return explain.disordered(standing)
        if (disorder := check_field(standing, field, action)) is not None:
            return explain.disordered(disorder)
        query = standing.query(field, action, self._policies.domains[standing.holding.domain].kind)
        candidates = self._rulebook.candidates(query)
        if not offers(standing.contract.field(field), action):
            return explain.not_offered(standing, query, self._granted(standing, query, None, candidates))
        allowed, rule = self._rulebook.decide_over(candidates, query)
        granted = self._granted(standing, query, allowed, candidates)
        if allowed and rule is not None:
            last_day = self._last_day(standing, query, rule, candidates)
            return explain.allowed(standing, query, rule, granted, last_day)
        if rule is not None:
            return explain.denied_by(standing, query, rule, granted)
        return explain.unmatched(standing, query, self._nearest, granted)

    def _granted(
        self, standing: Standing, query: Query, allowed: bool | None, candidates: Sequence[int]
    ) -> Rung | None:
        """The highest rung Casbin grants and the field offers. Whoever may read at a rung may read at every
        lower one (``Terms.serves``), so only rungs on the other side of the answer known are asked, and none above
        the highest that some candidate allows. The candidates are those of every rung: no rung is part of what rules
        are filed by."""
        asked = READS.get(query.action)
        if asked is None:
            return None
        if asked is Rung.REVEAL and allowed:
            return asked
        rules = [self._rulebook.rules[number] for number in candidates]
        allows = [READS[rule.action] for rule in rules if rule.effect == "allow" and rule.action in READS]
        highest = max(allows, default=0)
        field = standing.contract.field(query.field)
        for word, rung in _DOWNWARD:
            if rung is asked and allowed:
                return rung
            known_denied = allowed is False and rung >= asked
            if rung > highest or known_denied or not offers(field, word):
                continue
            if self._rulebook.decide_over(candidates, query._replace(action=word))[0]:
                return rung
        return None

    def _last_day(self, standing: Standing, query: Query, rule: Rule, candidates: Sequence[int]) -> date:
        """An allow ends with rule, holding or purpose — or the day before a deny that outranks it begins."""
        days = [rule.valid_until, standing.last_day]
        for number in candidates:
            earlier = self._rulebook.rules[number]
            if earlier is rule:
                break
            if earlier.effect == "deny" and explain.starts_later(earlier, query, self._terms):
                days.append(earlier.valid_from - timedelta(days=1))
        return min(days)


def _in_sum(decisions: Mapping[str, Decision]) -> tuple[Text, Text | None]:
    """One explanation for a plan: the first denial in full, the other denied fields by name."""
    if not decisions:
        return (
            Text("no field is asked for", "未申请任何字段"),
            Text("name the fields and what is needed of each", "请列明字段及各自所需的可见程度"),
        )
    denials = {name: decision for name, decision in decisions.items() if not decision.allowed}
    if not denials:
        return Text(f"all {len(decisions)} fields allowed", f"全部 {len(decisions)} 个字段均允许"), None
    first = next(iter(denials.values()))
    # Only names that exist are repeated; what is unknown or malformed could be a pasted value.
    named = [name for name, decision in denials.items() if decision is not first and _known(decision.nearest)]
    if not named:
        return first.explanation, first.remedy
    listed = ", ".join(named)
    return (
        Text(
            f"{first.explanation.en}. Denied as well: {listed}", f"{first.explanation.zh}。同时拒绝：{listed}"
        ),
        first.remedy,
    )


def _known(nearest: NearestMiss | None) -> bool:
    """True when the question was in order, so that its field exists."""
    return nearest is not None and nearest.kind in explain.OF_KNOWN_FIELDS

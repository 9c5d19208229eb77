"""The engine against two others: a naive reading of the rules, and pycasbin alone on the CSV text.

The naive reader shares nothing with the engine; pycasbin alone runs the same model with functions of
this file. Beside it, laws that hold for any rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import casbin
from casbin.persist.adapters.string_adapter import StringAdapter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from huanshu.access import PlanRequest, Request
from huanshu.catalog.nouns import Rule
from huanshu.errors import Where

LADDER = ["count", "match", "mask", "reveal"]
POSTS = {
    "yulan.clerk": ("clerk", "990101001001", "community"),
    "wangjiang.clerk": ("clerk", "990101001002", "community"),
    "yulan.head": ("head", "990101001001", "community"),
    "police.officer": ("officer", "dept.police", "department"),
    "police.cdo": ("cdo", "dept.police", "department"),
    "district.cdo": ("cdo", "990101000000", "district"),
}
BELOW_DISTRICT = {"990101001000", "990101001001", "990101001002", "990101001001001"}
BELOW = {
    "990101001001": {"990101001001001"},
    "990101001002": set(),
    "dept.police": BELOW_DISTRICT,
    "990101000000": BELOW_DISTRICT,
}
DOMAINS = sorted({*BELOW_DISTRICT, "990101000000", "dept.police", "dept.civil"})
GROUPS = {
    "citizen_number": {"@level3", "@sensitive_personal"},
    "name": {"@level3"},
    "phone": {"@level3"},
    "marital_status": {"@level3", "@sensitive_personal"},
    "care_status": {"@level4", "@sensitive_personal"},
    "sex": {"@level2"},
    "community": {"@level1"},
}
MASKED, LINKED = {"citizen_number", "name", "phone"}, {"citizen_number"}
KIND_OF_ROLE = {
    "clerk": ["community"],
    "head": ["community"],
    "officer": ["department"],
    "cdo": ["department", "district"],
}
FIRST = date(2026, 1, 1)

days = st.integers(0, 40).map(lambda n: FIRST + timedelta(days=n))


ZONE = datetime.fromisoformat("2026-01-01T00:00:00+08:00").tzinfo
FIELDS = ["name", "citizen_number", "marital_status", "care_status"]


@st.composite
def questions(draw: st.DrawFn) -> Request:
    post = draw(st.sampled_from(sorted(POSTS)))
    home = POSTS[post][1]
    return Request(
        post=post,
        domain=draw(st.sampled_from([home, *sorted(BELOW[home]), *DOMAINS])),
        dataset="resident",
        field=draw(st.sampled_from([*FIELDS, *GROUPS])),
        purpose=draw(st.sampled_from(["service", "visit"])),
        action=draw(st.sampled_from([*LADDER, "write"])),
        at=datetime.combine(draw(days), time(draw(st.integers(0, 23))), ZONE),
    )


@st.composite
def rules_near(draw: st.DrawFn, q: Request, line: int) -> Rule:
    """A rule that speaks to the question, except for at most two things drawn afresh.

    Random rules hardly ever meet a random question; a differential test of denials proves little."""
    role, home, kind = POSTS[q.post]
    reaches = [reach for reach in ("own", "below", q.domain) if in_reach(reach, home, q.domain)]
    effect = draw(st.sampled_from(["allow", "allow", "deny"]))
    speaking = [word for word in (*LADDER, "write") if speaks(effect, word, q.action)]
    afresh = draw(
        st.sets(st.sampled_from(["role", "reach", "field", "purpose", "action", "days"]), max_size=2)
    )
    if "role" in afresh:
        role = draw(st.sampled_from(sorted(KIND_OF_ROLE)))
        kind = draw(st.sampled_from(KIND_OF_ROLE[role]))
    start, end = FIRST, FIRST + timedelta(days=60)
    if "days" in afresh:
        start, end = sorted((draw(days), draw(days)))
    return Rule(
        priority=draw(st.integers(0, 12)),
        role=role,
        reach=draw(st.sampled_from(["own", "below", *DOMAINS] if "reach" in afresh else reaches)),
        dataset="resident",
        field=draw(
            st.sampled_from(
                [*FIELDS, "@level3", "@level4", "@sensitive_personal"]
                if "field" in afresh
                else [q.field, *sorted(GROUPS[q.field])]
            )
        ),
        purpose=draw(st.sampled_from(["service", "visit"])) if "purpose" in afresh else q.purpose,
        action=draw(st.sampled_from([*LADDER, "write"] if "action" in afresh else speaking)),
        valid_from=start,
        valid_until=end,
        effect=effect,
        where=Where(f"policies/rules/{kind}.csv", line),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Rule], Request]:
    """Up to twelve rules, most of them near one question, and that question."""
    q = draw(questions())
    others = draw(st.lists(questions(), max_size=2))
    return [
        draw(rules_near(draw(st.sampled_from([q, q, *others])), line))
        for line in range(1, draw(st.integers(0, 12)) + 1)
    ], q


def decision_order(given_rules: Sequence[Rule]) -> list[Rule]:
    indexed = list(enumerate(given_rules))
    return [
        r for _, r in sorted(indexed, key=lambda p: (p[1].priority, 0 if p[1].effect == "deny" else 1, p[0]))
    ]


def in_reach(reach: str, home: str, domain: str) -> bool:
    return {"own": domain == home, "below": domain in BELOW[home]}.get(reach, domain == reach)


def speaks(effect: str, ruled: str, asked: str) -> bool:
    if asked == "write" or ruled == "write":
        return asked == ruled
    ruled_rung, asked_rung = LADDER.index(ruled), LADDER.index(asked)
    return asked_rung <= ruled_rung if effect == "allow" else asked_rung >= ruled_rung


def naive(given_rules: Sequence[Rule], q: Request) -> tuple[bool, Rule | None]:
    """First rule that speaks, smallest priority first, deny before allow; no rule is a denial."""
    role, home, kind = POSTS[q.post]
    for r in decision_order(given_rules):
        if (
            r.role == role
            and r.where.file == f"policies/rules/{kind}.csv"
            and r.dataset == q.dataset
            and r.purpose == q.purpose
            and (r.field == q.field or r.field in GROUPS[q.field])
            and in_reach(r.reach, home, q.domain)
            and speaks(r.effect, r.action, q.action)
            and r.valid_from <= q.at.date() <= r.valid_until
        ):
            return r.effect == "allow", r
    return False, None


def casbin_alone(model: str, given_rules: Sequence[Rule], q: Request) -> tuple[bool, list[str]]:
    lines = [", ".join(("p", *as_tokens(r))) for r in decision_order(given_rules)]
    lines += [f"g, {post}, {role}, {home}" for post, (role, home, _) in POSTS.items()]
    parsed = casbin.Enforcer.new_model(text=model)
    enforcer = casbin.Enforcer(parsed, StringAdapter("\n".join(lines)))
    enforcer.add_function("reaches", in_reach)
    enforcer.add_function("covers", lambda group, _, name: group == name or group in GROUPS[name])
    enforcer.add_function("serves", speaks)
    _, home, kind = POSTS[q.post]
    on = q.at.date().isoformat()
    allowed, line = enforcer.enforce_ex(
        q.post, home, kind, q.domain, q.dataset, q.field, q.purpose, q.action, on
    )
    return allowed, line


def as_tokens(r: Rule) -> list[str]:
    return [
        str(r.priority), r.role, r.reach, r.dataset, r.field, r.purpose, r.action,
        r.valid_from.isoformat(), r.valid_until.isoformat(), r.effect,
        r.where.file.split("/")[-1].removesuffix(".csv"),
    ]  # fmt: skip


def offered(field: str, action: str) -> bool:
    return {"mask": field in MASKED, "match": field in LINKED}.get(action, True)


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_engine_naive_reading_and_casbin_alone_agree(district: Any) -> None:
    seen: Counter[str] = Counter()

    @SETTINGS
    @given(worlds(), st.lists(questions(), max_size=2))
    def agree(world: tuple[list[Rule], Request], others: list[Request]) -> None:
        given_rules, focus = world
        enforcer = district.enforcer(given_rules)
        for q in (focus, *others):
            decision = enforcer.decide(q)
            if not offered(q.field, q.action):
                assert decision.nearest is not None
                assert decision.nearest.kind == "not_offered"
                continue
            expected, rule = naive(given_rules, q)
            outcome = "no rule" if rule is None else rule.effect
            seen[outcome] += 1
            assert decision.allowed is expected
            # Duplicate lines are one rule; otherwise it is the very rule.
            assert (decision.rule and as_tokens(decision.rule)) == (rule and as_tokens(rule))
            if given_rules:  # with no rule at all Casbin alone evaluates the matcher on empty tokens
                assert casbin_alone(district.model, given_rules, q) == (
                    expected,
                    as_tokens(rule) if rule else [],
                )

    agree()
    assert min(seen["allow"], seen["deny"], seen["no rule"]) >= 5, seen


def test_who_may_read_at_a_rung_may_read_at_every_lower_one(district: Any) -> None:
    seen: Counter[bool] = Counter()

    @SETTINGS
    @given(worlds())
    def closed_below(world: tuple[list[Rule], Request]) -> None:
        given_rules, q = world
        enforcer = district.enforcer(given_rules)
        offers = [word for word in LADDER if offered(q.field, word)]
        outcome = [enforcer.decide(replace(q, action=word)) for word in offers]
        allowed = [decision.allowed for decision in outcome]
        assert allowed == sorted(allowed, reverse=True)
        highest = offers[sum(allowed) - 1] if any(allowed) else None
        assert {d.granted.word if d.granted else None for d in outcome} == {highest}
        seen[any(allowed)] += 1

    closed_below()
    assert min(seen[True], seen[False]) >= 5, seen


def test_the_smallest_grant_would_do_and_gives_nothing_else(district: Any) -> None:
    seen = 0

    @SETTINGS
    @given(worlds(), questions())
    def sufficient(world: tuple[list[Rule], Request], other: Request) -> None:
        nonlocal seen
        given_rules, q = world
        before = district.enforcer(given_rules)
        decision = before.decide(q)
        if decision.allowed or decision.nearest is None or decision.nearest.grant is None:
            return
        seen += 1
        cells = [cell.strip() for cell in decision.nearest.grant.split(",")][1:]
        added = Rule(
            int(cells[0]), *cells[1:7], date.fromisoformat(cells[7]), date.fromisoformat(cells[8]), cells[9],  # type: ignore[arg-type]
            Where(decision.nearest.grant_file or "", 1),
        )  # fmt: skip
        after = district.enforcer([*given_rules, added])
        assert after.decide(q).allowed
        outside = q.domain != POSTS[q.post][1]  # then nobody else of that role gains it
        if (
            (other.field, other.purpose) != (q.field, q.purpose)
            or POSTS[other.post][0] != POSTS[q.post][0]
            or (outside and other.post != q.post)
        ):
            assert after.decide(other).allowed == before.decide(other).allowed

    sufficient()
    assert seen >= 5


COMMUNITY = Where("policies/rules/community.csv", 1)
COUNTED = ("clerk", "own", "resident", "name", "service", "count")
REVEALED = ("clerk", "own", "resident", "name", "service", "reveal")
LATER_DENY = Rule(1, *COUNTED, date(2026, 1, 5), date(2026, 1, 9), "deny", COMMUNITY)
EARLIER_ALLOW = Rule(2, *REVEALED, FIRST, date(2026, 2, 9), "allow", COMMUNITY)
ASKED_BETWEEN = Request(
    "yulan.clerk", "990101001001", "resident", "name", "service", "mask",
    datetime.fromisoformat("2026-01-02T09:00:00+08:00"),
)  # fmt: skip


def test_an_allow_holds_on_every_day_until_it_ends(district: Any) -> None:
    seen = 0

    @SETTINGS
    @given(worlds())
    @example(([LATER_DENY, EARLIER_ALLOW], ASKED_BETWEEN))
    def lasting(world: tuple[list[Rule], Request]) -> None:
        nonlocal seen
        given_rules, q = world
        enforcer = district.enforcer(given_rules)
        decision = enforcer.decide(q)
        if not decision.allowed:
            assert decision.valid_until is None
            return
        assert decision.valid_until is not None
        assert decision.valid_until >= q.at
        seen += 1
        at = q.at
        while at <= decision.valid_until:
            assert enforcer.decide(replace(q, at=at)).allowed
            at += timedelta(days=1)
        assert enforcer.decide(replace(q, at=decision.valid_until)).allowed

    lasting()
    assert seen >= 10


def test_a_plan_says_what_its_fields_say(district: Any) -> None:
    fields_asked = st.dictionaries(st.sampled_from(sorted(GROUPS)), st.sampled_from([*LADDER, "write"]))
    seen: Counter[bool] = Counter()

    @SETTINGS
    @given(worlds(), fields_asked, st.booleans())
    def same(world: tuple[list[Rule], Request], more: dict[str, str], alone: bool) -> None:
        given_rules, q = world
        enforcer = district.enforcer(given_rules)
        fields = {q.field: q.action} if alone else more
        plan = enforcer.plan(PlanRequest(q.post, q.domain, q.dataset, fields, q.purpose, q.at))
        singly = {name: enforcer.decide(replace(q, field=name, action=word)) for name, word in fields.items()}
        assert plan.decisions == singly
        assert plan.allowed is (bool(fields) and all(d.allowed for d in singly.values()))
        seen[plan.allowed] += 1

    same()
    assert min(seen[True], seen[False]) >= 3, seen

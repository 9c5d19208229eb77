"""What a change of the rules changes, against asking both sides everything on every day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huanshu.access import Enforcer, Request
from huanshu.access.change import Change, Side, change_between
from huanshu.catalog.nouns import Person, Rule
from huanshu.errors import Where

from .conftest import CONTRACTS, HOLDINGS, ZONE, District, holding, rule

LADDER = ["count", "match", "mask", "reveal"]
TODAY = datetime(2026, 6, 1, 9, tzinfo=ZONE)
FIELDS = ["citizen_number", "care_status"]
GRANT = "100, clerk, own, resident, name, service, mask, 2026-01-01, 2027-12-31, allow"


def side(district: District, rules: Sequence[Rule], holdings: Any = HOLDINGS, **changed: Any) -> Side:
    policies = replace(district.policies(rules, holdings), **{"digest": "a" * 64, **changed})
    return Side.of(policies, CONTRACTS, "Asia/Shanghai")


def community(*lines: str) -> tuple[Rule, ...]:
    return tuple(rule(line, "community", number) for number, line in enumerate(lines, 1))


def change(district: District, old: Sequence[Rule], new: Sequence[Rule], **changed: Any) -> Change:
    return change_between(side(district, old), side(district, new, **changed), TODAY)


def test_a_reordered_file_changes_nothing(district: District) -> None:
    other = "100, head, own, resident, sex, service, count, 2026-01-01, 2027-12-31, allow"
    found = change(district, community(GRANT, other), community(other, GRANT))
    assert (found.shifts, found.beside, found.widens) == ((), (), False)


def test_a_higher_rung_widens_for_each_clerk_in_his_own_community(district: District) -> None:
    found = change(district, community(GRANT), community(GRANT.replace("mask", "reveal")))
    assert {(s.post, s.domains, s.before, s.after) for s in found.widening} == {
        ("yulan.clerk", ("990101001001",), ("mask",), ("reveal",)),
        ("wangjiang.clerk", ("990101001002",), ("mask",), ("reveal",)),
        ("new.clerk", ("990101001001",), ("mask",), ("reveal",)),
    }
    later = next(s for s in found.widening if s.post == "new.clerk")
    assert later.since == "2027-01-01"  # not held before
    assert not found.narrowing
    extent = found.extent(found.widening, {("resident", "990101001001"): 40, ("resident", "990101001002"): 2})
    assert (extent.persons, extent.fields, extent.domains, extent.subjects) == (1, 1, 2, 42)


def test_a_grant_that_begins_later_or_ends_later_is_no_less_a_grant(district: District) -> None:
    tomorrow = GRANT.replace("2026-01-01", "2026-06-02")
    assert {s.since for s in change(district, (), community(tomorrow)).widening} == {
        "2026-06-02",
        "2027-01-01",
    }
    longer = GRANT.replace("2027-12-31", "2028-12-31")
    held = tuple(replace(h, valid_until=date(2028, 12, 31)) for h in HOLDINGS)
    purposes = {
        n: replace(p, valid_until=date(2028, 12, 31)) for n, p in district.policies().purposes.items()
    }
    before = side(district, community(GRANT), held, purposes=purposes)
    after = side(district, community(longer), held, purposes=purposes)
    found = change_between(before, after, TODAY)
    assert {s.since for s in found.widening} == {"2028-01-01"}
    assert found.widens


def test_a_deny_taken_away_and_a_priority_widen(district: District) -> None:
    deny = "10, clerk, own, resident, name, service, reveal, 2026-01-01, 2027-12-31, deny"
    reveal = GRANT.replace("mask", "reveal")
    assert change(district, community(deny, reveal), community(reveal)).widens
    assert change(district, community(deny, reveal), community(deny, reveal.replace("100", "5"))).widens
    back = change(district, community(reveal), community(deny, reveal))
    assert back.narrowing
    assert not back.widens


def test_another_person_in_a_post_gains_what_the_former_loses(district: District) -> None:
    moved = tuple(replace(h, person="p.b") if h.post == "yulan.clerk" else h for h in HOLDINGS)
    found = change(district, community(GRANT), community(GRANT), holdings=moved)
    assert {(s.persons, s.before, s.after) for s in found.shifts} == {
        (("p.a",), ("mask",), ()),
        (("p.b",), (), ("mask",)),
    }
    assert (len(found.widening), len(found.narrowing)) == (1, 1)


def test_an_account_given_to_somebody_else_is_listed_beside(district: District) -> None:
    where = Where("policies/persons.csv", 2)
    old = side(district, (), persons={"p.a": Person("p.a", "甲", "qh_a", "", where)})
    new = side(district, (), persons={"p.a": Person("p.a", "甲", "qh_b", "", where)})
    found = change_between(old, new, TODAY)
    assert found.beside == ("policies/persons.csv: os_account of p.a is qh_b, was qh_a",)
    assert found.widens


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"level": 2, "sensitive_personal": False},
            {"is no longer sealed", "is classified lower than before"},
        ),
        ({"mask": "phone"}, {"is masked as phone, was name"}),
    ],
)
def test_a_field_no_longer_sealed_or_masked_otherwise_is_listed_beside(
    district: District, changed: dict[str, Any], words: set[str]
) -> None:
    resident = CONTRACTS["resident"]
    fields = tuple(replace(f, **changed) if f.name == "name" else f for f in resident.fields)
    policies = district.policies()
    new = Side.of(policies, {**CONTRACTS, "resident": replace(resident, fields=fields)}, "Asia/Shanghai")
    found = change_between(Side.of(policies, CONTRACTS, "Asia/Shanghai"), new, TODAY)
    assert {line.split("name ", 1)[1] for line in found.beside} == words


def test_the_digest_names_old_new_and_what_widens(district: District) -> None:
    wide = change(district, (), community(GRANT))
    same = change(district, (), community(GRANT))
    wider = change(district, (), community(GRANT.replace("mask", "reveal")))
    other = change(district, (), community(GRANT), digest="b" * 64)
    assert wide.digest == same.digest
    assert len({wide.digest, wider.digest, other.digest}) == 3


# -- against asking everything ------------------------------------------------------------------------


@st.composite
def bundles(draw: st.DrawFn) -> tuple[list[Rule], list[Rule]]:
    line = st.builds(
        lambda p, role, reach, name, purpose, action, start, length, effect: rule(
            f"{p}, {role}, {reach}, resident, {name}, {purpose}, {action}, {TODAY.date() + timedelta(start)}, "
            f"{TODAY.date() + timedelta(start + length)}, {effect}",
            "department" if role == "officer" else "community",
        ),
        st.integers(1, 4), st.sampled_from(["clerk", "head", "officer"]),
        st.sampled_from(["own", "below", "990101001001"]),
        st.sampled_from([*FIELDS, "@level3", "@sensitive_personal"]),
        st.sampled_from(["service", "visit"]), st.sampled_from([*LADDER, "propose"]),
        st.integers(-3, 4), st.integers(0, 5), st.sampled_from(["allow", "allow", "deny"]),
    )  # fmt: skip
    kept = draw(st.lists(line, max_size=4))
    return [*kept, *draw(st.lists(line, max_size=3))], [*kept, *draw(st.lists(line, max_size=3))]


def asked_everything(old: Enforcer, new: Enforcer, domains: list[str]) -> dict[str, set[tuple[str, ...]]]:
    """(post, field, purpose, domain) that is wider, or narrower, on some day from today on."""
    found: dict[str, set[tuple[str, ...]]] = {"wider": set(), "narrower": set()}
    for day in range(12):
        at = TODAY + timedelta(day)
        for post in ("yulan.clerk", "yulan.head", "police.officer"):
            for name in FIELDS:
                for purpose in ("service", "visit"):
                    for domain in domains:
                        asked = [
                            (name, word, Request(post, domain, "resident", name, purpose, word, at))
                            for word in (*LADDER, "propose")
                        ]
                        had = {w for _, w, r in asked if old.decide(r).allowed}
                        has = {w for _, w, r in asked if new.decide(r).allowed}
                        cell = (post, name, purpose, domain)
                        if has - had:
                            found["wider"].add(cell)
                        if had - has:
                            found["narrower"].add(cell)
    return found


def test_a_change_is_what_asking_everything_finds(district: District) -> None:
    seen: Counter[str] = Counter()
    domains = ["990101001001", "990101001002", "990101001001001"]

    @settings(max_examples=14, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(bundles())
    def same(pair: tuple[list[Rule], list[Rule]]) -> None:
        old, new = (side(district, rules) for rules in pair)
        found = change_between(old, new, TODAY)
        everything = asked_everything(old.enforcer, new.enforcer, domains)
        for kind, shifts in (("wider", found.widening), ("narrower", found.narrowing)):
            cells = {
                (s.post, s.field, s.purpose, domain)
                for s in shifts
                for domain in s.domains
                if domain in domains
                and s.field in FIELDS
                and s.post not in ("new.clerk", "old.clerk", "wangjiang.clerk")
            }
            assert cells == everything[kind]
            seen[kind] += len(cells)

    same()
    assert min(seen["wider"], seen["narrower"]) > 5, seen


def test_rights_are_what_decide_says(district: District) -> None:
    assert holding("a.b", "990101001001", "clerk").post == "a.b"
    enforcer = district.enforcer(community(GRANT, GRANT.replace("mask", "propose").replace("100", "90")))
    asked = district.asks()
    assert enforcer.rights(asked) == ("mask", "propose")
    assert enforcer.rights(replace(asked, field="nonsense")) == ()
    assert enforcer.rights(replace(asked, purpose="")) == ()

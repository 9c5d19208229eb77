"""What only takes away is known as such, and nothing else is: against a plain reading of the rules."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huanshu.catalog.narrowing import widened

FILE = "policies/rules/community.csv"
RULE = "p, 100, data_clerk, own, resident, phone, service, reveal, 2026-01-01, 2027-12-31, allow"
DENY = "p, 10, data_clerk, own, resident, phone, care, mask, 2026-01-01, 2027-12-31, deny"
TRACED = "p, 600, auditor, own, resident, citizen_number, review, trace, 2026-01-01, 2027-12-31, allow"
HOLDER = "yulan.data_clerk,990101001001,data_clerk,专员,Clerk,p.tang,holder,2026-01-01,2027-12-31"
PERSON = "p.tang,唐,qh_tang,qh.tang"


POSTS, PERSONS = "policies/posts.csv", "policies/persons.csv"
HEADINGS = {
    POSTS: "post,domain,role,title_zh,title_en,person,capacity,valid_from,valid_until\n",
    PERSONS: "person,name,os_account,airflow_account\n",
}


def changed(file: str, before: str, after: str) -> list[str]:
    heading = HEADINGS.get(file, "")
    return [each.change for each in widened({file: heading + before}, {file: heading + after})]


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (FILE, RULE, "# nothing"),
        (FILE, RULE, RULE.replace("reveal", "mask")),
        (FILE, RULE, RULE.replace("2027-12-31", "2026-06-30")),
        (FILE, RULE, RULE.replace("2026-01-01", "2026-02-01")),
        (FILE, RULE, f"{RULE}\n{DENY}"),
        (FILE, DENY, DENY.replace("mask", "count")),
        (FILE, DENY, DENY.replace("2027-12-31", "2028-12-31")),
        (FILE, f"{RULE}\n{DENY}", f"# another order\n{DENY}\n\n{RULE}"),
        ("policies/posts.csv", HOLDER, HOLDER.replace("2027-12-31", "2026-06-30")),
        ("policies/posts.csv", HOLDER, ""),
        ("policies/persons.csv", PERSON, "p.tang,唐,,qh.tang"),
        ("policies/cases/community.csv", "a", "b"),
    ],
)
def test_what_narrows(file: str, before: str, after: str) -> None:
    assert changed(file, before, after) == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (FILE, "", RULE),
        (FILE, RULE, RULE.replace("own", "below")),
        (FILE, RULE, RULE.replace("data_clerk", "station_head")),
        (FILE, RULE, RULE.replace("2027-12-31", "2028-12-31")),
        (FILE, RULE, RULE.replace("p, 100", "p, 5")),
        (FILE, RULE.replace("reveal", "mask"), RULE),
        (FILE, RULE, f"{RULE}\n{RULE}"),
        (FILE, RULE, f"{RULE.replace('reveal', 'mask')}\n{RULE.replace('reveal', 'count')}"),
        (FILE, RULE.replace("reveal", "write"), RULE),
        (FILE, DENY, ""),
        (FILE, TRACED, ""),
        (FILE, "", TRACED.replace("allow", "deny")),
        (FILE, DENY, DENY.replace("mask", "reveal")),
        (FILE, DENY, DENY.replace("2027-12-31", "2026-12-31")),
        ("policies/posts.csv", HOLDER, HOLDER.replace("p.tang", "p.luo")),
        ("policies/posts.csv", HOLDER, HOLDER.replace("2027-12-31", "2028-12-31")),
        ("policies/persons.csv", PERSON, "p.tang,唐,qh_luo,qh.tang"),
        ("policies/persons.csv", "p.tang,唐,,qh.tang", PERSON),
        ("policies/posts.csv", HOLDER, HOLDER.replace("2027-12-31", "2027-6-30x")),
        ("policies/posts.csv", HOLDER.replace("2027-12-31", "99991231xx"), HOLDER),
        (FILE, RULE, RULE.replace("2027-12-31", "2027-02-30")),
        ("policies/limits.yaml", "subjects_per_day: 300", "subjects_per_day: 200"),
        ("policies/model.conf", "a", "b"),
        ("policies/rules/notes.txt", "a", "b"),
        ("expectations/resident/contract.yaml", "a", "b"),
    ],
)
def test_what_may_widen_is_told(file: str, before: str, after: str) -> None:
    assert len(changed(file, before, after)) == 1


def test_who_traces_is_no_one_persons_to_shorten() -> None:
    shorter = TRACED.replace("2027-12-31", "2026-06-30")
    assert changed(FILE, f"{RULE}\n{TRACED}", f"{shorter}\n{RULE}") == [f"- {TRACED}", f"+ {shorter}"]


@pytest.mark.parametrize(
    ("file", "moved", "before", "after"),
    [
        # An end and a beginning in each other's place: what begins sooner and ends later passes for shorter.
        (
            POSTS,
            "post,domain,role,title_zh,title_en,person,capacity,valid_until,valid_from\n",
            "a,b,c,d,e,p.tang,holder,2026-06-30,2026-02-01",
            "a,b,c,d,e,p.tang,holder,2026-12-31,2026-01-01",
        ),
        # A name where an account is looked for.
        (PERSONS, "person,os_account,name,airflow_account\n", "p.tang,qh_tang,唐,", "p.tang,qh_tang,,"),
        (PERSONS, "", PERSON, "p.tang,唐,,qh.tang"),
    ],
)
def test_a_list_whose_columns_are_not_the_known_ones_may_widen(
    file: str, moved: str, before: str, after: str
) -> None:
    assert [*widened({file: moved + before}, {file: moved + after})] == [(file, "")]
    heading = HEADINGS[file]
    assert [*widened({file: heading + before}, {file: moved + before})] == [(file, "")]


rows = st.tuples(
    st.sampled_from(["10", "20"]),
    st.sampled_from(["count", "match", "mask", "reveal", "write"]),
    st.sampled_from(["2026-01-01", "2026-03-01"]),
    st.sampled_from(["2026-06-30", "2026-12-31"]),
    st.sampled_from(["allow", "deny"]),
)
bundles = st.lists(rows, max_size=5)
RUNGS = ("count", "match", "mask", "reveal")
DAYS = [date(2026, 2, 1), date(2026, 4, 1), date(2026, 8, 1)]


def allowed(rules: list[tuple[str, ...]], action: str, on: date) -> bool:
    """The first that fits, by priority, deny before allow."""
    for _, ruled, start, end, effect in sorted(rules, key=lambda rule: (int(rule[0]), rule[4] == "allow")):
        both = ruled in RUNGS and action in RUNGS
        up, down = (RUNGS.index(ruled), RUNGS.index(action)) if both else (0, 0)
        fits = (down <= up if effect == "allow" else down >= up) if both else ruled == action
        if fits and start <= on.isoformat() <= end:
            return effect == "allow"
    return False


def as_file(rules: list[tuple[str, ...]]) -> str:
    return "".join(
        f"p, {priority}, clerk, own, resident, phone, service, {action}, {start}, {end}, {effect}\n"
        for priority, action, start, end, effect in rules
    )


@settings(max_examples=600)
@given(bundles, st.data())
def test_what_is_said_to_narrow_turns_no_denial_into_an_allow(
    before: list[tuple[str, ...]], data: st.DataObject
) -> None:
    kept = [row for row in before if data.draw(st.booleans())]
    after = kept + data.draw(st.lists(rows, max_size=2))
    if widened({FILE: as_file(before)}, {FILE: as_file(after)}):
        return
    for action, on in product((*RUNGS, "write"), DAYS):
        assert allowed(before, action, on) or not allowed(after, action, on)


def test_the_plain_reading_does_find_what_widens() -> None:
    """Or the law above would say nothing."""
    before = [
        ("10", "mask", "2026-01-01", "2026-12-31", "deny"),
        ("20", "reveal", "2026-01-01", "2026-12-31", "allow"),
    ]
    assert not allowed(before, "reveal", DAYS[0])
    assert allowed(before[1:], "reveal", DAYS[0])
    assert widened({FILE: as_file(before)}, {FILE: as_file(before[1:])})

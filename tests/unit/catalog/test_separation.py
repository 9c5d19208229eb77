"""Duties that belong into different hands, and the honest twin of each: refused where the post or the rule is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.catalog import inspect_home, read_home
from huanshu.catalog.separation import APART
from huanshu.errors import ContentError

POSTS, RULES = "policies/posts.csv", "policies/rules/community.csv"
STEWARD_RULES = "policies/rules/department.csv"
PROPOSE = "p, 100, data_clerk, own, parcel, owner, upkeep, propose, 2026-01-01, 2099-12-31, allow"
APPROVE = "p, 100, {}, {}, parcel, {}, upkeep, approve, {}, 2099-12-31, allow"


def add(home: Path, file: str, line: str) -> int:
    """The number of the line added."""
    path = home / file
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")
    return len(path.read_text("utf-8").splitlines())


def post(
    role: str, person: str, start: str = "2026-12-31", end: str = "2027-12-31", domain: str = "990201000000"
) -> str:
    return f"x.{role},{domain},{role},某,Some,{person},deputy,{start},{end}"


def faults(home: Path) -> list[tuple[str, str]]:
    return [(error.code, str(error.where)) for error in inspect_home(home)[1]]


@pytest.mark.parametrize("role", sorted(APART - {"exchange_officer"}))
def test_administrations_are_never_in_one_hand(home: Path, role: str) -> None:
    line = add(home, POSTS, post(role, "p.one"))  # an exchange officer
    with pytest.raises(ContentError, match=r"post\.duties\.unseparated"):
        read_home(home)
    assert faults(home) == [("post.duties.unseparated", f"{POSTS}:{line} [person]")]


@pytest.mark.parametrize(
    ("role", "start"), [("security_officer", "2100-01-01"), ("station_head", "2026-12-31")]
)
def test_one_after_the_other_or_another_role_is_in_order(home: Path, role: str, start: str) -> None:
    add(home, POSTS, post(role, "p.one", start, "2100-12-31"))
    assert faults(home) == []


def test_one_post_does_not_propose_and_approve(home: Path) -> None:
    add(home, RULES, PROPOSE)
    line = add(home, RULES, APPROVE.format("a1.data_clerk", "own", "@level3", "2026-01-01"))
    assert faults(home) == [("post.duties.self_approval", f"{RULES}:{line} [action]")]


def test_one_person_does_not_propose_in_one_post_and_approve_in_another(home: Path) -> None:
    add(home, RULES, PROPOSE)
    add(home, STEWARD_RULES, APPROVE.format("land.steward", "below", "owner", "2026-01-01"))
    assert faults(home) == []
    line = add(
        home, POSTS, "land.steward,dept.land,steward,数据管家,Steward,p.four,deputy,2026-01-01,2099-12-31"
    )
    assert faults(home) == [("post.duties.self_approval", f"{POSTS}:{line} [person]")]


@pytest.mark.parametrize(("field", "start"), [("community", "2026-01-01")])
def test_approving_another_field_is_in_order(home: Path, field: str, start: str) -> None:
    add(home, RULES, PROPOSE)
    add(home, RULES, APPROVE.format("a1.data_clerk", "own", field, start))
    assert faults(home) == []

"""Every kind of denial as a person reads it, in both languages, against ``golden/denials.txt``.

Read that file when it changes: it is what people are told. Rewrite it by running this file as a script, with
``src`` on the path.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

from huanshu.access import MissKind, PlanRequest
from huanshu.catalog.nouns import Rung

GOLDEN = Path(__file__).parent / "golden" / "denials.txt"
ALWAYS = "2026-01-01, 2027-12-31"
COMMUNITY = [
    f"10, clerk, own, resident, marital_status, service, count, {ALWAYS}, deny",
    f"100, clerk, own, resident, name, service, reveal, {ALWAYS}, allow",
    f"100, clerk, own, resident, citizen_number, service, mask, {ALWAYS}, allow",
    f"100, clerk, own, resident, sex, service, propose, {ALWAYS}, allow",
    "100, clerk, own, resident, phone, visit, reveal, 2026-01-01, 2026-03-31, allow",
    "100, clerk, own, resident, phone, service, reveal, 2026-09-01, 2026-12-31, allow",
]
DEPARTMENT = [
    f"100, cdo, below, resident, sex, service, count, {ALWAYS}, allow",
    f"100, officer, 990101000000, resident, name, service, write, {ALWAYS}, allow",
    f"10, police.officer, below, resident, citizen_number, service, mask, {ALWAYS}, deny",
    f"100, police.officer, below, resident, citizen_number, service, match, {ALWAYS}, allow",
]
SEX = {"field": "sex", "action": "count"}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("reach: the neighbour's resident", {"domain": "990101001002"}),
    ("reach: a code does not go below", {"post": "police.officer", "action": "write"}),
    ("reach: below is no other department", {**SEX, "post": "police.cdo", "domain": "dept.civil"}),
    ("purpose", {"purpose": "visit"}),
    ("field", {"field": "community"}),
    ("rung: a lower one is granted", {"field": "citizen_number"}),
    ("action", {"field": "sex", "action": "write"}),
    ("expired", {"field": "phone", "purpose": "visit"}),
    ("not_yet", {"field": "phone"}),
    ("two things at once", {"field": "phone", "purpose": "visit", "domain": "990101001002"}),
    ("no_role: another kind of post has it", {**SEX, "post": "district.cdo"}),
    ("no_role: nobody has it", {"post": "yulan.head", "field": "care_status"}),
    ("explicit_deny", {"field": "marital_status"}),
    ("not_offered", {"field": "care_status", "action": "mask"}),
    ("explicit_deny: from a rung up, a lower one is granted", {"post": "police.officer", "field": "citizen_number"}),
    ("not_offered: no identifier to match", {"field": "name", "action": "match"}),
    ("reach: the grid is not the community", {"domain": "990101001001001"}),
    ("action: reading is not approving", {"field": "name", "action": "approve"}),
    ("action: reading is not tracing", {"field": "name", "action": "trace"}),
    ("rung: and for another purpose", {"field": "citizen_number", "purpose": "visit"}),
    ("no_role: the head of the station", {"post": "yulan.head"}),
    ("no_purpose", {"purpose": ""}),
    ("no_holding: ended", {"post": "old.clerk"}),
    ("no_holding: not begun", {"post": "new.clerk"}),
    ("purpose_invalid", {"purpose": "census"}),
    ("purpose_elsewhere", {"purpose": "visit", "dataset": "enterprise"}),
    ("unknown: a typing error", {"field": "nmae"}),
    ("unknown: like nothing", {"domain": "990199999999"}),
    ("not_canonical: full-width", {"domain": "９９０１０１００１００１"}),
    ("not_canonical: wildcard", {"field": "*"}),
    ("not_canonical: shape", {"field": "13800138000"}),
    ("not_canonical: upper case", {"post": "Yulan.clerk"}),
    ("not_canonical: a blank at the end", {"domain": "990101001001 "}),
    ("unknown: an action that there is not", {"action": "revael"}),
]  # fmt: skip


def told(title: str, answer: Any) -> str:
    """A Decision or a Plan, as both languages tell it."""
    what, remedy = answer.explanation, answer.remedy
    return f"== {title}\n{what.zh}\n→ {remedy.zh}\n{what.en}\n→ {remedy.en}\n"


def render(district: Any) -> str:
    enforcer = district.enforcer(district.rules(community=COMMUNITY, department=DEPARTMENT))
    blocks = []
    for title, asked in ASKED:
        decision = enforcer.decide(district.asks(**asked))
        assert not decision.allowed
        assert decision.nearest.kind == title.partition(":")[0].replace("two things at once", "expired"), (
            title
        )
        blocks.append(told(title, decision))
    for title, fields in (
        ("a plan of no fields", {}),
        (
            "a plan",
            {"name": Rung.REVEAL, "citizen_number": Rung.REVEAL, "community": Rung.REVEAL, "x": Rung.MASK},
        ),
    ):
        asked = district.asks()
        plan = enforcer.plan(
            PlanRequest(asked.post, asked.domain, asked.dataset, fields, asked.purpose, asked.at)
        )
        blocks.append(told(title, plan))
    return "\n".join(blocks)


def test_denials_read_as_they_did(district: Any) -> None:
    assert {title.partition(":")[0] for title, _ in ASKED} >= set(get_args(MissKind))
    assert len(ASKED) >= 30
    now, expected = render(district), GOLDEN.read_text(encoding="utf-8")
    diff = "\n".join(
        difflib.unified_diff(expected.splitlines(), now.splitlines(), "golden", "now", lineterm="")
    )
    assert now == expected, diff


def test_both_languages_name_the_same_places(district: Any) -> None:
    enforcer = district.enforcer(district.rules(community=COMMUNITY, department=DEPARTMENT))
    cited = 0
    for _, asked in ASKED:
        decision = enforcer.decide(district.asks(**asked))
        for place in ("policies/rules/", "policies/posts.csv", "policies/purposes.yaml"):
            assert decision.explanation.en.count(place) == decision.explanation.zh.count(place)
            cited += decision.explanation.en.count(place)
    assert cited >= 10


if __name__ == "__main__":
    import conftest

    model = (conftest.REPOSITORY / "policies" / "model.conf").read_text(encoding="utf-8")
    GOLDEN.write_text(render(conftest.District(model)), encoding="utf-8")

"""What a planned flow lacks: the patch is exactly the missing lines, and with it the home is in order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from huanshu.access import PlanRequest, alike
from huanshu.assembly.checking import access_cases, flow_rules, quality_samples
from huanshu.authoring import create_home, draft_dataset, draft_flow, write_drafts
from huanshu.authoring.flow_files import FlowWish
from huanshu.authoring.grants import asked_of, enforcer_of
from huanshu.authoring.planning import outline
from huanshu.authoring.proposal import propose, readable_home
from huanshu.catalog import read_home
from huanshu.conformance import check_home
from huanshu.errors import ContentError

ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)
DELIVERY = "household.district_to_communities"
RULES, CASES = "policies/rules/department.csv", "policies/cases/first.csv"
DISTRICT, FIRST = "990001000000", "990001001001"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    create_home(tmp_path / "small", "en", NOW.date())
    return tmp_path / "small"


def _problems(home: Path) -> list[str]:
    return [p.explain("en") for p in check_home(home, extra=(access_cases, flow_rules, quality_samples))]


def _edit(home: Path, file: str, old: str, new: str) -> None:
    text = (home / file).read_text("utf-8")
    assert old in text
    (home / file).write_text(text.replace(old, new), "utf-8")


def _without(home: Path, file: str, words: str) -> None:
    lines = (home / file).read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if words not in line]
    assert len(kept) < len(lines)
    (home / file).write_text("".join(kept), "utf-8")


def _apply(home: Path, patch: str) -> None:
    done = subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=home, input=patch, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


def _added(patch: str) -> list[str]:
    return [line[1:] for line in patch.splitlines() if line.startswith("+") and not line.startswith("+++")]


def test_nothing_lacks_in_a_home_in_order(small: Path) -> None:
    assert _problems(small) == []
    planned = outline(small, DELIVERY, NOW)
    assert (planned.patch, planned.undecided, planned.readable) == ("", (), True)
    assert [r.allowed for r in planned.receivers] == [True, True]
    assert {f.remark for f in planned.fields} == {None}
    commands = [step.command for step in planned.steps]
    assert commands == [
        "huanshu policy adopt",
        f"huanshu flow approve {DELIVERY} --until {NOW.year + 2}-12-31",
    ]
    assert [step.who for step in planned.steps] == [("p.three",), ("p.one",)]


def test_one_missing_line_is_proposed_and_no_more(small: Path) -> None:
    _without(small, RULES, "name, grassroots_service, mask")
    assert "policies/rules/department.csv" in _problems(small)[0]
    planned = outline(small, DELIVERY, NOW)
    rules = [line for line in _added(planned.patch) if line.startswith("p,")]
    assert rules == [
        f"p, 100, register.exchange_officer, below, household, name, grassroots_service, mask, {NOW.year}-01-01, {NOW.year + 2}-12-31, allow"
    ]
    assert [(r.allowed, r.allowed_with_patch) for r in planned.receivers] == [(False, True)] * 2
    _apply(small, planned.patch)
    assert _problems(small) == []


def test_a_flow_to_one_place_is_granted_that_place_alone(small: Path) -> None:
    _edit(
        small,
        f"dags/flows/{DELIVERY}.yaml",
        "to: {kind: community, below: '990001000000'}",
        f"to: ['{FIRST}']",
    )
    _without(small, RULES, "name, grassroots_service, mask")
    (rule,) = [line for line in _added(propose(small, DELIVERY, NOW).patch) if line.startswith("p,")]
    assert rule.split(", ")[3] == FIRST


def test_a_higher_rung_is_proposed_field_by_field_and_remarked(small: Path) -> None:
    _edit(small, f"dags/flows/{DELIVERY}.yaml", "name: mask", "name: reveal")
    planned = outline(small, DELIVERY, NOW)
    assert "name, grassroots_service, reveal" in planned.patch
    (name,) = [f for f in planned.fields if f.field == "name"]
    assert (name.asked, name.serves, name.roles) == ("reveal", "mask", {"data_clerk": "mask"})
    assert name.remark is not None
    assert "mask would serve" in name.remark.en


def test_an_explicit_deny_is_a_persons_to_settle(small: Path) -> None:
    _without(small, RULES, "name, grassroots_service, mask")
    with (small / RULES).open("a") as file:
        file.write(
            f"p, 10, exchange_officer, below, household, name, grassroots_service, count, {NOW.year}-01-01, {NOW.year + 2}-12-31, deny\n"
        )
    planned = outline(small, DELIVERY, NOW)
    assert not [line for line in _added(planned.patch) if line.startswith("p,")]
    (said,) = planned.undecided
    assert "denied explicitly by policies/rules/department.csv" in said.en
    assert [r.allowed_with_patch for r in planned.receivers] == [False, False]


@pytest.mark.parametrize("style", ["flow", "block"])
def test_a_whole_new_exchange(small: Path, style: str) -> None:
    """Purposes, rules of both sides, cases of both sides: from the skeletons to a home in order by patches alone."""
    if style == "block":
        _edit(small, "policies/purposes.yaml", "datasets: [household]", "datasets:\n      - household")
    write_drafts(small, draft_dataset(read_home(small), "dog_licence", "en", NOW.date()))
    intake, delivery = "dog_licence.register_to_district", "dog_licence.district_to_communities"
    write_drafts(
        small, draft_flow(read_home(small), FlowWish("dog_licence", "dept.register", (DISTRICT,)), "en")
    )
    with pytest.raises(ContentError, match=r"flow\.purpose\.uncovered"):
        read_home(small)
    write_drafts(
        small, draft_flow(readable_home(small), FlowWish("dog_licence", DISTRICT, ("communities",)), "en")
    )
    before = {p: p.read_bytes() for p in small.rglob("*") if p.is_file()}
    first = outline(small, intake, NOW)
    assert (first.readable, first.receivers[0].allowed, first.receivers[0].allowed_with_patch) == (
        False,
        False,
        True,
    )
    assert {p: p.read_bytes() for p in small.rglob("*") if p.is_file()} == before
    for name in (intake, delivery):
        _apply(small, outline(small, name, NOW).patch)
        assert outline(small, name, NOW).patch == ""
    assert _problems(small) == []
    home = read_home(small)
    cases = {(c.post, c.expect) for c in home.policies.cases if c.dataset == "dog_licence"}
    assert cases == {
        (post, expect)
        for post in ("register.exchange_officer", "first.data_clerk")
        for expect in ("allow", "deny")
    }
    clerk = [r for r in home.policies.rules if r.dataset == "dog_licence" and r.role == "data_clerk"]
    assert {r.reach for r in clerk} == {"own"}


def test_other_faults_are_told_not_patched(small: Path) -> None:
    _edit(small, f"dags/flows/{DELIVERY}.yaml", "name: mask", "nmae: mask")
    with pytest.raises(ContentError, match=r"flow\.field\.unknown"):
        outline(small, DELIVERY, NOW)
    with pytest.raises(ContentError) as raised:
        outline(small, "household.nowhere_to_nobody", NOW)
    assert str(raised.value.where) == "dags/flows/household.nowhere_to_nobody.yaml"


#: What may be left out of the smallest home without anybody missing it: nothing but the door to Airflow and flows.
_SPARE = {
    "dags/huanshu_flows.py",
    f"dags/flows/{DELIVERY}.yaml",
    "dags/flows/household.register_to_district.yaml",
}


def test_nothing_in_the_smallest_home_can_be_left_out(small: Path) -> None:
    files = sorted(p for p in small.rglob("*") if p.is_file())
    silent = set()
    for file in files:
        place, content = file.relative_to(small).as_posix(), file.read_bytes()
        file.unlink()
        told = _problems(small)
        file.write_bytes(content)
        if not any(place in line or _folder_told(place, line) for line in told):
            silent.add(place)
    assert len(files) > 15
    assert silent == _SPARE


def _folder_told(place: str, line: str) -> bool:
    """The one file of cases is asked for by the name that it would be given."""
    return place.startswith("policies/cases/") and "policies/cases/" in line


@pytest.mark.parametrize("flow", ["resident.psb_to_district", "resident.district_to_communities"])
def test_one_answer_for_receivers_that_no_rule_tells_apart(flow: str) -> None:
    """Grouped or one by one, the gate answers alike for every receiver of the sample district."""
    home = read_home(ROOT)
    declared = home.flows[flow]
    asked, enforcer = asked_of(home, declared), enforcer_of(home)
    places = tuple(home.policies.domains.by_code)[:40]
    groups = alike(home.policies, declared.accountable_post, declared.dataset, places)
    assert 1 < len(groups) < len(places)
    assert sorted(code for group in groups for code in group) == sorted(places)
    for group in groups:
        plans = [
            enforcer.plan(
                PlanRequest(declared.accountable_post, code, declared.dataset, asked, declared.purpose, NOW)
            )
            for code in group
        ]
        assert len({tuple((d.allowed, d.granted) for d in plan.decisions.values()) for plan in plans}) == 1


def test_the_sample_district_shows_where_less_would_do(root: Path) -> None:
    planned = outline(root, "resident.district_to_communities", NOW)
    assert planned.patch == ""
    remarks = {f.field: f.serves for f in planned.fields if f.remark}
    assert remarks["disability_grade"] == "count"
    (number,) = [f for f in planned.fields if f.field == "household_number"]
    assert (number.asked, number.serves, number.remark) == ("mask", "mask", None)
    assert number.roles["station_head"] == "reveal"


def test_the_command_line_without_a_deployment(small: Path, huanshu: Callable[..., str]) -> None:
    _without(small, RULES, "name, grassroots_service, mask")
    told = json.loads(huanshu(small, "flow", "plan", DELIVERY, "--json"))
    assert told["live"] is None
    assert "no deployment" in told["unknown"]["en"]
    assert told["receivers"][0]["allowed_with_patch"] is True
    assert "allowed once the patch is in" in " ".join(huanshu(small, "flow", "plan", DELIVERY).split())
    _apply(small, huanshu(small, "flow", "plan", DELIVERY, "--patch"))
    assert _problems(small) == []


def test_a_file_with_windows_line_ends_is_patched_as_it_is(small: Path) -> None:
    _without(small, RULES, "name, grassroots_service, mask")
    file = small / RULES
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    before = file.read_bytes()
    patch = propose(small, DELIVERY, NOW).patch.encode()
    done = subprocess.run(
        ["patch", "-p1", "--binary"], cwd=small, input=patch, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert file.read_bytes().startswith(before)
    assert _problems(small) == []


def test_an_approval_is_proposed_no_longer_than_the_district_allows(small: Path) -> None:
    """``approval_validity`` of obligations.yaml bounds the day; a vacant post is a person's to fill."""
    file = small / "audit/obligations.yaml"
    validity = "  approval_validity:\n    title: {zh: 批准, en: Approval}\n    citation: x\n    value: 90\n    unit: days\n    verified: false\n"
    file.write_text(file.read_text("utf-8") + validity, "utf-8")
    command = outline(small, DELIVERY, NOW).steps[-1].command
    assert command.endswith(
        f"--until {(NOW + timedelta(days=90)).astimezone(ZoneInfo('Asia/Shanghai')).date()}"
    )
    posts = small / "policies/posts.csv"
    old = f"p.one,holder,{NOW.year}-01-01,{NOW.year + 2}-12-31"
    assert old in posts.read_text("utf-8")
    posts.write_text(posts.read_text("utf-8").replace(old, "p.one,holder,2020-01-01,2020-12-31"), "utf-8")
    planned = outline(small, DELIVERY, NOW)
    assert planned.steps[-1].who == ()
    assert planned.undecided
    assert not any(line.startswith("p,") for line in _added(planned.patch))

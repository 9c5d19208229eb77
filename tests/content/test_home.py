"""The sample home: complete, sound, and what the platform's documents say of it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from huanshu.catalog import Home, Rung, due, read_home
from huanshu.conformance import check_home
from huanshu.simulator.matters import MATTERS

ROOT = Path(__file__).parents[2]
FOLDERS = ("policies", "dags", "expectations", "audit")


@pytest.fixture(scope="module")
def home() -> Home:
    return read_home(ROOT)


def test_conforms() -> None:
    assert [p.explain("en") for p in check_home(ROOT)] == []


def test_minimal_home_conforms() -> None:
    assert [p.explain("en") for p in check_home(ROOT / "tests/content/minimal_home")] == []


def test_fictional_only(home: Home) -> None:
    """No real province's code begins with 99."""
    codes = [d.code for d in home.policies.domains if d.kind != "department"]
    assert len(codes) == 1 + 4 + 146 + 478
    assert all(code.startswith("99") for code in codes)


def test_the_district_is_whole(home: Home) -> None:
    tree = home.policies.domains
    counts = Counter(d.kind for d in tree)
    assert counts == {"district": 1, "subdistrict": 4, "community": 146, "grid": 478, "department": 12}
    for kind in counts:
        names = [d.name for d in tree if d.kind == kind]
        assert len({n.zh for n in names}) == len({n.en for n in names}) == len(names), kind
    for community in tree.below(tree.district.code, "community"):
        assert 2 <= len(tree.below(community.code, "grid")) <= 5, community.code


def test_every_post_there_must_be_is_held(home: Home) -> None:
    tree = home.policies.domains
    held: dict[str, list[str]] = {}
    for holding in home.policies.holdings:
        if holding.capacity == "holder":
            held.setdefault(holding.domain, []).append(holding.role)
    wanted = {
        "department": ["cdo", "deo", "exchange_officer", "steward"],
        "district": ["auditor", "cdo", "security_officer"],
        "community": ["data_clerk", "station_head"],
        "grid": ["grid_worker"],
    }
    for domain in tree:
        if domain.kind in wanted:
            assert sorted(held[domain.code]) == wanted[domain.kind], domain.code


def test_no_two_people_share_a_name(home: Home) -> None:
    names = [person.name for person in home.policies.persons.values()]
    assert len(set(names)) == len(names) > 800


def test_every_community_has_a_clerk_with_a_deputy(home: Home) -> None:
    communities = home.policies.domains.below(home.policies.domains.district.code, "community")
    assert {c.code: c.store for c in communities if c.store} == {"990101001003": "shiqiao"}
    for community in communities:
        held = [
            h.capacity for h in home.policies.holdings if (h.domain, h.role) == (community.code, "data_clerk")
        ]
        assert held == ["holder", "deputy"], community.code


def test_resident_contract(home: Home) -> None:
    resident = home.contracts["resident"]
    assert len(resident.fields) == 30
    assert len(resident.sealed_fields) == 19
    assert {f.name for f in resident.fields if f.sensitive_personal} == {
        "citizen_number",
        "marital_status",
        "disability_grade",
        "care_status",
        "guardian_name",
        "guardian_phone",
        "subsistence_allowance",
        "pregnancy",
    }
    answers = {f.authority for f in resident.fields}
    assert len(answers) == 8
    assert resident.field("veteran").authority == "dept.veterans"
    assert resident.field("name").authority == resident.domain == "dept.public_security"
    assert all(f.title.zh and f.title.en for f in resident.fields)
    assert resident.home_field == "community"


DATASETS = {
    "resident": ("dept.public_security", "psb"),
    "enterprise": ("dept.market_regulation", "market"),
    "grid_event": ("dept.urban_management", "urban"),
    "vaccination_due": ("dept.health", "health"),
}


def test_four_datasets_come_in_and_go_out(home: Home) -> None:
    assert set(home.contracts) == set(home.suites) == set(DATASETS)
    assert len(home.flows) == 2 * len(DATASETS)
    for dataset, (department, short) in DATASETS.items():
        contract = home.contracts[dataset]
        assert (contract.domain, contract.steward_post) == (department, f"{short}.steward")
        intake = home.flows[f"{dataset}.{short}_to_district"]
        delivery = home.flows[f"{dataset}.district_to_communities"]
        assert {intake.accountable_post, delivery.accountable_post} == {f"{short}.exchange_officer"}
        assert len(delivery.receivers) == 146
        assert contract.home_field == "community"


def test_of_a_child_only_the_guardian_is_shown(home: Home) -> None:
    contract, flow = home.contracts["vaccination_due"], home.flows["vaccination_due.district_to_communities"]
    revealed = {name for name, rung in flow.fields.items() if rung is Rung.REVEAL}
    personal = {f.name for f in contract.fields if f.sensitive_personal}
    assert revealed & personal == {"guardian_name", "guardian_phone"}
    assert personal - flow.fields.keys() == {"vaccine"}


def test_the_matters_of_the_simulator_are_on_the_list(home: Home) -> None:
    listed = {code.code: code for code in home.suites["grid_event"].codes["matter"]}
    assert len(listed) >= 20
    departments = {d.code for d in home.policies.domains if d.kind == "department"}
    for matter in MATTERS:
        assert listed[matter.code].title.zh == matter.title
        assert f"dept.{matter.department}" in departments
        assert listed[matter.code].note.startswith(f"{matter.days} 日内办结")


def test_delivery_goes_no_higher_than_needed(home: Home) -> None:
    flow = home.flows["resident.district_to_communities"]
    assert len(flow.receivers) == 146
    assert not flow.fields.keys() & {"marital_status", "ethnicity", "employer", "pregnancy"}
    assert {f for f, r in flow.fields.items() if r is Rung.MASK} == {
        "citizen_number",
        "registered_address",
        "household_number",
    }


def test_unverified_values_say_so(home: Home) -> None:
    """Only what was read in the law's text is verified; what the district made up never is."""
    verified = {o.key for o in home.obligations.values() if o.verified}
    assert verified == {"incident_report", "log_retention", "delivery_retention", "processing_retention"}
    own = [o for o in home.obligations.values() if "示例" in o.citation]
    assert own
    assert not any(o.verified for o in own)


def test_calendar_has_whole_holidays(home: Home) -> None:
    """2026 as the State Council arranged it: 33 days off named, 6 made up; 2027 present but assumed."""
    off = [d for d, working in home.calendar.items() if d.year == 2026 and not working]
    made_up = [d for d, working in home.calendar.items() if d.year == 2026 and working]
    assert (len(off), len(made_up)) == (33, 6)
    assert date(2026, 2, 28) in made_up
    assert date(2026, 2, 23) in off
    rows = (ROOT / "audit/calendar.csv").read_text().splitlines()[1:]
    assert {row.rsplit(",", 1)[1] for row in rows if row.startswith("2027")} == {"false"}


def test_deadlines_can_be_counted(home: Home) -> None:
    started = datetime(2026, 9, 30, 17, tzinfo=ZoneInfo(home.timezone))
    assert due(started, home.obligations["receipt_due"], home.calendar).date() == date(2026, 10, 9)
    for obligation in home.obligations.values():
        assert due(started, obligation, home.calendar) > started + timedelta(hours=1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_readme_begins_with_its_table(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text()
    table = text[text.index("|") :].splitlines()
    assert table[0] == "| file here 文件 | who edits it 谁维护 | what obeys it 谁执行 |"
    named = set(re.findall(r"`([a-z_]+\.(?:csv|yaml|conf))`", "\n".join(table)))
    present = {p.name for p in (ROOT / folder).iterdir() if p.suffix in {".csv", ".yaml", ".conf"}}
    assert present <= named


def test_no_deadline_without_a_citation(home: Home) -> None:
    assert len(home.obligations) >= 15
    assert all(o.citation.strip() for o in home.obligations.values())

"""What the readers make of a sound home."""

from __future__ import annotations

import hashlib
import time
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Rung, flow_digest, inspect_home, read_home
from huanshu.catalog.schedules import schedule
from huanshu.errors import ContentError, Where


def test_nouns(home: Path) -> None:
    found = read_home(home)
    assert found.policies.domains.district.code == "990201000000"
    assert found.policies.domains["990201001000"].name.en == "甲街道"
    assert found.policies.domains["990201001002"].store == "second"
    assert found.policies.domains.ancestors("990201001001001") == (
        "990201001001",
        "990201001000",
        "990201000000",
    )
    assert [d.code for d in found.policies.domains.below("990201000000", "community")] == [
        "990201001001",
        "990201001002",
    ]
    contract = found.contracts["parcel"]
    assert [f.name for f in contract.sealed_fields] == ["owner_number", "owner"]
    assert [(f.name, f.width) for f in contract.fields] == [
        ("owner_number", 18),
        ("owner", 60),
        ("community", None),
    ]
    assert contract.primary_key.link_kind == "citizen_number"
    assert {f.authority for f in contract.fields} == {"dept.land"}
    flow = found.flows["parcel.district_to_communities"]
    assert flow.receivers == ("990201001001", "990201001002")
    assert flow.fields == {"owner_number": Rung.MATCH, "owner": Rung.MASK, "community": Rung.REVEAL}
    rule = found.policies.rules[-1]
    assert (rule.action, rule.where) == ("write", Where("policies/rules/department.csv", 2))
    assert found.policies.cases[1].purpose == ""
    assert found.suites["parcel"].expectations[1].kwargs == {
        "column": "community",
        "regex": "^[0-9]{12}$",
        "mostly": 1.0,
    }
    assert found.calendar == {date(2026, 1, 1): False, date(2026, 1, 4): True}
    assert (found.timezone, found.log_origin) == ("Asia/Shanghai", "minimal.huanshu.example/log")
    assert found.retention["quarantine"] == "one_year"
    assert found.policies.holders("land.steward", datetime(2099, 12, 31, 23, 59))
    assert not found.policies.holders("land.steward", datetime(2100, 1, 1))


def test_another_department_may_answer_for_a_field(home: Path) -> None:
    contract = home / "expectations/parcel/contract.yaml"
    mask = "          - {property: huanshu.mask, value: name}\n"
    other = mask + "          - {property: huanshu.authority, value: dept.tax}\n"
    contract.write_text(contract.read_text().replace(mask, other))
    domains = home / "policies/domains.csv"
    domains.write_text(domains.read_text() + "dept.tax,税务局,,department,990201000000,\n")
    authorities = {f.name: f.authority for f in read_home(home).contracts["parcel"].fields}
    assert authorities == {"owner_number": "dept.land", "owner": "dept.tax", "community": "dept.land"}


def test_the_tree_knows_who_lies_above_and_below(root: Path) -> None:
    tree = read_home(root).policies.domains
    seen = 0
    for domain in tree:
        above = tree.ancestors(domain.code)
        assert all(tree[lower].parent == upper for lower, upper in pairwise((domain.code, *above)))
        assert tree[(domain.code, *above)[-1]].parent is None
        for other in tree:
            assert tree.is_below(domain.code, other.code) is (other.code in above)
        below = tree.below(domain.code)
        assert below == tuple(d for d in tree if domain.code in tree.ancestors(d.code))
        assert tree.below(domain.code, "grid") == tuple(d for d in below if d.kind == "grid")
        seen += len(below)
    assert seen
    assert tree.below("no.such") == ()


def test_digests_are_of_the_bytes(home: Path) -> None:
    found = read_home(home)
    file = home / "dags/flows/parcel.land_to_district.yaml"
    assert found.flows["parcel.land_to_district"].digest == flow_digest(file)
    assert flow_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(file.read_bytes() + b"#")
    assert (
        read_home(home).flows["parcel.land_to_district"].digest
        != found.flows["parcel.land_to_district"].digest
    )
    contract = (home / "expectations/parcel/contract.yaml").read_bytes()
    assert found.contracts["parcel"].digest == hashlib.sha256(contract).hexdigest()


def test_deputy_comes_after_holder(home: Path) -> None:
    posts = home / "policies/posts.csv"
    line = "land.steward,dept.land,steward,数据管家,Steward,p.four,deputy,2026-01-01,2026-12-31\n"
    head, rest = posts.read_text().split("\n", 1)
    posts.write_text(f"{head}\n{line}{rest}")
    held = read_home(home).policies.holders("land.steward", datetime(2026, 6, 1))
    assert [h.person for h in held] == ["p.two", "p.four"]


def test_purpose_must_cover_the_dataset(home: Path) -> None:
    """A second dataset that the purpose does not name: rule and flow are refused, each in its file."""
    copy = home / "expectations/plot"
    copy.mkdir()
    for name in ("contract.yaml", "suite.yaml"):
        text = (home / "expectations/parcel" / name).read_text()
        (copy / name).write_text(
            text.replace("name: parcel", "name: plot").replace("dataset: parcel", "dataset: plot")
        )
    flow = (home / "dags/flows/parcel.land_to_district.yaml").read_text()
    (home / "dags/flows/plot.land_to_district.yaml").write_text(flow.replace("parcel", "plot"))
    rules = home / "policies/rules/community.csv"
    rules.write_text(rules.read_text() + rules.read_text().splitlines()[-1].replace("parcel", "plot") + "\n")
    faults = inspect_home(home)[1]
    assert [(f.code, str(f.where)) for f in faults] == [
        ("flow.purpose.uncovered", "dags/flows/plot.land_to_district.yaml:7 [purpose]"),
        ("rule.purpose.uncovered", "policies/rules/community.csv:4 [purpose]"),
    ]


def test_one_dataset_reaches_a_receiver_by_one_flow(home: Path) -> None:
    first = home / "dags/flows/parcel.district_to_communities.yaml"
    text = first.read_text().replace("parcel.district_to_communities", "parcel.district_to_second")
    everyone = "{kind: community, below: '990201000000'}"
    assert everyone in text
    second = home / "dags/flows/parcel.district_to_second.yaml"
    second.write_text(text.replace(everyone, "['990201001002']"))
    with pytest.raises(ContentError) as raised:
        read_home(home)
    assert raised.value.code == "flow.receiver.shared"
    assert "990201001002 already gets parcel by parcel.district_to_communities" in raised.value.what.en
    assert raised.value.where == Where("dags/flows/parcel.district_to_second.yaml", 1)
    # The twin: two flows that part the receivers between them.
    first.write_text(first.read_text().replace(everyone, "['990201001001']"))
    assert len(read_home(home).flows) == 3


def test_a_code_list_lies_beside_the_suite(home: Path) -> None:
    lists = home / "expectations/parcel/codes"
    lists.mkdir()
    before = read_home(home).policies.digest
    (lists / "use.csv").write_text(
        "# uses\ncode,title_zh,title_en,note\nA,水田,Paddy,\nB,旱地,Dry field,未灌溉\n"
    )
    found = read_home(home)
    assert [(c.code, c.title.en, c.note) for c in found.suites["parcel"].codes["use"]] == [
        ("A", "Paddy", ""),
        ("B", "Dry field", "未灌溉"),
    ]
    assert found.policies.digest != before  # what a suite accepts is adopted with it
    (lists / "use.csv").write_text("code,title_zh,title_en,note\nA,水田,Paddy,\nA,旱地,Dry field,\n")
    with pytest.raises(ContentError) as raised:
        read_home(home)
    assert (raised.value.code, raised.value.where and raised.value.where.line) == ("content.row.duplicate", 3)
    (lists / "use.csv").rename(lists / "use.txt")
    with pytest.raises(ContentError, match=r"content\.file\.unknown"):
        read_home(home)


def test_all_faults_at_once(home: Path) -> None:
    """One pass names every broken file and several rows of one file, and blames no file that is right."""
    posts = home / "policies/posts.csv"
    posts.write_text(posts.read_text().replace("p.two", "p.tow").replace("2099-12-31\na1", "2099-12-99\na1"))
    contract = home / "expectations/parcel/contract.yaml"
    contract.write_text(
        contract.read_text().replace("value: 60", "value: 0").replace("level, value: 1", "level, value: 9")
    )
    (home / "policies/keys.yaml").write_text("epoch: one\n")
    faults = inspect_home(home)[1]
    assert [(f.code, str(f.where)) for f in faults] == [
        ("content.number.range", "expectations/parcel/contract.yaml:35 [schema[0].properties[1].customProperties[3].value]"),
        ("content.number.range", "expectations/parcel/contract.yaml:42 [schema[0].properties[2].customProperties[1].value]"),
        ("content.key.missing", "policies/keys.yaml:1"),
        ("post.person.unknown", "policies/posts.csv:3 [person]"),
        ("content.date.malformed", "policies/posts.csv:4 [valid_until]"),
    ]  # fmt: skip


def test_a_spoilt_file_spoils_no_other(home: Path) -> None:
    """domains.csv with one bad row: nothing that refers to domains is blamed."""
    domains = home / "policies/domains.csv"
    domains.write_text(domains.read_text().replace("990201001001,甲一", "99020100100x,甲一"))
    assert {f.where.file for f in inspect_home(home)[1] if f.where} == {"policies/domains.csv"}


@pytest.mark.parametrize(
    "text", ["manual", "asset", "* * * * *", "0 2 * * *", "*/15 8-18 1,15 * 1-5", "5/10 0 29 2 *"]
)
def test_schedules(text: str) -> None:
    assert schedule(text, Where("f"), asset=True) == text


@pytest.mark.parametrize(
    "text",
    ["", "daily", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
     "* * * * 8", "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "-1 * * * *", "* * * JAN *", "* * L * *",
     "0 0 30 2 *", "*  * * * *", " * * * * *", "٣ * * * *", "1.5 * * * *", "Manual"],
)  # fmt: skip
def test_no_schedules(text: str) -> None:
    with pytest.raises(ContentError) as raised:
        schedule(text, Where("f"), asset=True)
    assert raised.value.code == "flow.schedule.malformed"


def test_asset_is_no_schedule_of_an_intake() -> None:
    with pytest.raises(ContentError):
        schedule("asset", Where("f"), asset=False)


@given(st.tuples(*(st.integers(low, high) for low, high in ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7)))))
def test_every_single_moment_is_a_schedule(fields: tuple[int, ...]) -> None:
    text = " ".join(map(str, fields))
    assert schedule(text, Where("f"), asset=False) == text


def test_large_home_is_read_in_under_a_second(home: Path) -> None:
    """146 communities, a clerk each, 6 000 rules; CPU time, so that a busy machine does not matter."""
    extra = [f"990201001{n:03d},社区{n},,community,990201001000," for n in range(3, 147)]
    domains = home / "policies/domains.csv"
    domains.write_text(domains.read_text() + "\n".join(extra) + "\n")
    posts = home / "policies/posts.csv"
    posts.write_text(
        posts.read_text()
        + "".join(f"c{n}.data_clerk,990201001{n:03d},data_clerk,专员,Clerk,p.four,holder,2026-01-01,2026-12-31\n" for n in range(3, 147))
    )  # fmt: skip
    rules = home / "policies/rules/community.csv"
    rules.write_text(
        rules.read_text()
        + "".join(f"p, {n}, data_clerk, own, parcel, owner, upkeep, mask, 2026-01-01, 2026-12-31, allow\n" for n in range(100, 6100))
    )  # fmt: skip
    start = time.process_time()
    found = read_home(home)
    spent = time.process_time() - start
    assert len(found.policies.rules) == 6004
    assert len(found.policies.domains.by_code) == 150
    assert spent < 1.0

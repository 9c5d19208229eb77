"""The demo's register: the same seed gives the same bytes, it is fictional, and its truth is true."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "demo" / "make_extract.py"
CANARIES = ("10098765432", "金丝雀甲", "金丝雀巷九号")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_extract_alone", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_same_seed_writes_the_same_bytes(script: ModuleType, tmp_path: Path) -> None:
    written = []
    for place in ("a", "b"):
        arguments = ["--seed", "3", "--residents", "120", "--period", "2", "--encoding", "gb18030"]
        assert script.main([*arguments, "--canary", CANARIES[1], "--out", str(tmp_path / place)]) == 0
        written.append({p.name: p.read_bytes() for p in (tmp_path / place).iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"resident.2026-10.csv", "resident.2026-10.truth.json"}
    text = written[0]["resident.2026-10.csv"].decode("gb18030")
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == script.FIELDS
    truth = json.loads(written[0]["resident.2026-10.truth.json"])
    assert truth["rows"] == len(rows)
    assert CANARIES[1] in text
    assert script.generate(4, 120).rows != script.generate(3, 120).rows


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_nobody_in_it_exists_and_every_number_checks(script: ModuleType, seed: int) -> None:
    rows = script.generate(seed, 300, defects=False).rows
    assert len({r["citizen_number"] for r in rows}) == len(rows) == 300
    for row in rows:
        number = row["citizen_number"]
        assert number.startswith("990101")
        assert number[17] == script.check_digit(number[:17])
        assert f"{number[6:10]}-{number[10:12]}-{number[12:14]}" == row["birth_date"]
        assert (int(number[16]) % 2 == 1) is (row["sex"] == "1")
        assert all(not row[name] or row[name].startswith("100") for name in ("phone", "guardian_phone"))
    assert any("·" in r["name"] for r in script.generate(1, 2000, defects=False).rows)


def test_defects_are_of_many_kinds_and_each_in_its_own_row(script: ModuleType) -> None:
    truth = script.generate(7, 300).truth
    assert len({d["kind"] for d in truth["defects"]}) >= 8
    assert max(Counter(d["row"] for d in truth["defects"]).values()) == 1
    assert script.generate(7, 300, defects=False).truth["defects"] == []


def test_duplicates_come_after_their_originals(script: ModuleType) -> None:
    extract = script.generate(7, 300)
    numbers = [r["citizen_number"] for r in extract.rows]
    later = [d["row"] - 1 for d in extract.truth["defects"] if d["kind"] == "duplicate_citizen_number"]
    assert len(later) == 2
    assert all(numbers.index(numbers[row]) < row for row in later)


def test_the_later_period_is_the_same_register_a_month_on(script: ModuleType) -> None:
    before = script.generate(7, 400, defects=False).rows
    later = script.generate(7, 400, period=2, defects=False)
    truth: dict[str, Any] = later.truth
    old = {r["citizen_number"]: r for r in before}
    new = {r["citizen_number"]: r for r in later.rows}
    assert min(len(truth[kind]) for kind in ("moved", "left", "born", "phone_changed")) >= 2
    assert {before[c["row_before"] - 1]["citizen_number"] for c in truth["left"]} == old.keys() - new.keys()
    assert {later.rows[c["row"] - 1]["citizen_number"] for c in truth["born"]} == new.keys() - old.keys()
    moved = {later.rows[c["row"] - 1]["citizen_number"]: (c["from"], c["to"]) for c in truth["moved"]}
    both = old.keys() & new.keys()
    assert {
        n: (old[n]["community"], new[n]["community"])
        for n in both
        if old[n]["community"] != new[n]["community"]
    } == moved
    assert all(new[n]["grid"].startswith(new[n]["community"]) for n in moved)
    called = {later.rows[c["row"] - 1]["citizen_number"] for c in truth["phone_changed"]}
    assert {n for n in both if old[n]["phone"] != new[n]["phone"]} == called
    assert {n for n in both if old[n] != new[n]} == moved.keys() | called


def test_later_defects_leave_the_number_as_it_is(script: ModuleType) -> None:
    clean = script.generate(7, 300, period=2, defects=False)
    spoilt = script.generate(7, 300, period=2)
    assert spoilt.truth["defects"]
    assert [r["citizen_number"] for r in spoilt.rows] == [r["citizen_number"] for r in clean.rows]


@pytest.mark.parametrize("period", [1, 2])
def test_canaries_lie_where_the_truth_says(script: ModuleType, period: int) -> None:
    extract = script.generate(7, 300, period=period, canaries=CANARIES)
    told = extract.truth["canaries"]
    assert {c["text"] for c in told} == set(CANARIES)
    assert {c["field"] for c in told} == {"phone", "name", "residence_address"}
    spoilt = {d["row"] for d in extract.truth["defects"] if d["rules"]}
    for canary in told:
        assert extract.rows[canary["row"] - 1][canary["field"]] == canary["text"]
        assert (canary["row"] not in spoilt) is canary["good"]


def test_accepted_counts_the_rows_without_an_error(script: ModuleType) -> None:
    extract = script.generate(7, 300)
    spoilt = {d["row"] for d in extract.truth["defects"] if d["rules"]}
    counted = Counter(r["community"] for row, r in enumerate(extract.rows, 1) if row not in spoilt)
    assert extract.truth["accepted"] == {code: counted[code] for code in script.COMMUNITIES}


@pytest.mark.parametrize(("residents", "period"), [(10, 1), (300, 0)])
def test_nonsense_is_refused(script: ModuleType, residents: int, period: int) -> None:
    with pytest.raises(ValueError, match="at least 60"):
        script.generate(1, residents, period=period)

"""The truth about an extract is exact: the real quality engine, with the sample home's suites, says the same."""

from __future__ import annotations

from collections import Counter

import pytest

from huanshu.catalog import Home
from huanshu.errors import InputError
from huanshu.quality.samples import judged
from huanshu.quality.verdict import Verdict
from huanshu.simulator import DATASETS, Extract, Scale, Simulation
from huanshu.simulator.kinds import KINDS

#: A list with such a child is another list: none of it is taken.
REFUSED = "fifteen_years_old"
CANARIES = ("10098765432", "金丝雀甲", "金丝雀巷九号")


def story(home: Home, seed: int = 7, residents: int = 3000) -> Simulation:
    return Simulation(home, seed, Scale.of(residents))


def verdict_of(home: Home, extract: Extract) -> Verdict:
    return judged(
        extract.table(), home.suites[extract.dataset], home.contracts[extract.dataset], home.policies.domains
    )


def agrees(extract: Extract, verdict: Verdict) -> None:
    """Exactly the planted rows are quarantined, by exactly the rules told; the same of warnings."""
    planted = {d["row"] - 1: set(d["rules"]) for d in extract.truth["defects"] if d["rules"]}
    assert {row: set(rules) for row, rules in verdict.quarantine.items()} == planted
    severity = {rule.rule: rule.severity for rule in verdict.rules}
    warned = {
        (rule, row)
        for rule, rows in verdict.failed_rows.items()
        for row in rows.tolist()
        if severity[rule] == "warning"
    }
    assert warned == {(rule, d["row"] - 1) for d in extract.truth["defects"] for rule in d["warnings"]}
    assert verdict.batch_ok


@pytest.mark.parametrize("period", [1, 2])
@pytest.mark.parametrize("dataset", DATASETS)
def test_the_engine_finds_what_was_planted_and_nothing_else(sample: Home, dataset: str, period: int) -> None:
    extract = story(sample, residents=5000).extract(dataset, period)
    planted = {d["kind"] for d in extract.truth["defects"]}
    known = {kind.name for kind in KINDS[dataset] if kind.name != REFUSED and (kind.keeps_key or period == 1)}
    assert planted == known
    agrees(extract, verdict_of(sample, extract))


def test_there_are_many_kinds() -> None:
    assert set(KINDS) == set(DATASETS)
    assert all(len(kinds) >= 15 for kinds in KINDS.values())
    assert all(len({kind.name for kind in kinds}) == len(kinds) for kinds in KINDS.values())


def test_what_refuses_a_whole_extract_is_planted_only_when_named(sample: Home) -> None:
    extract = story(sample, residents=5000).extract("vaccination_due", kinds=[REFUSED])
    (defect,) = extract.truth["defects"]
    assert (defect["rules"], defect["refuses"]) == ([], ["batch_under_fourteen"])
    assert sum(extract.truth["accepted"].values()) == 0
    verdict = verdict_of(sample, extract)
    assert not verdict.batch_ok
    assert [rule.rule for rule in verdict.failed] == defect["refuses"]


def test_only_the_kinds_asked_for(sample: Home) -> None:
    extract = story(sample).extract("resident", defects=6, kinds=["phone_short", "check_digit"])
    assert Counter(d["kind"] for d in extract.truth["defects"]) == {"phone_short": 3, "check_digit": 3}
    agrees(extract, verdict_of(sample, extract))


def test_clean_means_clean(sample: Home) -> None:
    extract = story(sample, seed=3).extract("resident", 2, defects=0)
    assert extract.truth["defects"] == []
    agrees(extract, verdict_of(sample, extract))


def test_as_many_defects_as_asked_for_each_in_its_own_row(sample: Home) -> None:
    extract = story(sample).extract("resident", defects=100)
    rows = Counter(d["row"] for d in extract.truth["defects"])
    assert len(rows) == 100
    assert max(rows.values()) == 1
    agrees(extract, verdict_of(sample, extract))
    with pytest.raises(InputError, match=r"simulator\.defects\.many"):
        Simulation(sample, 7, Scale.of(100)).extract("resident", defects=500)


def test_later_defects_leave_numbers_and_the_months_changes_alone(sample: Home) -> None:
    told = story(sample)
    clean = told.extract("resident", 2, defects=0)
    spoilt = told.extract("resident", 2)
    assert len(spoilt.truth["defects"]) >= 15
    numbers = spoilt.table().column("citizen_number").to_pylist()
    assert numbers[: clean.rows] == clean.table().column("citizen_number").to_pylist()
    changed = {c["row"] for name in ("moved", "born", "phone_changed") for c in spoilt.truth[name]}
    assert not changed & {d["row"] for d in spoilt.truth["defects"]}


def test_duplicates_come_after_their_originals(sample: Home) -> None:
    extract = story(sample).extract("resident")
    numbers = extract.table().column("citizen_number").to_pylist()
    later = [d["row"] - 1 for d in extract.truth["defects"] if d["kind"] == "duplicate_citizen_number"]
    assert later
    assert all(numbers.index(numbers[row]) < row for row in later)
    assert all(row < extract.rows for row in later)


def test_accepted_counts_the_rows_without_an_error(sample: Home) -> None:
    extract = story(sample).extract("resident")
    spoilt = {d["row"] - 1 for d in extract.truth["defects"] if d["rules"]}
    communities = extract.table().column("community").to_pylist()
    counted = Counter(code for row, code in enumerate(communities) if row not in spoilt)
    assert extract.truth["accepted"] == {code: counted[code] for code in extract.truth["accepted"]}
    assert sum(counted.values()) == extract.rows - len(spoilt)


@pytest.mark.parametrize("period", [1, 2])
def test_canaries_lie_where_the_truth_says(sample: Home, period: int) -> None:
    extract = story(sample).extract("resident", period, canaries=CANARIES)
    rows = extract.table().to_pylist()
    told = extract.truth["canaries"]
    assert {c["text"] for c in told} == set(CANARIES)
    assert {c["field"] for c in told} == {"phone", "name", "residence_address"}
    spoilt = {d["row"] for d in extract.truth["defects"] if d["rules"]}
    for canary in told:
        assert rows[canary["row"] - 1][canary["field"]] == canary["text"]
        assert (canary["row"] not in spoilt) is canary["good"]

"""The registers: fictional, valid, plausible, and the same ones a month on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from huanshu.catalog import Home
from huanshu.errors import InputError
from huanshu.simulator import DATASETS, Scale, Simulation, first_day
from huanshu.simulator.identifiers import citizen_number

Row = dict[str, Any]


def told(home: Home, seed: int = 7, residents: int = 2000, **more: Any) -> Simulation:
    return Simulation(home, seed, Scale.of(residents), **more)


def rows(story: Simulation, dataset: str = "resident", period: int = 1) -> list[Row]:
    found: list[Row] = story.extract(dataset, period, defects=0).table().to_pylist()
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_exists_and_every_number_checks(sample: Home, seed: int) -> None:
    people = rows(told(sample, seed, 3000))
    assert len({row["citizen_number"] for row in people}) == len(people) == 3000
    for row in people:
        number = row["citizen_number"]
        assert number.startswith("99")
        assert number == citizen_number(number[:17])
        assert f"{number[6:10]}-{number[10:12]}-{number[12:14]}" == row["birth_date"]
        assert (int(number[16]) % 2 == 1) is (row["sex"] == "1")
        assert all((row[name] or "100").startswith("100") for name in ("phone", "guardian_phone"))
        assert row["grid"].startswith(row["community"])
    # The check character by the standard's own formula, not by the code under test.
    weights = [pow(2, 17 - place, 11) for place in range(18)]
    values = [
        [*map(int, row["citizen_number"][:17]), "0123456789X".index(row["citizen_number"][17])]
        for row in people
    ]
    assert all(sum(v * w for v, w in zip(value, weights, strict=True)) % 11 == 1 for value in values)


def test_older_people_have_older_place_codes(sample: Home) -> None:
    people = rows(told(sample))
    old = Counter(row["citizen_number"][:6] for row in people if row["birth_date"] < "1980")
    young = Counter(row["citizen_number"][:6] for row in people if row["birth_date"] > "1995")
    district = sample.policies.domains.district.code[:6]
    assert young.most_common(1)[0][0] == district
    assert old.most_common(1)[0][0] != district
    assert old[district] < young[district] / 10


def test_the_population_is_plausible(sample: Home) -> None:
    people = rows(told(sample, residents=20_000))
    day = first_day(1)
    ages = [(day - date.fromisoformat(row["birth_date"])).days / 365.25 for row in people]
    assert 0.12 < sum(age < 15 for age in ages) / len(ages) < 0.2
    assert 0.15 < sum(age >= 60 for age in ages) / len(ages) < 0.26
    assert 0.48 < sum(row["sex"] == "1" for row in people) / len(people) < 0.54
    assert 0.01 < sum(bool(row["disability_grade"]) for row in people) / len(people) < 0.04
    assert sum("·" in row["name"] for row in people) > 100
    assert any(row["name"].startswith(("欧阳", "司马", "诸葛")) for row in people)
    households: dict[str, list[Row]] = {}
    for row in people:
        households.setdefault(row["household_number"], []).append(row)
    assert max(map(len, households.values())) == 5
    for home in households.values():
        relations = Counter(row["household_relation"] for row in home)
        assert relations["01"] == 1
        assert relations["02"] <= 1
        assert len({row["residence_address"] for row in home}) == 1
        if relations["02"]:
            assert {row["sex"] for row in home if row["household_relation"] in ("01", "02")} == {"1", "2"}
            assert {row["marital_status"] for row in home if row["household_relation"] in ("01", "02")} == {
                "20"
            }


def test_communities_are_uneven_and_none_is_empty(sample: Home) -> None:
    sizes = Counter(row["community"] for row in rows(told(sample, residents=20_000)))
    assert set(sizes) == {d.code for d in sample.policies.domains if d.kind == "community"}
    assert max(sizes.values()) > 1.3 * min(sizes.values())


def test_a_month_later_it_is_the_same_register(sample: Home) -> None:
    story = told(sample)
    before = rows(story)
    extract = story.extract("resident", 2, defects=0)
    later: list[Row] = extract.table().to_pylist()
    truth = extract.truth
    old = {row["citizen_number"]: row for row in before}
    new = {row["citizen_number"]: row for row in later}
    assert len(new) == len(later)
    kinds = ("phone", "address", "allowance")
    assert (
        min(len(truth[name]) for name in ("moved", "left", "born", *(f"{kind}_changed" for kind in kinds)))
        >= 3
    )
    assert {before[c["row_before"] - 1]["citizen_number"] for c in truth["left"]} == old.keys() - new.keys()
    assert {c["reason"] for c in truth["left"]} == {"died", "moved_out"}
    assert {later[c["row"] - 1]["citizen_number"] for c in truth["born"]} == new.keys() - old.keys()
    both = old.keys() & new.keys()
    moved = {later[c["row"] - 1]["citizen_number"]: (c["from"], c["to"]) for c in truth["moved"]}
    assert {
        n: (old[n]["community"], new[n]["community"])
        for n in both
        if old[n]["community"] != new[n]["community"]
    } == moved
    changed = {
        later[c["row"] - 1]["citizen_number"]: before[c["row_before"] - 1]["citizen_number"]
        for kind in kinds
        for c in truth[f"{kind}_changed"]
    }
    assert all(now == then for now, then in changed.items())
    assert {n for n in both if old[n] != new[n]} == moved.keys() | changed.keys()
    called = {later[c["row"] - 1]["citizen_number"] for c in truth["phone_changed"]}
    assert {n for n in both if old[n]["phone"] != new[n]["phone"]} == called
    for c in truth["born"]:
        child = later[c["row"] - 1]
        assert child["guardian_name"]
        assert any(
            row["household_number"] == child["household_number"] and row["household_relation"] == "01"
            for row in later
        )


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_truth_tells_all_that_two_extracts_show(sample: Home, dataset: str) -> None:
    story = told(sample, residents=4000)
    key = sample.contracts[dataset].primary_key.name
    before, extract = rows(story, dataset), story.extract(dataset, 2, defects=0)
    later: list[Row] = extract.table().to_pylist()
    truth = extract.truth
    old, new = ({row[key]: row for row in them} for them in (before, later))
    assert len(old) == len(before)
    assert len(new) == len(later)
    assert {before[c["row_before"] - 1][key] for c in truth["left"]} == old.keys() - new.keys()
    coming = truth["born" if dataset == "resident" else "added"]
    assert coming
    assert {later[c["row"] - 1][key] for c in coming} == new.keys() - old.keys()
    lists = [them for name, them in truth.items() if name == "moved" or name.endswith("_changed")]
    changed = {later[c["row"] - 1][key] for them in lists for c in them}
    assert {number for number in old.keys() & new.keys() if old[number] != new[number]} == changed


def test_a_period_does_not_depend_on_what_was_asked_before(sample: Home) -> None:
    story = told(sample)
    third = rows(story, period=3)
    assert rows(told(sample), period=3) == third
    assert rows(story) == rows(told(sample))
    assert rows(told(sample, seed=8)) != rows(story)


def test_numbers_stay_unique_over_a_year(sample: Home) -> None:
    people = rows(told(sample), period=13)
    assert len({row["citizen_number"] for row in people}) == len(people)


def test_swapped_communities_are_whole_and_only_codes_change(sample: Home) -> None:
    one, other = [d.code for d in sample.policies.domains if d.kind == "community"][:2]
    right = rows(told(sample, swap=None))
    wrong = rows(told(sample, swap=(one, other)))
    swapped = {one: other, other: one}
    assert [swapped.get(row["community"], row["community"]) for row in right] == [
        row["community"] for row in wrong
    ]
    grids = {d.code for d in sample.policies.domains if d.kind == "grid"}
    assert all(row["grid"].startswith(row["community"]) and row["grid"] in grids for row in wrong)
    strip = lambda row: {k: v for k, v in row.items() if k not in ("community", "grid")}  # noqa: E731
    assert [strip(row) for row in right] == [strip(row) for row in wrong]
    with pytest.raises(InputError, match=r"simulator\.swap\.unknown"):
        told(sample, swap=(one, "990101999999"))


@pytest.mark.parametrize(("residents", "period"), [(10, 1), (300, 0)])
def test_nonsense_is_refused(sample: Home, residents: int, period: int) -> None:
    with pytest.raises(InputError, match=r"simulator\.(scale|period)\.small"):
        told(sample, residents=residents).extract("resident", period)


def test_scale_follows_from_the_residents() -> None:
    assert Scale.of(1_300_000) == Scale(1_300_000, 290_000, 200_000)
    assert Scale.of(1300, events=7) == Scale(1300, 290, 7)


def test_codes_come_from_the_homes_own_lists(sample: Home) -> None:
    suites = {name: replace(suite, codes={}) for name, suite in sample.suites.items()}
    event = sample.suites["grid_event"]
    other = replace(event, codes={"matter": (replace(event.codes["matter"][0], code="7777"),)})
    home = replace(sample, suites={**suites, "grid_event": other})
    assert {row["matter"] for row in rows(told(home), "grid_event")} == {"7777"}
    listed = {code.code for code in sample.suites["vaccination_due"].codes["vaccine"]}
    vaccines = {row["vaccine"] for row in rows(told(sample, residents=6000), "vaccination_due")}
    assert len(vaccines) > 5
    assert vaccines <= listed


def test_a_home_may_have_some_of_the_datasets(sample: Home) -> None:
    home = replace(sample, contracts={"resident": sample.contracts["resident"]})
    assert told(home).datasets == ("resident",)
    assert told(sample).datasets == DATASETS

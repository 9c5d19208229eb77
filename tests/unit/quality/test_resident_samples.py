"""The samples beside the suite hold, and a sample that lies is found out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from huanshu.catalog import Home
from huanshu.quality import run_samples

SAMPLES = Path("expectations/resident/samples")


def test_every_rule_is_seen_passing_and_failing(home: Home) -> None:
    folder = Path(home.path) / SAMPLES
    expected = {f"failing.{e.rule}.csv" for e in home.suites["resident"].expectations}
    assert len(expected) >= 25
    assert {p.name for p in folder.iterdir()} == expected | {"passing.csv"}
    assert len((folder / "passing.csv").read_text(encoding="utf-8").splitlines()) > 12
    assert list(run_samples(home)) == []


@pytest.fixture
def copied(home: Home, tmp_path: Path) -> Home:
    place = tmp_path / "expectations" / "resident" / "samples"
    place.mkdir(parents=True)
    for name in ("passing.csv", "failing.phone_form.csv", "failing.citizen_number_unique.csv"):
        shutil.copy(Path(home.path) / SAMPLES / name, place / name)
    return replace(home, path=str(tmp_path))


@pytest.mark.parametrize("name", ["failing.phone_form.csv", "failing.citizen_number_unique.csv"])
def test_a_failing_sample_that_passes_is_found_out(copied: Home, name: str) -> None:
    place = Path(copied.path) / SAMPLES
    shutil.copy(place / "passing.csv", place / name)
    errors = list(run_samples(copied))
    assert [e.code for e in errors] == ["sample.failing.passed"]
    assert errors[0].where is not None
    assert errors[0].where.file == str(SAMPLES / name)


def test_a_passing_sample_that_fails_is_found_out(copied: Home) -> None:
    place = Path(copied.path) / SAMPLES
    passing = (place / "passing.csv").read_text(encoding="utf-8").splitlines()
    bad = (place / "failing.phone_form.csv").read_text(encoding="utf-8").splitlines()
    (place / "passing.csv").write_text("\n".join([passing[0], *passing[2:], bad[1]]) + "\n", encoding="utf-8")
    errors = list(run_samples(copied))
    assert [e.code for e in errors] == ["sample.passing.failed"]
    assert "phone_form" in errors[0].what.en
    assert errors[0].where is not None
    assert errors[0].where.line == len(passing)
    assert bad[1].split(",")[0] not in str(errors[0])


def test_a_ragged_sample_is_an_error(copied: Home) -> None:
    place = Path(copied.path) / SAMPLES / "failing.phone_form.csv"
    place.write_text(place.read_text(encoding="utf-8") + "one,two\n", encoding="utf-8")
    assert [e.code for e in run_samples(copied)] == ["sample.row.ragged"]

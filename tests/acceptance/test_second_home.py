"""A second district by files alone: the planning notices of real local authorities, counted again from the file.

The home is made by ``huanshu init`` and the files of ``examples/planning``; nothing of ``src/huanshu`` knows it.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "planning"
NAMES = ("sender", "recount", "loop")


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The example's scripts; its folder is no package, so it is on the path only while they are imported."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in NAMES})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def events(shared: Path, example: SimpleNamespace) -> Path:
    path: Path = shared / example.loop.EVENTS
    if not path.is_file():
        pytest.skip(f"SKIPPED LOUDLY: {path} is not there")
    return path


@pytest.fixture(scope="module")
def seen(example: SimpleNamespace, events: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    work = tmp_path_factory.mktemp("planning")
    found = example.loop.loop(events, work)
    found.work = work
    return found


def test_counts_by_authority_are_those_of_the_file(example, events, seen) -> None:
    rows, want = example.recount.recount(events)
    assert rows > 2000
    assert len(want) > 20
    assert {name: len(found) for name, found in seen.slices.items()} == {n: len(f) for n, f in want.items()}
    assert seen.slices == want
    assert seen.authorities == {name: {name} for name in want}


def test_rows_in_are_good_or_quarantined_for_a_stated_reason(example, events, seen) -> None:
    rows, want = example.recount.recount(events)
    assert seen.good == sum(map(len, want.values()))
    assert seen.good + seen.quarantined == rows
    assert seen.quarantined > 100
    assert seen.rules == {"reference_unique": seen.quarantined}


def test_it_happened_once_and_verifies(example, events, seen) -> None:
    assert seen.again == {"unchanged"}
    assert seen.report.clean, seen.report.problems
    assert seen.report.rows == seen.good


def test_the_free_text_lies_sealed_and_nothing_of_the_file_in_the_repository(example, events, seen) -> None:
    with events.open(encoding="utf-8", newline="") as file:
        texts = [row["Details"].strip() for row in csv.DictReader(file)]
    longest = sorted(texts, key=len)[-5:]
    kept = [p for p in (seen.work / "state" / "servers").rglob("*") if p.is_file()]
    assert len(kept) > 100
    needles = [text[:60].encode() for text in longest]
    assert not [p for p in kept if any(needle in p.read_bytes() for needle in needles)]
    names = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in example.sender.codes(events)))
    assert not [
        p for p in EXAMPLE.rglob("*") if p.suffix in {".csv", ".yaml"} and names.search(p.read_text())
    ]


def test_the_home_is_files_and_no_python() -> None:
    parts = [EXAMPLE / part for part in ("policies", "expectations", "dags", "audit")]
    files = [p for part in parts for p in part.rglob("*") if p.is_file()]
    assert len(files) > 12
    assert {p.suffix for p in files} == {".csv", ".yaml"}


def test_no_district_is_named_in_the_machinery() -> None:
    """Full names of the sample district's units, and the district's own name in any form."""
    lines = (ROOT / "policies/domains.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    places = [row for row in rows if row["kind"] in {"district", "subdistrict", "community"}]
    district = places[0]
    assert district["kind"] == "district"
    names = {row[column] for row in places for column in ("name_zh", "name_en")} - {""}
    names |= {district["name_zh"].removesuffix("区"), district["name_en"].split()[0]}
    assert len(names) > 10
    low = {name.lower() for name in names}
    source = [p for p in (ROOT / "src").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert len(source) > 200
    texts = {str(p.relative_to(ROOT)): p.read_text("utf-8").lower() for p in source}
    assert {
        place: [n for n in low if n in text] for place, text in texts.items() if any(n in text for n in low)
    } == {}

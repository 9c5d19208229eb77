"""Every dataset of the sample home goes round: its passing sample in, its communities' slices out, who it is about."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from huanshu.catalog import Flow, Home, read_home
from huanshu.drill.range import Range

ROOT = Path(__file__).parents[2]
HOME: Home = read_home(ROOT)
INTAKES = [flow for flow in HOME.flows.values() if flow.kind == "intake"]


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        yield made


@pytest.mark.parametrize("intake", INTAKES, ids=lambda flow: flow.dataset)
def test_the_sample_goes_round(place: Range, intake: Flow) -> None:
    dataset, contract = intake.dataset, HOME.contracts[intake.dataset]
    sample = (ROOT / f"expectations/{dataset}/samples/passing.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(sample)))
    homes = Counter(row[contract.home_field] for row in rows)
    assert len(homes) >= 3
    place.take_in(intake.flow)
    place.deliver(f"{dataset}.district_to_communities")
    for code, count in homes.items():
        held = place.slice_records(dataset, code)
        assert held == place.due_records(dataset, code)
        assert len(held) == count
    with place.acting().district() as district:
        (about,) = district.execute(
            f"SELECT coalesce(sum(cardinality(subjects)), 0) FROM district.{dataset}".encode()
        ).fetchone()  # type: ignore[misc]
    # An absent subject is nobody: an anonymous reporter, a representative without a citizen number.
    assert about == sum(bool(row[subject.field]) for row in rows for subject in contract.subjects)
    assert place.verify().clean


def test_one_person_is_one_subject_across_datasets(place: Range) -> None:
    """Nine of the sample's residents represent an enterprise: one citizen number, one link, one ordinal."""
    with place.acting().district() as district:
        shared = district.execute(
            "SELECT count(*) FROM district.resident r JOIN district.enterprise e"
            " ON r.link_citizen_number = e.link_legal_representative_number AND r.subjects <@ e.subjects"
        ).fetchone()
    assert shared is not None
    assert shared[0] == 9

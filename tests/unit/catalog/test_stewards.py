"""Who answers for a field: the steward of its authority, or the dataset's own when that department has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from huanshu.catalog import Home, read_home, steward_of


@pytest.fixture(scope="module")
def district(root: Path) -> Home:
    return read_home(root)


def test_the_authoritys_steward_answers(district: Home) -> None:
    contract = district.contracts["resident"]
    answers = {field.name: steward_of(district, contract, field) for field in contract.fields}
    assert answers["phone"] == "psb.steward"
    assert answers["education"] == "education.steward"
    assert answers["residence_address"] == "housing.steward"
    assert len(set(answers.values())) >= 5


def test_a_department_without_a_steward_leaves_it_to_the_datasets(district: Home) -> None:
    contract = district.contracts["resident"]
    field = replace(contract.field("education"), authority="dept.nobody")
    assert steward_of(district, contract, field) == contract.steward_post

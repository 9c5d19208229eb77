"""One changed field: judged by the rules that touch it, and only by those."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.catalog import Home, read_home
from huanshu.quality import judge_changes, touching


@pytest.fixture(scope="module")
def district(root: Path) -> Home:
    return read_home(root)


def test_what_rules_look_at_is_known_without_a_record(district: Home) -> None:
    suite, contract = district.suites["resident"], district.contracts["resident"]
    assert touching("phone", suite, contract) == {"phone"}
    assert touching("residence_since", suite, contract) == {"residence_since", "birth_date"}
    assert {"birth_date", "guardian_name", "updated_on"} <= touching("guardian_name", suite, contract)
    # A warning refuses nothing, so it looks at nothing here: the sex in the number is one.
    assert touching("sex", suite, contract) == {"sex"}


def test_rules_over_other_fields_do_not_speak(district: Home) -> None:
    suite, contract = district.suites["resident"], district.contracts["resident"]
    domains = district.policies.domains
    wrong = {
        "phone": "12",
        "citizen_number": "x",
        "birth_date": "1980-02-30",
        "residence_since": "1800-01-01",
    }
    good = {"phone": "13900001111", "birth_date": "1980-02-01"}
    first, second = judge_changes("phone", [wrong, good], suite, contract, domains)
    assert [f.rule for f in first] == ["phone_form"]
    assert second == ()
    (early,) = judge_changes(
        "residence_since", [{**good, "residence_since": "1800-01-01"}], suite, contract, domains
    )
    assert [(f.rule, f.fields) for f in early] == [
        ("residence_after_birth", frozenset({"residence_since", "birth_date"}))
    ]


def test_the_contract_judges_too(district: Home) -> None:
    suite, contract = district.suites["resident"], district.contracts["resident"]
    name, long = judge_changes(
        "name", [{"name": None}, {"name": "长" * 50}], suite, contract, district.policies.domains
    )
    assert [f.rule for f in name] == ["contract_name"]
    assert [f.rule for f in long] == ["contract_name"]

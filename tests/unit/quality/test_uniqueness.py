"""The first good record keeps the identifier; nobody else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Expectation, read_home
from huanshu.errors import Text, Where
from huanshu.quality import dataset_rules, repeated, unique_field

RULE = Expectation(
    "number_unique", "expect_column_values_to_be_unique", {"column": "number"}, "dataset", "error",
    Text("once", "一次"), Where("suite.yaml", 1),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_one_good_record_keeps_each_identifier(rows: list[tuple[int, bool]]) -> None:
    codes = np.array([code for code, _ in rows], np.int64)
    counted = np.array([good for _, good in rows], np.bool_)
    result, later = repeated(RULE, codes, counted)
    good = [row for row, (_, good) in enumerate(rows) if good]
    kept = [row for row in good if row not in later.tolist()]
    assert [rows[row][0] for row in kept] == list(dict.fromkeys(rows[row][0] for row in good))
    assert later.tolist() == sorted(set(good) - set(kept))
    assert (result.failed_count, result.counted, result.passed) == (len(later), len(good), not len(later))


def test_a_quarantined_record_does_not_hold_the_place() -> None:
    _, rows = repeated(RULE, np.array([7, 7, 7]), np.array([False, True, True]))
    assert rows.tolist() == [2]


def test_scope_is_checked(make: Any) -> None:
    other = make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^x$")
    with pytest.raises(ValueError, match="scope record"):
        repeated(other, np.zeros(1, np.int64), np.ones(1, np.bool_))


def test_a_primary_key_comes_once_whether_a_rule_says_so_or_not(make: Any, root: Any) -> None:
    contract = read_home(root).contracts["resident"]
    other = make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^x$")
    (own,) = dataset_rules(make.suite(other), contract)
    assert (own.rule, unique_field(own)) == ("contract_citizen_number_once", "citizen_number")
    declared = make.suite(other, RULE)
    assert [rule.rule for rule in dataset_rules(declared, contract)] == ["number_unique", own.rule]
    suite = read_home(root).suites["resident"]
    assert [rule.rule for rule in dataset_rules(suite, contract)] == ["citizen_number_unique"]

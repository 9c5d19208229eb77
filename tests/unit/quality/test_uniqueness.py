"""The first good record keeps the identifier, whatever the batches; nobody else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Expectation
from huanshu.errors import Text, Where
from huanshu.quality import Uniqueness, dataset_rules

RULE = Expectation(
    "number_unique", "expect_column_values_to_be_unique", {"column": "number"}, "dataset", "error",
    Text("once", "一次"), Where("suite.yaml", 1),
)  # fmt: skip
LINKS = st.lists(st.none() | st.integers(0, 5).map(lambda n: bytes([n]) * 16), max_size=30)


def in_batches(links: list[bytes | None], out: set[int], sizes: list[int]) -> tuple[list[int], Any]:
    unique = Uniqueness(RULE)
    found: list[int] = []
    start = 0
    while start < len(links):
        size = sizes[start % len(sizes)]
        rows = unique.later(links[start : start + size], [r - start for r in out])
        found += [start + row for row in rows.tolist()]
        start += size
    return found, unique.result()


@given(LINKS, st.sets(st.integers(0, 29)), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_cuts_do_not_matter(links: list[bytes | None], out: set[int], sizes: list[int]) -> None:
    assert in_batches(links, out, sizes) == in_batches(links, out, [1000])


@given(LINKS, st.sets(st.integers(0, 29)))
def test_one_good_record_keeps_each_identifier(links: list[bytes | None], out: set[int]) -> None:
    later, result = in_batches(links, out, [4])
    good = [row for row, link in enumerate(links) if link is not None and row not in out]
    kept = [row for row in good if row not in later]
    assert [links[row] for row in kept] == list(dict.fromkeys(links[row] for row in good))
    assert (result.failed_count, result.counted, result.passed) == (len(later), len(good), not later)


def test_a_quarantined_record_does_not_hold_the_place() -> None:
    unique = Uniqueness(RULE)
    assert unique.later([b"a" * 16, b"a" * 16, b"a" * 16], quarantined=[0]).tolist() == [2]


def test_scope_is_checked(make: Any) -> None:
    other = make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^x$")
    with pytest.raises(ValueError, match="scope record"):
        Uniqueness(other)
    assert dataset_rules(make.suite(other, RULE)) == (RULE,)
    assert Uniqueness(RULE).field == "number"

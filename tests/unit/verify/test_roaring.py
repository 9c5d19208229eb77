"""The verifier's own writing of Roaring bitmaps agrees with the library that the platform uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from huanshu_verify.subjects import roaring

FEW = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 300) | st.integers(65_530, 65_545), max_size=40)
RUNS = st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 60)), max_size=8)


@given(FEW, RUNS)
def test_it_writes_what_the_library_writes(few: list[int], runs: list[tuple[int, int]]) -> None:
    numbers = {*few, *(n for start, length in runs for n in range(start, start + length))}
    assert roaring(numbers) == BitMap(numbers).serialize()


def test_more_than_a_record_is_about_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        roaring(range(0, 10_000, 2))

"""Masks by column against masks one by one: the same characters, whatever the value."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.sealing import MASKS, mask, mask_column

_ADDRESSES = [
    "清禾区柳岸街道清荷路12号3栋101", "路12号", "村", "清禾村3号", "无路牌", "x村路社区街道", "玉兰社区", "社区玉兰社区1号", "",
    "a路b", "a路bc", None, "清荷路", "𠮷田村二号院", "街道路1号2室",
]  # fmt: skip
_OTHERS = [
    "990101195001010023",
    "张三",
    "张",
    "",
    None,
    "1950-01-01",
    "1950/01/01",
    "10012345678",
    "12",
    "𠮷田",
    "古丽娜尔·热合曼",
]


@pytest.mark.parametrize("name", sorted(MASKS))
def test_a_column_is_masked_as_its_values_are(name: str) -> None:
    values = _ADDRESSES + _OTHERS
    masked = mask_column(name, pa.array(values))
    assert masked.to_pylist() == [mask(name, value) for value in values]
    assert mask_column(name, pa.array(values).slice(3, 5)).to_pylist() == masked.to_pylist()[3:8]
    assert mask_column(name, pa.array([], pa.string())).to_pylist() == []


@given(st.lists(st.none() | st.text(alphabet="路街道社区村0123-清𠮷a", max_size=14), max_size=30))
def test_any_text_is_masked_alike(values: list[str | None]) -> None:
    for name in MASKS:
        assert mask_column(name, pa.array(values, pa.string())).to_pylist() == [mask(name, v) for v in values]

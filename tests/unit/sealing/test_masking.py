"""Masks by column against masks one by one: the same characters, whatever the value."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.sealing import MASKS, mask, mask_column
from huanshu.sealing.masks import COMPOUND_SURNAMES, ENDS

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


@given(
    st.lists(
        st.none() | st.text(alphabet="路街道社区村市县旗镇乡苏木州0123-.,@·．欧阳司马清𠮷a\n", max_size=14),
        max_size=30,
    )
)
def test_any_text_is_masked_alike(values: list[str | None]) -> None:
    for name in MASKS:
        assert mask_column(name, pa.array(values, pa.string())).to_pylist() == [mask(name, v) for v in values]


GOLDEN = [
    (row["mask"], row["value"], row["masked"])
    for row in csv.DictReader((Path(__file__).parent / "masks.csv").read_text("utf-8").splitlines())
]


def test_the_table_shows_every_mask() -> None:
    assert {name for name, _, _ in GOLDEN} == set(MASKS)
    assert len(MASKS) >= 19


@pytest.mark.parametrize(("name", "value", "masked"), GOLDEN)
def test_the_table_of_masks(name: str, value: str, masked: str) -> None:
    assert mask(name, value) == masked
    assert mask_column(name, pa.array([value, None])).to_pylist() == [masked, None]


@given(st.sampled_from(sorted(MASKS)), st.text(max_size=40))
def test_masks_keep_the_length_and_hide_something(name: str, value: str) -> None:
    masked = mask(name, value)
    assert masked is not None
    assert len(masked) == len(value)
    # Character by character it is what it was, or a star; so no byte is added, and no other value is shown.
    assert all(now in {was, "*"} for was, now in zip(value, masked, strict=True)) or name == "birth_date"
    assert len(masked.encode()) <= len(value.encode())
    if len(value) >= 2 and "*" not in value:
        assert masked.count("*") >= (1 if name == "name" else 2)


@given(st.sampled_from(sorted(ENDS)), st.text(st.sampled_from("0123456789ABX粤"), max_size=30))
def test_what_is_hidden_changes_nothing_that_is_seen(name: str, value: str) -> None:
    """Two values that differ only where the mask hides look the same."""
    masked = mask(name, value) or ""
    other = "".join("Q" if star == "*" else char for char, star in zip(value, masked, strict=True))
    assert mask(name, other) == masked


@given(st.from_regex(r"[0-9]{6}(19|20)[0-9]{2}[01][0-9][0-3][0-9][0-9]{3}[0-9X]", fullmatch=True))
def test_no_birthday_is_left_of_a_citizen_number(value: str) -> None:
    masked = mask("citizen_number", value) or ""
    assert masked[6:14] == "********"
    assert set(mask_column("citizen_number", pa.array([value])).to_pylist()) == {masked}


def test_every_name_of_two_surnames_is_known() -> None:
    assert all(len(surname) == 2 for surname in COMPOUND_SURNAMES)
    assert {"欧阳", "诸葛", "司马", "上官"} <= COMPOUND_SURNAMES

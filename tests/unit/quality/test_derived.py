"""Derived columns against the same thing written slowly, and with python-stdnum's checksum by hand."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huanshu.quality.dates import iso_dates
from huanshu.quality.derived import DERIVATIONS

WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]


def text(*cells: str | None) -> pa.Array:
    return pa.array(cells, pa.large_string())


def derive(name: str, *arguments: object) -> list[object]:
    found: list[object] = DERIVATIONS[name].compute(*arguments).to_pylist()
    return found


def check_character(seventeen: str) -> str:
    return "10X98765432"[sum(int(d) * w for d, w in zip(seventeen, WEIGHTS, strict=True)) % 11]


def test_known_numbers() -> None:
    # GB 11643-1999, annex A, gives the first of these as its worked example.
    cells = text(
        "11010519491231002X", "440524188001010014", "110105194912310021", "11010519491231002x", None, ""
    )
    assert derive("gb11643_checksum", cells) == [True, True, False, False, True, False]


@given(st.text(st.sampled_from("0123456789"), min_size=17, max_size=17))
def test_exactly_one_check_character_is_right(stem: str) -> None:
    numbers = [stem + c for c in "0123456789Xx "]
    found = derive("gb11643_checksum", text(*numbers))
    assert [n for n, good in zip(numbers, found, strict=True) if good] == [stem + check_character(stem)]


CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def test_known_credit_codes() -> None:
    cells = text(
        "91110000600037341L", "91110000600037342L", "91110000600037341l", "9111000060003734IL", "9111", None
    )
    assert derive("gb32100_checksum", cells) == [True, False, False, False, False, True]


@given(st.text(st.sampled_from(CREDIT), min_size=17, max_size=17))
def test_exactly_one_check_character_of_a_credit_code_is_right(stem: str) -> None:
    codes = [stem + c for c in CREDIT + "IOSVZa "]
    found = derive("gb32100_checksum", text(*codes))
    total = sum(CREDIT.index(c) * 3**n for n, c in enumerate(stem))
    assert [c for c, good in zip(codes, found, strict=True) if good] == [stem + CREDIT[-total % 31]]


CELLS = st.none() | st.text(max_size=20) | st.from_regex(r"[0-9]{17}[0-9X]", fullmatch=True)


@given(st.lists(CELLS, max_size=6))
@example([None, "", "１１０１０５１９４９１２３１００２", "11010519491231002X", "9" * 18])
def test_no_derivation_raises_on_a_value(cells: list[str | None]) -> None:
    column, other = text(*cells), text(*reversed(cells))
    operands = {"field": other, "whole": 14}
    assert len(DERIVATIONS) >= 8
    for derivation in DERIVATIONS.values():
        result = derivation.compute(column, *(operands[p] for p in derivation.parameters))
        assert len(result) == len(cells)


@given(st.lists(CELLS, min_size=1, max_size=6), st.data())
def test_a_slice_gives_the_same(cells: list[str | None], data: st.DataObject) -> None:
    """Frames are slices of batches; Arrow keeps the whole buffer and an offset."""
    start = data.draw(st.integers(0, len(cells)))
    column = text(*cells)
    for name in ("gb11643_checksum", "gb11643_birth_date", "gb11643_sex", "gb32100_checksum", "number"):
        assert derive(name, column.slice(start)) == derive(name, column)[start:]


def _slow_date(cell: str) -> date | None:
    try:
        if len(cell) != 10 or not cell.isascii() or cell[4] != "-" or cell[7] != "-":
            return None
        return date(*(int(part) for part in cell.split("-") if part.isdigit()))
    except (ValueError, TypeError):
        return None


@given(
    st.one_of(
        st.dates().map(str),
        st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
        st.text(max_size=10),
    )
)
@example("2023-02-29")
@example("2000-02-29")
@example("1900-02-29")
@example("0000-01-01")
def test_iso_dates_are_those_of_the_calendar(cell: str) -> None:
    found = iso_dates(text(cell))
    slow = _slow_date(cell)
    assert bool(found.valid[0]) is (slow is not None)
    if slow is not None:
        assert (found.year[0], found.month[0], found.day[0]) == (slow.year, slow.month, slow.day)


@given(st.dates(date(1900, 1, 1), date(2026, 12, 31)), st.dates(date(1900, 1, 1), date(2026, 12, 31)))
def test_age_is_completed_years(born: date, on: date) -> None:
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    assert derive("age_on", text(str(born)), text(str(on))) == [years]


def test_birth_date_and_sex_inside_the_number() -> None:
    cells = text("99010119900230123X", "990101199002281230", "990101199002281240", "short", None)
    assert derive("gb11643_birth_date", cells) == [None, "1990-02-28", "1990-02-28", None, None]
    assert derive("gb11643_sex", cells) == ["1", "1", "2", None, None]


@pytest.mark.parametrize(
    ("name", "born", "given_to_young", "absent_from_grown"),
    [
        ("王芳", "2012-06-02", True, True),  # thirteen, with a guardian
        (None, "2012-06-02", False, True),
        ("王芳", "2012-06-01", True, False),  # fourteen that day
        (None, "2012-06-01", True, True),
        (None, "no date", True, True),
        (None, None, True, True),
    ],
)
def test_fourteenth_birthday(
    name: str | None, born: str | None, given_to_young: bool, absent_from_grown: bool
) -> None:
    on = text("2026-06-01")
    assert derive("given_below_age", text(name), 14, text(born), on) == [given_to_young]
    assert derive("absent_from_age", text(name), 14, text(born), on) == [absent_from_grown]


def test_starts_with_and_number() -> None:
    assert derive("starts_with", text("12", "12", None, "2"), text("1", None, "1", "12")) == [
        True,
        True,
        True,
        False,
    ]
    assert derive("number", text("1.5", "-2", "1e3", "nan", "", None, "1\n")) == [
        1.5,
        -2.0,
        None,
        None,
        None,
        None,
        None,
    ]

"""The fast road through CSV text reads what the slow road reads, or leaves it to the slow road."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import InputError
from huanshu.exchange.cells import fast_cells
from huanshu.exchange.extract import _cells
from huanshu.exchange.manifest import Dialect

ALPHABET = st.sampled_from([*'",;|\t a1é张\ufeff\u2028 ', '""', '","', "NULL", "0"])
LINES = st.lists(st.lists(ALPHABET, max_size=8).map("".join), min_size=1, max_size=6)


def _slow(lines: list[str], dialect: Dialect, width: int) -> list[tuple[str | None, ...]] | None:
    try:
        rows = [tuple(cell or None for cell in _cells(line, dialect, 1, "x")) for line in lines]
    except InputError:
        return None
    return rows if all(len(row) == width for row in rows) else None


def _fast(text: str, dialect: Dialect, width: int, most: int = 64) -> list[tuple[str | None, ...]] | None:
    table = fast_cells(text.encode(), dialect, width, most)
    return None if table is None else list(zip(*(c.to_pylist() for c in table.columns), strict=True))


@given(LINES, st.sampled_from(",;|\t"), st.integers(2, 4), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_the_fast_road_never_reads_otherwise(
    lines: list[str], delimiter: str, width: int, end: str, ended: bool
) -> None:
    dialect = Dialect(delimiter)
    text = end.join(lines) + (end if ended else "")
    fast = _fast(text, dialect, width)
    if fast is not None:
        assert fast == _slow(text.removesuffix("\n").removesuffix("\r").split(end), dialect, width)


@given(
    st.lists(
        st.tuples(
            *[st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=9)] * 3
        ),
        min_size=1,
    )
)
def test_what_a_writer_writes_goes_the_fast_road(rows: list[tuple[str, str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    assert _fast(file.getvalue(), Dialect(), 3, 4096) == [tuple(cell or None for cell in row) for row in rows]


@pytest.mark.parametrize(
    "text", ['a"b,c\n', 'a,"b\n', '"a"b,c\n', "a,b,c\n", "a\n", "\na,b\n", f"{'x' * 65},b\n"]
)
def test_the_unusual_is_left_to_the_slow_road(text: str) -> None:
    assert fast_cells(text.encode(), Dialect(), 2, 64) is None


def test_a_blank_after_the_delimiter_is_left_to_the_slow_road() -> None:
    assert fast_cells(b"a, b\n", Dialect(skip_initial_space=True), 2, 64) is None


def test_columns_are_text() -> None:
    table = fast_cells(b"1,2020-01-01\n,true\n", Dialect(), 2, 64)
    assert table is not None
    assert table.schema.types == [pa.large_string(), pa.large_string()]

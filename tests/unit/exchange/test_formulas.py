"""Text that a spreadsheet would compute: always guarded going out, and unchanged inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.exchange.formulas import DANGEROUS, is_formula, meant, shown

TEXTS = st.text(alphabet=st.sampled_from("=+-@\t\r\n＝＋－＠' a1号"), max_size=6)


@given(TEXTS | st.text())
def test_what_is_shown_begins_harmlessly_and_means_what_it_meant(text: str) -> None:
    assert meant(shown(text)) == text
    assert not shown(text).startswith(DANGEROUS)
    assert not is_formula(shown(text))


@pytest.mark.parametrize("start", DANGEROUS)
def test_every_dangerous_beginning_is_guarded(start: str) -> None:
    assert shown(f"{start}cmd") == f"'{start}cmd"
    assert is_formula(f"{start}cmd")


def test_blanks_before_it_do_not_hide_it_and_ordinary_text_stays() -> None:
    assert is_formula(" =1")
    assert is_formula("\u3000＝1")
    assert shown("'quoted") == "''quoted"
    for text in ("", "13900001111", "清禾区玉兰社区1号", "a=b", "2026-01-01"):
        assert shown(text) == text

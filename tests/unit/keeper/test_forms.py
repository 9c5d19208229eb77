"""What of a sealed field may be counted: bands of ages, codes of a list; never what is as good as free."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Home, read_home
from huanshu.errors import DeniedError
from huanshu.keeper.forms import ABSENT, Form, form_of

TODAY = date(2026, 11, 28)


@pytest.fixture(scope="module")
def home() -> Home:
    return read_home(Path(__file__).parents[3])


def form(home: Home, name: str, today: date = TODAY) -> Form:
    return form_of(home, home.contracts["resident"], name, today)


def refused(of: Form, word: str) -> str:
    with pytest.raises(DeniedError) as error:
        of.values(word)
    return error.value.code


@pytest.mark.parametrize(
    ("born", "age"),
    [("1961-11-28", 65), ("1961-11-29", 64), ("2026-11-28", 0), ("2027-01-01", 0), ("1800-01-01", 150)],
)
def test_an_age_is_in_completed_years_on_the_keepers_day(home: Home, born: str, age: int) -> None:
    assert form(home, "birth_date").point(born) == age + 1


def test_who_is_born_on_a_leap_day_is_a_year_older_on_the_first_of_march(home: Home) -> None:
    assert form(home, "birth_date", date(2018, 2, 28)).point("2000-02-29") == 18
    assert form(home, "birth_date", date(2018, 3, 1)).point("2000-02-29") == 19


def test_bands_meet_nowhere_and_leave_nobody_out(home: Home) -> None:
    ages = form(home, "birth_date")
    found = ages.apart(["0-6", "7-17", "18-59", "60-64", "65+"])
    assert sum(map(len, found)) == len(ages.every)
    assert ages.every == found[0].union(*found)
    assert ABSENT not in ages.every, "a birth date is required"
    with pytest.raises(DeniedError) as error:
        ages.apart(["0-17", "15-20"])
    assert error.value.code == "access.count.form"


@pytest.mark.parametrize(
    "word", ["65", "65-", "65-65", "65-68", "147+", "1961-11-28", "6O+", "-5", "0-999", "٦٥+", "", "65+ "]
)
def test_no_band_is_of_few_years(home: Home, word: str) -> None:
    assert refused(form(home, "birth_date"), word) == "access.count.form"


@given(st.integers(0, 150), st.integers(0, 150))
def test_every_band_has_five_years_or_more(low: int, high: int) -> None:
    ages = form(read_sample(), "birth_date")
    word = f"{low}-{high}"
    if high - low >= 4:
        assert len(ages.values(word)) == high - low + 1
    else:
        assert refused(ages, word) == "access.count.form"


_READ: list[Home] = []


def read_sample() -> Home:
    if not _READ:
        _READ.append(read_home(Path(__file__).parents[3]))
    return _READ[0]


def test_a_code_is_one_of_its_list(home: Home) -> None:
    grades = form(home, "disability_grade")
    assert grades.words == ("1", "2", "3", "4")
    assert all(len(grades.values(word)) == 1 and grades.point(word) in grades.values(word) for word in "1234")
    assert ABSENT in grades.every, "who has no grade is somebody too"
    assert grades.point(None) == ABSENT
    assert refused(grades, "5") == "access.count.form"


def test_what_is_as_good_as_free_is_never_counted(home: Home) -> None:
    contract = home.contracts["resident"]
    free = 0
    for field in contract.sealed_fields:
        if field.logical_type == "date":
            continue
        try:
            words = form(home, field.name).words or ()
        except DeniedError:
            free += 1
        else:
            assert 1 < len(words) < 10
    assert {"name", "phone", "citizen_number", "household_number", "registered_address"} <= {
        field.name for field in contract.sealed_fields
    }
    for name in ("name", "phone", "citizen_number", "household_number", "registered_address", "ethnicity"):
        with pytest.raises(DeniedError) as error:
            form(home, name)
        assert error.value.code == "access.count.sealed"
    assert free > 5


def test_a_suite_does_not_make_a_code_of_a_name(home: Home) -> None:
    """A suite is edited by one person; that a name is sixty bytes wide stands in what two adopt."""
    suite = home.suites["resident"]
    rule = next(r for r in suite.expectations if r.kwargs.get("column") == "disability_grade")
    named = replace(rule, kwargs={"column": "name", "value_set": ["张三", "李四"]})
    edited = replace(suite, expectations=(*suite.expectations, named))
    changed = replace(home, suites={**home.suites, "resident": edited})
    assert form(changed, "disability_grade").words
    with pytest.raises(DeniedError) as error:
        form(changed, "name")
    assert error.value.code == "access.count.sealed"

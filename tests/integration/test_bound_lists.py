"""Whoever renews rows believes no list that the log does not bind: nothing that was changed is bound anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from relisted import relisted
from renewing import AUTHOR as OFFICER
from renewing import SECOND, raise_epoch

from huanshu.drill.range import Range
from huanshu.drill.striking import strike_at, struck
from huanshu.errors import TamperedError, UnavailableError
from huanshu.exchange import erasure
from huanshu.exchange.bound import Bound
from huanshu.exchange.intake import run_intake
from huanshu.exchange.rotation import rotate

ROOT = Path(__file__).parents[2]
INTAKE, DATASET = "resident.psb_to_district", "resident"
CHANGED = "sex = CASE sex WHEN '9' THEN '1' ELSE '9' END"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        yield made


def two_of(place: Range) -> tuple[int, int]:
    """Two records of one home."""
    for home in place.homes(DATASET):
        due = place.due_records(DATASET, home)
        if len(due) > 1:
            return due[0][0], due[1][0]
    raise AssertionError("no home has two records")


def erased(place: Range, record: int) -> None:
    """Proposed, confirmed, not carried out."""
    entry = erasure.propose(place.acting(OFFICER).ground(), DATASET, record, "request 7 of 2026").index
    erasure.confirm(place.acting(SECOND).ground(), entry)


def refused(place: Range, what: str = "are not those that batch") -> None:
    """By a rotation and by an erasure; and the verifier says so."""
    for renew in (rotate, erasure.apply):
        with pytest.raises(TamperedError, match=what):
            renew(place.acting().ground())
    assert {problem.step for problem in place.verify().problems} == {"7 store"}


def test_a_row_changed_together_with_its_list_is_bound_anew_by_nothing(place: Range) -> None:
    """Of a batch first, then of a rotation; another person of the home is to be erased."""
    changed, gone = two_of(place)
    erased(place, gone)
    for _ in range(2):
        raise_epoch(place)
        with relisted(place, DATASET, changed, CHANGED):
            refused(place)
        report = place.verify()
        assert report.clean, report.problems
        rotate(place.acting().ground())
        assert place.verify().clean
    raise_epoch(place)
    with relisted(place, DATASET, changed, CHANGED) as administrator:
        administrator.execute("DELETE FROM district.written")  # and without a list nothing is compared
        refused(place)
    assert [done.removed for done in erasure.apply(place.acting().ground())] == [1]
    rotate(place.acting().ground())
    report = place.verify()
    assert report.clean, report.problems


def test_an_older_list_put_in_place_of_a_renewals_is_not_the_one_that_holds(place: Range) -> None:
    raise_epoch(place)
    with place.administrator() as administrator:
        administrator.execute("CREATE TABLE public.first AS TABLE district.resident")
        administrator.execute("CREATE TABLE public.lists AS TABLE district.written")
    rotate(place.acting().ground())
    raise_epoch(place)
    changed, _ = two_of(place)
    with relisted(place, DATASET, changed, CHANGED) as administrator:
        administrator.execute("TRUNCATE district.resident, district.written")
        administrator.execute("INSERT INTO district.resident TABLE public.first")
        administrator.execute("INSERT INTO district.written OVERRIDING SYSTEM VALUE TABLE public.lists")
        with pytest.raises(TamperedError, match="are not those that batch"):
            rotate(place.acting().ground())
    rotate(place.acting().ground())
    assert place.verify().clean


def test_a_list_that_is_given_out_is_the_one_that_was_compared(place: Range) -> None:
    changed, _ = two_of(place)
    with place.acting().district() as district:
        bound = Bound(district, place.acting().keeper, DATASET, "erasure/0")
        bound.refresh()
        ((batch, home),) = district.execute(
            "SELECT batch_in, home FROM district.resident WHERE record = %s AND batch_out IS NULL", (changed,)
        ).fetchall()
        assert bound.current(batch, home)
        with relisted(place, DATASET, changed, CHANGED), pytest.raises(TamperedError, match="are not those"):
            bound.current(batch, home)


def test_a_list_changed_between_its_home_and_its_telling_is_not_told(place: Range) -> None:
    raise_epoch(place)
    changed, _ = two_of(place)
    meanwhile = relisted(place, DATASET, changed, CHANGED)

    def change(point: str) -> None:
        if point == "rotation:corrections":
            meanwhile.__enter__()

    with pytest.raises(TamperedError, match="are not those that batch"):
        rotate(place.acting().ground(pause=change))
    meanwhile.__exit__(None, None, None)
    rotate(place.acting().ground())
    report = place.verify()
    assert report.clean, report.problems


def test_what_a_killed_run_wrote_is_compared_before_it_is_told(place: Range) -> None:
    """A row of a home that it had renewed is changed together with its list."""
    raise_epoch(place)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at("rotation:corrections")))) < 0
    changed, _ = two_of(place)
    with (
        relisted(place, DATASET, changed, CHANGED),
        pytest.raises(TamperedError, match="are not those that batch"),
    ):
        rotate(place.acting().ground())
    rotate(place.acting().ground())
    report = place.verify()
    assert report.clean, report.problems


def test_rows_that_the_log_does_not_tell_of_yet_are_waited_for(place: Range) -> None:
    flow = place.acting().home.flows[INTAKE]
    text = (ROOT / "expectations/resident/samples/passing.csv").read_text(encoding="utf-8")
    content = text.replace("清禾区", "清禾区9号").encode()
    place.sandbox.write_extract(
        flow, "resident-7.csv", content, sequence=2, period="2026-02", records=content.count(b"\n") - 1
    )
    folder = place.settings.intake_folder / INTAKE
    killed = struck(
        lambda: run_intake(place.acting().ground(pause=strike_at("intake:promoted")), INTAKE, "k-1", folder)
    )
    assert killed < 0
    raise_epoch(place)
    with pytest.raises(UnavailableError, match="does not tell of them yet"):
        rotate(place.acting().ground())
    run_intake(place.acting().ground(), INTAKE, "k-2", folder)
    assert [each.what for each in rotate(place.acting().ground())] == ["cells"]
    report = place.verify()
    assert report.clean, report.problems


def test_of_two_renewals_the_one_that_began_is_told_first(place: Range) -> None:
    raise_epoch(place)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at("rotation:committed:0")))) < 0
    first = place.homes(DATASET)[0]
    erased(place, place.due_records(DATASET, first)[0][0])
    with pytest.raises(UnavailableError, match="is not told yet"):
        erasure.apply(place.acting().ground())
    rotate(place.acting().ground())
    assert struck(lambda: erasure.apply(place.acting().ground(pause=strike_at("erasure:committed")))) < 0
    raise_epoch(place)
    with pytest.raises(UnavailableError, match="is not told yet"):
        rotate(place.acting().ground())
    assert [done.removed for done in erasure.apply(place.acting().ground())]
    rotate(place.acting().ground())
    report = place.verify()
    assert report.clean, report.problems

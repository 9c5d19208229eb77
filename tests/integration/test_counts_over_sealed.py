"""Counting over sealed fields: right numbers, none of few, over rows that the log vouches for and no others."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from huanshu.drill.range import Range
from huanshu.errors import DeniedError, HuanshuError, InputError, TamperedError, UnavailableError
from huanshu.exchange.rotation import rotate
from huanshu.gate.count import AskedCount, Counted, count
from huanshu.identity import adopt_policies, propose_policies
from huanshu.simulator import Scale, Simulation, forms

ROOT = Path(__file__).parents[2]
INTAKE, ZONE, OTHER = "resident.psb_to_district", "990101001000", "990101002000"
BANDS = ("0-17", "18-59", "60-64", "65+")


def extract(story: Simulation, period: int) -> tuple[bytes, list[dict[str, Any]]]:
    found = story.extract("resident", period, defects=0)
    written = io.BytesIO()
    forms.csv(found.fields, found.batches(), written, "utf-8")
    return written.getvalue(), found.table().to_pylist()


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        yield made


@pytest.fixture(scope="module")
def residents(place: Range) -> list[dict[str, Any]]:
    """Two months of a register: some have moved, changed or left."""
    story = Simulation(place.acting().home, 5, Scale.of(4000), ["resident"])
    place.take_in(INTAKE, 1, extract(story, 1)[0])
    content, rows = extract(story, 2)
    place.take_in(INTAKE, 2, content)
    return rows


def ask(place: Range, zone: str = ZONE, person: str = "p.song", **changes: Any) -> Counted:
    running = place.acting(person)
    said = {"post": "district.cdo", "dataset": "resident", "purpose": "grassroots_service", **changes}
    try:
        return count(running.home, running.keeper, running.district, AskedCount(zones=(zone,), **said))
    finally:
        running.keeper.close()


def refusal(place: Range, **changes: Any) -> HuanshuError:
    with pytest.raises(HuanshuError) as error:
        ask(place, **changes)
    return error.value


def age(row: dict[str, Any], today: date) -> int:
    born = date.fromisoformat(row["birth_date"])
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def of(place: Range, residents: list[dict[str, Any]], zone: str) -> list[dict[str, Any]]:
    homes = {each.code for each in place.acting().home.policies.domains.below(zone, "community")} | {zone}
    return [row for row in residents if row["community"] in homes]


def test_the_numbers_are_right_and_no_group_is_small(place: Range, residents: list[dict[str, Any]]) -> None:
    today, here = place.clock().date(), of(place, residents, ZONE)
    old = [row for row in here if age(row, today) >= 65]
    answer = ask(place, by="community", where={"birth_date": "65+"})
    by_community = Counter(row["community"] for row in old)
    everyone = Counter(row["community"] for row in here)
    assert answer.total == len(old)
    assert answer.cells.items() <= by_community.items()
    assert all(10 <= told <= everyone[code] - 10 for code, told in answer.cells.items())
    assert sum(row["sex"] == "1" for row in here) == ask(place, where={"sex": "1"}).total, "plain as before"
    bands = ask(place, zone=OTHER, by="birth_date", bands=BANDS)
    ages = Counter(
        next(b for b in BANDS if age(row, today) <= int(b.rstrip("+").split("-")[-1]) or b == "65+")
        for row in of(place, residents, OTHER)
    )
    assert bands.cells == ages
    assert bands.total == sum(ages.values())


def test_the_log_names_whose_value_was_looked_at_and_fsck_joins_the_loan(
    place: Range, residents: list[dict[str, Any]]
) -> None:
    zone, before = "990101003000", place.loans()
    answer = ask(place, zone=zone, where={"birth_date": "65+", "sex": "2"})
    column, counted = place.acts()[-2:]
    women = [row for row in of(place, residents, zone) if row["sex"] == "2"]
    assert [column.event, counted.event] == ["access.column.authorised", "access.count.authorised"]
    assert column.body["subjects"]["count"] == column.body["detail"]["values"] == len(women)
    assert column.body["fields"] == {"birth_date": "count", "community": "count", "sex": "count"}
    assert column.body["how"] == counted.body["how"] == "counted"
    assert counted.body["detail"]["opened"] == column.index
    assert "subjects" not in counted.body
    assert answer.entry == counted.index
    assert place.loans() == before + 1
    report = place.verify()
    assert report.clean, report.problems


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"where": {"name": "x"}}, "access.count.sealed"),
        ({"by": "citizen_number"}, "access.count.sealed"),
        ({"where": {"phone": "1"}, "by": "birth_date", "bands": BANDS}, "access.count.two_sealed"),
        ({"where": {"birth_date": "65-66"}}, "access.count.form"),
        ({"where": {"birth_date": "1961-01-01"}}, "access.count.form"),
        ({"by": "birth_date", "bands": ("0-20", "18+")}, "access.count.form"),
        ({"where": {"pregnancy": "1"}}, "access.decision.denied"),
        ({"where": {"birth_date": "65+"}, "person": "p.tang", "post": "yulan.data_clerk"}, "any"),
        ({"where": {"birth_date": "65+"}, "purpose": "register_upkeep"}, "any"),
        ({"where": {"birth_date": "65+", "nothing": "1"}}, "access.field.unknown"),
    ],
)
def test_a_refusal_opens_nothing_and_is_in_the_log(
    place: Range, residents: list[dict[str, Any]], changes: dict[str, Any], code: str
) -> None:
    assert residents
    size, loans = len(place.acts()), place.loans()
    denied = refusal(place, **changes)
    assert isinstance(denied, DeniedError)
    assert code in (denied.code, "any", "access.decision.denied")
    assert [entry.event for entry in place.acts()[size:]] == ["access.request.denied"]
    assert place.loans() == loans


def test_bands_go_with_a_breakdown_by_a_date(place: Range, residents: list[dict[str, Any]]) -> None:
    assert residents
    for changes in ({"by": "birth_date"}, {"by": "sex", "bands": BANDS}, {"bands": BANDS}):
        assert isinstance(refusal(place, **changes), InputError)


def codes(place: Range, residents: list[dict[str, Any]], statement: str) -> list[str]:
    """What is answered after the store's own role has changed it, and after it was put back."""
    assert residents
    loans = place.loans()
    with psycopg.connect(place.deployment.roles["huanshu_app"], autocommit=True) as store:
        store.execute("CREATE TEMP TABLE kept_rows AS SELECT * FROM district.resident")
        try:
            assert store.execute(statement).rowcount > 0
            told = [refusal(place, where={"birth_date": "60+"}, zone="990101004000")]
        finally:
            store.execute("DELETE FROM district.resident")
            store.execute("INSERT INTO district.resident SELECT * FROM kept_rows")
    assert place.loans() == loans, "and nothing was opened"
    return [each.code for each in told]


HERE = "home LIKE '990101004%' AND batch_out IS NULL"
ROWS = "district.resident"
FIRST = f"record = (SELECT min(record) FROM {ROWS} WHERE {HERE})"
CHANGES = {
    "deleted": f"DELETE FROM {ROWS} WHERE {FIRST}",
    "ended": f"UPDATE {ROWS} SET batch_out = batch_in WHERE {FIRST}",
    "brought back": f"UPDATE {ROWS} SET batch_out = NULL WHERE record ="
    f" (SELECT min(record) FROM {ROWS} WHERE batch_out IS NOT NULL AND home LIKE '990101004%')",
    "renumbered": f"UPDATE {ROWS} SET subjects = ARRAY[subjects[1] + 100000] WHERE {HERE}",
    "changed": f"UPDATE {ROWS} SET sex = '1' WHERE sex = '2' AND {HERE}",
    "moved": f"UPDATE {ROWS} SET home = (SELECT min(home) FROM {ROWS} WHERE home LIKE '990101004%') WHERE record ="
    f" (SELECT min(record) FROM {ROWS} WHERE home LIKE '990101001%' AND batch_out IS NULL)",
    "one cell everywhere": f"UPDATE {ROWS} SET birth_date ="
    f" (SELECT birth_date FROM {ROWS} WHERE {HERE} ORDER BY record LIMIT 1) WHERE {HERE}",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
def test_who_writes_in_the_store_does_not_choose_whom_is_counted(
    place: Range, residents: list[dict[str, Any]], statement: str
) -> None:
    assert codes(place, residents, statement) == ["keeper.count.unvouched"]


def test_the_keeper_reads_the_rows_and_changes_none(place: Range, residents: list[dict[str, Any]]) -> None:
    with psycopg.connect(place.deployment.roles["huanshu_keeper"], autocommit=True) as keeper:
        assert keeper.execute(f"SELECT count(*) FROM {ROWS}").fetchone() >= (len(residents),)
        for statement in CHANGES.values():
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                keeper.execute(statement.encode())


@pytest.mark.parametrize("field", ["rows", "home", "batch"])
def test_a_changed_list_ends_the_counting(place: Range, residents: list[dict[str, Any]], field: str) -> None:
    assert residents
    changes = {
        "rows": "set_byte(rows, 11, 1 + get_byte(rows, 11))",
        "home": "home || '9'",
        "batch": "batch || 'x'",
    }
    with place.administrator() as store:
        (batch, home) = store.execute(
            "SELECT batch, home FROM district.written WHERE home LIKE '990101004%' ORDER BY 1, 2 LIMIT 1"
        ).fetchone() or ("", "")
        old = store.execute("SELECT * FROM district.written WHERE (batch, home) = (%s, %s)", (batch, home))
        assert old.rowcount == 1
        store.execute("CREATE TABLE public.aside AS SELECT * FROM district.written")
        try:
            store.execute(
                f"UPDATE district.written SET {field} = {changes[field]} WHERE (batch, home) = (%s, %s)",
                (batch, home),
            )
            assert isinstance(refusal(place, where={"birth_date": "60+"}), TamperedError)
        finally:
            store.execute("DELETE FROM district.written")
            store.execute("INSERT INTO district.written OVERRIDING SYSTEM VALUE SELECT * FROM public.aside")
            store.execute("DROP TABLE public.aside")


def test_after_a_rotation_the_numbers_are_the_same(place: Range, residents: list[dict[str, Any]]) -> None:
    zone = "990101003000"
    expected = sum(age(row, place.clock().date()) >= 60 for row in of(place, residents, zone))
    path = place.settings.home / "policies/keys.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("epoch:")]
    path.write_text("\n".join([*kept, "epoch: 2", ""]))
    author, second = place.acting("p.chen"), place.acting("p.deng")
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)
    rotate(place.acting().ground())
    assert ask(place, zone=zone, where={"birth_date": "60+"}).total == expected
    assert place.verify().clean


def test_while_rows_are_written_the_question_is_to_be_asked_again(
    place: Range, residents: list[dict[str, Any]]
) -> None:
    """A batch was announced; its rows are in the store, its entry is not in the log yet."""
    assert residents
    keeper = place.acting().keeper
    keeper.append(
        {
            "event": "exchange.intake.authorised",
            "policy": place.acting().home.policies.digest,
            "flow": {"id": INTAKE, "run": "under-way"},
            "detail": {"batch": "f" * 64, "sequence": 9, "sender": "dept.public_security", "records": 1},
        }
    )
    with place.administrator() as store:
        store.execute("UPDATE district.resident SET batch_in = %s WHERE home LIKE '990101002%%'", ("f" * 64,))
    assert isinstance(refusal(place, zone="990101002000", where={"birth_date": "60+"}), UnavailableError)

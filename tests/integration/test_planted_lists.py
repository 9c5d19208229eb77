"""A renewal tells its own lists: none that somebody laid beside them, none that nobody has compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from relisted import relisted
from renewing import AUTHOR as OFFICER
from renewing import SECOND, raise_epoch

from huanshu.drill.range import Range
from huanshu.drill.striking import strike_at, struck
from huanshu.errors import TamperedError
from huanshu.exchange import erasure, written
from huanshu.exchange.rotation import rotate

ROOT = Path(__file__).parents[2]
INTAKE, DATASET = "resident.psb_to_district", "resident"
CHANGED = "sex = CASE sex WHEN '9' THEN '1' ELSE '9' END"
ITEM, HEAD = 44, 12


@pytest.fixture
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        yield made


def confirmed(place: Range, record: int) -> int:
    entry = erasure.propose(place.acting(OFFICER).ground(), DATASET, record, "request 7 of 2026").index
    return erasure.confirm(place.acting(SECOND).ground(), entry).index


def plant(place: Range, name: str, record: int, change: str | None) -> None:
    """The administrator changes (or deletes) a row, and lays a list that fits beside those of a renewal."""
    contract = place.acting().home.contracts[DATASET]
    with place.administrator() as administrator:
        query = (
            "SELECT home, batch_in, version FROM district.resident WHERE record = %s AND batch_out IS NULL"
        )
        ((home, batch, version),) = administrator.execute(query.encode(), (record,)).fetchall()
        ((rows,),) = administrator.execute(
            "SELECT rows FROM district.written WHERE (batch, home) = (%s, %s)", (batch, home)
        ).fetchall()
        items = [bytes(rows[at : at + ITEM]) for at in range(0, len(rows), ITEM)]
        if change is None:
            administrator.execute("DELETE FROM district.resident WHERE record = %s", (record,))
            old = [item for item in items if int.from_bytes(item[:8]) != record]
        else:
            administrator.execute(
                f"UPDATE district.resident SET {change} WHERE record = %s AND batch_out IS NULL".encode(),
                (record,),
            )
            new = written.of_record(administrator, contract, home, record, version, 0)[home]
            old = [new if item[:HEAD] == new[:HEAD] else item for item in items]
        assert old != items
        administrator.execute(
            "INSERT INTO district.written (batch, home, rows) VALUES (%s, %s, %s)",
            (name, f"{batch}/{home}", b"".join(old)),
        )


def unplant(place: Range, name: str) -> None:
    """The last list under such a name is gone again."""
    with place.administrator() as administrator:
        administrator.execute(
            "DELETE FROM district.written WHERE sequence ="
            " (SELECT max(sequence) FROM district.written WHERE batch LIKE %s)", (name,),
        )  # fmt: skip


def test_a_list_laid_beside_those_of_a_rotation_is_not_told(place: Range) -> None:
    """Of rows that lie under the new keys already, which the rotation has no reason to look at."""
    raise_epoch(place)
    text = (ROOT / "expectations/resident/samples/passing.csv").read_text(encoding="utf-8")
    place.take_in(INTAKE, 2, text.replace("清禾区", "清禾区9号").encode())
    (home, *_) = place.homes(DATASET)
    record = place.due_records(DATASET, home)[0][0]

    def change(point: str) -> None:
        if point == "rotation:corrections":
            with place.administrator() as administrator:
                ((name,),) = administrator.execute("SELECT rotation FROM district.rotation").fetchall()
            plant(place, name, record, CHANGED)

    with pytest.raises(TamperedError, match="are not those that batch"):
        rotate(place.acting().ground(pause=change))
    unplant(place, "rotation/%")
    rotate(place.acting().ground())
    assert {problem.at for problem in place.verify().problems} == {f"{DATASET} record {record}"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_list_laid_beside_those_of_an_erasure_is_not_told(place: Range, *, killed: bool) -> None:
    """It would hide that somebody else's row was taken away."""
    homes = place.homes(DATASET)
    gone, other = place.due_records(DATASET, homes[0])[0][0], place.due_records(DATASET, homes[1])[0][0]
    index = confirmed(place, gone)
    if killed:
        assert struck(lambda: erasure.apply(place.acting().ground(pause=strike_at("erasure:committed")))) < 0
    plant(place, f"erasure/{index}", other, None)
    for _ in range(2):
        with pytest.raises(TamperedError, match="are not those that batch"):
            erasure.apply(place.acting().ground())
    unplant(place, "erasure/%")
    assert [done.removed for done in erasure.apply(place.acting().ground())] == [1]
    assert {problem.at for problem in place.verify().problems} == {f"{DATASET} record {other}"}


def test_an_erasure_that_only_the_store_says_was_done_is_done(place: Range) -> None:
    (home, *_) = place.homes(DATASET)
    gone = place.due_records(DATASET, home)[0][0]
    index = confirmed(place, gone)
    with place.administrator() as administrator:
        administrator.execute(
            "INSERT INTO district.erasure VALUES (%s, 'resident', 0, 0, 0, 0, '{}')", (index,)
        )
    (done,) = erasure.apply(place.acting().ground())
    with place.administrator() as administrator:
        query = "SELECT count(*) FROM district.resident WHERE record = %s"
        assert administrator.execute(query, (gone,)).fetchall() == [(0,)]
    assert done.removed == 1
    assert place.verify().clean


def test_the_line_of_a_killed_erasure_names_nobody_else(place: Range) -> None:
    homes = place.homes(DATASET)
    gone, other = place.due_records(DATASET, homes[0])[0][0], place.due_records(DATASET, homes[1])[0][0]
    index = confirmed(place, gone)
    assert struck(lambda: erasure.apply(place.acting().ground(pause=strike_at("erasure:committed")))) < 0
    plant(place, f"erasure/{index}", other, None)
    with place.administrator() as administrator:
        administrator.execute(
            "UPDATE district.erasure SET removed = 2, records = records || %s::bigint", (other,)
        )
    with pytest.raises(TamperedError, match="are not those that batch"):
        erasure.apply(place.acting().ground())


def test_a_killed_rotation_ended_by_other_rules_tells_only_what_was_compared(place: Range) -> None:
    raise_epoch(place)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at("rotation:corrections")))) < 0
    (home, *_) = place.homes(DATASET)
    record = place.due_records(DATASET, home)[0][0]
    raise_epoch(place)
    with relisted(place, DATASET, record, CHANGED):
        for _ in range(2):  # nor when it is tried again
            with pytest.raises(TamperedError, match="are not those that batch"):
                rotate(place.acting().ground())
    rotate(place.acting().ground())
    report = place.verify()
    assert report.clean, report.problems

"""The district store's administrator changes rows and the lists beside them: the verifier names each, by record.

Every way of writing is here: an extract, the next one, an accepted correction (``test_corrections``) and a repaired row
(``test_quarantine``) end with a clean verifier over the store too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from huanshu.drill.range import Range
from huanshu.exchange.intake import run_intake
from huanshu_verify import STEPS

ROOT = Path(__file__).parents[2]
INTAKE = "resident.psb_to_district"
TABLE = "district.resident"
OTHERS = [step for step in STEPS if step[0] != "7 store"]


def month(number: int, without: int = 0) -> bytes:
    """The passing sample; its first residents move every month, its last ``without`` ones are gone."""
    lines = (ROOT / "expectations/resident/samples/passing.csv").read_text(encoding="utf-8").splitlines()
    lines = lines[: len(lines) - without]
    moved = [
        line.replace("清禾区", f"清禾区{number}号") if 0 < n < 4 else line for n, line in enumerate(lines)
    ]
    return ("\n".join(moved) + "\n").encode()


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        for number in (1, 2):
            made.take_in(INTAKE, number, month(number, without=number - 1))
        with made.administrator() as administrator:
            administrator.execute(f"CREATE TABLE public.kept AS TABLE {TABLE}".encode())
            administrator.execute("CREATE TABLE public.kept_lists AS TABLE district.written")
        yield made


def numbers(place: Range) -> tuple[int, int, int]:
    """A record with a second version, the one that was withdrawn, and one that never changed."""
    with place.administrator() as administrator:

        def one(where: str) -> int:
            row = administrator.execute(
                f"SELECT max(record) FROM {TABLE} o WHERE {where}".encode()
            ).fetchone()
            assert row is not None
            assert row[0] is not None
            return int(row[0])

        again = f"EXISTS (SELECT FROM {TABLE} n WHERE n.record = o.record AND n.version > o.version)"
        return (
            one("version = 2"),
            one(f"batch_out IS NOT NULL AND NOT {again}"),
            one("batch_out IS NULL AND version = 1"),
        )


REVIVED = (
    f"DELETE FROM {TABLE} WHERE record = CHANGED AND version = 2",
    f"UPDATE {TABLE} SET batch_out = NULL WHERE record = CHANGED AND version = 1",
)
CHANGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "put back to last month's version": ("resident record CHANGED", "is not in the store", REVIVED),
    "last month's version called current": (
        "resident record CHANGED", "the store does not",
        (f"UPDATE {TABLE} SET batch_out = NULL WHERE record = CHANGED AND version = 1",),
    ),
    "a withdrawn one revived": (
        "resident record GONE", "the store does not",
        (f"UPDATE {TABLE} SET batch_out = NULL WHERE record = GONE",),
    ),
    "one withdrawn by nobody": (
        "resident record SAME", "was ended by no entry",
        (f"UPDATE {TABLE} SET batch_out = (SELECT max(batch_out) FROM {TABLE}) WHERE record = SAME",),
    ),
    "deleted": ("resident record SAME", "is not in the store", (f"DELETE FROM {TABLE} WHERE record = SAME",)),
    "sealed cell of last month's version": (
        "resident record CHANGED", "was changed",
        ((f"UPDATE {TABLE} n SET residence_address = o.residence_address FROM {TABLE} o"
         " WHERE n.record = CHANGED AND o.record = CHANGED AND n.version = 2 AND o.version = 1"),),
    ),
    "plain cell changed": (
        "resident record SAME", "was changed", (f"UPDATE {TABLE} SET sex = '3' WHERE record = SAME",),
    ),
    "moved to another home": (
        "resident record SAME", "was written by no entry",
        (f"UPDATE {TABLE} SET home = '990101001009' WHERE record = SAME",),
    ),
    "one version too many": (
        "resident record SAME", "was changed",
        (f"UPDATE {TABLE} SET version = 9 WHERE record = SAME",),
    ),
    "list rewritten": (
        "entry", "not the ones that it binds",
        ("UPDATE district.written SET rows = set_byte(rows, 20, 1 + get_byte(rows, 20) % 200) WHERE home = ''",),
    ),
    "list taken away": ("entry", "not the ones that it binds", ("DELETE FROM district.written WHERE home = ''",)),
    "list too many": (
        "batch correction/forged.1", "no entry tells",
        ("INSERT INTO district.written SELECT 'correction/forged.1', home, rows FROM district.written WHERE home = ''",),
    ),
    "the table gone": ("resident", "is gone", (f"ALTER TABLE {TABLE} RENAME TO hidden",)),
}  # fmt: skip


def restore(administrator: psycopg.Connection) -> None:
    administrator.execute("ALTER TABLE IF EXISTS district.hidden RENAME TO resident")
    for table, kept in ((TABLE, "kept"), ("district.written", "kept_lists")):
        administrator.execute(f"TRUNCATE {table}".encode())
        administrator.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE public.{kept}".encode())


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_store_is_found_at_its_record_by_step_seven_alone(place: Range, name: str) -> None:
    at, what, statements = CHANGES[name]
    names = dict(zip(("CHANGED", "GONE", "SAME"), map(str, numbers(place)), strict=True))
    for word, number in names.items():
        at = at.replace(word, number)
        statements = tuple(statement.replace(word, number) for statement in statements)
    before = place.verify()
    assert before.clean, before.problems
    assert before.stored > 10
    with place.administrator() as administrator:
        try:
            for statement in statements:
                assert administrator.execute(statement.encode()).rowcount, statement
            found = [p for p in place.verify().problems if p.step == "7 store"]
            assert any(p.at.startswith(at) and what in p.what for p in found), found
            assert len({p.at for p in found}) == 1, "only the record that was changed is named"
            blind = [p for p in place.verify(OTHERS).problems if p.step != "6 slices"]
            assert blind == []
        finally:
            restore(administrator)


def test_an_intake_that_is_not_told_yet_is_under_way_and_not_a_problem(place: Range) -> None:
    class Killed(BaseException):
        pass

    def pause(point: str) -> None:
        if point == "intake:promoted":
            raise Killed

    flow = place.acting().home.flows[INTAKE]
    content = month(3)
    place.sandbox.write_extract(
        flow, "resident-3.csv", content, sequence=3, period="2026-03", records=content.count(b"\n") - 1
    )
    folder = place.settings.intake_folder / INTAKE
    with pytest.raises(Killed):
        run_intake(place.acting().ground(pause=pause), INTAKE, "t-3", folder)
    report = place.verify()
    assert report.clean, report.problems
    assert any("under way" in step for step in report.steps)
    run_intake(place.acting().ground(), INTAKE, "t-4", folder)
    report = place.verify()
    assert report.clean, report.problems
    assert not any("under way" in step for step in report.steps)

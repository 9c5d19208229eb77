"""Migrations: in order, once, each whole or not at all; history is not edited and not unknown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from huanshu.errors import TamperedError, UnavailableError
from huanshu.store import connect, migrate


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n int); INSERT INTO first VALUES (1);")
    (tmp_path / "0002_second.sql").write_text("-- 100 % sure\nALTER TABLE first ADD COLUMN more text;")
    (tmp_path / "README.md").write_text("no migration")
    return tmp_path


def test_in_order_and_once(scratch: str, scripts: Path) -> None:
    with connect(scratch) as owner:
        assert migrate(owner, scripts) == ["0001_first.sql", "0002_second.sql"]
        assert migrate(owner, scripts) == []
        (scripts / "0003_third.sql").write_text("INSERT INTO first (more) VALUES ('x')")
        assert migrate(owner, scripts) == ["0003_third.sql"]
        assert owner.execute("SELECT n, more FROM first ORDER BY n").fetchall() == [(1, None), (None, "x")]


def test_an_edited_migration_is_found_and_nothing_is_applied(scratch: str, scripts: Path) -> None:
    with connect(scratch) as owner:
        migrate(owner, scripts)
        with (scripts / "0001_first.sql").open("a") as file:
            file.write("\n")
        (scripts / "0003_third.sql").write_text("DROP TABLE first")
        with pytest.raises(TamperedError, match=r"0001_first\.sql.*store\.migration\.changed"):
            migrate(owner, scripts)
        assert owner.execute("SELECT n FROM first").fetchall() == [(1,)]


def test_older_code_does_not_touch_a_newer_database(scratch: str, scripts: Path) -> None:
    with connect(scratch) as owner:
        migrate(owner, scripts)
        (scripts / "0002_second.sql").unlink()
        with pytest.raises(UnavailableError, match=r"0002_second\.sql.*store\.migration\.unknown"):
            migrate(owner, scripts)


def test_a_failing_migration_leaves_nothing_of_itself(scratch: str, scripts: Path) -> None:
    (scripts / "0003_third.sql").write_text("CREATE TABLE third (n int); SELECT 1/0;")
    with connect(scratch) as owner:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(owner, scripts)
        known = owner.execute("SELECT name FROM schema_migration ORDER BY 1").fetchall()
        assert known == [("0001_first.sql",), ("0002_second.sql",)]
        assert owner.execute("SELECT to_regclass('third')").fetchone() == (None,)
        (scripts / "0003_third.sql").write_text("CREATE TABLE third (n int)")
        assert migrate(owner, scripts) == ["0003_third.sql"]  # and the lock was let go


def test_a_migration_and_its_line_in_the_ledger_are_one_transaction(scratch: str, scripts: Path) -> None:
    (scripts / "0003_third.sql").write_text(
        "CREATE TABLE third (n int); ALTER TABLE public.schema_migration RENAME TO gone"
    )
    with connect(scratch) as owner:
        with pytest.raises(psycopg.errors.UndefinedTable):
            migrate(owner, scripts)
        assert owner.execute("SELECT to_regclass('third'), to_regclass('gone')").fetchone() == (None, None)


def test_those_who_come_together_wait_for_each_other(scratch: str, scripts: Path) -> None:
    (scripts / "0003_third.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE third (n int)")

    def one(_: int) -> list[str]:
        with connect(scratch) as owner:
            return migrate(owner, scripts)

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(one, range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, 3]


@pytest.mark.parametrize("name", ["0002_again.sql", "3_short.sql", "0003-dash.sql"])
def test_a_misnamed_migration_is_no_silent_omission(scratch: str, scripts: Path, name: str) -> None:
    (scripts / name).write_text("SELECT 1")
    with connect(scratch) as owner, pytest.raises(ValueError, match="NNNN_word"):
        migrate(owner, scripts)


def test_the_districts_own(roles: dict[str, str]) -> None:
    with connect(roles["huanshu_owner"]) as owner:
        assert migrate(owner) == []
        applied = owner.execute("SELECT name FROM schema_migration ORDER BY 1").fetchall()
    assert applied[0] == ("0001_spine.sql",)

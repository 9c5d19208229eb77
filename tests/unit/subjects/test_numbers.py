"""An empty register is loaded and then given its keys, in one transaction, whatever its caller does or leaves out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from huanshu import subjects
from huanshu.store import connect
from huanshu.subjects import RECORDS, SUBJECTS, Numbered, Register
from huanshu.subjects.links import distinct

MANY = 12_000
KEYS = {
    RECORDS: {"PRIMARY KEY (dataset, link)", "UNIQUE (record)"},
    SUBJECTS: {"PRIMARY KEY (kind, link)", "UNIQUE (ordinal)"},
}


@pytest.fixture
def app(roles: dict[str, str]) -> Iterator[psycopg.Connection]:
    with connect(roles["huanshu_app"]) as connection:
        yield connection
        connection.execute("DELETE FROM district.record")
        connection.execute("DELETE FROM district.subject")


def _links(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16), np.uint8)


def _numbered(connection: psycopg.Connection, register: Register, name: str, links: np.ndarray) -> Numbered:
    given = distinct(links)
    return subjects.number(connection, register, name, given, np.arange(len(given.links)))


def _keys(connection: psycopg.Connection, register: Register) -> set[str]:
    return {
        row[0]
        for row in connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('p', 'u')",
            (f"district.{register.table}",),
        )
    }


@pytest.mark.parametrize("register", [RECORDS, SUBJECTS])
def test_the_first_load_and_the_next(app: psycopg.Connection, register: Register) -> None:
    for seed, count in ((1, MANY), (2, 30), (3, MANY)):
        links = _links(count, seed)
        with app.transaction():
            found = _numbered(app, register, "first", links)
            found.store(app)
        assert len(found.fresh) == count
        assert _keys(app, register) == KEYS[register]
        with app.transaction():
            again = _numbered(app, register, "first", links)
        assert not len(again.fresh)
        assert again.by_row.tolist() == found.by_row.tolist()
    column, table = register.number, register.table
    row = app.execute(f"SELECT count(*), count(DISTINCT {column}) FROM district.{table}".encode()).fetchone()
    assert row == (2 * MANY + 30, 2 * MANY + 30)


@pytest.mark.parametrize("twice", ["link", "number"])
def test_a_duplicate_in_the_first_load_is_refused(app: psycopg.Connection, twice: str) -> None:
    found = _numbered(app, RECORDS, "first", _links(MANY))
    (found.given.links if twice == "link" else found.numbers)[1] = (
        found.given.links if twice == "link" else found.numbers
    )[0]
    with pytest.raises(psycopg.errors.UniqueViolation), app.transaction():
        found.store(app)
    assert app.execute("SELECT count(*) FROM district.record").fetchone() == (0,)
    assert _keys(app, RECORDS) == KEYS[RECORDS]


def test_no_transaction_ends_without_the_keys(app: psycopg.Connection) -> None:
    with app.transaction():
        assert app.execute("SELECT district.index_after('record')").fetchone() == (True,)
        assert _keys(app, RECORDS) == set()
    assert _keys(app, RECORDS) == KEYS[RECORDS]
    insert = (
        "INSERT INTO district.record (dataset, record, link) OVERRIDING SYSTEM VALUE VALUES ('first', 1, %s)"
    )
    app.execute("BEGIN")
    app.execute("SELECT district.index_after('record')")
    for _ in range(2):
        app.execute(insert, (bytes(16),))
    with pytest.raises(psycopg.errors.UniqueViolation):
        app.execute("COMMIT")
    assert app.execute("SELECT count(*) FROM district.record").fetchone() == (0,)
    for statement in (
        "DELETE FROM district.number_load",
        "INSERT INTO district.number_load VALUES ('record')",
        "ALTER TABLE district.record DROP CONSTRAINT record_pkey",
        "SELECT setval('district.record_record_seq', 1)",
        "SELECT nextval('district.record_record_seq')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement.encode())


def test_who_finds_others_reading_does_not_wait(app: psycopg.Connection, roles: dict[str, str]) -> None:
    with connect(roles["huanshu_app"]) as other, other.transaction():
        other.execute("SELECT FROM district.record")
        app.execute("SET statement_timeout = '5s'")
        with app.transaction():
            assert app.execute("SELECT district.index_after('record')").fetchone() == (False,)
            _numbered(app, RECORDS, "first", _links(MANY)).store(app)
    assert _keys(app, RECORDS) == KEYS[RECORDS]


def test_draws_never_meet(app: psycopg.Connection, roles: dict[str, str]) -> None:
    drawn: list[int] = []
    with connect(roles["huanshu_app"]) as other:
        for connection, count in ((app, 5), (other, 1), (app, 1000), (other, 7)):
            row = connection.execute("SELECT district.draw_numbers('record', %s)", (count,)).fetchone()
            assert row is not None
            drawn += range(row[0], row[0] + count)
    assert len(drawn) == 1013
    assert drawn == sorted(set(drawn))
    for register, count in (("record", 0), ("batch", 1), (None, 1)):
        with pytest.raises(psycopg.errors.RaiseException):
            app.execute("SELECT district.draw_numbers(%s, %s)", (register, count))

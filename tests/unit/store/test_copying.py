"""Binary COPY a column at a time: what goes in comes out, and PostgreSQL itself reads it the same way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from huanshu.store import EmbeddedServer, connect
from huanshu.store import copying as module
from huanshu.store.copying import copy_in, copy_out

TYPES: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "big": ("bigint", pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": ("integer", pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "words": (
        "text",
        pa.string(),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
    ),
    "long_words": ("text", pa.large_string(), st.sampled_from(["", "还数", "x" * 70_000])),
    "blob": ("bytea", pa.binary(), st.binary(max_size=40)),
    "sealed": ("bytea", pa.binary(), st.binary(min_size=34, max_size=34)),
    "long_blob": ("bytea", pa.large_binary(), st.sampled_from([b"", b"\xff\xff", bytes(100_000)])),
    "day": ("date", pa.date32(), st.dates()),
    "subjects": ("bigint[]", pa.list_(pa.int64()), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)),
}
PLACE = sql.Identifier("pg_temp", "copied")
READ = "SELECT * FROM pg_temp.copied ORDER BY place"
ARROW = {"place": pa.int64(), **{name: arrow for name, (_, arrow, _) in TYPES.items()}}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Columns of one length; some without NULL (fast paths), some all NULL."""
    count = draw(st.integers(0, 12))
    columns: dict[str, list[Any]] = {"place": list(range(count))}
    for name, (_, _, values) in TYPES.items():
        element = draw(st.sampled_from([values, st.none() | values, st.none()]))
        columns[name] = draw(st.lists(element, min_size=count, max_size=count))
    return columns


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    with connect(server.admin_url) as connection:
        columns = ", ".join(f"{name} {declared}" for name, (declared, _, _) in TYPES.items())
        connection.execute(f"CREATE TEMP TABLE copied (place bigint, {columns})".encode())
        yield connection


@pytest.fixture
def empty(database: psycopg.Connection) -> psycopg.Connection:
    database.execute("TRUNCATE pg_temp.copied")
    return database


def _arrays(columns: dict[str, list[Any]]) -> dict[str, pa.Array]:
    return {name: pa.array(values, ARROW[name]) for name, values in columns.items()}


@given(rows())
def test_there_and_back(database: psycopg.Connection, columns: dict[str, list[Any]]) -> None:
    database.execute("TRUNCATE pg_temp.copied")
    count = len(columns["place"])
    assert copy_in(database, PLACE, _arrays(columns)) == count
    # PostgreSQL's own reading of what it got, by psycopg:
    expected = list(zip(*columns.values(), strict=True))
    assert database.execute(READ).fetchall() == expected
    # and ours of what it sends:
    batches = list(copy_out(database, READ, ARROW))
    assert bool(batches) == (count > 0)
    assert [tuple(row.values()) for batch in batches for row in batch.to_pylist()] == expected


def test_slices_and_more_rows_than_a_chunk(empty: psycopg.Connection) -> None:
    """Arrays that begin in the middle of their buffers, over the border between chunks."""
    count = 2 * module._CHUNK_ROWS + 3
    whole = {
        "place": pa.array(range(-5, count + 5)),
        "words": pa.array([f"w{n}" if n % 3 else None for n in range(-5, count + 5)]),
        "sealed": pa.array([n.to_bytes(34, "big", signed=True) for n in range(-5, count + 5)], pa.binary()),
        "subjects": pa.array([[n] * (n % 3) for n in range(-5, count + 5)], pa.list_(pa.int64())),
        "day": pa.array([None if n % 2 else date(2026, 1, 1) for n in range(-5, count + 5)]),
    }
    sliced = {name: array.slice(5, count) for name, array in whole.items()}
    assert copy_in(empty, PLACE, sliced) == count
    asked = {name: ARROW[name] for name in whole}
    query = "SELECT place, words, sealed, subjects, day FROM pg_temp.copied ORDER BY place"
    batches = list(copy_out(empty, query, asked, batch_rows=1000))
    assert [batch.num_rows for batch in batches] == [1000] * 8 + [count - 8000]
    got = pa.Table.from_batches(batches)
    for name, array in sliced.items():
        assert got[name].combine_chunks().equals(array), name


def test_a_batch_is_bounded_by_bytes(empty: psycopg.Connection) -> None:
    count = 2 * module._BATCH_BYTES // 100_000
    copy_in(empty, PLACE, {"blob": pa.array([bytes(100_000)] * count, pa.binary())})
    sizes = [
        batch.nbytes for batch in copy_out(empty, "SELECT blob FROM pg_temp.copied", {"blob": pa.binary()})
    ]
    assert len(sizes) >= 2
    assert max(sizes) < 2 * module._BATCH_BYTES


def test_parameters_and_an_early_end(empty: psycopg.Connection) -> None:
    copy_in(empty, PLACE, {"place": pa.array(range(50_000))})
    query = "SELECT place FROM pg_temp.copied WHERE place >= %s ORDER BY place"
    batches = copy_out(empty, query, {"place": pa.int64()}, (49_000,), batch_rows=10)
    assert next(batches)["place"].to_pylist() == list(range(49_000, 49_010))
    batches.close()
    assert empty.execute("SELECT count(*) FROM pg_temp.copied").fetchone() == (50_000,)


def test_all_of_it_or_nothing(empty: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CharacterNotInRepertoire):
        copy_in(empty, PLACE, {"words": pa.array(["good", "a NUL \0 in it"])})
    assert empty.execute("SELECT count(*) FROM pg_temp.copied").fetchone() == (0,)


def test_the_empty_string_is_not_null(empty: psycopg.Connection) -> None:
    copy_in(
        empty, PLACE, {"words": pa.array(["", None]), "subjects": pa.array([[], None], pa.list_(pa.int64()))}
    )
    found = empty.execute("SELECT words IS NULL, subjects IS NULL FROM pg_temp.copied ORDER BY 1").fetchall()
    assert found == [(False, False), (True, True)]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({}, "a row needs a column"),
        ({"place": pa.array([1]), "words": pa.array(["a", "b"])}, "differ in length"),
        ({"place": pa.array([1.5])}, "no PostgreSQL type"),
        ({"place": pa.array([1], pa.uint64())}, "no PostgreSQL type"),
        ({"subjects": pa.array([[1, None]], pa.list_(pa.int64()))}, "NULL inside"),
        ({"day": pa.array([-(2**31)], pa.int32()).cast(pa.date32())}, "before PostgreSQL's first"),
    ],
)
def test_refused_before_anything_is_sent(
    empty: psycopg.Connection, columns: dict[str, pa.Array], problem: str
) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError), match=problem):
        copy_in(empty, PLACE, columns)
    assert empty.execute("SELECT count(*) FROM pg_temp.copied").fetchone() == (0,)


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("SELECT 1::bigint, 2::bigint", {"a": pa.int64()}),
        ("SELECT 1::bigint", {"a": pa.int64(), "b": pa.int64()}),
        ("SELECT 1::int", {"a": pa.int64()}),
        ("SELECT 1::bigint", {"a": pa.int32()}),
        ("SELECT 'infinity'::date", {"a": pa.date32()}),
        ("SELECT '-infinity'::date", {"a": pa.date32()}),
        ("SELECT ARRAY[[1::bigint], [2]]", {"a": pa.list_(pa.int64())}),
        ("SELECT ARRAY[1::int]", {"a": pa.list_(pa.int64())}),
        ("SELECT ARRAY[1::bigint, NULL]", {"a": pa.list_(pa.int64())}),
        ("SELECT '\\xff'::bytea", {"a": pa.string()}),
    ],
)
def test_an_answer_of_another_shape_is_an_error(
    empty: psycopg.Connection, query: str, types: dict[str, pa.DataType]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pa.ArrowInvalid is one, with words of its own
        list(copy_out(empty, sql.SQL(query), types))  # type: ignore[arg-type]
    assert empty.execute("SELECT 1").fetchone() == (1,)

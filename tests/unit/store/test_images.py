"""Rows laid out by hand are the rows that ``copying`` makes, and PostgreSQL reads them so."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from huanshu.store import EmbeddedServer, connect
from huanshu.store.copying import copy_in_rows, row_spans
from huanshu.store.framing import Frames, joined
from huanshu.store.images import Image, lists, numbers

WORDS = st.none() | st.sampled_from(["", "a", "区", "还数" * 9])


@st.composite
def text_columns(draw: st.DrawFn) -> list[pa.Array]:
    """Columns of one length, with and without dictionaries, some of them slices."""
    rows, columns = draw(st.integers(1, 90)), []
    for _ in range(draw(st.integers(1, 6))):
        values = draw(st.lists(WORDS, min_size=rows + 2, max_size=rows + 2))
        column = pa.array(values, draw(st.sampled_from([pa.string(), pa.large_string()])))
        columns.append((column.dictionary_encode() if draw(st.booleans()) else column).slice(2))
    return columns


@given(text_columns(), st.integers(0, 40))
def test_frames_are_what_copying_makes(columns: list[pa.Array], first: int) -> None:
    plain = {
        str(n): pa.array(column.to_pylist(), pa.large_string())[first:] for n, column in enumerate(columns)
    }
    rows = len(columns[0]) - first
    if rows < 1:
        return
    image, offsets = joined(Frames(columns).pieces(first, rows))
    ((expected, starts, ends),) = row_spans(plain)
    for row in range(rows):
        assert bytes(image[offsets[row] : offsets[row + 1]]) == bytes(expected[starts[row] : ends[row]])


def test_neighbours_with_few_values_are_one_piece() -> None:
    codes = [pa.array(random.choices(["1", "2", None], k=900)).dictionary_encode() for _ in range(4)]
    assert len(Frames(codes).pieces(0, 900)) == 1


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_postgresql_reads_them(server: EmbeddedServer, rows: int) -> None:
    made = random.Random(3)
    words = [made.choice([None, "", "区"]) for _ in range(rows)]
    about = [made.sample([0, 7, -9], 3) for _ in range(rows)]
    records = np.arange(rows, dtype=np.int64) - 2**62
    text: dict[str, pa.Array] = {
        "subjects": lists([np.array([row[n] for row in about], np.int64) for n in range(2)], rows),
        "word": pa.array(words, pa.large_string()).dictionary_encode(),
        "other": pa.array(words, pa.large_string()),
    }
    image = Image(rows, {"record": 8, "epoch": 4, "cell": 5}, text)
    image.fill("record", numbers(records, 8))
    image.fill("epoch", numbers(np.array(-3), 4))
    image.cells("cell")[...] = np.arange(5)
    with connect(server.admin_url) as connection:
        found = _through(connection, image)
    expected: list[tuple[Any, ...]] = [
        (int(records[n]), -3, bytes(range(5)), [o for o in about[n][:2] if o], words[n], words[n], 1)
        for n in range(rows)
    ]
    assert found == expected


def _through(connection: psycopg.Connection, image: Image) -> list[tuple[Any, ...]]:
    connection.execute(
        "CREATE TEMP TABLE laid (record bigint, epoch integer, cell bytea, subjects bigint[], word text, other text)"
    )
    copy_in_rows(
        connection, sql.Identifier("pg_temp", "laid"), image.names, (rows for rows, _ in image.parts())
    )
    return connection.execute(
        "SELECT *, coalesce(array_lower(subjects, 1), 1) FROM pg_temp.laid ORDER BY record"
    ).fetchall()

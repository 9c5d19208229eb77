"""Rows as they came: what is changed in place is changed in the row, and only that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from huanshu.store import connect
from huanshu.store.blocks import Block, Shape, read_blocks, write_blocks

ROWS = 300
SHAPE = Shape(5, [8, 4])
NAMES = ["record", "cell", "note", "name", "digest"]
_FILL = """
    INSERT INTO {} SELECT n, decode(lpad(to_hex(n), 8, '0'), 'hex'), CASE WHEN n % 3 > 0 THEN repeat('x', n % 11) END,
           CASE WHEN n % 5 > 0 THEN '名' || n END, decode(repeat('00', 32), 'hex') FROM generate_series(1, {}) AS n
"""


@pytest.fixture
def connection(roles: dict[str, str]) -> Iterator[psycopg.Connection]:
    with connect(roles["huanshu_app"]) as made:
        yield made


@pytest.fixture
def table(connection: psycopg.Connection) -> sql.Identifier:
    name = sql.Identifier("blocks")
    columns = "record bigint, cell bytea, note text, name text, digest bytea"
    connection.execute(sql.SQL("CREATE TEMP TABLE {} (" + columns + ")").format(name))  # type: ignore[arg-type]
    connection.execute(sql.SQL(_FILL).format(name, ROWS))
    return name


def read(connection: psycopg.Connection, table: sql.Identifier) -> Block:
    (block,) = read_blocks(connection, sql.SQL("SELECT * FROM {} ORDER BY record").format(table))
    assert len(block) == ROWS
    return block


def test_fields_of_fixed_width_are_changed_where_they_lie(
    connection: psycopg.Connection, table: sql.Identifier
) -> None:
    block = read(connection, table)
    heads = block.heads(SHAPE)
    assert heads.numbers(0).tolist() == list(range(1, ROWS + 1))
    heads.values(1)[:] ^= 0xFF
    block.put_heads(heads)
    block.put_last(np.arange(ROWS * 32, dtype=np.int64).astype(np.uint8).reshape(ROWS, 32))
    before = connection.execute("SELECT * FROM blocks ORDER BY record").fetchall()
    connection.execute("TRUNCATE blocks")
    write_blocks(connection, table, NAMES, [block])
    after = connection.execute("SELECT * FROM blocks ORDER BY record").fetchall()
    assert [(r[0], r[2], r[3]) for r in after] == [(r[0], r[2], r[3]) for r in before]
    assert [bytes(r[1]) for r in after] == [bytes(byte ^ 0xFF for byte in r[1]) for r in before]
    assert after[1][4] == bytes(range(32, 64))


def test_an_image_is_the_row_between_its_ends(connection: psycopg.Connection, table: sql.Identifier) -> None:
    block = read(connection, table)
    images = [bytes(image) for image in block.images(2, 36)]
    assert len(images) == ROWS
    assert images[0][:24] == (8).to_bytes(4, "big") + (1).to_bytes(8, "big") + (4).to_bytes(4, "big") + bytes(
        (0, 0, 0, 1)
    ) + (1).to_bytes(4, "big")


def test_texts_after_the_head_are_read_and_replaced(
    connection: psycopg.Connection, table: sql.Identifier
) -> None:
    block = read(connection, table)
    note, name, digest = block.texts(SHAPE)
    want = connection.execute("SELECT note, name FROM blocks ORDER BY record").fetchall()
    assert list(zip(note.to_pylist(), name.to_pylist(), strict=True)) == want
    masked = pa.array(
        [None if text is None else "*" * len(text) for text in name.to_pylist()], pa.large_string()
    )
    connection.execute("TRUNCATE blocks")
    write_blocks(connection, table, NAMES, [block.with_texts(SHAPE, [note, masked, digest])])
    found = connection.execute("SELECT record, note, name FROM blocks ORDER BY record").fetchall()
    assert found == [
        (n, note, m) for n, (note, _), m in zip(range(1, ROWS + 1), want, masked.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize(
    "shape", [Shape(4, [8, 4]), Shape(5, [8, 5]), Shape(5, [8, 4, 3]), Shape(5, [8, 4, 900])]
)
def test_rows_of_another_shape_are_refused(
    connection: psycopg.Connection, table: sql.Identifier, shape: Shape
) -> None:
    with pytest.raises(ValueError, match="row"):
        read(connection, table).heads(shape)


def test_a_cell_of_another_width_in_one_row_is_refused(
    connection: psycopg.Connection, table: sql.Identifier
) -> None:
    connection.execute("UPDATE blocks SET cell = '\\x00' WHERE record = 200")
    with pytest.raises(ValueError, match="begin with"):
        read(connection, table).heads(SHAPE)


def test_nothing_comes_of_no_rows(connection: psycopg.Connection, table: sql.Identifier) -> None:
    assert list(read_blocks(connection, sql.SQL("SELECT * FROM {} WHERE false").format(table))) == []
    write_blocks(connection, table, NAMES, [])

"""Sealing whole records makes the bytes that sealing by column makes, wherever the cells lie and whatever repeats."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import InputError
from huanshu.sealing import pad_blocks, pad_column, seal_padded
from huanshu.sealing.cells import CellContext, bound_row
from huanshu.sealing.rows import Sealed, seal_fields

SIZES = (1, 2, 3, 12, 15, 16, 17, 19, 31, 32, 33, 47, 48, 61, 64, 91, 151, 160, 161, 700)
WIDTH = 11
TEXTS = st.lists(st.none() | st.text(max_size=3), max_size=60)


def _fields(rows: int, seed: int = 5) -> tuple[list[Sealed], np.ndarray, np.ndarray, np.ndarray]:
    made = np.random.default_rng(seed)
    image = np.zeros((rows, sum(SIZES) + 20 * len(SIZES)), np.uint8)
    fields, place = [], 0
    for size in SIZES:
        text = np.zeros((rows, -(-size // 16) * 16), np.uint8)
        text[:, :size] = made.integers(0, 256, (rows, size), np.uint8)
        context = CellContext("990101001001", "resident", f"field_{size}", "reveal", 3)
        fields.append(Sealed(made.bytes(64), context, size, text, image[:, place + 4 : place + 20 + size]))
        place += size + 20
    records = made.integers(0, 2**63 - 1, rows, dtype=np.int64)
    return fields, records, made.integers(1, 2**31 - 1, rows, dtype=np.int32), image


@pytest.mark.parametrize("rows", [0, 1, 2, 63, 2047, 2048, 2049, 4500])
def test_the_same_bytes_as_by_column(rows: int) -> None:
    fields, records, versions, image = _fields(rows)
    given = [field.text.copy() for field in fields]
    seal_fields(fields, records, versions)
    between = 0
    for field, text in zip(fields, given, strict=True):
        padded = np.ascontiguousarray(text[:, : field.size])
        assert (field.cells == seal_padded(field.key, field.context, records, versions, padded)).all(), (
            field.size
        )
        assert (field.text == text).all()
        assert not image[:, between : between + 4].any()  # nothing beside the cells is written
        between += field.size + 20


def test_the_same_bytes_as_the_library() -> None:
    fields, records, versions, _ = _fields(3)
    seal_fields(fields, records, versions)
    for field in fields:
        for row in range(3):
            bound = [field.context.bound(), bound_row(int(records[row]), int(versions[row]))]
            expected = AESSIV(field.key).encrypt(field.text[row, : field.size].tobytes(), bound)
            assert field.cells[row].tobytes() == expected, field.size


def test_counters_never_carry_past_their_word() -> None:
    """Among so many tags some have the counter's last byte so high that it overflows."""
    fields, records, versions, _ = _fields(4500, 8)
    seal_fields(fields, records, versions)
    (long,) = (field for field in fields if field.size == 700)
    assert (long.cells[:, 15] > 255 - 43).any()
    assert (long.cells[:, 12] > 127).any()
    padded = np.ascontiguousarray(long.text[:, : long.size])
    assert (long.cells == seal_padded(long.key, long.context, records, versions, padded)).all()


@given(TEXTS, st.integers(0, 5))
def test_blocks_are_the_padded_column_and_zeros(values: list[str | None], start: int) -> None:
    column = pa.array(values, pa.large_string())
    for cells in (column, column.dictionary_encode(), pa.array(values).dictionary_encode()):
        here = cells.slice(start)
        blocks = pad_blocks(here, WIDTH)
        assert blocks.shape == (len(here), 16)
        assert (blocks[:, : WIDTH + 1] == pad_column(pa.array(values[start:], pa.string()), WIDTH)).all()
        assert not blocks[:, WIDTH + 1 :].any()


def test_a_value_too_long_is_refused_where_a_row_has_it() -> None:
    values = pa.array(["ok", "x" * (WIDTH + 1), "ok", "ok"]).dictionary_encode()
    for cells in (values, pa.array(values.to_pylist())):
        with pytest.raises(InputError) as refused:
            pad_blocks(cells, WIDTH)
        assert refused.value.code == "sealing.value.too_long"
        assert "xxx" not in str(refused.value)
    assert len(pad_blocks(values.slice(2), WIDTH)) == 2  # the dictionary has it still

"""One value or a column, in Arrow: the library's bytes for every length, key size and chunk; refusals alike."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import InputError, TamperedError
from huanshu.sealing import open_value, open_values, seal_value, seal_values
from huanshu.sealing.cells import CellContext, bound_row
from huanshu.sealing.suites import SM4_MARK
from huanshu.sealing.values import BUCKETS, LONGEST

HERE = CellContext("990101001001", "resident", "note", "reveal", 2)
KEYS = {"aes": bytes(range(64)), "sm": SM4_MARK + bytes(range(32))}
CHUNKS = (1, 2, 63, 64, 65, 127, 2047, 2048, 2049, 4096, 4097)


def _padded(value: bytes | None, width: int | None) -> bytes:
    """As docs/FORMAT.md says it, and the bucket where there is no width."""
    size = width + 1 if width is not None else next(int(b) for b in BUCKETS if b > len(value or b""))
    return bytes(size) if value is None else (value + b"\x80").ljust(size, b"\0")


def _many(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[bytes | None]]:
    """Values of all lengths from 0 to 4 000, most of them short; one in twenty absent."""
    made = np.random.default_rng(seed)
    lengths = np.where(
        made.random(count) < 0.95, made.integers(0, 100, count), made.integers(0, LONGEST + 1, count)
    )
    values = [None if made.random() < 0.05 else made.bytes(int(length)) for length in lengths]
    return made.integers(0, 2**63 - 1, count), made.integers(1, 2**31 - 1, count, dtype=np.int32), values


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_random_values_are_the_librarys(count: int) -> None:
    """All lengths, the three key sizes, chunks around every boundary of the column's groups."""
    done, number, seen = 0, 0, set()
    random = np.random.default_rng(7)
    while done < count:
        key, rows = random.bytes((32, 48, 64)[number % 3]), CHUNKS[number % len(CHUNKS)]
        records, versions, values = _many(rows, number)
        cells = seal_values(key, HERE, records, versions, pa.array(values, pa.large_binary()))
        cipher, bound = AESSIV(key), HERE.bound()
        for record, version, value, cell in zip(records, versions, values, cells.to_pylist(), strict=True):
            row = bound_row(int(record), int(version))
            assert cell == cipher.encrypt(_padded(value, None), [bound, row])
        if number < len(CHUNKS):
            assert open_values(key, HERE, records, versions, cells, pa.large_binary()).to_pylist() == values
        seen.update(len(value) for value in values if value is not None)
        done, number = done + rows, number + 1
    assert len(seen) > count / 50
    assert min(seen) == 0


def test_every_length_comes_back() -> None:
    values: list[str | None] = [
        None,
        *("字" * (length // 3) + "x" * (length % 3) for length in range(LONGEST + 1)),
    ]
    records, versions = np.arange(len(values)), np.ones(len(values), np.int32)
    for key in KEYS.values():
        cells = seal_values(key, HERE, records, versions, pa.array(values))
        assert open_values(key, HERE, records, versions, cells).to_pylist() == values
        assert len({len(cell) for cell in cells.to_pylist()}) == len(BUCKETS)


@pytest.mark.parametrize("profile", KEYS)
@given(values=st.lists(st.none() | st.text(max_size=40), max_size=12), width=st.sampled_from([None, 160]))
def test_a_column_is_its_values(profile: str, values: list[str | None], width: int | None) -> None:
    key, records, versions = KEYS[profile], np.arange(len(values)), np.full(len(values), 3, np.int32)
    cells = seal_values(key, HERE, records, versions, pa.array(values, pa.string()), width)
    assert cells.to_pylist() == [seal_value(key, HERE, n, 3, value, width) for n, value in enumerate(values)]
    assert open_values(key, HERE, records, versions, cells).to_pylist() == values
    assert [open_value(key, HERE, n, 3, cell) for n, cell in enumerate(cells.to_pylist())] == values
    if width is not None and values:
        assert {len(cell) for cell in cells.to_pylist()} == {161 + (16 if profile == "aes" else 28)}


def test_slices_and_dictionaries_are_columns_too() -> None:
    values = pa.array(["a", None, "区" * 30, "", "e" * 9, "a"])
    records, versions = np.arange(4), np.ones(4, np.int32)
    plain = seal_values(KEYS["aes"], HERE, records, versions, values.slice(1, 4))
    assert open_values(KEYS["aes"], HERE, records, versions, plain).to_pylist() == values.to_pylist()[1:5]
    part = pa.concat_arrays([plain.slice(2), plain.slice(0, 2)])
    assert open_values(KEYS["aes"], HERE, np.roll(records, 2), versions, part).to_pylist() == [
        "",
        "e" * 9,
        None,
        "区" * 30,
    ]


def test_a_value_too_long_is_refused_without_showing_it() -> None:
    for width, value in ((None, "secretive" * 500), (8, "secretive")):
        with pytest.raises(InputError) as refusal:
            seal_value(KEYS["aes"], HERE, 1, 1, value, width)
        assert refusal.value.code == "sealing.value.too_long"
        assert "secretive" not in str(refusal.value)


@pytest.mark.parametrize("profile", KEYS)
def test_every_single_bit_of_cell_place_and_time_is_refused_alike(profile: str) -> None:
    """The header of a value is what it is bound to: context and row. Each bit of each, and of the cell."""
    key, told = KEYS[profile], set()
    cell = seal_value(key, HERE, 5, 3, "残疾二级", 20)

    def refuse(record: int, version: int, context: CellContext, given: bytes) -> None:
        with pytest.raises(TamperedError) as refusal:
            open_value(key, context, record, version, given)
        told.add((refusal.value.explain("en"), refusal.value.explain("zh"), str(refusal.value)))

    for bit in range(8 * len(cell)):
        refuse(5, 3, HERE, cell[: bit // 8] + bytes([cell[bit // 8] ^ 1 << bit % 8]) + cell[bit // 8 + 1 :])
    for bit in range(63):
        refuse(5 ^ 1 << bit, 3, HERE, cell)
    for bit in range(31):
        refuse(5, 3 ^ 1 << bit, HERE, cell)
        refuse(5, 3, HERE._replace(epoch=HERE.epoch ^ 1 << bit), cell)
    for name in ("domain", "dataset", "field", "rung"):
        text = getattr(HERE, name).encode()
        for bit in range(7 * len(text)):
            at, low = divmod(bit, 7)
            other = text[:at] + bytes([text[at] ^ 1 << low]) + text[at + 1 :]
            refuse(5, 3, HERE._replace(**{name: other.decode()}), cell)
    for other_cell in (b"", cell[:-1], cell[1:], cell + b"\0", cell[:16], cell[:28]):
        refuse(5, 3, HERE, other_cell)
    assert len(told) == 1
    assert "5" not in told.pop()[0]
    assert open_value(key, HERE, 5, 3, cell) == "残疾二级"


def test_a_border_between_fields_of_the_context_cannot_be_moved() -> None:
    cell = seal_value(KEYS["aes"], HERE, 1, 1, "x")
    moved = HERE._replace(dataset="residentn", field="ote")
    with pytest.raises(TamperedError):
        open_value(KEYS["aes"], moved, 1, 1, cell)

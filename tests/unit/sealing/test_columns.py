"""AES-SIV by column is AES-SIV: the same bytes as the library's, and the same refusals."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from huanshu.errors import HuanshuError, InputError, TamperedError
from huanshu.sealing import MASKS, mask, mask_column, token, token_column
from huanshu.sealing.arrow import as_bytes, as_matrix
from huanshu.sealing.cells import CellContext, bound_row, seal_column
from huanshu.sealing.columns import open_padded, seal_padded
from huanshu.sealing.padded import pad_column, unpad_column
from huanshu.sealing.padding import pad, unpad

KEY = bytes(range(64))
CONTEXT = CellContext("990101001001", "resident", "name", "reveal", 3)
TEXTS = st.lists(st.none() | st.text(max_size=12), max_size=200)


def _column(rows: int, width: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = np.random.default_rng(seed)
    records = made.integers(0, 2**63 - 1, rows, dtype=np.int64)
    versions = made.integers(1, 2**31 - 1, rows, dtype=np.int32)
    return records, versions, made.integers(0, 256, (rows, width), dtype=np.uint8)


def _one_by_one(key: bytes, records: np.ndarray, versions: np.ndarray, padded: np.ndarray) -> np.ndarray:
    cipher, bound = AESSIV(key), CONTEXT.bound()
    cells = [
        cipher.encrypt(value.tobytes(), [bound, bound_row(int(record), int(version))])
        for record, version, value in zip(records, versions, padded, strict=True)
    ]
    return np.frombuffer(b"".join(cells), np.uint8).reshape(len(records), -1)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 4095, 4096, 4097])
def test_group_boundaries(rows: int) -> None:
    records, versions, padded = _column(rows, 19)
    sealed = seal_padded(KEY, CONTEXT, records, versions, padded)
    assert (sealed == _one_by_one(KEY, records, versions, padded)).all()
    assert (open_padded(KEY, CONTEXT, records, versions, sealed) == padded).all()


@pytest.mark.parametrize("size", [32, 48, 64])
def test_every_width_and_key_size(size: int) -> None:
    for width in (*range(1, 70), 255, 256, 257, 600, 4001):
        records, versions, padded = _column(66, width, width)
        sealed = seal_padded(KEY[:size], CONTEXT, records, versions, padded)
        assert (sealed == _one_by_one(KEY[:size], records, versions, padded)).all(), width
        assert (open_padded(KEY[:size], CONTEXT, records, versions, sealed) == padded).all(), width


def test_counters_never_carry_past_their_word() -> None:
    """Half of the tags have the bit set that would let the counter's last word overflow; it is cleared."""
    records, versions, padded = _column(20_000, 90, 9)
    sealed = seal_padded(KEY, CONTEXT, records, versions, padded)
    assert (sealed[:, 12] >= 0x80).sum() > 5_000
    assert (sealed == _one_by_one(KEY, records, versions, padded)).all()


@pytest.mark.parametrize("rows", [5, 70])
def test_every_single_bit_is_refused(rows: int) -> None:
    records, versions, padded = _column(rows, 20)
    sealed = seal_padded(KEY, CONTEXT, records, versions, padded)
    seen = set()
    for bit in range(sealed.shape[1] * 8):
        changed = sealed.copy()
        changed[rows // 2, bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedError) as refusal:
            open_padded(KEY, CONTEXT, records, versions, changed)
        seen.add(str(refusal.value))
    assert len(seen) == 1


@pytest.mark.parametrize("rows", [5, 70])
def test_another_place_or_time_is_refused(rows: int) -> None:
    records, versions, padded = _column(rows, 20)
    sealed = seal_padded(KEY, CONTEXT, records, versions, padded)
    swapped = sealed.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    older = versions.copy()
    older[2] -= 1
    others = [
        CellContext("990101001002", "resident", "name", "reveal", 3),
        CellContext("990101001001", "resident", "name", "mask", 3),
        CellContext("990101001001", "resident", "name", "reveal", 4),
        CellContext("990101001001", "resident", "phone", "reveal", 3),
    ]
    attempts = [
        (KEY, CONTEXT, versions, swapped),
        (KEY, CONTEXT, older, sealed),
        (KEY[::-1], CONTEXT, versions, sealed),
    ]
    attempts += [(KEY, other, versions, sealed) for other in others]
    for key, context, when, cells in attempts:
        with pytest.raises(TamperedError):
            open_padded(key, context, records, when, cells)
    assert (open_padded(KEY, CONTEXT, records, versions, sealed) == padded).all()


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_padding_by_column_is_padding(values: list[str | None]) -> None:
    width = 48
    padded = pad_column(pa.array(values, pa.string()), width)
    assert [row.tobytes() for row in padded] == [pad(value, width) for value in values]
    assert unpad_column(padded).to_pylist() == values


def test_padding_of_a_slice() -> None:
    values = pa.array(["a", None, "区", "", "e" * 9], pa.string())
    assert unpad_column(pad_column(values.slice(1, 3), 9)).to_pylist() == [None, "区", ""]


def test_a_long_value_is_named_by_width_only() -> None:
    with pytest.raises(InputError) as refusal:
        pad_column(pa.array(["ok", "secretive"]), 8)
    assert "secretive" not in str(refusal.value)
    assert "8" in str(refusal.value)


@given(st.binary(min_size=8, max_size=8))
@settings(deadline=None)
def test_unpadding_takes_only_what_padding_made(raw: bytes) -> None:
    column = np.frombuffer(raw, np.uint8).reshape(1, -1)
    try:
        expected = unpad(raw)
    except (HuanshuError, UnicodeDecodeError):
        with pytest.raises(TamperedError, match="does not belong here"):
            unpad_column(column)
    else:
        assert unpad_column(column).to_pylist() == [expected]


def test_column_of_values_equals_the_list_of_values() -> None:
    values = [None if i % 7 == 0 else f"居民{i}" for i in range(500)]
    records, versions, _ = _column(500, 1)
    sealed = seal_padded(KEY, CONTEXT, records, versions, pad_column(pa.array(values), 20))
    assert [row.tobytes() for row in sealed] == seal_column(
        KEY, CONTEXT, 20, records.tolist(), versions.tolist(), values
    )


@given(
    st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=99),
    st.binary(min_size=32, max_size=32),
)
@settings(deadline=None)
def test_tokens_by_column_are_tokens(links: list[bytes], key: bytes) -> None:
    column = as_matrix(pa.array(links, pa.large_binary()))
    assert as_bytes(token_column(key, column)).to_pylist() == [token(key, link) for link in links]


@pytest.mark.parametrize("name", sorted(MASKS))
@given(values=TEXTS)
@settings(deadline=None, max_examples=30)
def test_masks_by_column_are_masks(name: str, values: list[str | None]) -> None:
    assert mask_column(name, pa.array(values, pa.string())).to_pylist() == [mask(name, v) for v in values]


@pytest.mark.parametrize("cells", [[b"abc", b"ab"], [b"abc", None], []])
def test_a_ragged_or_absent_sealed_column_is_refused(cells: list[bytes | None]) -> None:
    with pytest.raises(TamperedError):
        as_matrix(pa.array(cells, pa.large_binary()))

"""Invariant 6: a ciphertext fits one place and one time, and shows neither null nor length."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import InputError, TamperedError
from huanshu.sealing import CellContext, open_column, seal_column
from huanshu.sealing.padding import pad, unpad
from huanshu.sealing.suites import HeldKey, aead

KEY = bytes(range(64))
HERE = CellContext("990101001001", "resident", "name", "reveal", 1)
values = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=15)


@given(st.lists(values, min_size=1, max_size=20))
def test_open_undoes_seal(column: list[str | None]) -> None:
    records = list(range(100, 100 + len(column)))
    versions = [7] * len(column)
    cells = seal_column(KEY, HERE, 60, records, versions, column)
    assert open_column(KEY, HERE, records, versions, cells) == column


@given(st.lists(values, min_size=2, max_size=20))
def test_every_cell_of_a_field_has_one_length(column: list[str | None]) -> None:
    cells = seal_column(KEY, HERE, 60, range(len(column)), [1] * len(column), column)
    assert {len(cell) for cell in cells} == {60 + 1 + 16}


def test_equal_values_of_two_records_do_not_look_equal() -> None:
    a, b = seal_column(KEY, HERE, 60, [1, 2], [1, 1], ["张三", "张三"])
    assert a != b


@pytest.mark.parametrize("change", ["domain", "dataset", "field", "rung", "epoch"])
def test_a_cell_does_not_open_under_another_context(change: str) -> None:
    (cell,) = seal_column(KEY, HERE, 60, [1], [1], ["张三"])
    other: str | int = 2 if change == "epoch" else "elsewhere"
    with pytest.raises(TamperedError, match=r"sealing\.cell\.refused"):
        open_column(KEY, HERE._replace(**{change: other}), [1], [1], [cell])


@pytest.mark.parametrize(("record", "version"), [(2, 1), (1, 2), (1, 0)])
def test_a_cell_does_not_open_for_another_record_or_version(record: int, version: int) -> None:
    (cell,) = seal_column(KEY, HERE, 60, [1], [1], ["张三"])
    assert open_column(KEY, HERE, [1], [1], [cell]) == ["张三"]
    with pytest.raises(TamperedError):
        open_column(KEY, HERE, [record], [version], [cell])


def test_every_single_bit_change_is_refused_with_one_shape() -> None:
    (cell,) = seal_column(KEY, HERE, 4, [1], [1], ["李"])
    shapes = set()
    for bit in range(len(cell) * 8):
        changed = bytearray(cell)
        changed[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(TamperedError) as refused:
            open_column(KEY, HERE, [1], [1], [bytes(changed)])
        shapes.add(refused.value.explain("en"))
    assert len(shapes) == 1


@pytest.mark.parametrize("cell", [b"", b"\0" * 15, b"\0" * 16, b"\0" * 77])
def test_malformed_cells_get_the_same_error(cell: bytes) -> None:
    with pytest.raises(TamperedError, match=r"sealing\.cell\.refused"):
        open_column(KEY, HERE, [1], [1], [cell])


def test_the_construction_is_rfc_5297_as_documented() -> None:
    """Rebuilt here from the documented associated data, with the library's AES-SIV."""
    (cell,) = seal_column(KEY, HERE, 8, [5], [3], ["ab"])
    names = [b"990101001001", b"resident", b"name", b"reveal"]
    context = (
        b"huanshu/cell/1" + b"".join(len(n).to_bytes(4, "big") + n for n in names) + (1).to_bytes(4, "big")
    )
    row = (5).to_bytes(8, "big") + (3).to_bytes(4, "big")
    assert AESSIV(KEY).decrypt(cell, [context, row]) == b"ab\x80" + bytes(6)


def test_rfc_5297_vector_a1() -> None:
    """RFC 5297 appendix A.1: the library underneath computes AES-SIV."""
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    associated = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    plain = bytes.fromhex("112233445566778899aabbccddee")
    sealed = bytes.fromhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
    assert AESSIV(key).encrypt(plain, [associated]) == sealed


@given(values)
def test_padding_is_invertible_and_fixed(value: str | None) -> None:
    padded = pad(value, 60)
    assert len(padded) == 61
    assert unpad(padded) == value


def test_absent_is_not_the_empty_string() -> None:
    assert pad(None, 4) != pad("", 4)
    assert unpad(pad("", 4)) == ""


def test_a_value_too_long_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError) as refused:
        pad("canary-0042", 4)
    assert "canary" not in str(refused.value)
    assert "canary" not in repr(refused.value)


def test_bytes_that_padding_cannot_make_are_refused() -> None:
    with pytest.raises(TamperedError):
        unpad(b"abc\0\0")


def test_a_key_that_is_held_makes_the_same_bytes_and_its_cipher_once() -> None:
    held = HeldKey(KEY)
    assert seal_column(held, HERE, 8, [5], [3], ["ab"]) == seal_column(KEY, HERE, 8, [5], [3], ["ab"])
    assert aead(held) is aead(held)
    assert aead(KEY) is not aead(KEY)  # on loan, nothing is kept of it

"""SM4-CCM against RFC 8998 and GB/T 32907; by column it is what it is one by one; a nonce repeats only with its cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import TamperedError
from huanshu.sealing import link, link_column, token
from huanshu.sealing.blobs import open_blob, seal_blob
from huanshu.sealing.blocks import block_cipher
from huanshu.sealing.ccm import NONCE, Sm4Ccm, ccm_decrypt, ccm_encrypt, sm3
from huanshu.sealing.cells import CellContext, bound_row, open_column, open_one, seal_column
from huanshu.sealing.columns import open_padded, seal_padded
from huanshu.sealing.keys import KeyName, Root, data_key, link_key, new_key, new_root_key
from huanshu.sealing.rows import Sealed, open_fields, seal_fields
from huanshu.sealing.suites import SM4_MARK, Suite, aead, suite_of

PUBLISHED = bytes.fromhex("0123456789abcdeffedcba9876543210")
KEY = SM4_MARK + bytes(range(32))
HERE = CellContext("990101001001", "resident", "name", "reveal", 1)


def test_gb_t_32907_one_block() -> None:
    """GB/T 32907-2016, example 1: the block cipher as the columns call it."""
    sealed = block_cipher(SM4_MARK + PUBLISHED).update(PUBLISHED)
    assert sealed.hex() == "681edf34d206965e86b3e94f536e4246"


def test_gb_t_32907_a_million_times() -> None:
    """GB/T 32907-2016, example 2, by CBC under a zero IV over zeros after the first block: the same iteration."""
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    chain = Cipher(SM4(PUBLISHED), CBC(bytes(16))).encryptor()
    assert chain.update(PUBLISHED + bytes(16 * 999_999))[-16:].hex() == "595298c7c6fd271f0402f804c33d3f66"


def test_gb_t_32905_sm3() -> None:
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


NONCE_8998, BOUND_8998 = (
    bytes.fromhex("00001234567800000000abcd"),
    bytes.fromhex("feedfacedeadbeef" * 2 + "abaddad2"),
)
PLAIN_8998 = b"".join(bytes([byte]) * 8 for byte in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA))


def test_rfc_8998_ccm() -> None:
    """RFC 8998, A.2."""
    sealed = ccm_encrypt(PUBLISHED, NONCE_8998, PLAIN_8998, BOUND_8998)
    assert sealed.hex() == (
        "48af93501fa62adbcd414cce6034d895dda1bf8f132f042098661572e7483094"
        "fd12e518ce062c98acee28d95df4416bed31a2f04476c18bb40c84a74b97dc5b"
        "16842d4fa186f56ab33256971fa110f4"
    )
    assert ccm_decrypt(PUBLISHED, NONCE_8998, sealed, BOUND_8998) == PLAIN_8998


def test_rfc_8998_gcm_the_peer_of_the_benchmark() -> None:
    """RFC 8998, A.1: the library's SM4-GCM, which the benchmark measures us against."""
    cipher = Cipher(SM4(PUBLISHED), GCM(NONCE_8998)).encryptor()
    cipher.authenticate_additional_data(BOUND_8998)
    assert (cipher.update(PLAIN_8998) + cipher.finalize()).hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    )
    assert cipher.tag.hex() == "83de3541e4c2b58177e065a9bf7b62ec"


def _column(rows: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = np.random.default_rng(width)
    records = made.integers(0, 2**63 - 1, rows, dtype=np.int64)
    return (
        records,
        made.integers(1, 2**31 - 1, rows, dtype=np.int32),
        made.integers(0, 256, (rows, width), np.uint8),
    )


@pytest.mark.parametrize("rows", [7, 9, 2049])
@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 31, 32, 33, 48, 61, 4001])
def test_by_column_as_one_by_one(rows: int, width: int) -> None:
    rows = min(rows, 300) if width == 4001 else rows
    records, versions, padded = _column(rows, width)
    sealed = seal_padded(KEY, HERE, records, versions, padded)
    assert sealed.shape == (rows, width + 28)
    cipher = Sm4Ccm(KEY[4:])
    for row in range(0, rows, max(1, rows // 40)):
        bound = [HERE.bound(), bound_row(int(records[row]), int(versions[row]))]
        assert sealed[row].tobytes() == cipher.encrypt(padded[row].tobytes(), bound)
        assert open_one(KEY, HERE, bound[1], sealed[row].tobytes()) == padded[row].tobytes()
    assert (open_padded(KEY, HERE, records, versions, sealed) == padded).all()


def test_records_of_both_profiles_in_wider_rows() -> None:
    """A key says what its field is sealed with; cells lie apart in an image."""
    records, versions, padded = _column(70, 15)
    image = np.zeros((70, 200), np.uint8)
    text = np.zeros((70, 16), np.uint8)
    text[:, :15] = padded
    keys = (KEY, bytes(range(64)))
    fields = [
        Sealed(key, HERE, 15, text.copy(), image[:, at : at + 15 + suite_of(key).growth])
        for key, at in zip(keys, (3, 100), strict=True)
    ]
    seal_fields(fields, records, versions)
    for key, field in zip(keys, fields, strict=True):
        assert (field.cells == seal_padded(key, HERE, records, versions, padded)).all()
    for field in fields:
        field.text.fill(9)
    assert open_fields(fields, records, versions)
    assert all((field.text == text).all() for field in fields)
    image[5, 40] ^= 1
    assert not open_fields(fields, records, versions)
    assert not any(field.text.any() for field in fields)


@pytest.mark.parametrize("rows", [2, 70])
def test_every_single_bit_and_every_other_place_is_refused(rows: int) -> None:
    records, versions, padded = _column(rows, 20)
    sealed = seal_padded(KEY, HERE, records, versions, padded)
    attempts = []
    for bit in range(sealed.shape[1] * 8):
        changed = sealed.copy()
        changed[rows // 2, bit // 8] ^= 1 << bit % 8
        attempts.append((KEY, HERE, versions, changed))
    swapped = sealed.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    attempts += [(KEY, HERE, versions, swapped), (KEY, HERE, versions - 1, sealed)]
    attempts += [(SM4_MARK + KEY[:3:-1], HERE, versions, sealed), (bytes(range(64)), HERE, versions, sealed)]
    for change in ("domain", "dataset", "field", "rung"):
        attempts.append((KEY, HERE._replace(**{change: "elsewhere"}), versions, sealed))
    attempts.append((KEY, HERE._replace(epoch=2), versions, sealed))
    seen = set()
    for key, context, when, cells in attempts:
        with pytest.raises(TamperedError) as refusal:
            open_padded(key, context, records, when, cells)
        seen.add(str(refusal.value))
    assert len(seen) == 1
    assert (open_padded(KEY, HERE, records, versions, sealed) == padded).all()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.binary(min_size=4, max_size=4)), max_size=60)
)
def test_a_nonce_is_repeated_only_by_the_same_cell(rows: list[tuple[int, int, bytes]]) -> None:
    if not rows:
        return
    sealed = seal_padded(
        KEY, HERE, np.array([r for r, _, _ in rows]), np.array([v for _, v, _ in rows], np.int32),
        np.frombuffer(b"".join(text for _, _, text in rows), np.uint8).reshape(-1, 4),
    )  # fmt: skip
    by_nonce: dict[bytes, set[tuple[int, int, bytes]]] = {}
    for row, cell in zip(rows, sealed, strict=True):
        by_nonce.setdefault(cell[:NONCE].tobytes(), set()).add(row)
    assert all(len(same) == 1 for same in by_nonce.values())
    assert len(by_nonce) == len(set(rows))


def test_a_reader_needs_no_more_than_rfc_8998() -> None:
    """Whatever nonce lies there: a cell made with another one opens too."""
    row, value = bound_row(3, 1), b"ab\x80"
    nonce = bytes(range(12))
    cell = nonce + ccm_encrypt(KEY[20:], nonce, value, sm3(HERE.bound())[:18] + row)
    assert open_one(KEY, HERE, row, cell) == value


def test_values_blobs_keys_links_and_tokens_of_the_profile() -> None:
    cells = seal_column(KEY, HERE, 60, [1, 2], [1, 1], ["张三", None])
    assert {len(cell) for cell in cells} == {60 + 1 + 28}
    assert open_column(KEY, HERE, [1, 2], [1, 1], cells) == ["张三", None]
    name = KeyName("bitmap/1")
    blob = seal_blob(KEY, name, "here", b"bitmap" * 9999)
    assert open_blob(KEY, name, "here", blob) == b"bitmap" * 9999
    with pytest.raises(TamperedError):
        open_blob(KEY, name, "there", blob)
    root = Root(new_root_key("sm"))
    assert root.whole
    assert root.profile == "sm"
    key = new_key(data_key("990101001001", "resident", "name", 1), "sm")
    assert suite_of(key) is Suite.SM4_CCM
    assert root.unwrap(KeyName("x"), root.wrap(KeyName("x"), key)) == key
    with pytest.raises(TamperedError):
        root.unwrap(KeyName("y"), root.wrap(KeyName("x"), key))
    mac_key = new_key(link_key("citizen_number"), "sm")
    by_hand = CMAC(SM4(mac_key[4:]))
    by_hand.update(b"99010119900101001X")
    linked = by_hand.finalize()
    assert link(mac_key, "citizen_number", "99010119900101001x") == linked
    assert link_column(mac_key, "citizen_number", pa.array(["99010119900101001x"])).tobytes() == linked
    assert len(token(mac_key, linked)) == 16


@pytest.mark.parametrize(
    "key", [b"", bytes(16), bytes(36), b"sm4:" + bytes(31), b"SM4:" + bytes(32), bytes(65)]
)
def test_what_is_no_key_seals_nothing(key: bytes) -> None:
    """Fail closed: a key without its mark, or cut, is not taken for another algorithm's."""
    with pytest.raises(ValueError, match=r"^$"):
        aead(key)
    assert not Root(key).whole


@pytest.mark.parametrize("sealed", [b"", bytes(11), bytes(12), bytes(27), bytes(28), bytes(60)])
def test_what_is_malformed_is_no_other_error(sealed: bytes) -> None:
    with pytest.raises(InvalidTag):
        Sm4Ccm(KEY[4:]).decrypt(sealed, [b"a", b"b"])

"""AES-CMAC by column is the library's, message by message; so are links and content marks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from huanshu.sealing import content_mark, content_marks, link, link_column
from huanshu.sealing.blocks import mac_column

KEY = bytes(range(32))

texts = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.from_regex(r"[0-9]{17}[0-9Xx]", fullmatch=True),
    st.text(alphabet=" \t\x1c\u3000９ｘßŉﬁaZ", max_size=9),
)


def _library(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def _column(key: bytes, messages: list[bytes]) -> list[bytes]:
    flat = np.frombuffer(b"".join(messages), np.uint8)
    lengths = np.array([len(m) for m in messages], np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:-1].astype(np.int64)
    return [row.tobytes() for row in mac_column(key, flat, starts, lengths)]


@given(st.sampled_from([16, 24, 32]), st.lists(st.binary(max_size=70), max_size=30))
def test_every_message_gets_the_librarys_mac(size: int, messages: list[bytes]) -> None:
    assert _column(KEY[:size], messages) == [_library(KEY[:size], m) for m in messages]


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 40, 64, 4000])
def test_every_block_boundary(length: int) -> None:
    messages = [bytes([i % 251 for i in range(length)]), b"", b"x" * length]
    assert _column(KEY, messages) == [_library(KEY, m) for m in messages]


def test_rfc_4493_vectors() -> None:
    """RFC 4493, section 4: messages of 0, 16, 40 and 64 bytes in one column."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    text = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    assert [tag.hex() for tag in _column(key, [text[:0], text[:16], text[:40], text])] == [
        "bb1d6929e95937287fa37d129b756746",
        "070a16b46b4d4144f79bdd9dd04a287c",
        "dfa66747de9ae63030ca32611497c827",
        "51f0bebf7e3b9d92fc49741779363cfe",
    ]


@given(st.lists(texts, max_size=40), st.integers(0, 3))
def test_a_column_of_links_is_the_links_of_the_column(values: list[str | None], cut: int) -> None:
    column = pa.array(values, pa.large_string())[cut:]
    links = link_column(KEY, "citizen_number", column)
    assert [row.tobytes() for row in links] == [link(KEY, "citizen_number", v or "") for v in values[cut:]]


@given(st.lists(st.tuples(texts, texts, texts), max_size=40))
def test_a_column_of_marks_is_the_marks_of_the_rows(rows: list[tuple[str | None, ...]]) -> None:
    columns = {str(n): pa.array([row[n] for row in rows], pa.large_string()) for n in range(3)}
    assert [row.tobytes() for row in content_marks(KEY, columns)] == [content_mark(KEY, row) for row in rows]

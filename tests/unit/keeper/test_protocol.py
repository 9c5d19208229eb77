"""Frames: what is sent arrives; what is no frame is refused before it is read or believed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu import errors
from huanshu.errors import HuanshuError, InputError, Text, Where
from huanshu.keeper import protocol

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    here.settimeout(10)
    there.settimeout(10)
    with here, there:
        yield here, there


@given(st.lists(st.dictionaries(texts, values, max_size=4), min_size=1, max_size=4))
def test_messages_arrive_in_order_and_whole(messages: list[dict[str, Any]]) -> None:
    here, there = socket.socketpair()
    with here, there:
        for message in messages:
            protocol.send(here, message)
        here.shutdown(socket.SHUT_WR)
        assert [protocol.receive(there) for _ in messages] == messages
        assert protocol.receive(there) is None


@given(st.binary(max_size=50))
def test_bytes_travel_as_text(raw: bytes) -> None:
    assert protocol.as_bytes(protocol.as_text(raw)) == raw


def test_a_message_larger_than_a_pipe_arrives(pair: Pair) -> None:
    here, there = pair
    message = {"a": "x" * 3_000_000}
    sending = threading.Thread(target=protocol.send, args=(here, message))
    sending.start()
    assert protocol.receive(there) == message
    sending.join()


def test_an_oversize_frame_is_refused_unread(pair: Pair) -> None:
    here, there = pair
    here.sendall(struct.pack(">I", protocol.LIMIT + 1))
    with pytest.raises(InputError, match=r"keeper\.message\.malformed"):
        protocol.receive(there)
    with pytest.raises(InputError, match=r"keeper\.message\.malformed"):
        protocol.send(here, {"a": "x" * protocol.LIMIT})


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"a"', b"1", b"null", b"\xff\xfe", b"{} {}", b"{'a': 1}"])
def test_what_is_no_json_object_is_refused(pair: Pair, raw: bytes) -> None:
    here, there = pair
    here.sendall(struct.pack(">I", len(raw)) + raw)
    with pytest.raises(InputError, match=r"keeper\.message\.malformed"):
        protocol.receive(there)


def test_a_frame_of_brackets_is_refused_like_any_other(pair: Pair) -> None:
    here, there = pair
    raw = b'{"a":' + b"[" * 100_000
    here.sendall(struct.pack(">I", len(raw)) + raw)
    with pytest.raises(InputError, match=r"keeper\.message\.malformed"):
        protocol.receive(there)


@pytest.mark.parametrize("raw", [b"\0", b"\0\0\0", b"\0\0\0\x05{}", b"\0\0\0\x05"])
def test_a_truncated_frame_is_a_broken_connection(pair: Pair, raw: bytes) -> None:
    here, there = pair
    here.sendall(raw)
    here.close()
    with pytest.raises(ConnectionResetError):
        protocol.receive(there)


FAMILIES = [
    errors.ContentError,
    errors.InputError,
    errors.DeniedError,
    errors.UnavailableError,
    errors.TamperedError,
    errors.DefectError,
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("remedy", [None, Text("do", "做")])
def test_an_error_arrives_in_its_family_with_code_and_remedy(
    family: type[HuanshuError], remedy: Text | None
) -> None:
    sent = family("a.b.c", Text("what", "何事"), remedy=remedy, where=Where("f.csv", 3, "name"))
    with pytest.raises(family) as arrived:
        protocol.raise_error(protocol.error_message(sent)["error"])
    assert type(arrived.value) is family
    assert (arrived.value.code, arrived.value.remedy) == ("a.b.c", remedy)
    assert "f.csv:3 [name]" in str(arrived.value)

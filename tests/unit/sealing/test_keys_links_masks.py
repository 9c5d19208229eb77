"""Keys by name, links and tokens, masks."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pytest

from huanshu.catalog import LinkKind
from huanshu.errors import TamperedError
from huanshu.sealing import (
    LINK_KINDS,
    KeyName,
    Keyring,
    content_mark,
    link,
    link_column,
    new_key,
    token,
)
from huanshu.sealing.blobs import open_blob, seal_blob
from huanshu.sealing.keys import Root, data_key, link_key, new_root_key


def test_a_wrapped_key_unwraps_only_under_its_own_name() -> None:
    root, name = Root(new_root_key()), data_key("990101001001", "resident", "name", 1)
    key = new_key(name)
    wrapped = root.wrap(name, key)
    assert root.unwrap(name, wrapped) == key
    with pytest.raises(TamperedError, match=r"sealing\.key\.refused"):
        root.unwrap(data_key("990101001002", "resident", "name", 1), wrapped)


def test_keys_never_print() -> None:
    key = new_key(link_key("citizen_number"))
    ring = Keyring({link_key("citizen_number"): key})
    root = Root(key * 2)
    for shown in (repr(ring), str(ring), repr(root), str(root)):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown
    with pytest.raises(TamperedError, match="not on loan"):
        ring[KeyName("data/other")]


def test_rfc_4493_cmac_vector() -> None:
    """RFC 4493 example 2, through the same primitive the links use."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert token(key, message).hex() == "070a16b46b4d4144f79bdd9dd04a287c"


def test_spellings_of_one_identifier_share_a_link() -> None:
    key = bytes(32)
    assert link(key, "citizen_number", "99010119500101002x") == link(
        key, "citizen_number", " ９９０１０１19500101002X"
    )
    assert link(key, "citizen_number", "990101195001010021") != link(
        key, "citizen_number", "99010119500101002X"
    )


PHONES = [
    "13900000001",
    " 139 0000 0001",
    "139-0000-0001",
    "+8613900000001",
    "+86 139-0000-0001",
    "8613900000001",
    "１３９００００\u20110001",
    "+86　13900000001 ",
]


def test_spellings_of_one_telephone_share_a_link() -> None:
    key = bytes(range(32))
    assert {link(key, "phone", spelling) for spelling in PHONES} == {link(key, "phone", "13900000001")}
    assert link(key, "phone", "13900000002") != link(key, "phone", "13900000001")
    # A landline that merely begins with 86 keeps its digits.
    assert link(key, "phone", "86139000") != link(key, "phone", "139000")


def test_a_column_of_telephones_links_as_each_alone() -> None:
    key = bytes(range(32))
    values = [*PHONES, None, "", "86139000", "010-86000000", "8613900000002"]
    column = link_column(key, "phone", pa.array(values, pa.large_string()))
    assert [bytes(row) for row in column] == [link(key, "phone", value or "") for value in values]


def test_every_kind_that_a_contract_may_name_has_a_normalisation() -> None:
    assert set(LINK_KINDS) == set(get_args(LinkKind))


def test_tokens_of_two_purposes_are_unlinkable() -> None:
    linked = link(bytes(32), "citizen_number", "99010119500101002X")
    assert token(b"a" * 32, linked) != token(b"b" * 32, linked)


def test_content_marks_tell_absent_from_empty_and_do_not_shift() -> None:
    key = bytes(32)
    marks = {
        content_mark(key, row)
        for row in (["a", None], ["a", ""], [None, "a"], ["", "a"], ["a", "b"], ["ab", ""])
    }
    assert len(marks) == 6


def test_blobs_open_only_in_their_place() -> None:
    name = KeyName("quarantine/resident/1")
    sealed = seal_blob(bytes(64), name, "batch/1", b"row")
    assert open_blob(bytes(64), name, "batch/1", sealed) == b"row"
    for other_name, other_place in ((name, "batch/2"), (KeyName("quarantine/other/1"), "batch/1")):
        with pytest.raises(TamperedError):
            open_blob(bytes(64), other_name, other_place, sealed)

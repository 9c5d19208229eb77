"""Checkpoints as signed notes (C2SP): the two readings, ours and the verifier's, refuse the same."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from huanshu.auditlog import Signer
from huanshu.errors import HuanshuError, TamperedError
from huanshu.tlog import Checkpoint, key_id, parse_vkey, sign_note, split_note, vkey
from huanshu_verify.notes import NoteError, VerifierKey, open_checkpoint

ORIGIN = "qinghe.example/huanshu"
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHECKPOINT = Checkpoint(ORIGIN, 42, bytes(range(32)))
NOTE = SIGNER.checkpoint_note(CHECKPOINT)
origins = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
checkpoints = st.builds(Checkpoint, origins, st.integers(0, 2**53), st.binary(min_size=32, max_size=32))


@given(checkpoints)
def test_parse_undoes_text(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@given(checkpoints)
def test_a_signed_checkpoint_reads_back_twice(checkpoint: Checkpoint) -> None:
    note = SIGNER.checkpoint_note(checkpoint)
    assert SIGNER.read_checkpoint(checkpoint.origin, note) == checkpoint
    key = VerifierKey.parse(SIGNER.vkey(checkpoint.origin))
    assert open_checkpoint(note, key) == (checkpoint.size, checkpoint.root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n42\n",
        CHECKPOINT.text + "\n",
        CHECKPOINT.text + "extension\n",
        CHECKPOINT.text[:-1],
        CHECKPOINT.text.replace("42", "042"),
        CHECKPOINT.text.replace("42", "+42"),
        CHECKPOINT.text.replace("42", " 42"),
        CHECKPOINT.text.replace("42", "-1"),
        CHECKPOINT.text.replace("42", "4_2"),
        CHECKPOINT.text.replace("42", "٤٢"),
        CHECKPOINT.text.replace("42", "²"),
        CHECKPOINT.text.replace("42", ""),
        CHECKPOINT.text.replace(ORIGIN, ""),
        CHECKPOINT.text.replace("\n", "\r\n"),
        Checkpoint(ORIGIN, 42, bytes(31)).text,
        Checkpoint(ORIGIN, 42, bytes(33)).text,
        CHECKPOINT.text.replace("=\n", "\n"),
        f"{ORIGIN}\n42\nno base64!\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_by_both(text: str) -> None:
    with pytest.raises(TamperedError, match=r"tlog\.note\.malformed"):
        Checkpoint.parse(text)
    if text.endswith("\n"):
        note = sign_note(text, ORIGIN, SIGNER.public_key, SIGNER.sign)
        with pytest.raises(ValueError):  # noqa: PT011 - NoteError or what decoding raises: both are read as a problem
            open_checkpoint(note, VerifierKey.parse(SIGNER.vkey(ORIGIN)))


def test_every_single_character_change_is_refused_or_means_the_same() -> None:
    key = VerifierKey.parse(SIGNER.vkey(ORIGIN))
    refused = {"ours": 0, "theirs": 0}
    for place, there in enumerate(NOTE):
        for other in {"\n", " ", "A", "0", "=", "\u2014", "\x85", chr(ord(there) ^ 1)} - {there}:
            changed = NOTE[:place] + other + NOTE[place + 1 :]
            try:
                assert SIGNER.read_checkpoint(ORIGIN, changed) == CHECKPOINT
            except HuanshuError:
                refused["ours"] += 1
            try:
                assert open_checkpoint(changed, key) == (CHECKPOINT.size, CHECKPOINT.root)
            except ValueError:
                refused["theirs"] += 1
    assert min(refused.values()) > 6 * len(NOTE)


def test_every_removed_character_is_refused_or_means_the_same() -> None:
    refused = 0
    for place in range(len(NOTE)):
        try:
            assert SIGNER.read_checkpoint(ORIGIN, NOTE[:place] + NOTE[place + 1 :]) == CHECKPOINT
        except HuanshuError:
            refused += 1
    assert refused > len(NOTE) - 4


@pytest.mark.parametrize(
    "changed", ["", "\n\n", "no note", NOTE.replace("\n\n", "\n"), NOTE.split("\n\n")[0] + "\n\n"]
)
def test_a_note_without_our_signature_is_refused(changed: str) -> None:
    with pytest.raises(TamperedError):
        split_note(changed, ORIGIN, SIGNER.public_key)
    with pytest.raises(NoteError):
        open_checkpoint(changed, VerifierKey.parse(SIGNER.vkey(ORIGIN)))


def test_another_keys_signature_is_refused_and_a_second_one_beside_ours_is_not() -> None:
    other = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    foreign = other.checkpoint_note(CHECKPOINT)
    with pytest.raises(TamperedError):
        SIGNER.read_checkpoint(ORIGIN, foreign)
    witness = sign_note(CHECKPOINT.text, "witness", other.public_key, other.sign).split("\n\n")[1]
    for both in (NOTE + witness, CHECKPOINT.text + "\n" + witness + NOTE.split("\n\n")[1]):
        assert SIGNER.read_checkpoint(ORIGIN, both) == CHECKPOINT
        assert open_checkpoint(both, VerifierKey.parse(SIGNER.vkey(ORIGIN))) == (42, CHECKPOINT.root)


def test_a_forged_signature_is_evidence_of_tampering() -> None:
    forged = sign_note(CHECKPOINT.text, ORIGIN, SIGNER.public_key, lambda _: bytes(64))
    with pytest.raises(TamperedError):
        SIGNER.read_checkpoint(ORIGIN, forged)
    with pytest.raises(NoteError):
        open_checkpoint(forged, VerifierKey.parse(SIGNER.vkey(ORIGIN)))


@given(origins, st.binary(min_size=32, max_size=32))
def test_a_vkey_reads_back(name: str, public: bytes) -> None:
    assert parse_vkey(vkey(name, public)) == (name, public)
    theirs = VerifierKey.parse(vkey(name, public))
    assert (theirs.name, theirs.identity, theirs.public) == (name, key_id(name, public), public)


def test_a_vkey_that_does_not_bind_together_is_refused() -> None:
    good = vkey(ORIGIN, SIGNER.public_key)
    name, identity, key = good.split("+", 2)
    cosigner = base64.b64encode(b"\x04" + SIGNER.public_key).decode()
    for bad in ("", name, f"{name}+{identity}", f"other+{identity}+{key}", f"{name}+00000000+{key}",
                f"{name}+{identity}+{cosigner}", f"{name}+{identity}+{key[:-4]}", f"{name}+{identity}+é"):  # fmt: skip
        with pytest.raises(TamperedError):
            parse_vkey(bad)
        with pytest.raises(NoteError):
            VerifierKey.parse(bad)

"""Policies, cosignatures, proof files and fork proofs: what others write parses into one meaning or one error."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from huanshu.auditlog import Signer, require_signature
from huanshu.errors import ContentError, InputError
from huanshu.tlog import (
    Checkpoint,
    ForkProof,
    Frontier,
    GrowingTiles,
    ProofFile,
    TileHashes,
    Witness,
    consistency_proof,
    leaf_hash,
    parse_policy,
    vkey,
)
from huanshu.tlog.cosignatures import (
    add_checkpoint,
    answered_lines,
    answered_size,
    cosignature_line,
    cosignatures,
    cosigned_message,
    note_text,
)
from huanshu.tlog.notes import COSIGNATURE

ORIGIN = "qinghe.example/huanshu"
LOG = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 7)]
PUBLIC = [key.public_key().public_bytes_raw() for key in KEYS]
VKEYS = [vkey(f"w{n}.example/w", public, COSIGNATURE) for n, public in enumerate(PUBLIC)]
LOG_KEY = LOG.vkey(ORIGIN)

# The example of C2SP tlog-policy: two levels of groups.
TWO_LEVELS = "".join(
    [
        f"log {LOG_KEY} https://log.example/\n",
        "# witnesses, 见证方\n\n",
        *(f" witness\tX{n}  {VKEYS[n]}\n" for n in range(3)),
        "group X-witnesses 2 X0 X1 X2\n",
        *(f"witness Y{n} {VKEYS[n]} https://y{n}.example\n" for n in range(3, 6)),
        "group Y-witnesses any Y3 Y4 Y5\n",
        "group X-and-Y all X-witnesses Y-witnesses\n",
        "quorum X-and-Y\n",
    ]
)


def test_the_specifications_example_means_what_it_says() -> None:
    policy = parse_policy(TWO_LEVELS, "p")
    assert [w.label for w in policy.witnesses] == ["X0", "X1", "X2", "Y3", "Y4", "Y5"]
    assert policy.witnesses[3].url == "https://y3.example"
    assert policy.logs == (LOG_KEY,)
    assert policy.asks
    for labels, met in (
        ({"X0", "X1", "Y4"}, True),
        ({"X0", "X2", "Y3", "Y4"}, True),
        ({"X0", "X1", "X2"}, False),
        ({"X0", "Y3", "Y4", "Y5"}, False),
        (set(), False),
    ):
        assert policy.met(labels) is met, labels


def test_the_sample_is_two_of_three_and_none_asks_nobody() -> None:
    three = "".join(f"witness {'abc'[n]} {VKEYS[n]}\n" for n in range(3))
    policy = parse_policy(three + "group two 2 a b c\nquorum two\n", "p")
    assert [policy.met(set(labels)) for labels in ("", "a", "ab", "bc", "abc")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    none = parse_policy(three + "quorum none\n", "p")
    assert not none.asks
    assert none.met(set())
    assert parse_policy(f"witness a {VKEYS[0]}\nquorum a\n", "p").met({"a"})


A = f"witness a {VKEYS[0]}\n"
B = f"witness b {VKEYS[1]}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1), (A, 2), ("quorum a\n", 1), (A + "quorum b\n", 2), (A + "quorum a\nquorum a\n", 3), ("quorum\n", 1),
        (A + "quorum a b\n", 2), ("witnes a b\n", 1), ("witness a\n", 1), (f"witness none {VKEYS[0]}\n", 1),
        (f"witness a {LOG_KEY}\n", 1), (f"log {VKEYS[0]}\n", 1), (A + f"witness b {VKEYS[0]}\nquorum a\n", 2),
        (A + f"witness a {VKEYS[1]}\nquorum a\n", 2), (f"log {LOG_KEY}\nlog {LOG_KEY}\nquorum none\n", 2),
        (A + "group g 0 a\nquorum g\n", 2), (A + "group g 2 a\nquorum g\n", 2), (A + "group g x a\nquorum g\n", 2),
        (A + "group g ² a\nquorum g\n", 2), (A + "group g 1\nquorum g\n", 2), (A + "group g any b\n" + B, 2),
        (A + "group g any g\n", 2), (A + B + "group g any a b\ngroup h all a g\nquorum h\n", 4),
        (A + "group g any a a\nquorum g\n", 2), (A + "group a any a\nquorum a\n", 2), (A + "group none any a\n", 2),
        (A + "quorum\x0ba\n", 2), (A + "quorum a\r\n", 2), (f"witness a {VKEYS[0]} u v\nquorum a\n", 1),
        (A.replace("+", "-", 1) + "quorum a\n", 1), ("x" * 70_000, 1),
    ],
)  # fmt: skip
def test_a_malformed_policy_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ContentError) as refused:
        parse_policy(text, "audit/witnesses.policy")
    assert refused.value.code == "tlog.policy.malformed"
    assert str(refused.value.where) == f"audit/witnesses.policy:{line}"


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*TWO_LEVELS.split(), "\n", " "]), max_size=30).map(" ".join)
)
def test_any_text_is_a_policy_or_one_error(text: str) -> None:
    with suppress(ContentError):  # anything else is red
        assert parse_policy(text, "p").quorum


# -- cosignatures -----------------------------------------------------------------------------------------------------

CHECKPOINT = Checkpoint(ORIGIN, 42, bytes(range(32)))
NOTE = LOG.checkpoint_note(CHECKPOINT)
WITNESSES = [Witness(f"w{n}", f"w{n}.example/w", public) for n, public in enumerate(PUBLIC)]


def line_of(number: int, time: int = 1_700_000_000, text: str = CHECKPOINT.text) -> str:
    signature = KEYS[number].sign(cosigned_message(text, time))
    return cosignature_line(WITNESSES[number].name, PUBLIC[number], time, signature)


def test_good_cosignatures_are_found_among_others_lines() -> None:
    lines = [NOTE.split("\n\n")[1].strip(), line_of(2), line_of(0, 5), line_of(5), line_of(0, 9)]
    found = cosignatures(note_text(NOTE), lines, WITNESSES[:3], require_signature)
    assert [(c.witness.label, c.time) for c in found] == [("w2", 1_700_000_000), ("w0", 5)]


@pytest.mark.parametrize(
    "line",
    [
        line_of(0, text=Checkpoint(ORIGIN, 43, bytes(range(32))).text),
        cosignature_line(WITNESSES[0].name, PUBLIC[0], 7, KEYS[0].sign(cosigned_message(CHECKPOINT.text, 8))),
        cosignature_line(WITNESSES[0].name, PUBLIC[0], 7, KEYS[1].sign(cosigned_message(CHECKPOINT.text, 7))),
        cosignature_line(WITNESSES[0].name, PUBLIC[0], 0, KEYS[0].sign(cosigned_message(CHECKPOINT.text, 0))),
        cosignature_line(WITNESSES[0].name, PUBLIC[0], 7, b""),
        line_of(0)[:-8],
        line_of(0) + "é",
    ],
)
def test_a_known_witnesss_line_that_does_not_verify_is_refused(line: str) -> None:
    with pytest.raises(InputError):
        cosignatures(note_text(NOTE), [line], WITNESSES, require_signature)


def test_a_log_signature_is_no_cosignature_of_the_same_key() -> None:
    """The key id binds the type: a note signature cannot be passed off as a cosignature, nor the other way."""
    same = Witness("log", ORIGIN, LOG.public_key)
    lines = NOTE.split("\n\n")[1].splitlines()
    assert cosignatures(note_text(NOTE), lines, [same], require_signature) == []


def test_a_request_is_what_the_specification_shows() -> None:
    body = add_checkpoint(7, [bytes(32), bytes([1]) * 32], NOTE).decode()
    zero, one = (base64.b64encode(bytes([n]) * 32).decode() for n in (0, 1))
    assert body == f"old 7\n{zero}\n{one}\n\n{NOTE}"
    assert add_checkpoint(0, [], NOTE).decode() == f"old 0\n\n{NOTE}"


def test_answers() -> None:
    assert answered_size(b"20852014\n") == 20852014
    for bad in (b"", b"\n", b"7", b"-7\n", b"07\n", b"7\n\n", b"x\n", "²\n".encode(), b"1" * 30 + b"\n"):
        with pytest.raises(InputError):
            answered_size(bad)
    assert answered_lines((line_of(0) + "\n" + line_of(1) + "\n").encode()) == [line_of(0), line_of(1)]
    for bad in (b"x", line_of(0).encode(), b"\xff\n", b"\n\n", (line_of(0) + "\n").encode() * 999):
        with pytest.raises(InputError):
            answered_lines(bad)


# -- files for an auditor ---------------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**53),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.none() | st.binary(max_size=40),
)
def test_a_proof_file_reads_back(index: int, proof: tuple[bytes, ...], extra: bytes | None) -> None:
    made = ProofFile(index, proof, NOTE, extra)
    assert ProofFile.parse(made.text) == made


GOOD = ProofFile(5, (bytes(32), bytes([1]) * 32), NOTE).text


@pytest.mark.parametrize(
    "text",
    [
        "", "\n\n", GOOD.replace("@v1", "@v2"), GOOD.replace("index 5", "index 05"), GOOD.replace("index 5", "index"),
        GOOD.replace("index 5", "index -5"), GOOD.replace("index 5", "Index 5"), GOOD.replace("index 5\n", ""),
        GOOD.replace("index 5", "extra é\nindex 5"), GOOD.replace("AAAA", "AAA", 1), GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n\n", "\n", 1), GOOD.replace("index 5", "index 5\nindex 5"), GOOD.replace("index", "index "),
    ],
)  # fmt: skip
def test_what_is_no_proof_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"tlog\.proof\.malformed"):
        ProofFile.parse(text)


def tree(size: int, word: bytes = b"entry") -> tuple[bytes, TileHashes]:
    growing, tiles = GrowingTiles(), dict[str, bytes]()
    for index in range(size):
        tiles.update((t.path, raw) for t, raw in growing.append(leaf_hash(b"%s %d" % (word, index))))
        tiles.update((t.path, raw) for t, raw in growing.partial())
    return growing.root, TileHashes(size, lambda tile: tiles[tile.path])


def read(note: str) -> Checkpoint:
    return LOG.read_checkpoint(ORIGIN, note)


def note(size: int, root: bytes) -> str:
    return LOG.checkpoint_note(Checkpoint(ORIGIN, size, root))


@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 9), (256, 300), (1, 2)])
def test_two_trees_of_one_log_are_proven_and_one_tree_is_not(first: int, second: int) -> None:
    root, hashes = tree(second)
    prefix, _ = tree(first)
    other, _ = tree(first, b"other")
    proof = consistency_proof(hashes, first, second)
    fork = ForkProof.of(note(first, other), note(second, root), prefix, proof)
    assert ForkProof.parse(fork.text) == fork
    assert [c.size for c in fork.require(read)] == [first, second]
    stranger = Signer(KEYS[0])
    unsigned = stranger.checkpoint_note(Checkpoint(ORIGIN, first, other))
    for bad in (
        ForkProof.of(note(first, prefix), note(second, root), prefix, proof),
        ForkProof.of(note(first, other), note(second, root), other, proof),
        ForkProof.of(note(first, other), note(second, root), bytes(32), proof),
        ForkProof.of(unsigned, note(second, root), prefix, proof),
        ForkProof.of(note(first, other), unsigned, prefix, proof),
        ForkProof.of(note(0, Frontier().root), note(second, root), bytes(32), []),
        ForkProof.of(note(first, other), note(second, root), prefix, [*proof, bytes(32)]),
    ):
        with pytest.raises(InputError):
            bad.require(read)
    for text in (
        "",
        "{}",
        "[]",
        "{" * 9999,
        fork.text.replace('"v": 1', '"v": 2'),
        fork.text.replace("fork-", ""),
    ):
        with pytest.raises(InputError, match=r"tlog\.fork\.unproven"):
            ForkProof.parse(text)


def test_the_key_id_of_a_cosigner_is_the_specifications() -> None:
    raw = base64.b64decode(line_of(0, 7).split(" ")[2])
    assert struct.unpack(">Q", raw[4:12]) == (7,)
    assert VKEYS[0].split("+")[1] == raw[:4].hex()

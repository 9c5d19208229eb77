"""The witness alone: every answer of C2SP tlog-witness, and that it never goes back, whatever is killed or put back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from huanshu.auditlog import Signer, require_signature
from huanshu.errors import InputError
from huanshu.tlog import (
    Checkpoint,
    Frontier,
    GrowingTiles,
    TileHashes,
    Witness,
    consistency_proof,
    leaf_hash,
    require_consistency,
)
from huanshu.tlog.cosignatures import add_checkpoint as body_of
from huanshu.tlog.cosignatures import answered_lines, cosignatures, note_text
from huanshu.tlog.notes import COSIGNATURE, parse_vkey
from huanshu_witness import merkle
from huanshu_witness.carrying import answer_files
from huanshu_witness.deciding import Answer, add_checkpoint
from huanshu_witness.notes import Head
from huanshu_witness.state import State, StateError, create, know

ORIGIN = "qinghe.example/huanshu"
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NAME = "audit-office.example/w1"


class Log:
    """A growing log of small leaves, and a second one that departs from it at leaf 5."""

    def __init__(self, other_at: int | None = None) -> None:
        self._tiles: dict[str, bytes] = {}
        self.roots = [Frontier().root]
        growing = GrowingTiles()
        for index in range(300):
            word = b"other" if other_at is not None and index >= other_at else b"entry"
            self._tiles.update(
                (t.path, raw) for t, raw in growing.append(leaf_hash(b"%s %d" % (word, index)))
            )
            self._tiles.update((t.path, raw) for t, raw in growing.partial())
            self.roots.append(growing.root)

    def note(self, size: int) -> str:
        return SIGNER.checkpoint_note(Checkpoint(ORIGIN, size, self.roots[size]))

    def proof(self, old: int, size: int) -> list[bytes]:
        return consistency_proof(TileHashes(size, lambda tile: self._tiles[tile.path]), old, size)

    def body(self, old: int, size: int) -> bytes:
        return body_of(old, self.proof(old, size), self.note(size))


LOG, OTHER = Log(), Log(other_at=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "w", NAME, [SIGNER.vkey(ORIGIN)])
    return tmp_path / "w"


@pytest.fixture
def state(folder: Path) -> Iterator[State]:
    with State(folder) as opened:
        yield opened


def ask(state: State, body: bytes, at: float = 1_790_000_000.9) -> Answer:
    return add_checkpoint(state, body, lambda: at)


def size_of(state: State) -> int:
    head = state.head(ORIGIN)
    return 0 if head is None else head.size


def test_it_cosigns_a_growing_log_and_our_side_verifies_it(state: State) -> None:
    name, public = parse_vkey(state.vkey, COSIGNATURE)
    witness = Witness("w", name, public)
    old = 0
    for size in (1, 1, 2, 255, 256, 257, 300):
        answer = ask(state, LOG.body(old, size))
        assert answer.status == 200
        (good,) = cosignatures(
            note_text(LOG.note(size)), answered_lines(answer.body.encode()), [witness], require_signature
        )
        assert good.time == 1_790_000_000
        old = size
    for wrong in (LOG.note(299), OTHER.note(300)):
        with pytest.raises(InputError):
            cosignatures(note_text(wrong), answered_lines(answer.body.encode()), [witness], require_signature)


def test_every_refusal_of_the_specification(state: State) -> None:
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert ask(state, LOG.body(0, 10)).status == 200
    cases = {
        404: [body_of(0, [], SIGNER.checkpoint_note(Checkpoint("elsewhere.example/log", 1, LOG.roots[1])))],
        403: [
            body_of(10, [], stranger.checkpoint_note(Checkpoint(ORIGIN, 12, LOG.roots[12]))),
            LOG.body(10, 12).replace(LOG.note(12).split(" ")[-1].strip().encode()[-8:], b"AAAAAA=="),
            body_of(10, [], LOG.note(12).split("\n\n")[0] + "\n\n"),
        ],
        400: [
            b"", b"\n", b"old 10\n", LOG.body(10, 12).replace(b"old 10", b"old 010"),
            LOG.body(10, 12).replace(b"old 10", b"old -1"), LOG.body(10, 12).replace(b"old 10", b"10"),
            body_of(10, [bytes(31)], LOG.note(12)), body_of(10, [bytes(32)] * 64, LOG.note(12)),
            body_of(13, [], LOG.note(12)), b"\xff" + LOG.body(10, 12), LOG.body(10, 12)[:-1],
            LOG.body(10, 12) + b"x" * 70_000, LOG.body(10, 12).replace(b"\n12\n", b"\n+12\n"),
        ],
        409: [LOG.body(9, 12), LOG.body(0, 12), LOG.body(4, 4), LOG.body(11, 12)],
        422: [
            body_of(10, LOG.proof(10, 12)[:-1], LOG.note(12)), body_of(10, [], LOG.note(12)),
            body_of(10, [*LOG.proof(10, 12), bytes(32)], LOG.note(12)), OTHER.body(10, 12), OTHER.body(10, 10),
            body_of(10, [bytes(32)], LOG.note(10)),
        ],
    }  # fmt: skip
    for status, bodies in cases.items():
        for body in bodies:
            assert ask(state, body).status == status, body[:60]
    assert ask(state, LOG.body(9, 12)).body == "10\n"
    assert size_of(state) == 10
    assert ask(state, LOG.body(10, 12)).status == 200


def test_an_empty_tree_has_the_empty_root(state: State) -> None:
    assert ask(state, body_of(0, [], SIGNER.checkpoint_note(Checkpoint(ORIGIN, 0, bytes(32))))).status == 422
    assert ask(state, LOG.body(0, 0)).status == 200
    assert ask(state, body_of(0, [bytes(32)], LOG.note(3))).status == 422


def test_what_conflicts_is_kept_for_whoever_investigates(state: State, folder: Path) -> None:
    ask(state, LOG.body(0, 10))
    assert ask(state, OTHER.body(10, 12)).status == 422
    (kept,) = (folder / "conflicts").iterdir()
    told = json.loads(kept.read_text())
    assert (told["sent"], told["old"]) == (OTHER.note(12), 10)
    assert told["held"].startswith(LOG.note(10))


def test_what_it_signed_is_remembered_over_a_new_start_and_shown(folder: Path) -> None:
    with State(folder) as first:
        line = ask(first, LOG.body(0, 10)).body
    with State(folder) as again:
        assert size_of(again) == 10
        assert again.held(ORIGIN) == LOG.note(10) + line
        assert ask(again, LOG.body(0, 12)).status == 409
        with pytest.raises(StateError):
            again.advance(Head(ORIGIN, 9, bytes(32), ""), "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: (f / "state.json").unlink(),
        lambda f: (f / "state.json").write_text("[]"),
        lambda f: (f / "state.json").write_text('{"x": 1}'),
        lambda f: (f / "state.json").write_text(json.dumps({"other": LOG.note(3)})),
        lambda f: (f / "logs").write_text("no key\n"),
        lambda f: (f / "witness.key").chmod(0o644),
        lambda f: (f / "witness.key").write_text("no key"),
    ],
)
def test_a_spoilt_state_is_never_an_empty_one(folder: Path, spoil: Any) -> None:
    with State(folder) as state:
        ask(state, LOG.body(0, 10))
    spoil(folder)
    with pytest.raises(StateError), State(folder):
        pass


def test_the_next_origin_of_a_log_is_another_log_until_its_operator_names_it(folder: Path) -> None:
    """The same key under another name: unknown first, then witnessed from its own beginning; the old one stays as it was."""
    later = f"{ORIGIN}/2"
    note = SIGNER.checkpoint_note(Checkpoint(later, 7, OTHER.roots[7]))
    with State(folder) as state:
        assert ask(state, LOG.body(0, 9)).status == 200
        assert ask(state, body_of(0, [], note)).status == 404
        with pytest.raises(StateError):  # it is running
            know(folder, SIGNER.vkey(later))
    know(folder, SIGNER.vkey(later))
    for again in (SIGNER.vkey(later), SIGNER.vkey(ORIGIN)):
        with pytest.raises(StateError):
            know(folder, again)
    with State(folder) as state:
        assert ask(state, body_of(0, [], note)).status == 200
        heads = [state.head(origin) for origin in (ORIGIN, later)]
        assert [head and head.size for head in heads] == [9, 7]


def test_one_process_holds_it_and_a_second_key_is_not_made(folder: Path, state: State) -> None:
    with pytest.raises(StateError, match="another process"), State(folder):
        pass
    with pytest.raises(StateError, match="already"):
        create(folder, NAME, [])
    for name in ("", "a b", "a+b", "a\nb"):
        with pytest.raises(StateError):
            create(folder.parent / "x", name, [])


def test_nothing_is_signed_that_was_not_durably_remembered(state: State, monkeypatch: Any) -> None:
    ask(state, LOG.body(0, 10))
    monkeypatch.setattr("huanshu_witness.state.os.fsync", _full)
    with pytest.raises(OSError, match="full"):
        ask(state, LOG.body(10, 12))
    monkeypatch.undo()
    assert size_of(state) == 10


def _full(_: int) -> None:
    raise OSError("the disk is full")


def test_files_that_are_carried_are_answered_once_the_newest_first(state: State, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "9.add-checkpoint").write_bytes(LOG.body(0, 9))
    (stick / "10.add-checkpoint").write_bytes(LOG.body(0, 10))
    assert [(name, answer.status) for name, answer in answer_files(state, stick)] == [("10", 200)]
    assert (stick / "10.answer").read_text().startswith("200\n— " + NAME)
    assert answer_files(state, stick) == []
    (stick / "12.add-checkpoint").write_bytes(OTHER.body(10, 12))
    assert [answer.status for _, answer in answer_files(state, stick)] == [422]
    assert (stick / "12.answer").read_text() == f"422\n\n{state.held(ORIGIN)}"


@given(st.data())
def test_two_readings_of_consistency_agree(data: st.DataObject) -> None:
    """Ours by the iterative rule of RFC 9162, the witness's by the recursion of RFC 6962, over good and bad proofs."""
    size = data.draw(st.integers(2, 299))
    old = data.draw(st.integers(1, size - 1))
    proof = LOG.proof(old, size)
    at = data.draw(st.integers(0, len(proof)))
    tried = [proof, proof[:at] + proof[at + 1 :], [*proof[:at], bytes(32), *proof[at:]], proof[::-1]]
    for given_ in tried:
        for roots in (LOG.roots, OTHER.roots):
            theirs = merkle.consistent(old, LOG.roots[old], size, roots[size], given_)
            try:
                require_consistency(old, LOG.roots[old], size, roots[size], given_)
            except InputError:
                assert not theirs
            else:
                assert theirs
    assert merkle.consistent(old, LOG.roots[old], size, LOG.roots[size], proof)


def test_the_command_makes_shows_and_refuses(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "huanshu_witness", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, told = run("init", str(tmp_path / "w"), "--name", NAME, "--log", SIGNER.vkey(ORIGIN), "--json")
    assert code == 0
    made = json.loads(told)
    assert parse_vkey(made["vkey"], COSIGNATURE)[0] == NAME
    assert made["logs"] == [ORIGIN]
    assert run("init", str(tmp_path / "w"), "--name", NAME, "--log", SIGNER.vkey(ORIGIN))[0] == 3
    assert run("serve", str(tmp_path / "w"), "--host", "0.0.0.0", "--port", "0")[0] == 3
    assert run("show", str(tmp_path / "none"))[0] == 3
    assert run("nothing")[0] == 2
    assert "examples" in run("--help")[1]

"""What a witness answers to ``add-checkpoint``: the specification's conditions, in its order.

404 unknown origin · 403 not signed by the log · 400 malformed, or old size beyond the new · 409 not the size signed
last (the answer says it) · 422 no consistent tree · 200 the cosignature
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from huanshu_witness import merkle
from huanshu_witness.notes import (
    Head,
    NoteError,
    UnsignedError,
    cosign,
    hash_of,
    number,
    parse_head,
    require_signed,
    text_of,
)
from huanshu_witness.state import State

LARGEST = 64 * 1024
_MOST_HASHES = 63
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, and the type of the body."""

    status: int
    body: str = ""
    kind: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Asked:
    old: int
    proof: list[bytes]
    note: str
    head: Head


def add_checkpoint(state: State, body: bytes, clock: Callable[[], float]) -> Answer:
    """Decide one request. Its caller lets only one in at a time: comparing and remembering are one step."""
    try:
        asked = _parse(body)
    except NoteError:
        return Answer(400)
    key = state.logs.get(asked.head.origin)
    if key is None:
        return Answer(404)
    try:
        require_signed(asked.note, asked.head.text, key)
    except UnsignedError:
        return Answer(403)
    except NoteError:
        return Answer(400)
    if asked.old > asked.head.size:
        return Answer(400)
    before = state.head(asked.head.origin)
    known = before.size if before is not None else 0
    if asked.old != known:
        return Answer(409, f"{known}\n", SIZE_TYPE)
    if not _of_one_tree(before, asked):
        state.conflict(state.held(asked.head.origin), asked.note, asked.old)
        return Answer(422)
    line = cosign(state.name, state.key, asked.head.text, int(clock()))
    state.advance(asked.head, _signed_by_log_and_us(asked, key.origin, line))
    return Answer(200, line)


def _of_one_tree(before: Head | None, asked: _Asked) -> bool:
    head = asked.head
    if head.size == 0:
        return head.root == merkle.EMPTY and not asked.proof
    if asked.old == 0:
        return not asked.proof
    assert before is not None
    if asked.old == head.size:
        return head.root == before.root and not asked.proof
    return merkle.consistent(asked.old, before.root, head.size, head.root, asked.proof)


def _signed_by_log_and_us(asked: _Asked, origin: str, line: str) -> str:
    """The note to remember and to show: the log's signatures and ours, nobody else's."""
    signatures = asked.note[len(asked.head.text) + 1 :].splitlines()
    ours = "".join(f"{s}\n" for s in signatures if s.startswith(f"— {origin} "))
    return f"{asked.head.text}\n{ours}{line}"


def _parse(body: bytes) -> _Asked:
    if len(body) > LARGEST:
        raise NoteError("too long")
    try:
        head, found, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise NoteError("no UTF-8") from None
    lines = head.split("\n")
    if not found or not lines[0].startswith("old ") or len(lines) > _MOST_HASHES + 1:
        raise NoteError("no old size, or too many hashes")
    if any(ord(c) < 0x20 and c != "\n" for c in note) or not note.endswith("\n"):
        raise NoteError("the note holds control characters or does not end with a line")
    old, proof = number(lines[0][4:]), [hash_of(line) for line in lines[1:]]
    return _Asked(old, proof, note, parse_head(text_of(note)))

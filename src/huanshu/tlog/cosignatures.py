"""Cosignatures of witnesses: C2SP ``tlog-cosignature``, Ed25519 (type 0x04), and the bodies of C2SP ``tlog-witness``.

    cosignature/v1 LF · time <POSIX seconds> LF · the checkpoint's text        what a witness signs
    — <witness> base64(key id ‖ u64 time ‖ signature)                          the line it answers with
    old <size> LF · one base64 hash a line · LF · the checkpoint's note        what it is asked with

A cosignature says: of the log of that origin, this is the largest consistent tree I had seen at that time. The
primitive that checks a signature is handed in.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from huanshu.errors import InputError, Text
from huanshu.tlog.notes import COSIGNATURE, DASH, key_id

#: (public key, signature, message); raises InputError when the signature does not fit.
Check = Callable[[bytes, bytes, bytes], None]
_LENGTH = 4 + 8 + 64
#: The last second of the year 9999: beyond it no calendar of ours goes.
_LATEST = 253_402_300_799
#: No honest witness answers at greater length.
LARGEST_ANSWER = 16 * 1024


@dataclass(frozen=True, slots=True)
class Witness:
    """One witness as a policy names it. ``name`` is its key's name, ``label`` its name within the policy."""

    label: str
    name: str
    public_key: bytes
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's word, verified. ``line`` is the signature line it came in, without its newline."""

    witness: Witness
    time: int
    line: str


def cosigned_message(text: str, time: int) -> bytes:
    """What a witness signs of a checkpoint's text."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def note_text(note: str) -> str:
    """The signed text of a note, with its newline. InputError when there is none."""
    text, found, _ = note.rpartition("\n\n")
    if not found:
        raise _malformed()
    return text + "\n"


def note_lines(note: str) -> list[str]:
    """The signature lines of a note."""
    return note.rpartition("\n\n")[2].splitlines()


def cosignatures(
    text: str, lines: Sequence[str], known: Sequence[Witness], check: Check
) -> list[Cosignature]:
    """The good cosignatures of known witnesses over a checkpoint's text, at most one of each.

    Lines of unknown keys are passed over; a line that bears a known key's name and id and does not verify is an
    InputError: it was made to be taken for that witness's."""
    found: dict[str, Cosignature] = {}
    for line in lines:
        for witness in known:
            raw = _signature_of(line, witness)
            if raw is None or witness.label in found:
                continue
            if len(raw) != _LENGTH:
                raise _malformed()
            (time,) = struct.unpack(">Q", raw[4:12])
            if not 0 < time <= _LATEST:
                raise _malformed()
            check(witness.public_key, raw[12:], cosigned_message(text, time))
            found[witness.label] = Cosignature(witness, time, line)
    return list(found.values())


def cosignature_line(name: str, public_key: bytes, time: int, signature: bytes) -> str:
    """The line of a signature over ``cosigned_message``, without newline."""
    identity = key_id(name, public_key, COSIGNATURE)
    raw = identity + struct.pack(">Q", time) + signature
    return f"{DASH} {name} {base64.b64encode(raw).decode()}"


def add_checkpoint(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of ``add-checkpoint``: from the size a witness had, with the proof from there."""
    lines = [f"old {old}", *(base64.b64encode(hashed).decode() for hashed in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def answered_lines(body: bytes) -> list[str]:
    """The signature lines of a witness's 200. InputError when the body is something else."""
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError:
        raise _malformed() from None
    if len(body) > LARGEST_ANSWER or lines.pop() or not all(line.startswith(f"{DASH} ") for line in lines):
        raise _malformed()
    return lines


def answered_size(body: bytes) -> int:
    """The size of a witness's 409: the latest it has cosigned."""
    text = body.decode("ascii", "replace")
    size = text.removesuffix("\n")
    if not (size.isascii() and size.isdigit()) or len(size) > 18 or size != str(int(size)) or size == text:
        raise _malformed()
    return int(size)


def _signature_of(line: str, witness: Witness) -> bytes | None:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != DASH or name != witness.name:
        return None
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise _malformed() from None
    return raw if raw[:4] == key_id(witness.name, witness.public_key, COSIGNATURE) else None


def _malformed() -> InputError:
    return InputError(
        "tlog.cosignature.malformed",
        Text("what a witness answered is no cosignature", "见证方的答复不是有效的见证签名"),
        remedy=Text("ask who runs the witness which key it signs with", "请向见证方核实其签名密钥"),
    )

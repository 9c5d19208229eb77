"""C2SP signed-note and tlog-checkpoint, as far as a verifier needs them. Ed25519 only."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NoteError(ValueError):
    """The note or key does not hold; the message says which rule."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A note's verifier key (vkey)."""

    name: str
    identity: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str, kind: int = 1) -> VerifierKey:
        """A key of a signature type: 1 a log's, 4 a witness's."""
        pieces = text.strip().split("+", 2)
        if len(pieces) != 3:
            raise NoteError("a verifier key is name+hash+key")
        name, identity, encoded = pieces
        try:
            typed, named = base64.b64decode(encoded, validate=True), bytes.fromhex(identity)
        except (ValueError, binascii.Error):
            raise NoteError("the verifier key is not encoded as it should be") from None
        if len(typed) != 33 or typed[0] != kind:
            raise NoteError("the verifier key is no Ed25519 key")
        if hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4] != named:
            raise NoteError("the verifier key's hash is not its own")
        return cls(name, named, typed[1:])

    @classmethod
    def named(cls, name: str, public: bytes) -> VerifierKey:
        """A log's key under another of its origins."""
        return cls(name, hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4], public)


def open_any(note: str, key: VerifierKey) -> tuple[str, int, bytes]:
    """(origin, size, root) of a checkpoint that ``key`` has signed, under whatever origin it says. Raises NoteError."""
    origin = note.split("\n", 1)[0]
    if origin != key.name:
        key = VerifierKey.named(origin, key.public)
    return (origin, *open_checkpoint(note, key))


def open_checkpoint(note: str, key: VerifierKey) -> tuple[int, bytes]:
    """(size, root) of a checkpoint that ``key`` has signed. Raises NoteError."""
    cut = note.rfind("\n\n")
    if cut < 0:
        raise NoteError("the note has no signatures")
    body, signatures = note[: cut + 1], note[cut + 2 :]
    for line in signatures.split("\n"):
        words = line.split(" ")
        if len(words) == 3 and words[0] == "—" and words[1] == key.name:
            raw = base64.b64decode(words[2])
            if raw[:4] == key.identity:
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], body.encode())
                except InvalidSignature:
                    raise NoteError("the signature is not the log key's") from None
                return _parse(body, key.name)
    raise NoteError("the log's key has not signed this note")


def _parse(body: str, origin: str) -> tuple[int, bytes]:
    lines = body.split("\n")
    if len(lines) != 4 or lines[3] or lines[0] != origin:
        raise NoteError("the checkpoint is malformed")
    if not lines[1].isdigit() or lines[1] != str(int(lines[1])):
        raise NoteError("the checkpoint's size is no number")
    root = base64.b64decode(lines[2])
    if len(root) != 32:
        raise NoteError("the checkpoint's root is not 32 bytes")
    return int(lines[1]), root

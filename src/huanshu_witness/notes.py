"""C2SP signed-note, tlog-checkpoint and tlog-cosignature, as far as a witness needs them. Ed25519 only."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LOG, _COSIGNER = b"\x01", b"\x04"


class NoteError(ValueError):
    """The note, key or body is not what the specification asks for; the message says how."""


class UnsignedError(NoteError):
    """The note bears no good signature of the log's key."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's verifier key; its name is the log's origin."""

    origin: str
    identity: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> LogKey:
        pieces = text.strip().split("+", 2)
        if len(pieces) != 3 or not pieces[0]:
            raise NoteError("a verifier key is name+hash+key")
        typed = _decoded(pieces[2])
        if len(typed) != 33 or typed[:1] != _LOG:
            raise NoteError("a log's verifier key is an Ed25519 key of type 0x01")
        identity = _identity(pieces[0], typed)
        if identity.hex() != pieces[1]:
            raise NoteError("the verifier key's hash is not its own")
        return cls(pieces[0], identity, typed[1:])


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint: origin, size, root, and the text that was signed."""

    origin: str
    size: int
    root: bytes
    text: str


def parse_head(text: str) -> Head:
    """The checkpoint of a note's text; extension lines are allowed and meant nothing by."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise NoteError("the checkpoint has not its three lines")
    size = number(lines[1])
    root = _decoded(lines[2])
    if len(root) != 32:
        raise NoteError("the root is not 32 bytes")
    return Head(lines[0], size, root, text)


def text_of(note: str) -> str:
    """The signed text of a note."""
    cut = note.rfind("\n\n")
    if cut < 0:
        raise NoteError("the note has no signatures")
    return note[: cut + 1]


def require_signed(note: str, text: str, key: LogKey) -> None:
    """Raises UnsignedError unless the log's key has signed, and every line of that name and id is good."""
    good = False
    for line in note[len(text) + 1 :].split("\n"):
        words = line.split(" ")
        if len(words) == 3 and words[0] == "—" and words[1] == key.origin:
            raw = _decoded(words[2])
            if raw[:4] == key.identity:
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
                except InvalidSignature:
                    raise UnsignedError("the signature is not the log key's") from None
                good = True
    if not good:
        raise UnsignedError("the log's key has not signed this checkpoint")


def cosign(name: str, key: Ed25519PrivateKey, text: str, seconds: int) -> str:
    """The signature line, with its newline."""
    public = key.public_key().public_bytes_raw()
    signature = key.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    raw = _identity(name, _COSIGNER + public) + seconds.to_bytes(8, "big") + signature
    return f"— {name} {base64.b64encode(raw).decode()}\n"


def cosigner_vkey(name: str, public: bytes) -> str:
    """What a log's policy names this witness by."""
    typed = _COSIGNER + public
    return f"{name}+{_identity(name, typed).hex()}+{base64.b64encode(typed).decode()}"


def number(text: str) -> int:
    """A decimal without sign and leading zeros, below 2^63."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or text != str(int(text)):
        raise NoteError("a size is no decimal number")
    if int(text) >= 1 << 63:
        raise NoteError("a size is too large")
    return int(text)


def hash_of(text: str) -> bytes:
    """A proof line's hash."""
    raw = _decoded(text)
    if len(raw) != 32:
        raise NoteError("a proof's hash is not 32 bytes")
    return raw


def _identity(name: str, typed: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise NoteError("something is no base64") from None

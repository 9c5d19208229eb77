"""Checkpoints as signed notes: C2SP ``tlog-checkpoint`` in C2SP ``signed-note``, Ed25519 (type 0x01).

    <origin>\\n<size>\\n<base64 root>\\n          the text, ends with a newline
    \\n                                         an empty line
    — <key name> <base64(key id ‖ signature)>\\n

The signature primitive is handed in; this module only builds and takes apart text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from huanshu.errors import TamperedError, Text

ED25519: Final = b"\x01"
COSIGNATURE: Final = b"\x04"
DASH: Final = "\u2014"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: ``size`` entries under ``root`` (32 bytes), for the log named ``origin``."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Inverse of ``text`` (extension lines are refused). Raises TamperedError."""
        lines = text.split("\n")
        try:
            origin, size, root, end = lines
            made = cls(origin, int(size), base64.b64decode(root, validate=True))
        except ValueError:
            raise _malformed() from None
        if end or not origin or size.startswith("-") or len(made.root) != 32 or made.text != text:
            raise _malformed()
        return made


def key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """First 4 bytes of SHA-256(name ‖ 0x0A ‖ signature type ‖ public key), C2SP signed-note."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:4]


def vkey(name: str, public_key: bytes, kind: bytes = ED25519) -> str:
    """The verifier key's text form: name+hash+base64(type ‖ key)."""
    return f"{name}+{key_id(name, public_key, kind).hex()}+{base64.b64encode(kind + public_key).decode()}"


def parse_vkey(text: str, kind: bytes = ED25519) -> tuple[str, bytes]:
    """(name, 32-byte Ed25519 public key) of a key of that signature type. Raises TamperedError when the text does not
    bind together."""
    try:
        name, identity, encoded = text.split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise _malformed() from None
    if raw[:1] != kind or len(raw) != 33 or key_id(name, raw[1:], kind).hex() != identity:
        raise _malformed()
    return name, raw[1:]


def sign_note(text: str, name: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> str:
    """The signed note of ``text`` (which ends with a newline)."""
    signature = base64.b64encode(key_id(name, public_key) + sign(text.encode())).decode()
    return f"{text}\n{DASH} {name} {signature}\n"


def split_note(note: str, name: str, public_key: bytes) -> tuple[str, bytes]:
    """(text, signature by that key). Raises TamperedError when the note carries none."""
    text, found, signatures = note.rpartition("\n\n")
    if found:
        for line in signatures.splitlines():
            dash, _, rest = line.partition(" ")
            signer, _, encoded = rest.partition(" ")
            try:
                raw = base64.b64decode(encoded, validate=True)
            except ValueError:
                raise _malformed() from None
            if dash == DASH and signer == name and raw[:4] == key_id(name, public_key):
                return text + "\n", raw[4:]
    raise _malformed()


def _malformed() -> TamperedError:
    return TamperedError(
        "tlog.note.malformed",
        Text("a checkpoint or key is malformed or unsigned", "检查点或密钥格式有误，或缺少签名"),
    )

"""The log's signing key: Ed25519 (RFC 8032), in a PKCS #8 file that only the keeper's OS user can read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from huanshu.errors import InputError, TamperedError, Text, UnavailableError
from huanshu.tlog import Checkpoint, sign_note, split_note, vkey


def create_signing_key(path: Path) -> None:
    """Write a fresh private key (PKCS #8 PEM, mode 0600); refuses to replace one."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs messages and checkpoints. Never prints its key."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Signer:
        try:
            if path.stat().st_mode & 0o077:
                raise UnavailableError(
                    "auditlog.key.unusable",
                    Text(f"{path.name} is readable by others", f"{path.name} 可被他人读取"),
                    remedy=Text("make it mode 0600", "请改为 0600"),
                )
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError):
            raise UnavailableError(
                "auditlog.key.unusable", Text(f"{path.name} cannot be read", f"无法读取 {path.name}")
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UnavailableError(
                "auditlog.key.unusable", Text(f"{path.name} is no Ed25519 key", "不是 Ed25519 密钥")
            )
        return cls(key)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def vkey(self, origin: str) -> str:
        return vkey(origin, self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)

    def checkpoint_note(self, checkpoint: Checkpoint) -> str:
        return sign_note(checkpoint.text, checkpoint.origin, self.public_key, self._key.sign)

    def read_checkpoint(self, origin: str, note: str) -> Checkpoint:
        """The checkpoint of a note that this key signed. TamperedError when it did not: our own notes come
        from no sender who could be asked to send a better one."""
        text, signature = split_note(note, origin, self.public_key)
        try:
            require_signature(self.public_key, signature, text.encode())
            checkpoint = Checkpoint.parse(text)
        except (InputError, UnicodeEncodeError):
            raise _not_ours() from None
        if checkpoint.origin != origin:
            raise _not_ours()
        return checkpoint


def require_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Raises InputError ``auditlog.signature.invalid`` unless the Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise InputError(
            "auditlog.signature.invalid",
            Text("the signature does not fit the message and key", "签名与内容或公钥不符"),
            remedy=Text(
                "ask the sender by a second way whether this is its message, and which key it signs with",
                "另行向报送方核实：是否为其所发，以及所用密钥",
            ),
        ) from None


def _not_ours() -> TamperedError:
    return TamperedError(
        "auditlog.checkpoint.forged",
        Text("a checkpoint is not signed by the log's key", "检查点并非日志密钥所签"),
        remedy=Text("run huanshu-verify and tell security staff", "运行 huanshu-verify 并通知安全人员"),
    )

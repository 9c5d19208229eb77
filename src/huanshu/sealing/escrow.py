"""Secrets kept apart under a passphrase: the root key and the log's key in a backup.

scrypt (RFC 7914; N = 2^17, r = 8, p = 1) makes an AES-SIV key (RFC 5297) of the passphrase; ``bound`` says what the
secrets belong to. So they open only with the passphrase and only beside the very files that they were stored with.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from huanshu.errors import InputError, Text

_SALT: Final = 16
_WHAT: Final = b"huanshu/escrow/1"
SHORTEST: Final = 16


def seal_apart(passphrase: str, bound: bytes, secret: bytes) -> bytes:
    """``secret`` under the passphrase, after a fresh salt. InputError for a passphrase that is too short."""
    require_long(passphrase)
    salt = os.urandom(_SALT)
    return salt + _key(passphrase, salt).encrypt(secret, [_WHAT, salt, bound])


def require_long(passphrase: str) -> None:
    """InputError for a passphrase that can be guessed."""
    if len(passphrase) < SHORTEST:
        raise InputError(
            "sealing.passphrase.short",
            Text(f"a passphrase has at least {SHORTEST} characters", f"口令至少 {SHORTEST} 个字符"),
            remedy=Text("take six random words, and keep them on paper", "建议用六个随机词，并抄存在纸上"),
        )


def open_apart(passphrase: str, bound: bytes, sealed: bytes) -> bytes:
    """Inverse. One and the same InputError for a wrong passphrase and for files that are not those of these keys."""
    try:
        salt = sealed[:_SALT]
        return _key(passphrase, salt).decrypt(sealed[_SALT:], [_WHAT, salt, bound])
    except (InvalidTag, ValueError):
        raise InputError(
            "sealing.escrow.refused",
            Text(
                "the passphrase does not open these keys, or the backup's files are not those they were stored with",
                "口令无法打开密钥，或备份文件与密钥不是同一套",
            ),
            remedy=Text(
                "try the passphrase again; otherwise take another copy", "请重试口令；否则改用另一份备份"
            ),
        ) from None


def _key(passphrase: str, salt: bytes) -> AESSIV:
    return AESSIV(Scrypt(salt=salt, length=64, n=1 << 17, r=8, p=1).derive(passphrase.encode()))

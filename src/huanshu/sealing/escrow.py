"""Secrets kept apart under a passphrase: root key and log key in a backup; the root key for another office.

scrypt (RFC 7914; N = 2^17, r = 8, p = 1) makes an AES-SIV key (RFC 5297) of a passphrase; ``bound`` says what the
secrets belong to: they open only with the passphrase, and only beside the very files that they were stored with.

Among custodians, two of three: each has a passphrase and a salt of his own; for each pair the secret is sealed under
the one's key, and that again under the other's. Any two open it, one alone opens nothing. No secret is shared out by
arithmetic: three copies, each under two standard locks, are all there is to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from huanshu.errors import InputError, Text

CUSTODIANS: Final = 3
_PAIRS: Final = ((0, 1), (0, 2), (1, 2))
_AMONG: Final = b"huanshu/custodians/1"
_SALT: Final = 16
_WHAT: Final = b"huanshu/escrow/1"
SHORTEST: Final = 16


def seal_apart(passphrase: str, bound: bytes, secret: bytes) -> bytes:
    """``secret`` under the passphrase, after a fresh salt. InputError for a passphrase that is too short."""
    require_long(passphrase)
    salt = os.urandom(_SALT)
    return salt + _key(passphrase, salt).encrypt(secret, [_WHAT, salt, bound])


def seal_among(passphrases: Sequence[str], bound: bytes, secret: bytes) -> bytes:
    """``secret`` for three custodians, as JSON. InputError for passphrases that are too short, equal, or not three."""
    if len(passphrases) != CUSTODIANS or len(set(passphrases)) != CUSTODIANS:
        raise InputError(
            "sealing.custodians.wrong",
            Text("three custodians have three different passphrases", "须有三名保管人，口令各不相同"),
        )
    for passphrase in passphrases:
        require_long(passphrase)
    salts = [os.urandom(_SALT) for _ in passphrases]
    locks = [_key(passphrase, salt) for passphrase, salt in zip(passphrases, salts, strict=True)]
    copies = {}
    for one, other in _PAIRS:
        inner = locks[other].encrypt(secret, [_AMONG, bound, salts[other], b"inner"])
        copies[f"{one}{other}"] = locks[one].encrypt(inner, [_AMONG, bound, salts[one], b"outer"]).hex()
    made = {"v": 1, "salts": [salt.hex() for salt in salts], "copies": copies}
    return json.dumps(made, indent=1).encode()


def open_among(passphrases: Sequence[str], bound: bytes, copy: bytes) -> bytes:
    """Inverse, by two of the three in any order. One and the same InputError for wrong ones and for another copy."""
    try:
        told = json.loads(copy)
        salts = [bytes.fromhex(salt) for salt in told["salts"]]
        for one, other in ((o, t) for pair in _PAIRS for o, t in (pair, pair[::-1])):
            first, second = (one, other) if one < other else (other, one)
            given = dict(zip((one, other), passphrases, strict=True))
            with suppress(InvalidTag):
                outer = _key(given[first], salts[first])
                inner = outer.decrypt(
                    bytes.fromhex(told["copies"][f"{first}{second}"]), [_AMONG, bound, salts[first], b"outer"]
                )
                lock = _key(given[second], salts[second])
                return lock.decrypt(inner, [_AMONG, bound, salts[second], b"inner"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        pass
    raise InputError(
        "sealing.escrow.refused",
        Text(
            "these two passphrases do not open this copy, or it is another log's",
            "两个口令无法打开此备存，或其属于另一日志",
        ),
        remedy=Text("ask another custodian, or take another copy", "请联系另一名保管人，或改用另一份备存"),
    )


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

"""Names and wrapping of keys.

A key's *name* says everything it may be used for, and wrapping binds it: AES-SIV (RFC 5297, made for key
wrapping) under the root key with the name as associated data. A wrapped key moved under another name
does not unwrap. Keys are random; nothing is derived, so destroying one wrapped key destroys its data.

    data/<domain>/<dataset>/<field>/<epoch>   64 bytes, AES-256-SIV, cells of one field of one domain
    quarantine/<dataset>/<epoch>              64 bytes, sealed source rows
    bitmap/<epoch>                            64 bytes, subject bitmaps beside the log
    link/<kind>                               32 bytes, AES-256-CMAC
    token/<purpose>/<kind>                    32 bytes, AES-256-CMAC
    content/<dataset>                         32 bytes, AES-256-CMAC
    workbook/<domain>/<dataset>               32 bytes, AES-256-CMAC

The ``repr`` of everything here is free of key bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from huanshu.errors import TamperedError, Text

KeyName = NewType("KeyName", str)

_SIZES: Final = {"data": 64, "quarantine": 64, "bitmap": 64, "link": 32, "token": 32, "content": 32,
                 "workbook": 32}  # fmt: skip
ROOT_KEY_BYTES: Final = 64


def data_key(domain: str, dataset: str, field_name: str, epoch: int) -> KeyName:
    return KeyName(f"data/{domain}/{dataset}/{field_name}/{epoch}")


def quarantine_key(dataset: str, epoch: int) -> KeyName:
    return KeyName(f"quarantine/{dataset}/{epoch}")


def bitmap_key(epoch: int) -> KeyName:
    return KeyName(f"bitmap/{epoch}")


def link_key(kind: str) -> KeyName:
    return KeyName(f"link/{kind}")


def token_key(purpose: str, kind: str) -> KeyName:
    return KeyName(f"token/{purpose}/{kind}")


def content_key(dataset: str) -> KeyName:
    return KeyName(f"content/{dataset}")


def workbook_key(domain: str, dataset: str) -> KeyName:
    return KeyName(f"workbook/{domain}/{dataset}")


def new_key(name: KeyName) -> bytes:
    """Fresh random bytes of the size that the name's use asks for."""
    return secrets.token_bytes(_SIZES[name.split("/", 1)[0]])


def new_root_key() -> bytes:
    return secrets.token_bytes(ROOT_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Root:
    """The root key, able to wrap and unwrap and nothing else."""

    _key: bytes = field(repr=False)

    def wrap(self, name: KeyName, key: bytes) -> bytes:
        return AESSIV(self._key).encrypt(key, [b"huanshu/wrap/1", name.encode()])

    def unwrap(self, name: KeyName, wrapped: bytes) -> bytes:
        try:
            return AESSIV(self._key).decrypt(wrapped, [b"huanshu/wrap/1", name.encode()])
        except (InvalidTag, ValueError):
            raise TamperedError(
                "sealing.key.refused",
                Text(
                    f"the wrapped key {name} does not belong to this root key",
                    f"封装密钥 {name} 与根密钥不符",
                ),
                remedy=Text("restore keys and root from one backup", "请从同一份备份恢复密钥与根密钥"),
            ) from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys on loan for one chunk. Hand it over, use it, drop it; it never prints."""

    _keys: Mapping[KeyName, bytes] = field(repr=False)

    def __getitem__(self, name: KeyName) -> bytes:
        try:
            return self._keys[name]
        except KeyError:
            raise TamperedError(
                "sealing.key.not_lent",
                Text(f"the key {name} is not on loan", f"密钥 {name} 未被借出"),
                remedy=Text(
                    "ask the keeper with a ticket that names it", "请凭载明该密钥的入链凭据向钥匙保管申请"
                ),
            ) from None

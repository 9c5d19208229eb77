"""Names and wrapping of keys.

A key's *name* says everything it may be used for, and wrapping binds it: deterministic authenticated encryption
(AES-SIV, RFC 5297, made for key wrapping; SM4-CCM under profile sm) under the root key with the name bound, or AES-GCM
inside a device that keeps the root key (``device``).
A wrapped key moved under another name does not unwrap. Keys are random; nothing is derived, so destroying one wrapped
key destroys its data.

    data/<domain>/<dataset>/<field>/<epoch>   to seal: cells of one field of one domain
    quarantine/<dataset>/<epoch>              to seal: source rows
    bitmap/<epoch>                            to seal: subject bitmaps beside the log
    link/<kind>                               a MAC, over the identifier
    link/<kind>/<generation>                  a MAC, over the link of the generation before (2, 3, …)
    token/<purpose>/<kind>                    a MAC
    content/<dataset>                         a MAC
    workbook/<domain>/<dataset>               a MAC

Of what algorithm a key is, and how long, says ``suites``: it is born of its root key's profile.

The ``repr`` of everything here is free of key bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NewType, Protocol

from cryptography.exceptions import InvalidTag

from huanshu.errors import TamperedError, Text
from huanshu.sealing.escrow import seal_among
from huanshu.sealing.suites import Profile, aead, fresh, suite_of

KeyName = NewType("KeyName", str)

_USES: Final[Mapping[str, Literal["seal", "mac"]]] = {
    "data": "seal", "quarantine": "seal", "bitmap": "seal", "link": "mac", "token": "mac", "content": "mac",
    "workbook": "mac",
}  # fmt: skip


def data_key(domain: str, dataset: str, field_name: str, epoch: int) -> KeyName:
    return KeyName(f"data/{domain}/{dataset}/{field_name}/{epoch}")


def quarantine_key(dataset: str, epoch: int) -> KeyName:
    return KeyName(f"quarantine/{dataset}/{epoch}")


def bitmap_key(epoch: int) -> KeyName:
    return KeyName(f"bitmap/{epoch}")


def link_key(kind: str, generation: int = 1) -> KeyName:
    return KeyName(f"link/{kind}" if generation == 1 else f"link/{kind}/{generation}")


def link_keys(kind: str, generation: int) -> list[KeyName]:
    """The keys that a link of this generation goes through, first to last."""
    return [link_key(kind, age) for age in range(1, generation + 1)]


def token_key(purpose: str, kind: str) -> KeyName:
    return KeyName(f"token/{purpose}/{kind}")


def content_key(dataset: str) -> KeyName:
    return KeyName(f"content/{dataset}")


def workbook_key(domain: str, dataset: str) -> KeyName:
    return KeyName(f"workbook/{domain}/{dataset}")


def new_key(name: KeyName, profile: Profile = "aes") -> bytes:
    """A fresh random key for what the name says, of this profile."""
    return fresh(profile, _USES[name.split("/", 1)[0]])


#: How long a root key is, with its mark.
ROOT_KEY_BYTES: Final[Mapping[Profile, int]] = {"aes": 64, "sm": 36}


def new_root_key(profile: Profile = "aes") -> bytes:
    return fresh(profile, "seal")


class RootKey(Protocol):
    """The root key, wherever it lives: able to wrap and unwrap and nothing else."""

    @property
    def profile(self) -> Profile:
        """Of which all keys are that it wraps."""

    def wrap(self, name: KeyName, key: bytes) -> bytes:
        """``key`` bound to its name."""

    def unwrap(self, name: KeyName, wrapped: bytes) -> bytes:
        """Inverse; TamperedError for what does not belong to this root or this name."""

    def close(self) -> None:
        """Let go of where it lives."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root key of a file; what it wraps with says ``suites``."""

    _key: bytes = field(repr=False)

    @property
    def whole(self) -> bool:
        """Whether it is a root key at all: as long as one, and marked as its profile's are."""
        try:
            return len(self._key) == ROOT_KEY_BYTES[self.profile]
        except ValueError:
            return False

    @property
    def profile(self) -> Profile:
        """Of which all keys are that it wraps."""
        return suite_of(self._key).profile

    def wrap(self, name: KeyName, key: bytes) -> bytes:
        return aead(self._key).encrypt(key, [b"huanshu/wrap/1", name.encode()])

    def sealed_among(self, passphrases: Sequence[str], bound: bytes) -> bytes:
        """A copy for custodians (``escrow.seal_among``): the one way in which a root key leaves."""
        return seal_among(passphrases, bound, self._key)

    def unwrap(self, name: KeyName, wrapped: bytes) -> bytes:
        try:
            return aead(self._key).decrypt(wrapped, [b"huanshu/wrap/1", name.encode()])
        except (InvalidTag, ValueError):
            raise foreign_key(name) from None

    def close(self) -> None:
        """A file's key lives in this object alone, and goes with it."""


def root_of(raw: bytes) -> RootKey:
    """The root key that a recovered copy holds: a file's. A device's has no copy."""
    return Root(raw)


def foreign_key(name: KeyName) -> TamperedError:
    """The one error for a wrapped key that does not unwrap."""
    return TamperedError(
        "sealing.key.refused",
        Text(f"the wrapped key {name} does not belong to this root key", f"封装密钥 {name} 与根密钥不符"),
        remedy=Text("restore keys and root from one backup", "请从同一份备份恢复密钥与根密钥"),
    )


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys on loan for one chunk. Hand it over, use it, drop it; it never prints."""

    _keys: Mapping[KeyName, bytes] = field(repr=False)

    @property
    def growth(self) -> int:
        """By how many bytes the cells of its data keys, which are of one profile, are longer than padded values."""
        (growth,) = {suite_of(key).growth for name, key in self._keys.items() if name.startswith("data/")}
        return growth

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

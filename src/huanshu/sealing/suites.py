"""What a key is for: it says so itself, by its length and its first bytes. A cell never does.

So nothing that an attacker can write chooses an algorithm: a cell has no header, and a key lies wrapped under its name.

    AES      32, 48 or 64 bytes, AES-SIV (RFC 5297); 16, 24 or 32 bytes where a MAC is wanted, AES-CMAC
    SM4      ``sm4:`` and 32 bytes, SM4-CCM (RFC 8998; ``ccm``); ``sm4:`` and 16 bytes, SM4-CMAC (GB/T 15852.1)

The platform's own AES keys have 64 and 32 bytes. A *profile* is what a deployment's keys are born as, once and for
all: its root key says which.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import Final, Literal, Protocol

from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4

from huanshu.sealing.ccm import Sm4Ccm

#: What ``policies/keys.yaml`` calls it.
Profile = Literal["aes", "sm"]

SM4_MARK: Final = b"sm4:"
_MARKED_SEAL: Final = len(SM4_MARK) + 32
_MARKED_MAC: Final = len(SM4_MARK) + 16
_BYTES: Final = {"aes": {"seal": 64, "mac": 32}, "sm": {"seal": 32, "mac": 16}}


class Suite(Enum):
    """How values are sealed; the value is by how many bytes a cell is longer than what it holds."""

    AES_SIV = 16
    SM4_CCM = 28

    @property
    def growth(self) -> int:
        return int(self.value)

    @property
    def profile(self) -> Profile:
        return "aes" if self is Suite.AES_SIV else "sm"


class Aead(Protocol):
    """Deterministic authenticated encryption with several associated strings: the interface of RFC 5297."""

    def encrypt(self, data: bytes, associated_data: Sequence[bytes] | None) -> bytes: ...

    def decrypt(self, data: bytes, associated_data: Sequence[bytes] | None) -> bytes:
        """InvalidTag, or ValueError, when it does not fit."""
        ...


def suite_of(key: bytes) -> Suite:
    """ValueError for what is no key to seal with."""
    if len(key) == _MARKED_SEAL and key.startswith(SM4_MARK):
        return Suite.SM4_CCM
    if len(key) in {32, 48, 64}:
        return Suite.AES_SIV
    raise ValueError


def growth_of(profile: Profile) -> int:
    """By how many bytes a cell is longer than a padded value."""
    return (Suite.AES_SIV if profile == "aes" else Suite.SM4_CCM).growth


class HeldKey(bytes):
    """A key that its holder keeps anyway, as the keeper does: its cipher is made once, and goes when the key goes.
    To seal one value, making the cipher would cost more than using it."""

    @cached_property
    def cipher(self) -> Aead:
        return aead(bytes(self))


def aead(key: bytes) -> Aead:
    """The cipher that this key is for."""
    if isinstance(key, HeldKey):
        return key.cipher
    if suite_of(key) is Suite.SM4_CCM:
        return Sm4Ccm(key[len(SM4_MARK) :])
    return AESSIV(key)


def block_algorithm(key: bytes) -> AES | SM4:
    """The block cipher of a key for MACs. ValueError for what is none."""
    if len(key) == _MARKED_MAC and key.startswith(SM4_MARK):
        return SM4(key[len(SM4_MARK) :])
    return AES(key)


def openssl() -> str:
    """What computes AES, SM4, SM3 and Ed25519 here."""
    return backend.openssl_version_text()


def fresh(profile: Profile, use: Literal["seal", "mac"]) -> bytes:
    """Random bytes of the operating system, marked as this profile's."""
    made = secrets.token_bytes(_BYTES[profile][use])
    return made if profile == "aes" else SM4_MARK + made

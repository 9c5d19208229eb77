"""Keys under a passphrase, read again from docs/FORMAT.md, 16, with bare primitives."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from huanshu.errors import InputError
from huanshu.sealing.escrow import open_apart, seal_apart

PASSPHRASE, BOUND, SECRET = "六个随机词 correct horse battery", b"manifest", b"\x00" * 64


def test_another_reader_opens_what_we_sealed() -> None:
    sealed = seal_apart(PASSPHRASE, BOUND, SECRET)
    salt = sealed[:16]
    key = hashlib.scrypt(PASSPHRASE.encode(), salt=salt, n=1 << 17, r=8, p=1, dklen=64, maxmem=1 << 28)
    assert AESSIV(key).decrypt(sealed[16:], [b"huanshu/escrow/1", salt, BOUND]) == SECRET
    assert open_apart(PASSPHRASE, BOUND, sealed) == SECRET
    assert seal_apart(PASSPHRASE, BOUND, SECRET)[:16] != salt


def test_everything_that_does_not_belong_has_one_answer() -> None:
    sealed = seal_apart(PASSPHRASE, BOUND, SECRET)
    told = set()
    for given in (
        (PASSPHRASE + "!", BOUND, sealed), (PASSPHRASE, b"other", sealed), (PASSPHRASE, BOUND, b""),
        (PASSPHRASE, BOUND, sealed[:-1]), (PASSPHRASE, BOUND, bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            open_apart(*given)
        told.add(str(refused.value))
    assert len(told) == 1
    assert "sealing.escrow.refused" in told.pop()

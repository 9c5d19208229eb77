"""SM4-CCM (RFC 8998; NIST SP 800-38C), one value at a time, with a nonce that only the same input repeats.

Rules
    Key: 32 bytes, the first half for the nonce, the second for CCM. A tag of 16 bytes, a nonce of 12, as RFC 8998.
    The associated strings a1 … an become one: H(a1) ‖ … ‖ H(an-1) ‖ an, H being the first 18 bytes of SM3. All are as
    long, so no two lists become the same one as long as n is; with their length and a row, 18 bytes are two blocks.
    nonce  = the first 12 bytes of S2V (RFC 5297, over SM4-CMAC) of a1 … an and the plaintext
    sealed = nonce ‖ SM4-CCM(nonce, associated, plaintext)
Theory
    CCM is broken by one nonce under two plaintexts. Numbers of rows would repeat when a snapshot is put back or an
    aborted write is done again; random ones depend on a generator that a cloned machine may share. A pseudo-random
    function of everything that is sealed repeats for equal input, and then the cells are equal too; else by chance:
    n values under one key, n² / 2^97. A reader takes the nonce as it lies there: to him this is RFC 8998 and no more.
Limits
    A plaintext has less than 2^24 bytes, associated data less than 65 280. The library's SM4 is called in its modes
    CBC (whose last block under a zero IV is CCM's MAC) and CTR; there is no block cipher here.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SM3, Hash

NONCE: Final = 12
TAG: Final = 16
#: How much of a SM3 value is bound.
SHORTENED: Final = 18
_BLOCK: Final = 16
#: CCM's flags for associated data, a tag of 16 and a length of 3 bytes; and those of its counters.
FLAGS: Final = 0x40 | (TAG - 2) // 2 << 3 | 2
COUNTER_FLAGS: Final = 2
_LONGEST: Final = 1 << 24
_LONGEST_ASSOCIATED: Final = 0xFF00


class Sm4Ccm:
    """The interface of the library's ``AESSIV``."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 2 * _BLOCK:
            raise ValueError
        self._nonce_key, self._key = key[:_BLOCK], key[_BLOCK:]

    def encrypt(self, data: bytes, associated_data: Sequence[bytes] | None) -> bytes:
        strings = associated_data or ()
        nonce = _s2v(self._nonce_key, [*strings, data])[:NONCE]
        return nonce + ccm_encrypt(self._key, nonce, data, associated(strings))

    def decrypt(self, data: bytes, associated_data: Sequence[bytes] | None) -> bytes:
        return ccm_decrypt(self._key, data[:NONCE], data[NONCE:], associated(associated_data or ()))


def associated(strings: Sequence[bytes]) -> bytes:
    """CCM's one associated string for several."""
    return b"".join([*(sm3(string)[:SHORTENED] for string in strings[:-1]), *strings[-1:]])


def sm3(data: bytes) -> bytes:
    """GB/T 32905."""
    made = Hash(SM3())
    made.update(data)
    return made.finalize()


def ccm_encrypt(key: bytes, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    """RFC 8998: ciphertext ‖ tag."""
    stream = _keystream(key, nonce, len(plain))
    return _xor(plain + _mac(key, nonce, plain, bound), stream[_BLOCK:] + stream[:_BLOCK])


def ccm_decrypt(key: bytes, nonce: bytes, sealed: bytes, bound: bytes) -> bytes:
    """InvalidTag when it does not fit, also for what is too short."""
    if len(nonce) != NONCE or len(sealed) < TAG:
        raise InvalidTag
    stream = _keystream(key, nonce, len(sealed) - TAG)
    opened = _xor(sealed, stream[_BLOCK:] + stream[:_BLOCK])
    plain, tag = opened[:-TAG], opened[-TAG:]
    if not compare_digest(tag, _mac(key, nonce, plain, bound)):
        raise InvalidTag
    return plain


def _mac(key: bytes, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    if len(plain) >= _LONGEST or len(bound) >= _LONGEST_ASSOCIATED:
        raise ValueError
    flags = FLAGS if bound else FLAGS & ~0x40
    first = bytes([flags]) + nonce + len(plain).to_bytes(3)
    told = _whole(len(bound).to_bytes(2) + bound) if bound else b""
    chain = Cipher(SM4(key), CBC(bytes(_BLOCK))).encryptor()
    return chain.update(first + told + _whole(plain))[-_BLOCK:]


def _keystream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Block 0, which hides the tag, and then as many bytes as asked for."""
    counter = Cipher(SM4(key), CTR(bytes([COUNTER_FLAGS]) + nonce + bytes(3))).encryptor()
    return counter.update(bytes(_BLOCK + size))


def _s2v(key: bytes, strings: Sequence[bytes]) -> bytes:
    """RFC 5297, 2.4; the last string may be of any length."""
    state = _cmac(key, bytes(_BLOCK))
    for string in strings[:-1]:
        state = _xor(_doubled(state), _cmac(key, string))
    last = strings[-1]
    if len(last) >= _BLOCK:
        return _cmac(key, last[:-_BLOCK] + _xor(last[-_BLOCK:], state))
    return _cmac(key, _xor(_doubled(state), (last + b"\x80").ljust(_BLOCK, b"\0")))


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(SM4(key))
    mac.update(message)
    return mac.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block) << 1
    return (number & (1 << 128) - 1 ^ (0x87 if number >> 128 else 0)).to_bytes(_BLOCK)


def _whole(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))

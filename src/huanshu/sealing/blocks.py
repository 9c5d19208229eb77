"""Blocks by the column: the library's block cipher over ``uint8[n, 16]``, and CMAC (RFC 4493) over messages.

Row *i* of the result belongs to row *i* of what was given. Messages may differ in length: the *j*-th blocks of all
messages that have one are one call, and a message that has ended keeps its state. AES and SM4 are the library's;
XOR and doubling are numpy. Agreement with the library's CMAC, message by message, is tested.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from huanshu.sealing.suites import block_algorithm

Bytes = NDArray[np.uint8]

BLOCK: Final = 16
POLYNOMIAL: Final = 0x87  # x^128 = x^7 + x^2 + x + 1 (RFC 4493, 2.3)
_ALL: Final = (1 << 128) - 1
_AT_ONCE: Final = 4096  # messages whose blocks stay in the second-level cache


def block_cipher(key: bytes) -> Any:
    """The cipher of this key (``suites``), for ``encrypt``: the block function of CMAC and CTR, never a mode of its
    own."""
    return Cipher(block_algorithm(key), ECB()).encryptor()  # noqa: S305


def encrypt(cipher: Any, blocks: Bytes) -> Bytes:
    """The cipher of each 16-byte row."""
    out = np.empty(blocks.size + BLOCK - 1, np.uint8)
    cipher.update_into(np.ascontiguousarray(blocks), out)
    return out[: blocks.size].reshape(-1, BLOCK)


def doubled(block: int) -> int:
    """One block times x, as the big-endian number that it is."""
    return (block << 1) & _ALL ^ (POLYNOMIAL if block >> 127 else 0)


def subkeys(cipher: Any) -> tuple[Bytes, Bytes]:
    """(K1 for a whole last block, K2 for a padded one), 16 bytes each (RFC 4493, 2.3)."""
    whole = doubled(int.from_bytes(encrypt(cipher, np.zeros((1, BLOCK), np.uint8)).tobytes(), "big"))
    first, second = (np.frombuffer(key.to_bytes(BLOCK, "big"), np.uint8) for key in (whole, doubled(whole)))
    return first, second


def mac_column(key: bytes, flat: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Bytes:
    """CMAC of every message ``flat[starts[i] : starts[i] + lengths[i]]``, as ``uint8[n, 16]``."""
    cipher = block_cipher(key)
    endings = _endings(*subkeys(cipher))
    # Sixteen bytes move as one item; those that begin near the end reach into zeros.
    windows = np.ndarray((len(flat) + 1,), "V16", np.append(flat, np.zeros(BLOCK, np.uint8)), strides=(1,))
    tags = np.empty((len(starts), BLOCK), np.uint8)
    for first in range(0, len(starts), _AT_ONCE):
        here = slice(first, first + _AT_ONCE)
        _macs(cipher, endings, windows, starts[here], lengths[here], tags[here])
    return tags


def _macs(
    cipher: Any,
    endings: tuple[NDArray[np.void], NDArray[np.void]],
    windows: NDArray[np.void],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    tags: Bytes,
) -> None:
    kept, ended = endings
    blocks = np.maximum(1, -(-lengths // BLOCK))
    even = bool((blocks == blocks[0]).all())
    order = (
        slice(None) if even else np.argsort(-blocks, kind="stable")
    )  # longest first: those going on are a prefix
    starts, lengths, falling = starts[order], lengths[order], -blocks[order]
    room = np.zeros(len(starts) * BLOCK + BLOCK - 1, np.uint8)
    state = room[: 1 - BLOCK].reshape(-1, BLOCK)
    for block in range(-int(falling[0])):
        active, going_on = np.searchsorted(falling, (-block, -block - 1)).tolist()
        text = windows[starts[:active] + BLOCK * block].view(np.uint8).reshape(-1, BLOCK)
        if going_on < active:
            rest, last = lengths[going_on:active] - BLOCK * block, text[going_on:]
            last &= kept[rest].view(np.uint8).reshape(-1, BLOCK)
            last ^= ended[rest].view(np.uint8).reshape(-1, BLOCK)
        if block:
            text ^= state[:active]
        cipher.update_into(text, room)
    tags.view("V16")[order] = state.view("V16")


def _endings(whole: Bytes, padded: Bytes) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """For a last block of 0 to 16 bytes: which bits stay, and what is then mixed in (RFC 4493, 2.4)."""
    kept = np.tri(BLOCK + 1, BLOCK, -1, np.uint8) * np.uint8(255)
    ended = np.concatenate([np.eye(BLOCK, dtype=np.uint8) * np.uint8(0x80) ^ padded, whole[None]])
    return kept.view("V16").reshape(-1), ended.view("V16").reshape(-1)

"""AES-SIV (RFC 5297) over a column: the same bytes as ``cells``, for thousands of values at once.

Rules
    A *padded column* is ``uint8[n, width + 1]`` (``padding``), a *sealed column* ``uint8[n, width + 17]``, both
    C-contiguous: SIV ‖ ciphertext. Key, context and rows are those of ``cells``.
Theory
    All rows of a column are equally long, so block *j* of every row's CMAC chain (RFC 4493) is one AES-ECB call over
    n blocks, and all counter blocks of all rows are one more. AES itself is the library's; XOR and doubling are numpy.
    Row *i* costs what AES costs, plus a share of some twenty calls per group of rows.
Limits
    Groups of ``_GROUP`` rows stay in the second-level cache. Below ``_FEW`` values one by one is faster; same bytes.

Every refusal is ``cells.refused()``: one shape for a changed value, place, time or key, never which row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK, block_cipher, double_words, doubled, encrypt
from huanshu.sealing.cells import CellContext, bound_row, open_one, refused

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_GROUP: Final = 4096
_FEW: Final = 64
_COUNTER_MASK: Final = np.array([255] * 8 + [127, 255, 255, 255] * 2, np.uint8).view(np.uint64)
_ROW_END: Final = 0x80 << 24  # the padding of twelve bytes, in a block's second half


def seal_padded(
    key: bytes,
    context: CellContext,
    records: NDArray[np.int64],
    versions: NDArray[np.int32],
    padded: Bytes,
    out: Bytes | None = None,
) -> Bytes:
    """``uint8[n, w + 16]`` from ``uint8[n, w]``; ``key`` is 64 bytes, row *i* bound to its record and version.
    Written to ``out`` when it is given, which may be part of wider rows."""
    rows, width = padded.shape
    sealed = np.empty((rows, BLOCK + width), np.uint8) if out is None else out
    if rows < _FEW:
        cipher, constant = AESSIV(key), context.bound()
        for i in range(rows):
            row = bound_row(int(records[i]), int(versions[i]))
            sealed[i] = np.frombuffer(cipher.encrypt(padded[i].tobytes(), [constant, row]), np.uint8)
        return sealed
    siv = _Siv(key, context, width)
    for first in range(0, rows, _GROUP):
        here = slice(first, first + _GROUP)
        tags = siv.tags(_rows(records[here], versions[here]), padded[here])
        sealed[here, :BLOCK] = tags
        np.bitwise_xor(padded[here], siv.keystream(tags), out=sealed[here, BLOCK:])
    return sealed


def open_padded(
    key: bytes, context: CellContext, records: NDArray[np.int64], versions: NDArray[np.int32], sealed: Bytes
) -> Bytes:
    """Inverse of ``seal_padded``. TamperedError if any one of the cells does not fit; then nothing is handed out."""
    rows, size = sealed.shape
    width = size - BLOCK
    if width < 1:
        raise refused()
    padded = np.empty((rows, width), np.uint8)
    if rows < _FEW:
        for i in range(rows):
            row = bound_row(int(records[i]), int(versions[i]))
            padded[i] = np.frombuffer(open_one(key, context, row, sealed[i].tobytes()), np.uint8)
        return padded
    siv = _Siv(key, context, width)
    fits = True
    for first in range(0, rows, _GROUP):
        here = slice(first, first + _GROUP)
        tags = np.ascontiguousarray(sealed[here, :BLOCK])
        np.bitwise_xor(sealed[here, BLOCK:], siv.keystream(tags), out=padded[here])
        fits &= bool((siv.tags(_rows(records[here], versions[here]), padded[here]) == tags).all())
    if not fits:
        padded.fill(0)
        raise refused()
    return padded


def _rows(records: NDArray[np.int64], versions: NDArray[np.int32]) -> Words:
    """The row's associated data in its CMAC block: record ‖ version (12 bytes), then RFC 4493's padding. As words."""
    block = np.empty((len(records), 2), np.uint64)
    block[:, 0] = records.view(np.uint64).byteswap()
    block[:, 1] = (versions.astype(np.uint64) << np.uint64(32) | np.uint64(_ROW_END)).byteswap()
    return block


class _Siv:
    """One key, one context, one width: what S2V needs once per column.

    A row's blocks are handled as 64-bit words (of a little-endian processor), the same word of all rows at a time:
    numpy goes through a column of words at once, but through short rows one by one. Constants that S2V and CMAC would
    add one after the other are added once: doubling is linear."""

    def __init__(self, key: bytes, context: CellContext, width: int) -> None:
        mac_key, counter_key = key[: len(key) // 2], key[len(key) // 2 :]
        self._mac = block_cipher(mac_key)
        self._counter = block_cipher(counter_key)
        self._width = width
        self._blocks = -(-width // BLOCK)
        whole = doubled(
            int.from_bytes(self._mac.update(bytes(BLOCK)), "big")
        )  # K1; K2 is its double (RFC 4493, 2.3)
        first = doubled(_mac(mac_key, bytes(BLOCK))) ^ _mac(mac_key, context.bound())
        chain = doubled(first)  # dbl(D) after the first string; the row's CMAC comes on top
        self._row = _words(doubled(whole))
        self._last = _words(doubled(whole) if width % BLOCK and width > BLOCK else whole)
        # Short texts are padded, and D is doubled once more before it is added (RFC 5297, 2.4).
        self._chain = _words(chain if width >= BLOCK else doubled(chain) ^ whole)

    def tags(self, rows: Words, padded: Bytes) -> Bytes:
        """S2V (RFC 5297, 2.4) of (context, row, padded) for every row."""
        d = _added(rows.copy(), self._row)
        d = encrypt(self._mac, d.view(np.uint8)).view(np.uint64)
        if self._width < BLOCK:
            text = np.zeros((len(padded), BLOCK), np.uint8)
            text[:, : self._width] = padded
            text[:, self._width] = 0x80
            state = text.view(np.uint64)
            state ^= double_words(d)
            return encrypt(self._mac, _added(state, self._chain).view(np.uint8))
        width = self._width
        text = np.empty((len(padded), self._blocks * BLOCK), np.uint8)
        text[:, :width] = padded
        if width % BLOCK:
            text[:, width:] = 0
            text[:, width] = 0x80
        # The end of the text takes D: sixteen bytes that lie across two blocks.
        text[:, width - BLOCK : width] ^= _added(d, self._chain).view(np.uint8)
        words = text.view(np.uint64)
        words[:, -2] ^= self._last[0]
        words[:, -1] ^= self._last[1]
        state = np.zeros((len(padded), 2), np.uint64)
        for block in range(self._blocks):
            state[:, 0] ^= words[:, 2 * block]
            state[:, 1] ^= words[:, 2 * block + 1]
            state = encrypt(self._mac, state.view(np.uint8)).view(np.uint64)
        return state.view(np.uint8)

    def keystream(self, tags: Bytes) -> Bytes:
        """RFC 5297, 2.5: counters from the tag with bits 31 and 63 cleared, so that 32 bits never carry over."""
        start = tags.view(np.uint64)
        counters = np.empty((len(tags), self._blocks, 2), np.uint64)
        high = start[:, 0] & _COUNTER_MASK[0]
        low = (start[:, 1] & _COUNTER_MASK[1]).byteswap()
        for block in range(self._blocks):
            counters[:, block, 0] = high
            counters[:, block, 1] = (low + np.uint64(block)).byteswap()
        stream = encrypt(self._counter, counters.view(np.uint8).reshape(-1, BLOCK))
        return stream.reshape(len(tags), -1)[:, : self._width]


def _added(blocks: Words, constant: Words) -> Words:
    """``blocks ^ constant`` in place, a word at a time."""
    blocks[:, 0] ^= constant[0]
    blocks[:, 1] ^= constant[1]
    return blocks


def _words(block: int) -> Words:
    return np.frombuffer(block.to_bytes(BLOCK, "big"), np.uint64)


def _mac(key: bytes, message: bytes) -> int:
    mac = CMAC(AES(key))
    mac.update(message)
    return int.from_bytes(mac.finalize(), "big")

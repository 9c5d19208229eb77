"""SM4-CCM by column: the bytes of ``ccm`` for the padded values of one field, thousands of rows at once.

Each step of CCM is one call of the cipher over all rows: the block with the nonce, two blocks of associated data
(2 bytes of length, 18 of SM3(context), 12 of the row), the text's blocks, the counters.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK
from huanshu.sealing.ccm import COUNTER_FLAGS, FLAGS, NONCE, SHORTENED, TAG, sm3
from huanshu.sealing.cells import CellContext
from huanshu.sealing.s2v import Room, S2v, blocks_for, by_block, clear, fill, move, tags_long, tags_short
from huanshu.sealing.suites import SM4_MARK

Bytes = NDArray[np.uint8]

_ROW: Final = 12  # record and version


class Ccm:
    """One field's cipher: what it needs once for its key, context and size."""

    def __init__(self, key: bytes, context: CellContext, size: int) -> None:
        nonce_key, ccm_key = key[len(SM4_MARK) : -BLOCK], key[-BLOCK:]
        self._s2v = S2v(_cipher(nonce_key), context, size)
        self._cipher = _cipher(ccm_key)
        self._size = size
        told = (SHORTENED + _ROW).to_bytes(2) + sm3(context.bound())[:SHORTENED] + bytes(_ROW)
        self._told = np.frombuffer(told, np.uint8).reshape(2, BLOCK)
        self._first = np.frombuffer(bytes([FLAGS]) + bytes(NONCE) + size.to_bytes(3), np.uint8)

    def seal(self, rows: Bytes, text: Bytes, cells: Bytes) -> None:
        """``rows`` as ``bound_rows`` makes them, ``text`` in whole blocks; ``cells`` may be part of wider rows."""
        blocks = by_block(text)
        nonces = np.empty((len(rows), NONCE), np.uint8)
        move(self._tags(rows, blocks)[:, :NONCE], nonces)
        stream = self._stream(nonces, len(blocks))
        tags = self._mac(rows, nonces, blocks)
        tags ^= stream[0]
        blocks ^= stream[1:]
        move(nonces, cells[:, :NONCE])
        for block, part in enumerate(self._parts(cells)):
            move(blocks[block, :, : part.shape[1]], part)
        move(tags, cells[:, NONCE + self._size :])

    def open(self, rows: Bytes, cells: Bytes, text: Bytes) -> bool:
        """Fill ``text``; whether every cell fits."""
        nonces, tags = np.empty((len(rows), NONCE), np.uint8), np.empty((len(rows), TAG), np.uint8)
        move(cells[:, :NONCE], nonces)
        move(cells[:, NONCE + self._size :], tags)
        blocks = np.zeros((blocks_for(self._size), len(rows), BLOCK), np.uint8)
        for block, part in enumerate(self._parts(cells)):
            move(part, blocks[block, :, : part.shape[1]])
        stream = self._stream(nonces, len(blocks))
        blocks ^= stream[1:]
        if self._size % BLOCK:
            clear(blocks[-1, :, self._size % BLOCK :])
        tags ^= stream[0]
        fits = bool((self._mac(rows, nonces, blocks) == tags).all())
        text.view("V16")[...] = blocks.view("V16")[:, :, 0].T
        return fits

    def _parts(self, cells: Bytes) -> list[Bytes]:
        """The ciphertext's places in the cells, block by block."""
        end = NONCE + self._size
        return [cells[:, start : min(start + BLOCK, end)] for start in range(NONCE, end, BLOCK)]

    def _tags(self, rows: Bytes, blocks: Bytes) -> Bytes:
        if self._size < BLOCK:
            found: Bytes = tags_short([self._s2v], rows, blocks)[0]
            return found
        return tags_long(self._s2v, rows, blocks)

    def _mac(self, rows: Bytes, nonces: Bytes, blocks: Bytes) -> Bytes:
        """CCM's MAC of every row, before the stream hides it."""
        count = len(rows)
        mixed, room = np.empty((count, BLOCK), np.uint8), Room((1, count, BLOCK))
        state: Bytes = room.blocks[0]
        fill(mixed, self._first)
        move(nonces, mixed[:, 1 : 1 + NONCE])
        room.encrypt(self._cipher, mixed, 0)
        fill(mixed, self._told[0])
        mixed ^= state
        room.encrypt(self._cipher, mixed, 0)
        fill(mixed, self._told[1])
        move(rows[:, :_ROW], mixed[:, BLOCK - _ROW :])
        mixed ^= state
        room.encrypt(self._cipher, mixed, 0)
        for block in blocks:
            room.encrypt(self._cipher, np.bitwise_xor(state, block, out=mixed), 0)
        return state

    def _stream(self, nonces: Bytes, blocks: int) -> Bytes:
        """``uint8[1 + blocks, n, 16]``: what hides the tag, and the key stream."""
        shape = (1 + blocks, len(nonces), BLOCK)
        counters, stream = np.empty(shape, np.uint8), Room((1, shape[0] * shape[1], BLOCK))
        for number, block in enumerate(counters):
            fill(block, np.frombuffer(bytes([COUNTER_FLAGS]) + bytes(NONCE) + number.to_bytes(3), np.uint8))
            move(nonces, block[:, 1 : 1 + NONCE])
        stream.encrypt(self._cipher, counters, 0)
        return stream.blocks.reshape(shape)


def _cipher(key: bytes) -> Any:
    """SM4 of one block after the other: CCM's block function, never a mode of its own."""
    return Cipher(SM4(key), ECB()).encryptor()  # noqa: S305

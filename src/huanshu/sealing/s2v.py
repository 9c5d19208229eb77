"""S2V (RFC 5297, 2.4) by column: one pseudo-random block for each row's context, row and text.

Rules
    S2V is over (context, row, padded value) as ``cells`` says. It runs over any cipher of 16-byte blocks.
Theory
    What a row costs is not AES (3 ns a block) but numpy going over the blocks between two AES calls. So nothing here
    walks rows of bytes: blocks lie one after the other, a constant is laid out as often as there are rows before it
    is mixed in, and sixteen bytes move as one item. Texts of less than a block, most of a record, share every step
    but the cipher's calls. S2V is written once for them and once for longer ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK, POLYNOMIAL, doubled
from huanshu.sealing.cells import CellContext
from huanshu.sealing.padding import END

Bytes = NDArray[np.uint8]


class S2v:
    """What S2V needs once for a cipher (keyed for it alone), a context and a size of texts."""

    def __init__(self, mac: Any, context: CellContext, size: int) -> None:
        self.mac, self.size = mac, size
        whole = doubled(_encrypt_one(mac, 0))  # K1 of RFC 4493
        padded = doubled(whole)
        zero = _encrypt_one(mac, whole)
        chain = doubled(doubled(zero) ^ _cmac(mac, context.bound(), whole, padded))
        self.row = _block(padded)  # a row's associated data is twelve bytes and RFC 4493's padding
        if size < BLOCK:  # xorend pads: dbl(D) ^ (text ‖ 10…0), one whole block
            end = END << 8 * (BLOCK - 1 - size)
            self.last = _block(doubled(chain) ^ whole ^ end)
        else:
            rest = size % BLOCK
            self.last = _block(padded ^ END << 8 * (BLOCK - 1 - rest) if rest else whole)
        self.chain = _block(chain)


def tags_short(s2vs: Sequence[S2v], rows: Bytes, text: Bytes) -> Bytes:
    """S2V of texts of less than a block, as ``uint8[fields, n, 16]``."""
    mixed, made = np.empty(text.shape, np.uint8), Room(text.shape)
    for n, s2v in enumerate(s2vs):
        fill(mixed[n], s2v.row)
        mixed[n] ^= rows
        made.encrypt(s2v.mac, mixed[n], n)
    double_all(made.blocks, mixed)
    mixed ^= text
    for n, s2v in enumerate(s2vs):
        fill(made.blocks[n], s2v.last)
    mixed ^= made.blocks
    for n, s2v in enumerate(s2vs):
        made.encrypt(s2v.mac, mixed[n], n)
    return made.blocks


def tags_long(s2v: S2v, rows: Bytes, text: Bytes) -> Bytes:
    """S2V of texts of a block or more, which lie by block (``by_block``), as ``uint8[n, 16]``."""
    count, blocks, rest = len(rows), len(text), s2v.size % BLOCK
    mixed, room = np.empty((count, BLOCK), np.uint8), Room((1, count, BLOCK))
    state: Bytes = room.blocks[0]
    fill(mixed, s2v.row)
    mixed ^= rows
    room.encrypt(s2v.mac, mixed, 0)
    fill(mixed, s2v.chain)
    mixed ^= state  # D, which goes over the last sixteen bytes of the text
    ends = by_block(shifted(mixed, rest)) if rest else by_block(mixed)
    ends ^= text[-len(ends) :]
    fill(mixed, s2v.last)
    ends[-1] ^= mixed
    for block in range(blocks):
        place = block - (blocks - len(ends))
        source = text[block] if place < 0 else ends[place]
        room.encrypt(s2v.mac, source if block == 0 else np.bitwise_xor(state, source, out=mixed), 0)
    return state


def blocks_for(size: int) -> int:
    """How many AES blocks hold that many bytes."""
    return -(-size // BLOCK)


# -- blocks ---------------------------------------------------------------------------------------------


class Room:
    """Where a cipher writes: ``blocks`` of a shape, and the slack that the library asks for behind them."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._flat = np.empty(int(np.prod(shape)) + BLOCK - 1, np.uint8)
        self._step = shape[1] * BLOCK
        self.blocks: Bytes = self._flat[: 1 - BLOCK].reshape(shape)

    def encrypt(self, cipher: Any, blocks: Bytes, number: int) -> None:
        """The cipher of ``blocks`` into the blocks of that number."""
        start = number * self._step
        cipher.update_into(blocks, self._flat[start : start + self._step + BLOCK - 1])


def bound_rows(records: NDArray[np.int64], versions: NDArray[np.int32]) -> Bytes:
    """The row's associated data in its CMAC block: record ‖ version (12 bytes), then RFC 4493's padding."""
    block = np.zeros((len(records), 4), ">u4")
    block[:, 0] = records >> 32
    block[:, 1] = records & 0xFFFFFFFF
    block[:, 2] = versions
    block[:, 3] = END << 24
    return block.view(np.uint8)


def fill(blocks: Bytes, block: Bytes) -> None:
    """The same block everywhere."""
    blocks.view("V16")[...] = block.view("V16")


def move(source: Bytes, target: Bytes) -> None:
    """Rows of bytes, each as one item; the rows of either may lie apart."""
    item = f"V{source.shape[1]}"
    target.view(item)[...] = source.view(item)


def clear(rows: Bytes) -> None:
    """Zeros in every row."""
    item = f"V{rows.shape[-1]}"
    rows.view(item)[...] = np.zeros(rows.shape[-1], np.uint8).view(item)


def by_block(rows: Bytes) -> Bytes:
    """``uint8[n, 16 * b]`` → ``uint8[b, n, 16]``, always a copy."""
    items = np.array(rows.view("V16").T, order="C")
    return items.view(np.uint8).reshape(*items.shape, BLOCK)


def shifted(blocks: Bytes, by: int) -> Bytes:
    """``uint8[n, 32]``: each block, ``by`` bytes further to the right."""
    wide = np.zeros((len(blocks), 2 * BLOCK), np.uint8)
    move(blocks, wide[:, by : by + BLOCK])
    return wide


def double_all(blocks: Bytes, out: Bytes) -> None:
    """Each block times x (RFC 5297, 2.3): all bytes as one row, then the place where two blocks meet put right."""
    flat, made = blocks.reshape(-1), out.reshape(-1)
    high = (flat >= END).view(np.uint8)
    np.add(flat, flat, out=made)
    made[:-1] |= high[1:]
    last = flat[BLOCK - 1 :: BLOCK]
    made[BLOCK - 1 :: BLOCK] = (last + last) ^ (high[::BLOCK] * np.uint8(POLYNOMIAL))


# -- one block, as a number: a key's constants ----------------------------------------------------------


def _encrypt_one(cipher: Any, block: int) -> int:
    return int.from_bytes(cipher.update(block.to_bytes(BLOCK)))


def _cmac(cipher: Any, message: bytes, whole: int, padded: int) -> int:
    """RFC 4493."""
    count = max(1, blocks_for(len(message)))
    complete = len(message) == count * BLOCK
    text = message if complete else (message + bytes([END])).ljust(count * BLOCK, b"\0")
    state = 0
    for start in range(0, len(text), BLOCK):
        state ^= int.from_bytes(text[start : start + BLOCK])
        if start == len(text) - BLOCK:
            state ^= whole if complete else padded
        state = _encrypt_one(cipher, state)
    return state


def _block(number: int) -> Bytes:
    return np.frombuffer(number.to_bytes(BLOCK), np.uint8)

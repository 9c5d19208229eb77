"""AES-SIV (RFC 5297) over whole records: many fields of the same rows at once, from and to where the cells lie.

Rules
    The bytes are those of ``cells``; tests hold the two side by side. A field's *text* is its padded column
    (``padding``), each row extended with zeros to whole AES blocks: ``uint8[n, 16 * b]``, C-contiguous.
Theory
    What a row costs is not AES (3 ns a block) but numpy going over the blocks between two AES calls. So nothing here
    walks rows of bytes: blocks lie one after the other, a constant is laid out as often as there are rows before it
    is mixed in, and sixteen bytes move as one item. Fields of less than a block, most of a record, share every
    step but the AES calls. S2V is written once for them and once for longer ones, and both ways go through it.
Limits
    Keys and widths are what is given; there is no error to raise here. ``columns`` is the same for one field, with one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK, POLYNOMIAL, block_cipher, doubled
from huanshu.sealing.cells import CellContext
from huanshu.sealing.padding import END

Bytes = NDArray[np.uint8]

#: By how much a cell is longer than a padded value.
GROWTH: Final = BLOCK
#: Rows at a time: their blocks stay in the second-level cache.
_GROUP: Final = 2048
_COUNTER: Final = np.frombuffer(bytes([255] * 8 + [127, 255, 255, 255] * 2), np.uint8)  # RFC 5297, 2.5


@dataclass(frozen=True, slots=True)
class Sealed:
    """One field of some rows: its text, its cells, and the key between them.

    ``size`` is the padded length of its values (``text`` has as many bytes a row, and zeros), ``cells`` a view of
    ``uint8[n, size + 16]`` whose rows may lie apart."""

    key: bytes
    context: CellContext
    size: int
    text: Bytes
    cells: Bytes


def seal_fields(fields: Sequence[Sealed], records: NDArray[np.int64], versions: NDArray[np.int32]) -> None:
    """Fill the ``cells`` of every field. Keys are 64 bytes; row *i* of each is bound to its record and version."""
    short, long = _prepared(fields)
    for here, rows in _groups(records, versions):
        _seal_short(short, rows, here)
        for siv, field in long:
            _seal_long(siv, field, rows, here)


def open_fields(fields: Sequence[Sealed], records: NDArray[np.int64], versions: NDArray[np.int32]) -> bool:
    """Fill the ``text`` of every field, the inverse of ``seal_fields``. False when one cell does not fit its key,
    context, record or version: then every text is zeros, and which cell it was is not told."""
    short, long = _prepared(fields)
    fits = True
    for here, rows in _groups(records, versions):
        fits &= _open_short(short, rows, here)
        for siv, field in long:
            fits &= _open_long(siv, field, rows, here)
    if not fits:
        for field in fields:
            field.text.fill(0)
    return fits


def _prepared(fields: Sequence[Sealed]) -> tuple[list[tuple[_Siv, Sealed]], list[tuple[_Siv, Sealed]]]:
    """Fields of less than a block, and longer ones."""
    short = [(_Siv(field), field) for field in fields if field.size < BLOCK]
    return short, [(_Siv(field), field) for field in fields if field.size >= BLOCK]


def _groups(records: NDArray[np.int64], versions: NDArray[np.int32]) -> Iterator[tuple[slice, Bytes]]:
    for first in range(0, len(records), _GROUP):
        here = slice(first, first + _GROUP)
        yield here, _rows(records[here], versions[here])


def blocks_for(size: int) -> int:
    """How many AES blocks hold that many bytes."""
    return -(-size // BLOCK)


class _Siv:
    """What S2V needs once for a key, a context and a size."""

    def __init__(self, field: Sealed) -> None:
        half = len(field.key) // 2
        mac, self.counter = block_cipher(field.key[:half]), block_cipher(field.key[half:])
        self.mac = mac
        whole = doubled(_encrypt_one(mac, 0))  # K1 of RFC 4493
        padded = doubled(whole)
        zero = _encrypt_one(mac, whole)
        chain = doubled(doubled(zero) ^ _cmac(mac, field.context.bound(), whole, padded))
        self.row = _block(padded)  # a row's associated data is twelve bytes and RFC 4493's padding
        if field.size < BLOCK:  # xorend pads: dbl(D) ^ (text ‖ 10…0), one whole block
            end = END << 8 * (BLOCK - 1 - field.size)
            self.last = _block(doubled(chain) ^ whole ^ end)
        else:
            rest = field.size % BLOCK
            self.last = _block(padded ^ END << 8 * (BLOCK - 1 - rest) if rest else whole)
        self.chain = _block(chain)


# -- fields of less than a block: one step for all of them, but for AES, whose key differs ----------------


def _seal_short(fields: Sequence[tuple[_Siv, Sealed]], rows: Bytes, here: slice) -> None:
    if not fields:
        return
    text = np.empty((len(fields), len(rows), BLOCK), np.uint8)
    for n, (_, field) in enumerate(fields):
        text[n] = field.text[here]
    tags = _tags_short(fields, rows, text)
    text ^= _stream_short(fields, tags)
    for n, (_, field) in enumerate(fields):
        cells = field.cells[here]
        _move(tags[n], cells[:, :BLOCK])
        _move(text[n, :, : field.size], cells[:, BLOCK:])


def _open_short(fields: Sequence[tuple[_Siv, Sealed]], rows: Bytes, here: slice) -> bool:
    if not fields:
        return True
    shape = (len(fields), len(rows), BLOCK)
    tags, text = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for n, (_, field) in enumerate(fields):
        cells = field.cells[here]
        _move(cells[:, :BLOCK], tags[n])
        _move(cells[:, BLOCK:], text[n, :, : field.size])
    text ^= _stream_short(fields, tags)
    for n, (_, field) in enumerate(fields):
        _clear(text[n, :, field.size :])
    fits = bool((_tags_short(fields, rows, text) == tags).all())
    for n, (_, field) in enumerate(fields):
        field.text[here] = text[n]
    return fits


def _tags_short(fields: Sequence[tuple[_Siv, Sealed]], rows: Bytes, text: Bytes) -> Bytes:
    """S2V (RFC 5297, 2.4), as ``uint8[fields, n, 16]``."""
    mixed, made = np.empty(text.shape, np.uint8), _Room(text.shape)
    for n, (siv, _) in enumerate(fields):
        _fill(mixed[n], siv.row)
        mixed[n] ^= rows
        made.encrypt(siv.mac, mixed[n], n)
    _double_all(made.blocks, mixed)
    mixed ^= text
    for n, (siv, _) in enumerate(fields):
        _fill(made.blocks[n], siv.last)
    mixed ^= made.blocks
    for n, (siv, _) in enumerate(fields):
        made.encrypt(siv.mac, mixed[n], n)
    return made.blocks


def _stream_short(fields: Sequence[tuple[_Siv, Sealed]], tags: Bytes) -> Bytes:
    """The key stream (RFC 5297, 2.5)."""
    counters, stream = np.empty(tags.shape, np.uint8), _Room(tags.shape)
    _fill(counters, _COUNTER)
    counters &= tags
    for n, (siv, _) in enumerate(fields):
        stream.encrypt(siv.counter, counters[n], n)
    return stream.blocks


# -- a field of a block or more: its text lies by block here, first blocks of all rows, second blocks, … ---


def _seal_long(siv: _Siv, field: Sealed, rows: Bytes, here: slice) -> None:
    text = _by_block(field.text[here])
    tags = _tags_long(siv, field.size, rows, text)
    text ^= _stream_long(siv, tags, len(text))
    cells = field.cells[here]
    _move(tags, cells[:, :BLOCK])
    for block, start in enumerate(range(BLOCK, field.size + BLOCK, BLOCK)):
        part = cells[:, start : start + BLOCK]
        _move(text[block, :, : part.shape[1]], part)


def _open_long(siv: _Siv, field: Sealed, rows: Bytes, here: slice) -> bool:
    cells = field.cells[here]
    tags, text = (
        np.empty((len(rows), BLOCK), np.uint8),
        np.empty((blocks_for(field.size), *rows.shape), np.uint8),
    )
    _move(cells[:, :BLOCK], tags)
    for block, start in enumerate(range(BLOCK, field.size + BLOCK, BLOCK)):
        part = cells[:, start : start + BLOCK]
        _move(part, text[block, :, : part.shape[1]])
    text ^= _stream_long(siv, tags, len(text))
    if field.size % BLOCK:
        _clear(text[-1, :, field.size % BLOCK :])
    fits = bool((_tags_long(siv, field.size, rows, text) == tags).all())
    field.text[here].view("V16")[...] = text.view("V16")[:, :, 0].T
    return fits


def _tags_long(siv: _Siv, size: int, rows: Bytes, text: Bytes) -> Bytes:
    """S2V (RFC 5297, 2.4), as ``uint8[n, 16]``."""
    count, blocks, rest = len(rows), len(text), size % BLOCK
    mixed, room = np.empty((count, BLOCK), np.uint8), _Room((1, count, BLOCK))
    state: Bytes = room.blocks[0]
    _fill(mixed, siv.row)
    mixed ^= rows
    room.encrypt(siv.mac, mixed, 0)
    _fill(mixed, siv.chain)
    mixed ^= state  # D, which goes over the last sixteen bytes of the text
    ends = _by_block(_shifted(mixed, rest)) if rest else _by_block(mixed)
    ends ^= text[-len(ends) :]
    _fill(mixed, siv.last)
    ends[-1] ^= mixed
    for block in range(blocks):
        place = block - (blocks - len(ends))
        source = text[block] if place < 0 else ends[place]
        room.encrypt(siv.mac, source if block == 0 else np.bitwise_xor(state, source, out=mixed), 0)
    return state


def _stream_long(siv: _Siv, tags: Bytes, blocks: int) -> Bytes:
    """The key stream (RFC 5297, 2.5), as ``uint8[blocks, n, 16]``."""
    count = len(tags)
    counters, stream = np.empty((blocks, count, BLOCK), np.uint8), _Room((1, blocks * count, BLOCK))
    first = counters[0]
    _fill(first, _COUNTER)
    first &= tags
    counters[1:] = first
    if blocks > 1:
        low = first.view(">u4")[:, 3].astype(np.uint32)  # never carries over: its first bit is 0
        for block in range(1, blocks):
            counters[block].view(">u4")[:, 3] = low + np.uint32(block)
    stream.encrypt(siv.counter, counters, 0)
    return stream.blocks.reshape(counters.shape)


# -- blocks ---------------------------------------------------------------------------------------------


class _Room:
    """Where AES writes: ``blocks`` of a shape, and the slack that the library asks for behind them."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._flat = np.empty(int(np.prod(shape)) + BLOCK - 1, np.uint8)
        self._step = shape[1] * BLOCK
        self.blocks: Bytes = self._flat[: 1 - BLOCK].reshape(shape)

    def encrypt(self, cipher: Any, blocks: Bytes, number: int) -> None:
        """AES of ``blocks`` into the blocks of that number."""
        start = number * self._step
        cipher.update_into(blocks, self._flat[start : start + self._step + BLOCK - 1])


def _rows(records: NDArray[np.int64], versions: NDArray[np.int32]) -> Bytes:
    """The row's associated data in its CMAC block: record ‖ version (12 bytes), then RFC 4493's padding."""
    block = np.zeros((len(records), 4), ">u4")
    block[:, 0] = records >> 32
    block[:, 1] = records & 0xFFFFFFFF
    block[:, 2] = versions
    block[:, 3] = END << 24
    return block.view(np.uint8)


def _fill(blocks: Bytes, block: Bytes) -> None:
    """The same block everywhere."""
    blocks.view("V16")[...] = block.view("V16")


def _move(source: Bytes, target: Bytes) -> None:
    """Rows of bytes, each as one item; the rows of either may lie apart."""
    item = f"V{source.shape[1]}"
    target.view(item)[...] = source.view(item)


def _clear(rows: Bytes) -> None:
    """Zeros in every row."""
    item = f"V{rows.shape[-1]}"
    rows.view(item)[...] = np.zeros(rows.shape[-1], np.uint8).view(item)


def _by_block(rows: Bytes) -> Bytes:
    """``uint8[n, 16 * b]`` → ``uint8[b, n, 16]``, always a copy."""
    items = np.array(rows.view("V16").T, order="C")
    return items.view(np.uint8).reshape(*items.shape, BLOCK)


def _shifted(blocks: Bytes, by: int) -> Bytes:
    """``uint8[n, 32]``: each block, ``by`` bytes further to the right."""
    wide = np.zeros((len(blocks), 2 * BLOCK), np.uint8)
    _move(blocks, wide[:, by : by + BLOCK])
    return wide


def _double_all(blocks: Bytes, out: Bytes) -> None:
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

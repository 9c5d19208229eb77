"""Sealing whole records by column: many fields of the same rows at once, from and to where the cells lie.

Rules
    The bytes are those of ``cells``; tests hold the two side by side. A field's *text* is its padded column
    (``padding``), each row extended with zeros to whole blocks: ``uint8[n, 16 * b]``, C-contiguous.
    What a field is sealed with, its key says (``suites``): AES-SIV is here, SM4-CCM in ``ccm_rows``.
Limits
    Keys and widths are what is given; there is no error to raise here. ``columns`` is the same for one field, with one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from huanshu.sealing import ccm_rows
from huanshu.sealing.blocks import BLOCK, block_cipher
from huanshu.sealing.cells import CellContext
from huanshu.sealing.s2v import (
    Room,
    S2v,
    blocks_for,
    bound_rows,
    by_block,
    clear,
    fill,
    move,
    tags_long,
    tags_short,
)
from huanshu.sealing.suites import Suite, suite_of

Bytes = NDArray[np.uint8]

#: Rows at a time: their blocks stay in the second-level cache.
_GROUP: Final = 2048
_COUNTER: Final = np.frombuffer(bytes([255] * 8 + [127, 255, 255, 255] * 2), np.uint8)  # RFC 5297, 2.5


@dataclass(frozen=True, slots=True)
class Sealed:
    """One field of some rows: its text, its cells, and the key between them.

    ``size`` is the padded length of its values (``text`` has as many bytes a row, and zeros), ``cells`` a view of
    ``uint8[n, size + growth]`` (``suites``) whose rows may lie apart."""

    key: bytes
    context: CellContext
    size: int
    text: Bytes
    cells: Bytes


def seal_fields(fields: Sequence[Sealed], records: NDArray[np.int64], versions: NDArray[np.int32]) -> None:
    """Fill the ``cells`` of every field; row *i* of each is bound to its record and version."""
    prepared = _Prepared(fields)
    for here, rows in _groups(records, versions):
        _seal_short(prepared.short, rows, here)
        for siv, field in prepared.long:
            _seal_long(siv, field, rows, here)
        for ccm, field in prepared.ccm:
            ccm.seal(rows, field.text[here], field.cells[here])


def open_fields(fields: Sequence[Sealed], records: NDArray[np.int64], versions: NDArray[np.int32]) -> bool:
    """Fill the ``text`` of every field, the inverse of ``seal_fields``. False when one cell does not fit its key,
    context, record or version: then every text is zeros, and which cell it was is not told."""
    prepared = _Prepared(fields)
    fits = True
    for here, rows in _groups(records, versions):
        fits &= _open_short(prepared.short, rows, here)
        for siv, field in prepared.long:
            fits &= _open_long(siv, field, rows, here)
        for ccm, field in prepared.ccm:
            fits &= ccm.open(rows, field.cells[here], field.text[here])
    if not fits:
        for field in fields:
            field.text.fill(0)
    return fits


class _Prepared:
    """What each field needs once, by the way it is sealed: AES-SIV of less than a block, of more; SM4-CCM."""

    def __init__(self, fields: Sequence[Sealed]) -> None:
        siv = [field for field in fields if suite_of(field.key) is Suite.AES_SIV]
        self.short = [(_Siv(field), field) for field in siv if field.size < BLOCK]
        self.long = [(_Siv(field), field) for field in siv if field.size >= BLOCK]
        self.ccm = [
            (ccm_rows.Ccm(field.key, field.context, field.size), field)
            for field in fields
            if suite_of(field.key) is Suite.SM4_CCM
        ]


def _groups(records: NDArray[np.int64], versions: NDArray[np.int32]) -> Iterator[tuple[slice, Bytes]]:
    for first in range(0, len(records), _GROUP):
        here = slice(first, first + _GROUP)
        yield here, bound_rows(records[here], versions[here])


class _Siv:
    """The two ciphers of AES-SIV (RFC 5297): the key's first half for S2V, the second for the key stream."""

    def __init__(self, field: Sealed) -> None:
        half = len(field.key) // 2
        self.counter = block_cipher(field.key[half:])
        self.s2v = S2v(block_cipher(field.key[:half]), field.context, field.size)


# -- fields of less than a block: one step for all of them, but for AES, whose key differs ----------------


def _seal_short(fields: Sequence[tuple[_Siv, Sealed]], rows: Bytes, here: slice) -> None:
    if not fields:
        return
    text = np.empty((len(fields), len(rows), BLOCK), np.uint8)
    for n, (_, field) in enumerate(fields):
        text[n] = field.text[here]
    tags = tags_short([siv.s2v for siv, _ in fields], rows, text)
    text ^= _stream_short(fields, tags)
    for n, (_, field) in enumerate(fields):
        cells = field.cells[here]
        move(tags[n], cells[:, :BLOCK])
        move(text[n, :, : field.size], cells[:, BLOCK:])


def _open_short(fields: Sequence[tuple[_Siv, Sealed]], rows: Bytes, here: slice) -> bool:
    if not fields:
        return True
    shape = (len(fields), len(rows), BLOCK)
    tags, text = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for n, (_, field) in enumerate(fields):
        cells = field.cells[here]
        move(cells[:, :BLOCK], tags[n])
        move(cells[:, BLOCK:], text[n, :, : field.size])
    text ^= _stream_short(fields, tags)
    for n, (_, field) in enumerate(fields):
        clear(text[n, :, field.size :])
    fits = bool((tags_short([siv.s2v for siv, _ in fields], rows, text) == tags).all())
    for n, (_, field) in enumerate(fields):
        field.text[here] = text[n]
    return fits


def _stream_short(fields: Sequence[tuple[_Siv, Sealed]], tags: Bytes) -> Bytes:
    """The key stream (RFC 5297, 2.5)."""
    counters, stream = np.empty(tags.shape, np.uint8), Room(tags.shape)
    fill(counters, _COUNTER)
    counters &= tags
    for n, (siv, _) in enumerate(fields):
        stream.encrypt(siv.counter, counters[n], n)
    return stream.blocks


# -- a field of a block or more: its text lies by block here, first blocks of all rows, second blocks, … ---


def _seal_long(siv: _Siv, field: Sealed, rows: Bytes, here: slice) -> None:
    text = by_block(field.text[here])
    tags = tags_long(siv.s2v, rows, text)
    text ^= _stream_long(siv, tags, len(text))
    cells = field.cells[here]
    move(tags, cells[:, :BLOCK])
    for block, start in enumerate(range(BLOCK, field.size + BLOCK, BLOCK)):
        part = cells[:, start : start + BLOCK]
        move(text[block, :, : part.shape[1]], part)


def _open_long(siv: _Siv, field: Sealed, rows: Bytes, here: slice) -> bool:
    cells = field.cells[here]
    tags, text = (
        np.empty((len(rows), BLOCK), np.uint8),
        np.empty((blocks_for(field.size), *rows.shape), np.uint8),
    )
    move(cells[:, :BLOCK], tags)
    for block, start in enumerate(range(BLOCK, field.size + BLOCK, BLOCK)):
        part = cells[:, start : start + BLOCK]
        move(part, text[block, :, : part.shape[1]])
    text ^= _stream_long(siv, tags, len(text))
    if field.size % BLOCK:
        clear(text[-1, :, field.size % BLOCK :])
    fits = bool((tags_long(siv.s2v, rows, text) == tags).all())
    field.text[here].view("V16")[...] = text.view("V16")[:, :, 0].T
    return fits


def _stream_long(siv: _Siv, tags: Bytes, blocks: int) -> Bytes:
    """The key stream (RFC 5297, 2.5), as ``uint8[blocks, n, 16]``."""
    count = len(tags)
    counters, stream = np.empty((blocks, count, BLOCK), np.uint8), Room((1, blocks * count, BLOCK))
    first = counters[0]
    fill(first, _COUNTER)
    first &= tags
    counters[1:] = first
    if blocks > 1:
        low = first.view(">u4")[:, 3].astype(np.uint32)  # never carries over: its first bit is 0
        for block in range(1, blocks):
            counters[block].view(">u4")[:, 3] = low + np.uint32(block)
    stream.encrypt(siv.counter, counters, 0)
    return stream.blocks.reshape(counters.shape)

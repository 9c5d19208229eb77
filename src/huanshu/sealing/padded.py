"""Padding by column: Arrow text in, ``uint8[n, width + 1]`` out, and back. The bytes are those of ``padding``.

No Python object is made per value. What ``pad`` cannot have made is refused, invalid UTF-8 included.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK
from huanshu.sealing.cells import refused
from huanshu.sealing.padding import END, too_long

Bytes = NDArray[np.uint8]


def pad_column(values: pa.Array, width: int) -> Bytes:
    """``values`` is nullable text, or bytes. InputError when a value's UTF-8 is longer than ``width`` bytes."""
    rows = len(values)
    plain = pc.fill_null(values.cast(pa.large_binary()), b"")
    offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + rows + 1]
    lengths = np.diff(offsets)
    if rows and lengths.max() > width:
        raise too_long(width)
    padded = np.zeros((rows, width + 1), np.uint8)
    if rows:
        flat = np.frombuffer(plain.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
        padded[np.arange(width + 1) < lengths[:, None]] = flat
    present = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    padded[present, lengths[present]] = END
    return padded


def pad_blocks(values: pa.Array, width: int) -> Bytes:
    """``pad_column``, each row extended with zeros to whole AES blocks. ``values`` may have a dictionary: what
    repeats is padded once. InputError as above; a value of the dictionary that no row has may be of any length."""
    if not pa.types.is_dictionary(values.type):
        padded, over = _blocks(values, width)
        if over.any():
            raise too_long(width)
        return padded
    codes = values.indices
    if len(values.dictionary) > len(values):
        return pad_blocks(values.dictionary.take(codes), width)
    padded, over = _blocks(pa.concat_arrays([values.dictionary, pa.nulls(1, values.dictionary.type)]), width)
    places = pc.fill_null(codes, len(values.dictionary)).to_numpy()
    if over.any() and over[places].any():
        raise too_long(width)
    item = f"V{padded.shape[1]}"
    found: Bytes = padded.view(item).reshape(-1)[places].view(np.uint8).reshape(-1, padded.shape[1])
    return found


def _blocks(values: pa.Array, width: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """Padded values in whole blocks, and which of them are longer than ``width`` (their bytes mean nothing then)."""
    rows, size = len(values), -(-(width + 1) // BLOCK) * BLOCK
    plain = pc.fill_null(values.cast(pa.large_binary()), b"")
    offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + rows + 1]
    lengths = np.diff(offsets)
    over: NDArray[np.bool_] = lengths > width
    flat = np.zeros(int(offsets[-1] - offsets[0]) + size, np.uint8)
    if offsets[-1] > offsets[0]:
        flat[:-size] = np.frombuffer(plain.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    # Each value with what happens to follow it, in one item; then what follows is taken away again.
    windows = np.ndarray((len(flat) - size + 1,), f"V{size}", flat, strides=(1,))
    padded = windows[offsets[:-1] - offsets[0]].view(np.uint8).reshape(rows, size)
    within = np.tri(width + 1, size, -1, np.uint8) * np.uint8(255)  # row n: n bytes stay
    lengths = np.minimum(lengths, width)
    padded &= within.view(f"V{size}").reshape(-1)[lengths].view(np.uint8).reshape(rows, size)
    present = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    padded[present, lengths[present]] = END
    return padded, over


def unpad_column(padded: Bytes, made_of: pa.DataType | None = None) -> pa.Array:
    """Inverse of ``pad_column``: ``large_string``, or ``large_binary`` where that is ``made_of``. TamperedError for
    bytes that it cannot have made."""
    rows, size = padded.shape
    filled = padded != 0
    absent = ~filled.any(axis=1)
    ends = size - 1 - np.argmax(filled[:, ::-1], axis=1)
    if (padded[np.arange(rows), ends] != END)[~absent].any():
        raise refused()
    lengths = np.where(absent, 0, ends)
    flat = padded[np.arange(size) < lengths[:, None]]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    kind = made_of or pa.large_string()
    made = pa.Array.from_buffers(
        kind, rows, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(flat))]
    )
    try:
        made.validate(full=True)
    except pa.ArrowInvalid:
        raise refused() from None
    return pc.if_else(pa.array(absent), pa.scalar(None, kind), made)

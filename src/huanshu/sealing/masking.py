"""Masks by column: the same characters as ``masks``, for Arrow text at once, without a Python object per value.

Lengths count characters, as there. A test holds every mask of the one against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: After which an address ends, nearest first; each with its bytes in UTF-8.
_ROADS: Final = tuple((mark, len(mark.encode())) for mark in ("路", "街道", "社区", "村"))

_NOTHING: Final = pa.scalar("", pa.large_string())


def mask_column(name: str, values: pa.Array) -> pa.Array:
    """``mask`` of every value, absent ones absent. ``large_string`` out; ``KeyError`` for an unknown mask name."""
    text = values.cast(pa.large_string())
    return _COLUMNS[name](text)


def _stars(count: pa.Array) -> pa.Array:
    return pc.binary_repeat(pa.scalar("*", pa.large_string()), count)


def _whole(text: pa.Array) -> pa.Array:
    return _stars(pc.utf8_length(text))


def _keep(text: pa.Array, head: pa.Array, tail: int) -> pa.Array:
    """Keep ``head`` (a beginning of each value) and ``tail`` characters; all masked when fewer than two are hidden."""
    hidden = pc.subtract(pc.subtract(pc.utf8_length(text), pc.utf8_length(head)), tail)
    parts = [head, _stars(pc.max_element_wise(hidden, 0))]
    if tail:
        parts.append(pc.utf8_slice_codeunits(text, start=-tail))
    kept = pc.binary_join_element_wise(*parts, _NOTHING)
    return pc.if_else(pc.less(hidden, 2), _whole(text), kept)


def _ends(head: int, tail: int) -> Callable[[pa.Array], pa.Array]:
    return lambda text: _keep(text, pc.utf8_slice_codeunits(text, start=0, stop=head), tail)


def _name(text: pa.Array) -> pa.Array:
    length = pc.utf8_length(text)
    rest = _stars(pc.max_element_wise(pc.subtract(length, 1), 0))
    kept = pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, start=0, stop=1), rest, _NOTHING)
    return pc.if_else(pc.greater(length, 1), kept, _whole(text))


def _birth_date(text: pa.Array) -> pa.Array:
    dashed = pc.equal(pc.utf8_slice_codeunits(text, start=4, stop=5), "-")
    shaped = pc.and_(pc.equal(pc.utf8_length(text), 10), dashed)
    year = pc.utf8_slice_codeunits(text, start=0, stop=4)
    kept = pc.binary_join_element_wise(year, pa.scalar("-**-**", pa.large_string()), _NOTHING)
    return pc.if_else(shaped, kept, _whole(text))


def _address(text: pa.Array) -> pa.Array:
    """Down to the road or community, hiding house and room."""
    places = np.stack([_found(text, mark) for mark, _ in _ROADS])
    nearest = np.where(places > 0, places, np.iinfo(np.int64).max).argmin(axis=0)
    place = places[nearest, np.arange(len(text))]
    size = np.array([size for _, size in _ROADS])[nearest]
    head = _beginnings(text, np.where(place > 0, place + size, 0))
    return pc.if_else(pa.array(place > 0), _keep(text, head, 0), _whole(text))


def _found(text: pa.Array, mark: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = pc.fill_null(pc.find_substring(text, mark), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def _beginnings(text: pa.Array, sizes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    """The first ``sizes`` bytes of each value (whole characters: the caller sees to it)."""
    plain = pc.fill_null(text, "")
    offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + len(plain) + 1]
    flat = np.frombuffer(plain.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    within = np.arange(len(flat)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    kept = flat[within < np.repeat(sizes, lengths)]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    made = pa.Array.from_buffers(
        pa.large_string(), len(plain), [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(kept))]
    )
    return pc.if_else(text.is_valid(), made, pa.scalar(None, pa.large_string()))


_COLUMNS: Final[Mapping[str, Callable[[pa.Array], pa.Array]]] = {
    "citizen_number": _ends(6, 4),
    "name": _name,
    "phone": _ends(3, 4),
    "birth_date": _birth_date,
    "household_number": _ends(0, 3),
    "address": _address,
    "all": _whole,
}

"""Masks by column: the same characters as ``masks``, for Arrow text at once, without a Python object per value.

Lengths count characters, as there. A test holds every mask of the one against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from huanshu.sealing.masks import COMPOUND_SURNAMES, DEPTHS, DOTS, ENDS, SHAPES, mask

Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]

_NOTHING: Final = pa.scalar("", pa.large_string())
_COMPOUND: Final = pa.array(sorted(COMPOUND_SURNAMES), pa.large_string())


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
    length, two = pc.utf8_length(text), pc.utf8_slice_codeunits(text, start=0, stop=2)
    compound = pc.and_(pc.greater(length, 2), pc.is_in(two, value_set=_COMPOUND))
    head = pc.if_else(compound, two, pc.utf8_slice_codeunits(text, start=0, stop=1))
    behind = pc.subtract(length, pc.if_else(compound, 2, 1))
    rest = _stars(pc.max_element_wise(behind, 0))
    hides = pc.greater(behind, 0)
    if _may_have_dots(text):
        rest, hides = _between_dots(text, compound, rest, hides)
    masked = pc.binary_join_element_wise(head, rest, _NOTHING)
    return masked if pc.all(hides).as_py() else pc.if_else(hides, masked, _whole(text))


def _may_have_dots(text: pa.Array) -> bool:
    """Whether a byte that begins a dot is anywhere: names in Chinese characters have none."""
    _, flat = _bytes_of(text)
    return any((flat == dot.encode()[0]).any() for dot in DOTS)


def _between_dots(
    text: pa.Array, compound: pa.Array, rest: pa.Array, hides: pa.Array
) -> tuple[pa.Array, pa.Array]:
    """What hides the rest of each name, its dots kept; and whether anything is hidden."""
    dotted = pc.match_substring_regex(text, f"[{DOTS}]")
    behind = pc.if_else(
        compound, pc.utf8_slice_codeunits(text, start=2), pc.utf8_slice_codeunits(text, start=1)
    )
    kept = pc.replace_substring_regex(behind, f"[^{DOTS}]", "*")
    return pc.if_else(dotted, kept, rest), pc.if_else(dotted, pc.match_substring(kept, "*"), hides)


def _birth_date(text: pa.Array) -> pa.Array:
    dashed = pc.equal(pc.utf8_slice_codeunits(text, start=4, stop=5), "-")
    shaped = pc.and_(pc.equal(pc.utf8_length(text), 10), dashed)
    year = pc.utf8_slice_codeunits(text, start=0, stop=4)
    kept = pc.binary_join_element_wise(year, pa.scalar("-**-**", pa.large_string()), _NOTHING)
    return pc.if_else(shaped, kept, _whole(text))


def _shaped(pattern: str) -> Callable[[pa.Array], pa.Array]:
    def masked(text: pa.Array) -> pa.Array:
        found = pc.extract_regex(text, f"^{pattern}$")
        k0, h0, k1, h1, k2 = (found.field(name) for name in ("k0", "h0", "k1", "h1", "k2"))
        kept = pc.binary_join_element_wise(k0, _whole(h0), k1, _whole(h1), k2, _NOTHING)
        return pc.if_else(found.is_valid(), kept, _whole(text))

    return masked


def _address(name: str) -> Callable[[pa.Array], pa.Array]:
    """Down to a mark, hiding what comes after."""
    marks = [mark.encode() for mark in DEPTHS[name]]
    return lambda text: _cut(name, marks, text)


def _cut(name: str, marks: Sequence[bytes], text: pa.Array) -> pa.Array:
    ends, odd = _first_ends(text, marks)
    head = _beginnings(text, ends)
    masked = pc.if_else(pa.array(ends > 0), _keep(text, head, 0), _whole(text))
    if odd.any():
        # A mark at the beginning does not count, and neither does that mark further on: rare, so one by one.
        others = pa.array(
            [mask(name, value) for value in text.filter(pa.array(odd)).to_pylist()], masked.type
        )
        masked = pc.replace_with_mask(masked, pa.array(odd), others)
    return masked


def _first_ends(text: pa.Array, marks: Sequence[bytes]) -> tuple[Counts, NDArray[np.bool_]]:
    """Where the nearest mark ends, in bytes; 0 without one. And which addresses begin with a mark.

    UTF-8 never has the beginning of one character inside another, so bytes are compared, of all addresses at once."""
    offsets, flat = _bytes_of(text)
    if not len(flat):
        return np.zeros(len(text), np.int64), np.zeros(len(text), np.bool_)
    found = np.zeros(len(flat), np.uint8)
    longer = np.append(flat, np.zeros(max(map(len, marks)), np.uint8))
    for mark in marks:
        here = flat == mark[0]
        for after, byte in enumerate(mark[1:], 1):
            here &= longer[after : after + len(flat)] == byte
        found[here] = len(mark)
    starts = offsets[:-1]
    places = np.flatnonzero(found)
    nth = np.searchsorted(places, starts)
    place = np.append(places, len(flat))[nth]
    size = np.append(found[places], 0)[nth].astype(np.int64)
    ends: Counts = np.where(place + size <= offsets[1:], place + size - starts, 0)
    # What lies across two addresses is none.
    ends[place >= offsets[1:]] = 0
    return ends, (place == starts) & (ends > 0)


def _bytes_of(text: pa.Array) -> tuple[Counts, Bytes]:
    """Where each value begins, and after the last its end; and the bytes of them all."""
    plain = pc.fill_null(text, "")
    offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + len(plain) + 1]
    flat = np.frombuffer(plain.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], flat


def _beginnings(text: pa.Array, sizes: Counts) -> pa.Array:
    """The first ``sizes`` bytes of each value (whole characters: the caller sees to it)."""
    offsets, flat = _bytes_of(text)
    bounds = np.empty(2 * len(text) + 1, np.int64)
    bounds[:-1:2] = offsets[:-1]
    bounds[1::2] = offsets[:-1] + sizes
    bounds[-1] = len(flat)
    pieces = pa.Array.from_buffers(
        pa.large_string(), 2 * len(text), [None, pa.py_buffer(bounds), pa.py_buffer(flat)]
    )
    return pieces.take(pa.array(np.arange(len(text)) * 2, mask=~_present(text)))


def _present(text: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = text.is_valid().to_numpy(zero_copy_only=False)
    return found


_COLUMNS: Final[Mapping[str, Callable[[pa.Array], pa.Array]]] = {
    "name": _name,
    "birth_date": _birth_date,
    **{name: _ends(*kept) for name, kept in ENDS.items()},
    **{name: _address(name) for name in DEPTHS},
    **{name: _shaped(pattern) for name, pattern in SHAPES.items()},
    "all": _whole,
}

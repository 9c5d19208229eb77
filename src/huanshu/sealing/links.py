"""Links, tokens and content marks: CMAC values (RFC 4493; AES or SM4, as the key says) that compare unseen.

``link``  16 bytes over the normalised identifier, one key per identifier kind; never leaves the district
          store. ``token`` 16 bytes over a link under a *purpose's* key: what the ``match`` rung hands out.
``content_mark`` 16 bytes over all of a record's values: tells a changed record without opening the old one.

Leakage, on purpose: equality within one key, so also how often each value occurs. Therefore identifiers of high
cardinality only: a frequency attack with public statistics is measured in the tests, and finds nothing.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.cmac import CMAC
from numpy.typing import NDArray

from huanshu.sealing.blocks import BLOCK, block_cipher, encrypt, mac_column, subkeys
from huanshu.sealing.suites import block_algorithm
from huanshu.store.framing import Frames, joined

Bytes = NDArray[np.uint8]

_MARKED_AT_ONCE: Final = 4096  # rows whose values stay in the caches


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip().upper()


def _phone(value: str) -> str:
    """``+86 138-0000-0000`` and ``13800000000`` are one telephone."""
    plain = "".join(char for char in _folded(value) if not char.isspace() and char not in _HYPHENS)
    return plain.removeprefix("+86") if plain.startswith("+86") else _NATIONAL.sub("", plain)


#: What people put between groups of digits: hyphens, dashes and the minus sign; NFKC leaves most as they are.
_HYPHENS: Final = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
#: The country's code without its plus, only where a whole mobile number follows: a landline may begin with 86.
_NATIONAL: Final = re.compile(r"^86(?=1[0-9]{10}$)")

#: Normalisation per identifier kind: two spellings of one identifier get one link. The kinds are ``LinkKind``.
LINK_KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    "citizen_number": _folded,
    "credit_code": _folded,
    "person_number": _folded,
    "phone": _phone,
    "record_number": _folded,
}

#: What of each normalisation is left to Arrow: values that need no more than capitals.
_PLAIN: Final[Mapping[Callable[[str], str], str]] = {_folded: "^[!-~]*$", _phone: "^[0-9]{0,11}$"}
_PHONE: Final = 11

#: Between which bytes a normalisation leaves all as they are (of telephones, only in values of no more than 11).
_UNCHANGED: Final[Mapping[Callable[[str], str], tuple[int, int]]] = {
    _folded: (ord("!"), ord("a") - 1),
    _phone: (ord("0"), ord("9")),
}


def _mac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(block_algorithm(key))
    mac.update(message)
    return mac.finalize()


def link(key: bytes, kind: str, value: str) -> bytes:
    """16 bytes. ``KeyError`` for a kind without a normalisation."""
    return _mac(key, LINK_KINDS[kind](value).encode())


def token(key: bytes, linked: bytes) -> bytes:
    """16 bytes over a link under a purpose's key."""
    return _mac(key, linked)


def link_column(key: bytes, kind: str, values: pa.Array) -> Bytes:
    """``link`` of every value, as ``uint8[n, 16]``; an absent identifier links as the empty one."""
    messages = _normalised(kind, values)
    offsets = np.frombuffer(messages.buffers()[1], np.int64)[: len(messages) + 1]
    flat = np.frombuffer(messages.buffers()[2] or b"", np.uint8)
    return mac_column(key, flat, offsets[:-1], np.diff(offsets))


def _normalised(kind: str, values: pa.Array) -> pa.Array:
    """The normalised values as ``large_binary`` without an offset; Python's own rules where Arrow's may differ."""
    normalise = LINK_KINDS[kind]
    given = pc.fill_null(values.cast(pa.large_string()), "")
    if _as_it_is(given, normalise):
        return _from_the_start(given)
    plain = pc.match_substring_regex(given, _PLAIN[normalise])
    made = pc.ascii_upper(given)
    if not pc.all(plain, min_count=0).as_py():
        others = pa.array(map(normalise, given.filter(pc.invert(plain)).to_pylist()), pa.large_string())
        made = pc.replace_with_mask(made, pc.invert(plain), others)
    return _from_the_start(made)


def _as_it_is(given: pa.Array, normalise: Callable[[str], str]) -> bool:
    """Whether every value is its own normalised form, seen from the bytes of all of them at once: nearly always."""
    offsets = np.frombuffer(given.buffers()[1], np.int64)[given.offset : given.offset + len(given) + 1]
    flat = np.frombuffer(given.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    if normalise is _phone and len(given) and np.diff(offsets).max() > _PHONE:
        return False
    low, high = _UNCHANGED[normalise]
    return not len(flat) or bool(flat.min() >= low and flat.max() <= high)


def _from_the_start(text: pa.Array) -> pa.Array:
    """``large_binary`` whose first offset is 0: itself, or a copy."""
    if not text.offset:
        return text.cast(pa.large_binary())
    return pa.concat_arrays([pa.array([], pa.large_binary()), text.cast(pa.large_binary())])


def token_column(key: bytes, links: Bytes) -> Bytes:
    """``token`` of every row of ``uint8[n, 16]``: one whole block is one AES call (RFC 4493, 2.4)."""
    cipher = block_cipher(key)
    return encrypt(cipher, links ^ subkeys(cipher)[0])


def content_mark(key: bytes, values: Iterable[str | None]) -> bytes:
    """16 bytes over values in contract order; absent is not the empty string."""
    parts = (
        b"\xff\xff\xff\xff" if value is None else struct.pack(">I", len(raw := value.encode())) + raw
        for value in values
    )
    return _mac(key, b"".join(parts))


def content_marks(key: bytes, columns: Mapping[str, pa.Array]) -> Bytes:
    """``content_mark`` of every row, as ``uint8[n, 16]``; ``columns`` in contract order, of text, perhaps with
    dictionaries.

    A value is framed as PostgreSQL's COPY frames it: its length, -1 when absent, then its bytes."""
    rows, frames = len(next(iter(columns.values()))), Frames(list(columns.values()))
    marks = np.empty((rows, BLOCK), np.uint8)
    for first in range(0, rows, _MARKED_AT_ONCE):
        image, offsets = joined(frames.pieces(first, min(_MARKED_AT_ONCE, rows - first)))
        marks[first : first + len(offsets) - 1] = mac_column(
            key, np.frombuffer(image, np.uint8), offsets[:-1], np.diff(offsets)
        )
    return marks

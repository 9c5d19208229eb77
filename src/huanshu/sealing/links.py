"""Links, tokens and content marks: AES-CMAC (RFC 4493) values that compare without being seen.

``link``  16 bytes over the normalised identifier, one key per identifier kind; never leaves the district
          store. ``token`` 16 bytes over a link under a *purpose's* key: what the ``match`` rung hands out.
``content_mark`` 16 bytes over all of a record's values: tells a changed record without opening the old one.

Leakage, on purpose: equality within one key. Therefore identifiers of high cardinality only.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.cmac import CMAC
from numpy.typing import NDArray


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip().upper()


#: Normalisation per identifier kind: two spellings of one identifier get one link.
LINK_KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    "citizen_number": _folded,
    "credit_code": _folded,
    "person_number": _folded,
    "record_number": _folded,
}


def _mac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def link(key: bytes, kind: str, value: str) -> bytes:
    """16 bytes; ``key`` is 32 bytes. ``KeyError`` for a kind without a normalisation."""
    return _mac(key, LINK_KINDS[kind](value).encode())


def token(key: bytes, linked: bytes) -> bytes:
    """16 bytes over a link under a purpose's 32-byte key."""
    return _mac(key, linked)


def token_column(key: bytes, links: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``token`` of every row of ``uint8[n, 16]``: one block is one AES call after the subkey (RFC 4493, 2.4)."""
    zero = Cipher(AES(key), ECB()).encryptor().update(bytes(16))  # noqa: S305 - CMAC's block function
    doubled = int.from_bytes(zero, "big") << 1
    subkey = (doubled ^ (0x87 if zero[0] & 0x80 else 0)) & ((1 << 128) - 1)
    blocks = links ^ np.frombuffer(subkey.to_bytes(16, "big"), np.uint8)
    tokens = Cipher(AES(key), ECB()).encryptor().update(blocks.tobytes())  # noqa: S305
    return np.frombuffer(tokens, np.uint8).reshape(links.shape)


def content_mark(key: bytes, values: Iterable[str | None]) -> bytes:
    """16 bytes over values in contract order; absent is not the empty string."""
    parts = (
        b"\xff\xff\xff\xff" if value is None else struct.pack(">I", len(raw := value.encode())) + raw
        for value in values
    )
    return _mac(key, b"".join(parts))

"""Canonical bytes (RFC 8785) of the objects we sign and hash.

Narrower than the RFC on purpose: no floats and no null, so that one meaning has one spelling; integers stay
within 2^53 - 1, which every JSON reader keeps exact. What is not canonicalisable is a programming error here
and a refused input there: always InputError ``canonical.value.refused``.

Of what is left, Python's own encoder writes the RFC's bytes, ten times as fast as the ``rfc8785`` library: the same
escapes, and the same order of names as long as none goes beyond U+FFFF (the RFC compares UTF-16 units). Where one does,
the library orders them; a test compares the two.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import rfc8785

from huanshu.errors import InputError, Text

_LARGEST: Final = 2**53 - 1


_encode: Final = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False
).encode


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of objects, arrays, strings, integers and booleans. Raises InputError otherwise."""
    return written(value)[0].encode()


def written(value: Any) -> tuple[str, bool]:
    """``canonical`` as text, and whether reading it back gives a value of the same types: it does not where there was a
    tuple, or a subclass. Raises InputError."""
    seen = _check(value)
    return rfc8785.dumps(value).decode() if seen & _BEYOND else _encode(value), not seen & _OTHER


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


#: What ``_check`` tells: a member's name goes beyond U+FFFF; a value is not of the type that JSON reads.
_BEYOND, _OTHER = 1, 2


def _check(value: Any) -> int:
    """Raises what has no canonical form. The exact types come first, because nearly everything is of one."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _text(value)
        return 0
    if kind is dict:
        seen = 0
        for name, item in value.items():
            if not isinstance(name, str):
                raise _refused("a member name that is no string", "非字符串成员名")
            if not name.isascii():
                _text(name)
                seen |= _BEYOND * (max(name) > "\uffff")
            seen |= _check(item)
        return seen
    if kind is int:
        if not -_LARGEST <= value <= _LARGEST:
            raise _refused("an integer beyond 2^53 - 1", "超出 2^53-1 的整数")
        return 0
    if kind is bool:
        return 0
    if kind is list:
        seen = 0
        for item in value:
            seen |= _check(item)
        return seen
    return _check(_plain(value)) | _OTHER


def _plain(value: Any) -> Any:
    """What a value of another type is written as (an enumeration's word is its text, a tuple is a list)."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    kind = type(value).__name__
    raise _refused(f"a {kind}", f"{kind} 类型")


def _text(text: str) -> None:
    """Refuses lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused("a lone surrogate", "孤立代理字符") from None


def _refused(en: str, zh: str) -> InputError:
    return InputError(
        "canonical.value.refused", Text(f"{en} has no canonical form here", f"{zh}没有规范形式")
    )

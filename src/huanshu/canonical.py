"""Canonical bytes (RFC 8785) of the objects we sign and hash.

Narrower than the RFC on purpose: no floats and no null, so that one meaning has one spelling; integers stay
within 2^53 - 1, which every JSON reader keeps exact. What is not canonicalisable is a programming error here
and a refused input there: always InputError ``canonical.value.refused``.

Of what is left, ``msgspec`` writes the RFC's bytes, far faster than the ``rfc8785`` library: the same escapes, and the
same order of names as long as none goes beyond U+FFFF (the RFC compares UTF-16 units). Where any character does, the
library writes; a test compares the two.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

import msgspec
import rfc8785

from huanshu.errors import InputError, Text

_LARGEST: Final = 2**53 - 1
#: What UTF-16 writes as two units.
_BEYOND: Final = re.compile("[\U00010000-\U0010ffff]")


_encode: Final = msgspec.json.Encoder(order="sorted").encode
#: For what msgspec takes for something else: subclasses of text and of numbers.
_encode_any: Final = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False
).encode
_TEXTS: Final = frozenset({str})


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of objects, arrays, strings, integers and booleans. Raises InputError otherwise."""
    return written(value)[0].encode()


def written(value: Any) -> tuple[str, bool]:
    """``canonical`` as text, and whether reading it back gives a value of the same types: it does not where there was a
    tuple, or a subclass. Raises InputError."""
    same = _check(value)
    try:
        text = _encode(value).decode() if same else _encode_any(value)
        # Looked at once, as a whole: of text that is ASCII throughout there is nothing more to ask.
        if not text.isascii():
            text.encode()
            if _BEYOND.search(text):
                text = rfc8785.dumps(value).decode()
    except UnicodeEncodeError:
        raise _refused("a lone surrogate", "孤立代理字符") from None
    return text, same


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> bool:
    """Raises what has no canonical form, whatever its texts hold; whether everything is of a type that JSON reads. The
    exact types come first, because nearly everything is of one."""
    kind = type(value)
    if kind is dict:
        same = _TEXTS.issuperset(map(type, value))
        if not same and not all(isinstance(name, str) for name in value):
            raise _refused("a member name that is no string", "非字符串成员名")
        for item in [item for item in value.values() if type(item) is not str]:
            same = _check(item) and same
        return same
    if kind is str or kind is bool:
        return True
    if kind is int:
        if not -_LARGEST <= value <= _LARGEST:
            raise _refused("an integer beyond 2^53 - 1", "超出 2^53-1 的整数")
        return True
    if kind is list:
        same = True
        for item in value:
            same = _check(item) and same
        return same
    _check(_plain(value))
    return False


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


def _refused(en: str, zh: str) -> InputError:
    return InputError(
        "canonical.value.refused", Text(f"{en} has no canonical form here", f"{zh}没有规范形式")
    )

"""Canonical bytes (RFC 8785) of the objects we sign and hash, by the ``rfc8785`` library.

Narrower than the RFC on purpose: no floats and no null, so that one meaning has one spelling; integers stay
within 2^53 - 1, which every JSON reader keeps exact. What is not canonicalisable is a programming error here
and a refused input there: always InputError ``canonical.value.refused``.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import rfc8785

from huanshu.errors import InputError, Text

_LARGEST: Final = 2**53 - 1


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of objects, arrays, strings, integers and booleans. Raises InputError otherwise."""
    _check(value)
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    match value:
        case bool():
            return
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refused("a lone surrogate", "孤立代理字符") from None
        case int():
            if abs(value) > _LARGEST:
                raise _refused("an integer beyond 2^53 - 1", "超出 2^53-1 的整数")
        case list() | tuple():
            for item in value:
                _check(item)
        case dict():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise _refused("a member name that is no string", "非字符串成员名")
                _check(name)
                _check(item)
        case _:
            raise _refused(f"a {type(value).__name__}", f"{type(value).__name__} 类型")


def _refused(en: str, zh: str) -> InputError:
    return InputError(
        "canonical.value.refused", Text(f"{en} has no canonical form here", f"{zh}没有规范形式")
    )

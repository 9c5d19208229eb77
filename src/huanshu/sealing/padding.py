"""Every sealed value of a field has the same length, and so has an absent one.

A present value is its UTF-8 bytes, then 0x80, then zeros up to ``width + 1`` (ISO/IEC 7816-4 padding);
an absent value is ``width + 1`` zeros. A stolen store therefore shows neither null nor length.
"""

from __future__ import annotations

from huanshu.errors import InputError, TamperedError, Text

#: The byte that ends a present value.
END = 0x80
_END = bytes([END])


def pad(value: str | None, width: int) -> bytes:
    """``width + 1`` bytes. Raises InputError when the value's UTF-8 is longer than ``width`` bytes."""
    if value is None:
        return bytes(width + 1)
    raw = value.encode()
    if len(raw) > width:
        raise too_long(width)
    return (raw + _END).ljust(width + 1, b"\0")


def unpad(padded: bytes) -> str | None:
    """Inverse of ``pad``. Raises TamperedError for bytes that ``pad`` cannot have made."""
    stripped = padded.rstrip(b"\0")
    if not stripped:
        return None
    if not stripped.endswith(_END):
        raise TamperedError("sealing.cell.refused", Text("a sealed value was refused", "密封值校验未通过"))
    return stripped[:-1].decode()


def too_long(width: int) -> InputError:
    """The error for a value that its field has no room for; it does not say which."""
    return InputError(
        "sealing.value.too_long",
        Text(f"a value is longer than its field's {width} bytes", f"某值超出字段宽度 {width} 字节"),
        remedy=Text("quarantine it by rule, or widen huanshu.width", "按规则隔离，或加宽 huanshu.width"),
    )

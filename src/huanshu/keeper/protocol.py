"""Frames between the keeper and its clients: uint32-be length, then one JSON object.

A request is ``{"op": name, …}``; an answer is ``{"ok": …}`` or ``{"error": {family, code, what, …}}``.
Bytes travel as base64 text. A frame over ``LIMIT`` is refused unread; JSON only, nothing executable.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
from typing import Any, Final

from huanshu import errors
from huanshu.errors import HuanshuError, InputError, Text

LIMIT: Final = 16 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")
_FAMILIES: Final = {
    family.__name__: family
    for family in (
        errors.ContentError,
        errors.InputError,
        errors.HeldError,  # before its family: the first that fits is named
        errors.DeniedError,
        errors.UnavailableError,
        errors.TamperedError,
        errors.DefectError,
    )
}


def as_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def as_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def send(link: socket.socket, message: dict[str, Any]) -> None:
    raw = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    if len(raw) > LIMIT:
        raise _malformed("too large", "过大")
    link.sendall(_LENGTH.pack(len(raw)) + raw)


def receive(link: socket.socket) -> dict[str, Any] | None:
    """The next message, or None when the other side has closed between frames."""
    head = _exactly(link, _LENGTH.size, may_end=True)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LIMIT:
        raise _malformed("too large", "过大")
    raw = _exactly(link, length, may_end=False)
    try:
        message = json.loads(raw or b"")
    except (ValueError, RecursionError):
        raise _malformed("no JSON", "不是 JSON") from None
    if not isinstance(message, dict):
        raise _malformed("no object", "不是对象")
    return message


def error_message(error: HuanshuError) -> dict[str, Any]:
    family = next(name for name, kind in _FAMILIES.items() if isinstance(error, kind))
    return {"error": {"family": family, **error.as_json()}}


def raise_error(message: dict[str, Any]) -> None:
    """Raise here the error that the keeper raised there; its place is part of the sentence."""
    remedy = Text(**message["remedy"]) if message["remedy"] else None
    what = Text(**message["what"])
    if message["where"]:
        what = Text(*(f"{message['where']}: {sentence}" for sentence in what))
    raise _FAMILIES[message["family"]](message["code"], what, remedy=remedy)


def _exactly(link: socket.socket, count: int, *, may_end: bool) -> bytes | None:
    parts: list[bytes] = []
    missing = count
    while missing:
        part = link.recv(min(missing, 1 << 20))
        if not part:
            if may_end and missing == count:
                return None
            raise ConnectionResetError("the other side closed within a frame")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _malformed(en: str, zh: str) -> InputError:
    return InputError(
        "keeper.message.malformed", Text(f"a message to the keeper is {en}", f"发往钥匙保管的消息{zh}")
    )

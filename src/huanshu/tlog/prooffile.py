"""C2SP ``tlog-proof``: one file that proves offline that an entry is in the log.

    c2sp.org/tlog-proof@v1 LF · [extra <base64> LF] · index <n> LF · one base64 hash a line · LF · the checkpoint's note

The leaf itself is not in it, and ``extra`` is bound by nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from huanshu.errors import InputError, Text

_FIRST: Final = "c2sp.org/tlog-proof@v1"
_DEEPEST: Final = 63


@dataclass(frozen=True, slots=True)
class ProofFile:
    """What a ``.tlog-proof`` file says. ``note`` is a checkpoint with whatever signatures it has."""

    index: int
    proof: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    @property
    def text(self) -> str:
        lines = [_FIRST]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(hashed).decode() for hashed in self.proof]
        return "\n".join(lines) + "\n\n" + self.note

    @classmethod
    def parse(cls, text: str) -> ProofFile:
        """Inverse of ``text``. Raises InputError."""
        head, found, note = text.partition("\n\n")
        lines = head.split("\n")
        if not found or lines.pop(0) != _FIRST:
            raise _malformed()
        try:
            extra = None
            if lines and lines[0].startswith("extra "):
                extra = base64.b64decode(lines.pop(0)[6:], validate=True)
            word, index = lines.pop(0).split(" ")
            proof = tuple(base64.b64decode(line, validate=True) for line in lines)
            made = cls(int(index), proof, note, extra)
        except (ValueError, IndexError):
            raise _malformed() from None
        if word != "index" or made.index < 0 or made.text != text:
            raise _malformed()
        if len(proof) > _DEEPEST or any(len(hashed) != 32 for hashed in proof):
            raise _malformed()
        return made


def _malformed() -> InputError:
    return InputError(
        "tlog.proof.malformed",
        Text("this is no tlog-proof file", "不是有效的 tlog-proof 文件"),
        remedy=Text("ask who sent it for another copy", "请向提供方重新索取"),
    )

"""A fork's proof: two checkpoints of one log, both signed by it, that cannot both be of one growing tree.

    {"v": 1, "kind": "huanshu/fork-proof", "first": note, "second": note, "root": base64, "proof": [base64, …]}

``first`` is no larger than ``second``. ``root`` and ``proof`` show, by RFC 6962 alone, which root the second tree had
at the size of the first: it is another. Nobody needs to be believed but the log's own key, which signed both.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from huanshu.errors import HuanshuError, InputError, Text
from huanshu.tlog.notes import Checkpoint
from huanshu.tlog.proofs import require_consistency

_KIND: Final = "huanshu/fork-proof"


@dataclass(frozen=True, slots=True)
class ForkProof:
    """Two notes, and the second tree's root at the size of the first with its consistency proof."""

    first: str
    second: str
    root: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def of(cls, first: str, second: str, root: bytes, proof: Sequence[bytes]) -> ForkProof:
        return cls(first, second, root, tuple(proof))

    @property
    def text(self) -> str:
        made = {
            "v": 1, "kind": _KIND, "first": self.first, "second": self.second,
            "root": base64.b64encode(self.root).decode(),
            "proof": [base64.b64encode(hashed).decode() for hashed in self.proof],
        }  # fmt: skip
        return json.dumps(made, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> ForkProof:
        """Inverse of ``text``. Raises InputError."""
        try:
            said = json.loads(text)
            made = cls(
                str(said["first"]),
                str(said["second"]),
                base64.b64decode(said["root"], validate=True),
                tuple(base64.b64decode(hashed, validate=True) for hashed in said["proof"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _unproven() from None
        if (
            set(said) != {"v", "kind", "first", "second", "root", "proof"}
            or said["v"] != 1
            or said["kind"] != _KIND
        ):
            raise _unproven()
        return made

    def require(self, read: Callable[[str], Checkpoint]) -> tuple[Checkpoint, Checkpoint]:
        """The two checkpoints, when they are a fork. ``read`` gives the checkpoint of a note that the log signed, or
        raises. Raises InputError when they can be of one tree, or the file proves nothing."""
        try:
            first, second = read(self.first), read(self.second)
        except HuanshuError:
            raise _unproven() from None
        require_consistency(first.size, self.root, second.size, second.root, self.proof)
        if first.origin != second.origin or first.size == 0 or first.root == self.root:
            raise _unproven()
        return first, second


def _unproven() -> InputError:
    return InputError(
        "tlog.fork.unproven",
        Text("this file proves no fork of this log", "该文件不能证明本日志分叉"),
        remedy=Text(
            "keep both checkpoints, and ask both sides for their logs", "请保留两份检查点并向双方索取日志"
        ),
    )

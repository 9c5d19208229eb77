"""The names of a log: the origin that the home gives it, and one more for each time it was opened after a loss.

    district.example/log    district.example/log/2    district.example/log/3  …

One key signs under all of them, but a note of one name is no note of another: so nobody can take what was signed before
the loss for what was signed after it. A later origin goes on from the entries that were restored; what it has signed is
a tree that begins with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from huanshu.auditlog.signing import Signer
from huanshu.errors import TamperedError, Text
from huanshu.tlog import Checkpoint

Read = Callable[[str], Checkpoint]


def origin_of(note: str) -> str:
    """The origin that a note says it is of; believed only beside its signature."""
    return note.split("\n", 1)[0]


def generation(base: str, origin: str) -> int:
    """1 for the first origin, n for ``<base>/n``. TamperedError for what is no origin of this log."""
    if origin == base:
        return 1
    head, _, number = origin.rpartition("/")
    if head == base and number.isascii() and number.isdigit() and number == str(int(number)) and number > "1":
        return int(number)
    raise TamperedError(
        "auditlog.origin.foreign",
        Text("a checkpoint is of another log", "检查点属于另一部日志"),
        remedy=Text(
            "is origin in audit/log.yaml the one that the log was begun with?",
            "请核对 audit/log.yaml 中的 origin 是否为创建日志时所用",
        ),
    )


def following(base: str, origin: str) -> str:
    """The origin after this one."""
    return f"{base}/{generation(base, origin) + 1}"


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins of one log: ``base`` in the home, ``current`` that its keeper signs under now."""

    signer: Signer
    base: str
    current: str

    @classmethod
    def of(cls, signer: Signer, base: str, head: str | None) -> Origins:
        """As the keeper's head says; an empty log has none yet. TamperedError for a head that is not ours."""
        if head is None:
            return cls(signer, base, base)
        found = cls(signer, base, origin_of(head))
        generation(base, found.current)
        signer.read_checkpoint(found.current, head)
        return found

    def read(self, note: str) -> Checkpoint:
        """A checkpoint of the origin of now, or TamperedError."""
        return self.signer.read_checkpoint(self.current, note)

    def read_any(self, note: str) -> Checkpoint:
        """A checkpoint of the origin of now, or of one before it: those of the entries that were restored."""
        origin = origin_of(note)
        if generation(self.base, origin) > generation(self.base, self.current):
            raise TamperedError(
                "auditlog.origin.foreign",
                Text("a checkpoint is of a later origin than the head", "检查点的起点晚于日志头"),
            )
        return self.signer.read_checkpoint(origin, note)

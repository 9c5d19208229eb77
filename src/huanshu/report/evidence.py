"""Evidence: a figure with the entries it was counted from, and the proof that these entries are the log.

Invariant: a page is made only from entries that hash to the root it prints (RFC 6962 section 2.1). An entry cut
out, added, moved or changed is an error here and never a smaller figure. Checking the signature under the root
is the verifier's part, not this module's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from huanshu.auditlog.entries import Entry
from huanshu.canonical import canonical
from huanshu.errors import TamperedError, Text
from huanshu.tlog.notes import Checkpoint
from huanshu.tlog.tree import Frontier, leaf_hash

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and the indices of the entries it was counted from, ascending, each once."""

    kind: ClassVar[str] = "figure"
    value: int
    entries: tuple[int, ...] = ()

    @classmethod
    def count(cls, bodies: Iterable[Body]) -> Figure:
        """How many entries these are."""
        found = indices(bodies)
        return cls(len(found), found)

    @classmethod
    def total(cls, bodies: Iterable[Body], member: str) -> Figure:
        """The sum of a member of ``detail``."""
        listed = list(bodies)
        return cls(sum(int(body["detail"][member]) for body in listed), indices(listed))


def indices(bodies: Iterable[Body | None]) -> tuple[int, ...]:
    """Indices of entries, ascending, each once; None is no entry."""
    return tuple(sorted({int(body["index"]) for body in bodies if body is not None}))


def runs(entries: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending indices as (first, last) of unbroken runs."""
    found: list[tuple[int, int]] = []
    for index in sorted(set(entries)):
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def run_text(run: tuple[int, int]) -> str:
    """``#19`` or ``#12–#15``."""
    return f"#{run[0]}" if run[0] == run[1] else f"#{run[0]}–#{run[1]}"


def cite(entries: Iterable[int]) -> str:
    """Indices as people cite them: ``#12–#15, #19``; empty for none. Never cut short."""
    return ", ".join(map(run_text, runs(entries)))


def bound_entries(entries: Iterable[Body | Entry], checkpoint: Mapping[str, Any]) -> tuple[Body, ...]:
    """All entries of the checkpoint in order, as bodies.

    Raises TamperedError ``report.log.differs`` unless they are exactly the ``size`` entries under ``root`` (hex)."""
    tree, bodies = Frontier(), list[Body]()
    for entry in entries:
        body, leaf = (entry.body, entry.leaf) if isinstance(entry, Entry) else (entry, canonical(entry))
        if body["index"] != len(bodies):
            raise _differs(
                f"entry #{len(bodies)} is not where it belongs", f"条目 #{len(bodies)} 不在应在的位置"
            )
        tree.append(leaf_hash(leaf))
        bodies.append(body)
    if tree.size != checkpoint["size"]:
        raise _differs(
            f"{tree.size} entries, but the checkpoint counts {checkpoint['size']}",
            f"读到 {tree.size} 条，检查点应有 {checkpoint['size']} 条",
        )
    if tree.root.hex() != checkpoint["root"]:
        raise _differs("the entries do not hash to the checkpoint's root", "条目与检查点的树根不符")
    return tuple(bodies)


def signs(note: str, checkpoint: Mapping[str, Any]) -> bool:
    """Whether a signed note is about exactly this checkpoint (a newer one may have been made meanwhile)."""
    text, separator, _ = note.partition("\n\n")
    if not separator:
        return False
    try:
        signed = Checkpoint.parse(text + "\n")
    except TamperedError:
        return False
    return (signed.origin, signed.size, signed.root.hex()) == (
        checkpoint["origin"],
        checkpoint["size"],
        checkpoint["root"],
    )


def _differs(en: str, zh: str) -> TamperedError:
    return TamperedError(
        "report.log.differs",
        Text(f"no report is made from this log: {en}", f"不能据此日志出具报告：{zh}"),
        remedy=Text("run huanshu verify and tell security staff", "请运行 huanshu verify 并通知安全人员"),
    )

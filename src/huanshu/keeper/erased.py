"""Who may no longer be opened or delivered because he was erased, whatever a store says.

The subjects of a confirmed erasure lie sealed beside its proposal's entry; they are opened here once and kept. When
they cannot be opened, nothing of that dataset is readable: fail closed. So a store put back from a backup brings
nobody back: the log says who was erased, and the keeper holds the log's head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyroaring import BitMap

from huanshu.auditlog import Register
from huanshu.auditlog.custody import Erasure
from huanshu.errors import DeniedError, Text
from huanshu.keeper.bitmaps import open_member
from huanshu.keeper.recalled import OpenBitmap

#: Events by which somebody's values are opened: to be seen, compared, moved or changed.
_OPENING: Final = frozenset(
    {
        "access.record.authorised",
        "access.correction.authorised",
        "access.comparison.authorised",
        "access.workbook.authorised",
        "access.quarantine.authorised",
        "correction.batch.authorised",
        "exchange.delivery.authorised",
    }
)


class ErasedSubjects:
    """The erasures that the log confirms, by the subjects they cover."""

    def __init__(self, register: Register, open_bitmap: OpenBitmap) -> None:
        self._register = register
        self._open = open_bitmap
        self._subjects: dict[int, BitMap] = {}

    def require_none(self, body: Mapping[str, Any], bitmap: bytes | None) -> None:
        """``bitmap``: whom an entry about to be appended is about. DeniedError when one of them was erased."""
        if body["event"] not in _OPENING or bitmap is None:
            return
        about = BitMap.deserialize(bitmap)
        for erasure in self._register.custody.erasures:
            if erasure.dataset == body["dataset"] and not about.isdisjoint(self.of(erasure)):
                raise DeniedError(
                    "access.subject.erased",
                    Text(
                        f"somebody in it was erased by entry {erasure.index}",
                        f"其中有主体已由条目 {erasure.index} 删除",
                    ),
                    remedy=Text(
                        "huanshu keys apply takes what came back out of the store; tell security staff",
                        "运行 huanshu keys apply 清除残留，并通知安全人员",
                    ),
                )

    def of(self, erasure: Erasure) -> BitMap:
        """Ordinals of an erasure's subjects."""
        if erasure.index not in self._subjects:
            self._subjects[erasure.index] = open_member(erasure.subjects, self._open(erasure.subjects))
        return self._subjects[erasure.index]

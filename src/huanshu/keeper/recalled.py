"""Which records may not be read because the delivery that brought them was recalled.

The record numbers of a recalled delivery lie sealed beside its entry; they are opened here once and kept. When
they cannot be opened, nothing of that receiver and dataset is readable: fail closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pyroaring import BitMap

from huanshu.auditlog import Recall, Register
from huanshu.catalog.nouns import DomainTree, Home
from huanshu.errors import DeniedError, Text
from huanshu.keeper.bitmaps import open_member

#: Opens what lies beside the log under the digest of its sealed and its plain bytes.
OpenBitmap = Callable[[Mapping[str, Any]], bytes]

_OF_ONE_RECORD: Final = frozenset(
    {"access.record.authorised", "access.correction.authorised", "access.comparison.authorised"}
)
_WORKBOOK: Final = "access.workbook.authorised"
_WAIT: Final = Text("wait for the delivery that replaces it", "请等待替换它的下一次交付")


class RecalledRecords:
    """The recalls that stand, by the records they cover."""

    def __init__(self, register: Register, open_bitmap: OpenBitmap) -> None:
        self._register = register
        self._open = open_bitmap
        self._records: dict[int, BitMap] = {}

    def require_readable(self, body: Mapping[str, Any], home: Home) -> None:
        """``body``: an entry by which somebody sees values, or a claim to append one. DeniedError when its record came
        by a recalled delivery to the domain asked about, to one below it or to one above it; or, of a workbook, when
        anything in its slice did."""
        if body["event"] == _WORKBOOK:
            self._require_whole(body)
        if body["event"] not in _OF_ONE_RECORD:
            return
        record = int(body["detail"]["record"])
        for recall in self._register.holds.recalls():
            here = _touches(home.policies.domains, recall.receiver, str(body["domain"]))
            if here and recall.dataset == body["dataset"] and record in self._covered(recall):
                raise DeniedError(
                    "access.record.recalled",
                    Text(
                        f"the delivery that brought this record was recalled (entry {recall.index})",
                        f"带来该记录的交付已被召回（条目 {recall.index}）",
                    ),
                    remedy=_WAIT,
                )

    def replaced_by(self, body: Mapping[str, Any], told: Mapping[str, bytes]) -> list[int]:
        """The recalls that a delivery about to be authorised ends when it has arrived. ``told``: by the entry of a
        recall, the bitmap of its records that the receiver will no longer hold as they were brought. All must be."""
        return [
            recall.index
            for recall in self._register.holds.recalls()
            if (recall.flow, recall.receiver) == (body["flow"]["id"], body["domain"])
            and str(recall.index) in told
            and self._covered(recall) <= BitMap.deserialize(told[str(recall.index)])
        ]

    def _require_whole(self, body: Mapping[str, Any]) -> None:
        for recall in self._register.holds.recalls():
            if (recall.receiver, recall.dataset) == (body["domain"], body["dataset"]):
                raise DeniedError(
                    "access.workbook.recalled",
                    Text(
                        f"a delivery in this slice was recalled (entry {recall.index})",
                        f"本社区数据中有已被召回的交付（条目 {recall.index}）",
                    ),
                    remedy=_WAIT,
                )

    def _covered(self, recall: Recall) -> BitMap:
        if recall.index not in self._records:
            self._records[recall.index] = open_member(recall.records, self._open(recall.records))
        return self._records[recall.index]


def _touches(domains: DomainTree, receiver: str, asked: str) -> bool:
    if asked not in domains or receiver not in domains:
        return True
    return asked == receiver or domains.is_below(asked, receiver) or domains.is_below(receiver, asked)

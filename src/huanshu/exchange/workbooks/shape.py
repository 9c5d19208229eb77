"""What a workbook says of itself: bound, with the records and versions it shows, by the keeper's mark.

The mark covers who it is for, which contract, which columns at which rung, and every (record, version) — not the cells,
which are there to be changed. A row added, taken away or pointed at another record does not bear it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from huanshu.canonical import canonical
from huanshu.catalog import Rung
from huanshu.errors import InputError, Text

MAX_ROWS: Final = 50_000
#: Sheet names are part of the form, so they are in both languages at once.
REGISTER: Final = "登记 register"
ANSWERS: Final = "答复 answers"
LISTS: Final = "lists"
HIDDEN: Final = "huanshu"
#: Rows above the records: the recipient's mark, the titles.
HEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """One workbook. ``fields``: column by column, the rung's word at which it is shown, or "" when it is not."""

    workbook: str
    dataset: str
    domain: str
    sequence: int
    contract: str
    purpose: str
    recipient: str
    issued: str
    fields: Mapping[str, str]

    def as_text(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)  # the order of the fields is that of the columns

    @classmethod
    def of_text(cls, text: object) -> Shape:
        """Raises InputError ``correction.workbook.foreign`` for what is no shape."""
        try:
            members: dict[str, Any] = json.loads(str(text))
            shape = cls(**members)
            texts = (
                shape.workbook,
                shape.dataset,
                shape.domain,
                shape.contract,
                shape.purpose,
                shape.recipient,
            )
            good = all(isinstance(t, str) for t in texts) and shape.sequence in range(1, 2**31)
            good = good and all(isinstance(k, str) and isinstance(v, str) for k, v in shape.fields.items())
        except (ValueError, TypeError, AttributeError, RecursionError):
            good = False
        if not good:
            raise no_workbook()
        return shape

    def bound(self, rows: Iterable[tuple[int, int]]) -> str:
        """The text that the mark is over."""
        members = {**asdict(self), "fields": list(map(list, self.fields.items()))}
        return canonical({**members, "rows": [[r, v] for r, v in sorted(rows)]}).decode()

    def rung(self, field: str) -> Rung | None:
        word = self.fields[field]
        return Rung.of(word) if word else None


def no_workbook() -> InputError:
    """The error for a file that was not made here."""
    return InputError(
        "correction.workbook.foreign",
        Text("this is no workbook of this platform", "这不是本平台生成的工作簿"),
        remedy=Text("make one: huanshu workbook export", "请先生成：huanshu workbook export"),
    )

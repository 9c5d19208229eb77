"""Forms: the few shapes in which a measure answers, and which a template knows how to show.

``kind`` is what a template switches on: figure · tiles are drawn from figures · table, with cells figure, words,
moment, state · flows and timeline (see ``picture``). A form holds words in both languages and no markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal

from huanshu.errors import Text
from huanshu.report.evidence import Figure

#: Each level has a shape, a colour and words of its own, so that none of them carries the meaning alone.
Level = Literal["good", "wait", "none", "bad"]


NOTHING: Final = Text("", "")


def same(word: str) -> Text:
    """A name or code that reads the same in both languages."""
    return Text(word, word)


@dataclass(frozen=True, slots=True)
class Words:
    """A cell of text. ``note`` stands small beneath it; ``code`` (a code, digest or time) too, fixed-width."""

    kind: ClassVar[str] = "words"
    text: Text
    note: Text = NOTHING
    code: str = ""
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A cell of local time; None when there is none. ``day`` shows the date alone."""

    kind: ClassVar[str] = "moment"
    at: datetime | None
    entries: tuple[int, ...] = ()
    day: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A cell of state, by shape, colour and words."""

    kind: ClassVar[str] = "state"
    level: Level
    text: Text
    note: Text = NOTHING
    entries: tuple[int, ...] = ()


Cell = Figure | Words | Moment | State


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; ``numeric`` ones are right-aligned."""

    title: Text
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, one cell a column, the first of each row its heading. ``empty`` is said of no rows."""

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: Text
    #: Said beneath the table; each is a sentence with the mark it explains.
    notes: Sequence[Text] = field(default=())

"""How the command line speaks: one language, tables and progress for people, JSON for programs.

Results go to standard output; progress and errors to standard error. ``--json`` prints one JSON document
and nothing else. Errors leave with the exit code of their family (docs/operations.md has the table).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text as Verbatim

from huanshu.errors import HuanshuError, Text


class Speech:
    """Speaks to one user. Chosen once per command from ``--lang``/settings and ``--json``."""

    def __init__(self, language: str, *, as_json: bool = False) -> None:
        self.language = language
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: Text) -> str:
        return text.in_language(self.language)

    def tell(self, text: Text, *, style: str | None = None) -> None:
        """A sentence for people; silent under ``--json``."""
        if not self.as_json:
            self.out.print(self.say(text), style=style, markup=False)

    def result(self, document: object) -> None:
        """The command's answer as JSON, when asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(document), ensure_ascii=False, indent=2) + "\n")

    def table(self, title: Text, heads: Sequence[Text], rows: Iterable[Sequence[object]]) -> None:
        """A table for people; silent under ``--json``."""
        if self.as_json:
            return
        drawn = Table(title=self.say(title), title_justify="left")
        for head in heads:
            drawn.add_column(self.say(head), overflow="fold")  # a Chinese sentence has no blank to break at
        for row in rows:
            # As it stands: an error's code in brackets would be taken for markup, and vanish.
            drawn.add_row(*(Verbatim(self._cell(value)) for value in row))
        self.out.print(drawn)

    def fail(self, error: HuanshuError) -> None:
        """Explain an error: to standard error for people, as the JSON answer for programs."""
        if self.as_json:
            self.result({"error": error.as_json()})
        self.err.print(f"✗ {error.explain(self.language)}", style="red", markup=False)

    def _cell(self, value: object) -> str:
        if isinstance(value, Text):
            return self.say(value)
        return "" if value is None else str(value)


def plain(value: object) -> Any:
    """Dataclasses, enums, dates and tuples as JSON values."""
    if isinstance(value, Text):
        return value._asdict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value

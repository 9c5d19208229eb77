"""Whether a changed policy bundle only takes away: line by line, from the text of its files. Pure.

    rules        an ``allow`` goes, ends sooner, begins later or goes less far; a ``deny`` comes, or goes further
    posts        a holding goes, ends sooner or begins later
    persons      an account goes; a person goes
    cases        decide nothing: they are what ``huanshu check`` asks of the rules

Casbin takes the first rule that fits, by priority. So an ``allow`` less, or a ``deny`` more, turns no denial into an
allow: each of these changes only narrows, and so do all of them together. Whatever else is changed, however harmless it
looks, may widen, and is told so: a second person then looks at it. So is what lets somebody trace who saw whom: whoever
could take it from everybody alone would be watched by nobody. So is a whole list whose columns are not those known
here, in the order known here: by place alone an account could pass for a title.

Whom a change that only narrows would shut out of guarding the platform: ``catalog.lockout``.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Final, NamedTuple

Row = tuple[str, ...]
_RUNGS: Final = ("count", "match", "mask", "reveal")
_TRACE: Final = "trace"
_COLUMNS: Final[Mapping[str, Row]] = {
    "policies/posts.csv": (
        "post", "domain", "role", "title_zh", "title_en", "person", "capacity", "valid_from", "valid_until",
    ),
    "policies/persons.csv": ("person", "name", "os_account", "airflow_account"),
}  # fmt: skip
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Widened(NamedTuple):
    """One thing that may widen: a file, and the line that came or went ("" for a file that is no list)."""

    file: str
    change: str


def widened(old: Mapping[str, str], new: Mapping[str, str]) -> list[Widened]:
    """Everything in the change from one bundle's files to another's that may widen; [] when it only narrows."""
    found: list[Widened] = []
    for file in sorted({*old, *new}):
        before, after = old.get(file, ""), new.get(file, "")
        if before == after or file.startswith("policies/cases/"):
            continue
        judge, rows = _judge(file), (_rows(before), _rows(after))
        if judge is None or not all(_known(file, each) for each in rows):
            found.append(Widened(file, ""))
        else:
            found += (Widened(file, line) for line in judge(*rows))
    return found


Judge = Callable[[list[Row], list[Row]], Iterable[str]]


def _judge(file: str) -> Judge | None:
    if file.startswith("policies/rules/") and file.endswith(".csv"):
        return _rules
    return {"policies/posts.csv": _holdings, "policies/persons.csv": _persons}.get(file)


def _known(file: str, rows: list[Row]) -> bool:
    """Whether the columns are where the judge looks for them; rules have no heading, and are told by their length."""
    return file not in _COLUMNS or rows[:1] == [_COLUMNS[file]]


def _rows(text: str) -> list[Row]:
    lines = [
        line
        for line in text.lstrip("\ufeff").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return [tuple(cell.strip() for cell in row) for row in csv.reader(lines, strict=True)]


def _changed(before: list[Row], after: list[Row]) -> tuple[list[Row], list[Row]]:
    """(rows that went, rows that came)."""
    gone = Counter(before)
    gone.subtract(after)
    return [row for row, n in gone.items() for _ in range(n)], [
        row for row, n in gone.items() for _ in range(-n)
    ]


def _rules(before: list[Row], after: list[Row]) -> Iterable[str]:
    went, came = ([*rows] for rows in _changed(before, after))
    for sign, rows in (("-", went), ("+", came)):
        for row in [row for row in rows if _TRACE in row[7:8]]:
            rows.remove(row)
            yield _told(sign, row)
    allowed, denied = ([row for row in went if row[-1] == effect] for effect in ("allow", "deny"))
    yield from (
        _told("+", row) for row in came if row[-1] != "deny" and not _claimed(row, allowed, _rule_within)
    )
    denying = [row for row in came if row[-1] == "deny"]
    yield from (_told("-", row) for row in denied if not any(_rule_within(row, wider) for wider in denying))
    yield from (_told("-", row) for row in went if row[-1] not in ("allow", "deny"))


def _holdings(before: list[Row], after: list[Row]) -> Iterable[str]:
    went, came = _changed(before, after)
    yield from (_told("+", row) for row in came if not _claimed(row, went, _held_within))


def _persons(before: list[Row], after: list[Row]) -> Iterable[str]:
    went, came = _changed(before, after)
    yield from (_told("+", row) for row in came if not _claimed(row, went, _known_within))


def _claimed(row: Row, went: list[Row], within: Callable[[Row, Row], bool]) -> bool:
    """Whether a row that came is a narrower form of one that went; each is taken once."""
    found = next((wider for wider in went if within(row, wider)), None)
    if found is not None:
        went.remove(found)
    return found is not None


#: p, priority, role, reach, dataset, field, purpose, action, from, until, effect
def _rule_within(row: Row, wider: Row) -> bool:
    if len(row) != 11 or len(wider) != 11 or row[:7] != wider[:7] or row[10] != wider[10]:
        return False
    further = (row, wider) if row[10] == "allow" else (wider, row)  # a deny goes up the ladder, an allow down
    return _no_further(further[0][7], further[1][7]) and _window_within(row[8:10], wider[8:10])


def _no_further(action: str, most: str) -> bool:
    if action in _RUNGS and most in _RUNGS:
        return _RUNGS.index(action) <= _RUNGS.index(most)
    return action == most


def _held_within(row: Row, wider: Row) -> bool:
    return len(row) == len(wider) == 9 and row[:-2] == wider[:-2] and _window_within(row[-2:], wider[-2:])


def _known_within(row: Row, wider: Row) -> bool:
    same = len(row) == len(wider) == 4 and row[:2] == wider[:2]
    return same and all(mine in ("", theirs) for mine, theirs in zip(row[2:], wider[2:], strict=True))


def _window_within(window: Row, wider: Row) -> bool:
    """What is no date fits only itself."""
    (begin, end), (first, last) = map(_day, window), map(_day, wider)
    if begin is None or end is None or first is None or last is None:
        return window == wider
    return first <= begin and end <= last


def _day(text: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    return None


def _told(sign: str, row: Row) -> str:
    return f"{sign} {', '.join(row)}"

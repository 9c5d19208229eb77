"""Whether a changed policy bundle only takes away: line by line, from the text of its files. Pure.

    rules        an ``allow`` goes, ends sooner, begins later or goes less far; a ``deny`` comes, or goes further
    posts        a holding goes, ends sooner or begins later
    persons      an account goes; a person goes
    cases        decide nothing: they are what ``huanshu check`` asks of the rules

Casbin takes the first rule that fits, by priority. So an ``allow`` less, or a ``deny`` more, turns no denial into an
allow: each of these changes only narrows, and so do all of them together. Whatever else is changed, however harmless it
looks, may widen, and is told so: a second person then looks at it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

Row = tuple[str, ...]
_RUNGS: Final = ("count", "match", "mask", "reveal")


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
        judge = _judge(file)
        if judge is None:
            found.append(Widened(file, ""))
        else:
            found += (Widened(file, line) for line in judge(_rows(before), _rows(after)))
    return found


Judge = Callable[[list[Row], list[Row]], Iterable[str]]


def _judge(file: str) -> Judge | None:
    if file.startswith("policies/rules/") and file.endswith(".csv"):
        return _rules
    return {"policies/posts.csv": _holdings, "policies/persons.csv": _persons}.get(file)


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
    went, came = _changed(before, after)
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
    return len(row) == len(wider) > 2 and row[:-2] == wider[:-2] and _window_within(row[-2:], wider[-2:])


def _known_within(row: Row, wider: Row) -> bool:
    same = len(row) == len(wider) == 4 and row[:2] == wider[:2]
    return same and all(mine in ("", theirs) for mine, theirs in zip(row[2:], wider[2:], strict=True))


def _window_within(window: Row, wider: Row) -> bool:
    """ISO dates compare as text; anything else is no date and fits only itself."""
    dates = all(len(each) == 10 for each in (*window, *wider))
    return wider[0] <= window[0] and window[1] <= wider[1] if dates else window == wider


def _told(sign: str, row: Row) -> str:
    return f"{sign} {', '.join(row)}"

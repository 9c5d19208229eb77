"""How a sealed field may be counted, by what it is: bands of ages for a date, the codes of its list for a code.

    date        bands of at least five years of age, on the keeper's own day: ``65+``, ``0-6``, ``18-59``
    code        one of the codes that the dataset's suite allows for a field of a few bytes, each by itself
    otherwise   never: what is as good as free (a name, a number, an address) tells by its value whom it is about

A value becomes a *point*: an age and one, or a number for its code; 0 for what is absent. Whoever is older than the
oldest age is that old, whoever is not born yet is 0: so every value that is there lies in some band.

Pure: no I/O, no clock. Whether somebody may count the field at all is for the rules to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Final

from pyroaring import BitMap

from huanshu.catalog.nouns import Contract, Field, Home
from huanshu.errors import DeniedError, Text

ABSENT: Final = 0
_OLDEST: Final = 150
_NARROWEST: Final = 5
#: Bytes of the widest code. The contract says how wide a field is, and two persons adopt it; a suite is an engineer's.
_WIDEST: Final = 4
_BAND: Final = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3})|\+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Form:
    """What may be asked of one sealed field. ``point`` answers where a value lies."""

    name: str
    point: Callable[[str | None], int] = field(repr=False)
    every: BitMap = field(repr=False)
    #: Words for sets of values, in the form's own order; None where the asker says them.
    words: tuple[str, ...] | None
    _values: Callable[[str], BitMap] = field(repr=False)

    def values(self, word: str) -> BitMap:
        """The points that a word means. DeniedError for a word that may not be asked."""
        return self._values(word)

    def apart(self, words: Sequence[str]) -> list[BitMap]:
        """The points of each word of a breakdown, no two of which meet."""
        found = [self.values(word) for word in words]
        if not found or sum(map(len, found)) != len(BitMap.union(*found)):
            raise _unclear(self.name, "bands of a breakdown do not meet", "分组的年龄段不得重叠")
        return found


def form_of(home: Home, contract: Contract, name: str, today: date) -> Form:
    """The form of a sealed field on this day. DeniedError ``access.count.sealed`` when it has none."""
    found = contract.field(name)
    if found.logical_type == "date":
        return _ages(found, today)
    codes = _codes(home, contract.dataset, name) if (found.width or _WIDEST + 1) <= _WIDEST else None
    if codes is None or found.link_kind is not None:
        raise DeniedError(
            "access.count.sealed",
            Text(
                f"{name} is sealed and neither a date nor a code: its values are not counted",
                f"密封字段 {name} 既非日期也非代码，不能用于统计",
            ),
            remedy=Text(
                "count by a plain field, a date in bands of ages, or a field with a list of codes",
                "请改用明文字段、按年龄段的日期字段或有代码表的字段",
            ),
        )
    return _coded(found, codes)


def _ages(sealed: Field, today: date) -> Form:
    def point(value: str | None) -> int:
        try:
            born = date.fromisoformat(value or "")
        except ValueError:
            return ABSENT
        age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        return 1 + min(max(age, 0), _OLDEST)

    def values(word: str) -> BitMap:
        said = _BAND.fullmatch(word)
        if said is None:
            raise _unclear(sealed.name, "a date is counted in bands of ages", "日期字段须按年龄段统计")
        low, high = int(said[1]), int(said[2]) if said[2] else _OLDEST
        if not low + _NARROWEST - 1 <= high <= _OLDEST:
            raise _unclear(
                sealed.name, f"a band has at least {_NARROWEST} years", f"年龄段不少于 {_NARROWEST} 岁"
            )
        return BitMap(range(1 + low, 2 + high))

    return Form(sealed.name, point, _every(sealed, range(1, 2 + _OLDEST)), None, values)


def _coded(sealed: Field, codes: Sequence[str]) -> Form:
    points = {code: _number(code) for code in codes}

    def values(word: str) -> BitMap:
        if word not in points:
            raise _unclear(sealed.name, "no such code is in its list", "代码表中没有该代码")
        return BitMap([points[word]])

    def point(value: str | None) -> int:
        return ABSENT if value is None else _number(value)

    return Form(sealed.name, point, _every(sealed, points.values()), tuple(codes), values)


def _every(sealed: Field, points: Iterable[int]) -> BitMap:
    """Where everybody has a value, there is none who has not: that much is known of everybody."""
    return BitMap(points) if sealed.required else BitMap([ABSENT, *points])


def _codes(home: Home, dataset: str, name: str) -> tuple[str, ...] | None:
    """The codes that the dataset's suite allows for a field, each record being held to it."""
    suite = home.suites.get(dataset)
    for rule in () if suite is None else suite.expectations:
        if (rule.type, rule.scope, rule.severity) != ("expect_column_values_to_be_in_set", "record", "error"):
            continue
        if rule.kwargs.get("column") != name:
            continue
        said = rule.kwargs.get("value_set")
        if isinstance(said, str) and suite is not None and said.startswith("@codes."):
            return tuple(each.code for each in suite.codes.get(said.removeprefix("@codes."), ()))
        if isinstance(said, list | tuple) and all(isinstance(code, str) for code in said):
            return tuple(map(str, said))
    return None


def _number(code: str) -> int:
    """Of a code, whatever else its list holds: so that it is the same next year. Never 0."""
    return 1 + int.from_bytes(sha256(code.encode()).digest()[:4]) % 0xFFFF_FFFF


def _unclear(name: str, en: str, zh: str) -> DeniedError:
    return DeniedError(
        "access.count.form",
        Text(f"{name}: {en}", f"{name}：{zh}"),
        remedy=Text(
            f"bands like 65+ or 0-6, of {_NARROWEST} years or more; or a code of the field's list",
            f"写作 65+ 或 0-6，每段不少于 {_NARROWEST} 岁；或该字段代码表中的代码",
        ),
    )

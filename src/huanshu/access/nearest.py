"""The allow rule that lacks least: what a denial is explained by. Nothing here decides.

The meaning of every word comes from ``Terms``, whose predicates Casbin calls; here they are asked of all rules of one
role and dataset at once, by column, so that a denial among 100 000 rules costs what one among a thousand does.

Nearest is what lacks fewest things; among these, what lacks the things that are easiest to settle (``NEARNESS``); among
these, the first in the order Casbin decides in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from huanshu.access.decisions import MissKind
from huanshu.access.query import Query
from huanshu.access.rulebook import kind_of
from huanshu.access.terms import READS, WRITES, Terms
from huanshu.catalog.nouns import Rule

#: Nearest first: first what a renewal or a lower rung would settle.
NEARNESS: Final[Sequence[MissKind]] = ("expired", "not_yet", "rung", "reach", "purpose", "field", "action")
_BIT: Final = {kind: 1 << place for place, kind in enumerate(NEARNESS)}
_SHIFT: Final = {kind: np.uint8(place) for place, kind in enumerate(NEARNESS)}
#: By set of lacks: how many, then which; the smaller is nearer.
_RANK: Final = np.array([mask.bit_count() * 256 + mask for mask in range(1 << len(NEARNESS))], np.uint16)
_ACTIONS: Final = (*READS, *sorted(WRITES))

_Numbers = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Some rules, in the order of the rulebook, by column: words as numbers, days as ordinals."""

    places: _Numbers
    reach: _Numbers
    field: _Numbers
    purpose: _Numbers
    action: _Numbers
    start: _Numbers
    until: _Numbers

    def some(self, places: Sequence[int]) -> _Shelf:
        chosen = np.array(places, np.int32)
        return _Shelf(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Nearest:
    """The allow rules of one rulebook, by column. A shelf is made when it is first asked."""

    def __init__(self, rules: Iterable[Rule], terms: Terms) -> None:
        self._terms = terms
        self.rules = [rule for rule in rules if rule.effect == "allow"]
        self._ids: dict[str, int] = {word: number for number, word in enumerate(_ACTIONS)}
        self._of_role = _grouped((kind_of(rule), rule.role, rule.dataset) for rule in self.rules)
        self._of_dataset = _grouped(rule.dataset for rule in self.rules)
        self._whole = self._shelf_of(self.rules)
        self._shelves: dict[object, _Shelf] = {}

    def miss(self, query: Query, role: str) -> tuple[list[MissKind], Rule] | None:
        """What the nearest rule of the asker lacks, nearest first, and that rule; None when no rule speaks to the
        asker's role, or to the post by name, about the dataset."""
        best: tuple[int, int] | None = None
        for who in dict.fromkeys((role, query.post)):
            shelf = self._shelf((query.kind, who, query.dataset), self._of_role)
            if shelf is not None:
                ranks = _RANK[self._lacks(shelf, query, reach=True)]
                first = int(ranks.argmin())
                found = (int(ranks[first]), int(shelf.places[first]))
                best = found if best is None else min(best, found)
        if best is None:
            return None
        rank, place = best
        return [kind for kind in NEARNESS if rank & _BIT[kind]], self.rules[place]

    def held_by_others(self, query: Query) -> Rule | None:
        """A rule that gives another role what is asked, somewhere."""
        shelf = self._shelf(query.dataset, self._of_dataset)
        if shelf is None:
            return None
        found = np.flatnonzero(self._lacks(shelf, query, reach=False) == 0)
        return self.rules[int(shelf.places[found[0]])] if len(found) else None

    def _shelf(self, key: Any, groups: Mapping[Any, list[int]]) -> _Shelf | None:
        shelf = self._shelves.get(key)
        if shelf is None and (places := groups.get(key)) is not None:
            shelf = self._shelves[key] = self._whole.some(places)
        return shelf

    def _shelf_of(self, rules: Sequence[Rule]) -> _Shelf:
        ids = self._ids

        def numbers(words: Iterable[str]) -> _Numbers:
            return np.array([ids.setdefault(word, len(ids)) for word in words], np.int32)

        return _Shelf(
            np.arange(len(rules), dtype=np.int32),
            numbers(rule.reach for rule in rules),
            numbers(rule.field for rule in rules),
            numbers(rule.purpose for rule in rules),
            numbers(rule.action for rule in rules),
            np.array([rule.valid_from.toordinal() for rule in rules], np.int32),
            np.array([rule.valid_until.toordinal() for rule in rules], np.int32),
        )

    def _lacks(self, shelf: _Shelf, query: Query, *, reach: bool) -> Any:
        """For each rule the set of what keeps it from speaking to the query, but for its role and dataset."""
        day = date.fromisoformat(query.on).toordinal()
        masks = self._unserved(query.action)[shelf.action]
        covering = self._terms.covering(query.dataset, query.field)
        lacking: list[tuple[MissKind, Any]] = [
            ("expired", shelf.until < day),
            ("not_yet", shelf.start > day),
            ("purpose", self._other(shelf.purpose, (query.purpose,))),
            ("field", self._other(shelf.field, covering)),
        ]
        if reach:
            words = self._terms.reaching(query.home, query.domain)
            lacking.append(("reach", self._other(shelf.reach, words)))
        for kind, lacks in lacking:
            masks |= lacks.view(np.uint8) << _SHIFT[kind]
        return masks

    def _unserved(self, asked: str) -> Any:
        """By action of an allow: the lack, if a question for ``asked`` is none that it speaks to."""
        return np.array(
            [
                0 if self._terms.serves("allow", ruled, asked)
                else _BIT["rung" if ruled in READS and asked in READS else "action"]
                for ruled in _ACTIONS
            ],
            np.uint8,
        )  # fmt: skip

    def _other(self, ids: Any, words: Iterable[str]) -> Any:
        other = np.ones(len(ids), np.bool_)
        for word in words:
            if (known := self._ids.get(word)) is not None:
                other &= ids != known
        return other


def _grouped(keys: Iterable[Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for place, key in enumerate(keys):
        if (places := found.get(key)) is None:
            found[key] = [place]
        else:
            places.append(place)
    return found

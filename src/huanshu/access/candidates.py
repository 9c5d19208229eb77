"""Which rules could speak to a request: an index read out of the matcher itself. No casbin, no I/O.

A matcher that is a conjunction lets a rule through only when every conjunct holds. Of some conjuncts it can be said
beforehand which values of one column of a rule make them true; rules are filed under these columns, and a request looks
in the few places where a matching rule must lie. The law, and all that is promised:

    every rule that matches a request is among its candidates, and candidates come in the order of the policy

so that Casbin over the candidates says what Casbin over all rules says, and names the same rule. What is known:

    r.x == p.y                      the request's own value
    g(r.x, p.y[, r.z])              the name itself and every role it has (in that domain), inherited ones too
    f(p.y, r.x …)                   what the function's declared inverse lists (``Inverse``)
    keyMatch(r.x, p.y)              as equality; a rule whose value holds ``*`` is filed as a pattern
    r.x == p.y || p.y == "c"        as equality; a rule whose value is ``c`` is filed as a pattern

A *pattern* is found whatever the request says in that column (the residual list). Any other conjunct is left to Casbin.
A matcher that is no conjunction, calls ``eval``, or has no conjunct of these shapes, is not understood: every rule is a
candidate of every request. The same where a request's value is no plain text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from typing import Final

#: The values of the rule's column for which the function holds, given its other arguments: all of them.
Inverse = Callable[..., Iterable[str]]
#: Of one role definition: links (name, role[, domain]).
Links = Iterable[Sequence[str]]

_ROLE_CALL: Final = re.compile(r"g[0-9]*")
#: Where patterns are filed. No value of a rule is the empty tuple.
_PATTERN: Final = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One conjunct that says which values of a rule's ``column`` could satisfy it."""

    column: int
    #: Places of the request's values that ``words`` is given.
    asks: tuple[int, ...]
    words: Callable[..., Iterable[str]]
    #: Is a rule's value one that any request may meet?
    pattern: Callable[[str], bool]


class Candidates:
    """The index over one policy. ``policy``: the rules' values, in the order that Casbin decides in.

    Rules are filed in two steps: under the columns that a request meets with one word, and there under the others."""

    def __init__(self, conditions: Sequence[Condition], policy: Sequence[Sequence[str]]) -> None:
        self.conditions = _one_per_column(conditions)
        self.everything = tuple(range(len(policy)))
        self._asked = sorted({place for condition in self.conditions for place in condition.asks})
        patterns = {c.column: _patterns(c, policy) for c in self.conditions}
        single = [c for c in self.conditions if c.words is _itself and not patterns[c.column]]
        self._single = [condition.asks[0] for condition in single]
        self._several = [(c, bool(patterns[c.column])) for c in self.conditions if c not in single]
        self._filed = _filed(single, [condition for condition, _ in self._several], patterns, policy)

    def of(self, request: Sequence[object]) -> Sequence[int]:
        """Numbers of the rules that could match, ascending."""
        if not self.conditions:
            return self.everything
        for place in self._asked:
            if type(request[place]) is not str:
                return self.everything
        filed = self._filed.get(tuple([request[place] for place in self._single]))
        if filed is None:
            return ()
        places: list[Iterable[object]] = []
        for condition, patterned in self._several:
            words: Iterable[object] = condition.words(*[request[place] for place in condition.asks])
            places.append((*words, _PATTERN) if patterned else words)
        found: list[int] = []
        lists = 0
        for key in product(*places):
            rules = filed.get(key)
            if rules is not None:
                found += rules
                lists += 1
        if lists > 1:
            found.sort()
        return found


_Filed = dict[tuple[object, ...], dict[tuple[object, ...], list[int]]]


def _filed(
    single: Sequence[Condition],
    several: Sequence[Condition],
    patterns: Mapping[int, set[str]],
    policy: Sequence[Sequence[str]],
) -> _Filed:
    """Every rule under exactly one pair of keys, so that none is found twice."""
    filed: _Filed = {}
    keys = _columns([condition.column for condition in single], policy)
    others: Iterable[tuple[object, ...]] = _columns([condition.column for condition in several], policy)
    held = [patterns[condition.column] for condition in several]
    if any(held):
        others = [
            tuple(_PATTERN if word in words else word for word, words in zip(key, held, strict=True))
            for key in others
        ]
    for number, (key, rest) in enumerate(zip(keys, others, strict=True)):
        within = filed.get(key)
        if within is None:
            within = filed[key] = {}
        rules = within.get(rest)
        if rules is None:
            within[rest] = [number]
        else:
            rules.append(number)
    return filed


def _columns(columns: Sequence[int], policy: Sequence[Sequence[str]]) -> Iterable[tuple[object, ...]]:
    if len(columns) > 1:  # the quick way, which gives no tuples for one column
        return map(itemgetter(*columns), policy)
    return (tuple(rule[column] for column in columns) for rule in policy)


def _patterns(condition: Condition, policy: Sequence[Sequence[str]]) -> set[str]:
    if condition.pattern is _never:
        return set()
    return {word for word in {rule[condition.column] for rule in policy} if condition.pattern(word)}


def _one_per_column(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Of two conditions on one column the first: either alone leaves no matching rule out."""
    first: dict[int, Condition] = {}
    for condition in conditions:
        first.setdefault(condition.column, condition)
    return tuple(first.values())


def conditions_of(
    matcher: ast.expr,
    request: Sequence[str],
    rule: Sequence[str],
    links: Mapping[str, Links],
    inverses: Mapping[str, Inverse],
) -> list[Condition]:
    """The conjuncts that are understood. ``matcher``: as Casbin parses it; ``request`` and ``rule``: the tokens of the
    definitions, as they stand in it (``r_sub``, ``p_sub``)."""
    if _calls_eval(matcher):
        return []
    conjunction = isinstance(matcher, ast.BoolOp) and isinstance(matcher.op, ast.And)
    parts = matcher.values if isinstance(matcher, ast.BoolOp) and conjunction else [matcher]
    reading = _Reading(list(request), list(rule), links, inverses)
    return [condition for part in parts if (condition := reading.condition(part)) is not None]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads conjuncts against the tokens of a model's definitions."""

    request: list[str]
    rule: list[str]
    links: Mapping[str, Links]
    inverses: Mapping[str, Inverse]

    def condition(self, part: ast.expr) -> Condition | None:
        if (equal := self._equality(part)) is not None:
            asked, column = equal
            return Condition(column, (asked,), _itself, _never)
        if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or):
            return self._or_constant(part.values)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and not part.keywords:
            return self._call(part.func.id, part.args)
        return None

    def _equality(self, part: ast.expr) -> tuple[int, int] | None:
        """(place in the request, column of the rule) of ``r.x == p.y``, either way round."""
        sides = _equated(part)
        if sides is None:
            return None
        for asked, ruled in (sides, sides[::-1]):
            place, column = _place(asked, self.request), _place(ruled, self.rule)
            if place is not None and column is not None:
                return place, column
        return None

    def _or_constant(self, parts: Sequence[ast.expr]) -> Condition | None:
        """``r.x == p.y || p.y == "c"``, in either order."""
        if len(parts) != 2:
            return None
        for one, other in (parts, parts[::-1]):
            equal, constant = self._equality(one), self._constant(other)
            if equal is not None and constant is not None and constant[0] == equal[1]:
                return Condition(equal[1], (equal[0],), _itself, constant[1].__eq__)
        return None

    def _constant(self, part: ast.expr) -> tuple[int, str] | None:
        sides = _equated(part)
        if sides is None:
            return None
        for ruled, constant in (sides, sides[::-1]):
            column = _place(ruled, self.rule)
            if column is not None and isinstance(constant, ast.Constant) and type(constant.value) is str:
                return column, constant.value
        return None

    def _call(self, name: str, args: Sequence[ast.expr]) -> Condition | None:
        if name == "keyMatch" and len(args) == 2:
            place, column = _place(args[0], self.request), _place(args[1], self.rule)
            if place is not None and column is not None:
                return Condition(column, (place,), _itself, _has_star)
        if _ROLE_CALL.fullmatch(name) and name in self.links and len(args) in (2, 3):
            column = _place(args[1], self.rule)
            places = [_place(arg, self.request) for arg in (args[0], *args[2:])]
            if column is not None and None not in places:
                return Condition(column, _known(places), RolesOf(self.links[name], len(args)), _never)
        if name in self.inverses and args:
            column = _place(args[0], self.rule)
            places = [_place(arg, self.request) for arg in args[1:]]
            if column is not None and None not in places:
                return Condition(column, _known(places), self.inverses[name], _never)
        return None


class RolesOf:
    """The name itself and every role that it has, directly or not, in a domain: what ``g`` holds of, or more."""

    def __init__(self, links: Links, arguments: int) -> None:
        self._direct: dict[tuple[str, ...], list[str]] = {}
        self._all: dict[tuple[str, ...], tuple[str, ...]] = {}
        for link in links:
            name, role, domain = link[0], link[1], tuple(link[2:arguments])
            self._direct.setdefault((name, *domain), []).append(role)

    def __call__(self, name: str, *domain: str) -> tuple[str, ...]:
        if (name, *domain) not in self._direct:
            return (name,)
        known = self._all.get((name, *domain))
        if known is None:
            found = {name: None}
            waiting = [name]
            while waiting:
                for role in self._direct.get((waiting.pop(), *domain), ()):
                    if role not in found:
                        found[role] = None
                        waiting.append(role)
            known = self._all[(name, *domain)] = tuple(found)
        return known


def _calls_eval(matcher: ast.expr) -> bool:
    """Casbin puts the rule's own text there before it parses: what the matcher then is, nobody knows here."""
    return any(isinstance(node, ast.Name) and node.id == "eval" for node in ast.walk(matcher))


def _equated(part: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Eq):
        return part.left, part.comparators[0]
    return None


def _place(node: ast.expr, tokens: list[str]) -> int | None:
    return tokens.index(node.id) if isinstance(node, ast.Name) and node.id in tokens else None


def _known(places: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(place for place in places if place is not None)


def _itself(value: str) -> tuple[str]:
    return (value,)


def _never(value: str) -> bool:  # noqa: ARG001
    return False


def _has_star(value: str) -> bool:
    return "*" in value

"""The rules of a home as Casbin is given them, and the one question asked of it: who decides, and by which line.

- Rules are fed sorted: deny before allow at equal priority, then file order. Casbin's own sort by priority is stable,
  so this is the order it decides in, and the rule it names is one of ours, with its line.
- A rule's kind — which posts it speaks to — is the name of its file, appended as the last policy token.
- What Casbin or Python would read otherwise than a person is refused.

``covers`` and ``reaches`` have inverses (``Terms``), so the index files rules by dataset, purpose, kind, role, field
and reach; days and rungs are left to Casbin. Cost: about 25 µs a question, whatever the number of rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final, get_args

from huanshu.access.casbin_door import IndexedCasbin
from huanshu.access.model import read_model
from huanshu.access.query import Query
from huanshu.access.terms import READS, WRITES, Terms
from huanshu.catalog.nouns import DomainKind, Holding, Rule
from huanshu.errors import ContentError, Text, Where

_TOKEN: Final = re.compile(r"@?[a-z0-9][a-z0-9_.]*")
_KINDS: Final = frozenset(get_args(DomainKind))


class Rulebook:
    """Decides one query. ``rules`` are all rules, in the order Casbin decides in; of equal lines the first."""

    def __init__(self, model: str, rules: Iterable[Rule], holdings: Sequence[Holding], terms: Terms) -> None:
        _check_posts(holdings)
        ordered = sorted(rules, key=lambda rule: (rule.priority, rule.effect == "allow"))
        by_tokens: dict[tuple[str, ...], Rule] = {}  # equal lines are one rule: the first
        sound = _Sound()
        for rule in ordered:
            by_tokens.setdefault(sound.tokens(rule), rule)
        links = sorted({(holding.post, holding.role, holding.domain) for holding in holdings})
        self._casbin = IndexedCasbin(
            read_model(model),
            by_tokens,
            {"g": links},
            {"covers": terms.covers, "serves": terms.serves, "reaches": terms.reaches},
            {"covers": terms.covering, "reaches": terms.reaching},
        )
        self._by_line = by_tokens
        self.rules = tuple([by_tokens[tuple(line)] for line in self._casbin.policy])

    def decide(self, query: Query) -> tuple[bool, Rule | None]:
        """(allowed, the rule that decided); no rule when none matched, which is a denial."""
        return self.decide_over(self._casbin.candidates.of(query), query)

    def candidates(self, query: Query) -> Sequence[int]:
        """Numbers, in ``rules``, of the rules that could speak to a query of whatever rung and day, in their order."""
        return self._casbin.candidates.of(query)

    def decide_over(self, candidates: Sequence[int], query: Query) -> tuple[bool, Rule | None]:
        """The decision, when the candidates are known."""
        if not candidates:  # the priority effect denies where nothing matches
            return False, None
        allowed, line = self._casbin.enforce_over(candidates, query)
        return allowed, self._by_line[tuple(line)] if line else None


def kind_of(rule: Rule) -> str:
    """The kind of the domains whose posts a rule speaks to: the name of its file."""
    return _stem(rule.where.file)


@lru_cache(maxsize=64)
def _stem(file: str) -> str:
    return PurePosixPath(file).stem


class _Sound:
    """A rule as Casbin reads it. Words and days repeat: each is judged and written once."""

    def __init__(self) -> None:
        self._sound: set[str] = set()
        self._written: dict[date, str] = {}

    def tokens(self, rule: Rule) -> tuple[str, ...]:
        kind, action = kind_of(rule), rule.action
        words = (rule.role, rule.reach, rule.dataset, rule.field, rule.purpose, action)
        if not (
            kind in _KINDS
            and rule.priority >= 0  # Casbin sorts "-1" as text among numbers
            and rule.effect in ("allow", "deny")
            and (action in READS or action in WRITES)
            and (self._sound.issuperset(words) or self._all_sound(words))
        ):
            raise _not_canonical(rule.where)
        return (
            str(rule.priority), *words, self._day(rule.valid_from), self._day(rule.valid_until), rule.effect, kind,
        )  # fmt: skip

    def _all_sound(self, words: Sequence[str]) -> bool:
        sound = all(_TOKEN.fullmatch(word) for word in words)
        if sound:
            self._sound.update(words)
        return sound

    def _day(self, day: date) -> str:
        return self._written.get(day) or self._written.setdefault(day, day.isoformat())


def _not_canonical(where: Where) -> ContentError:
    return ContentError(
        "access.rule.not_canonical",
        Text("the rule holds a word that no rule may hold", "规则中有不允许的写法"),
        remedy=Text(
            "no wildcards, no blanks; file named after a domain kind; priority from 0; allow or deny",
            "不得使用通配符或空格；文件以域的类别命名；优先级不小于 0；结论为 allow 或 deny",
        ),
        where=where,
    )


def _check_posts(holdings: Sequence[Holding]) -> None:
    """A post stands in one domain with one role, and no post is called like a role.

    Casbin's ``g(x, x, d)`` holds always and roles inherit: a post named like a role would have its rights."""
    roles = {holding.role for holding in holdings}
    first: dict[str, Holding] = {}
    for holding in holdings:
        known = first.setdefault(holding.post, holding)
        if holding.post in roles or (known.domain, known.role) != (holding.domain, holding.role):
            raise ContentError(
                "access.post.ambiguous",
                Text(
                    f"{holding.post} is called like a role, or stands for two roles or domains",
                    f"{holding.post} 与角色同名，或对应了两个角色或域",
                ),
                remedy=Text(
                    "one post: one domain, one role, a name of its own", "一岗一域一角色，且名称不与角色相同"
                ),
                where=holding.where,
            )

"""What is odd about a rule, though it is in order: nothing here stops anything, a person should look.

A rule's *scope* is the questions that it speaks to: posts with domains × fields × rungs or write actions × days, within
one dataset and purpose. By scopes:

    expired        its last day has passed
    unreachable    no question can meet it: no holder in time, no domain in reach, no such field, an ended purpose
    not_offered    the contract offers the field no such rung
    shadowed       one rule that decides earlier speaks to all it speaks to, and says the same
    contradicting  one that decides earlier speaks to all of it and says the opposite; or, of equal priority, to some
    never_used     no decision of the days looked at was made by it
    over_wide      a word of role among departments; a sensitive class of fields, below; more than two years

Shadowing is looked for by single rules; what only several together cover is not found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from huanshu.access.rulebook import kind_of
from huanshu.access.terms import READS, WRITES, Terms, offers
from huanshu.catalog.nouns import Contract, Policies, Rule
from huanshu.errors import Text, Where

Kind = Literal[
    "expired", "unreachable", "not_offered", "shadowed", "contradicting", "never_used", "over_wide"
]

_ASKED: Final = (*READS, *sorted(WRITES))
_SENSITIVE: Final = frozenset({"@level3", "@level4", "@sensitive_personal"})
_LONGEST: Final = timedelta(days=731)


@dataclass(frozen=True, slots=True)
class Oddity:
    """One thing about one rule, and the rule it is compared with, if any."""

    kind: Kind
    where: Where
    what: Text
    other: Where | None = None


@dataclass(frozen=True, slots=True)
class _Scope:
    """The questions a rule speaks to, within its dataset and purpose."""

    reached: frozenset[tuple[str, str]]  # (post, domain)
    fields: frozenset[str]
    asked: frozenset[str]
    start: date
    end: date

    def covers(self, other: _Scope) -> bool:
        return (
            self.reached >= other.reached
            and self.fields >= other.fields
            and self.asked >= other.asked
            and self.start <= other.start
            and self.end >= other.end
        )

    def meets(self, other: _Scope) -> bool:
        return bool(
            self.start <= other.end
            and other.start <= self.end
            and self.fields & other.fields
            and self.asked & other.asked
            and self.reached & other.reached
        )


def lint(
    policies: Policies,
    contracts: Mapping[str, Contract],
    today: date,
    used: Collection[Where] | None = None,
) -> list[Oddity]:
    """Every oddity, by file and line. ``used``: the rules that decided something; None when nobody looked."""
    linting = _Linting(policies, contracts, today)
    found = [oddity for rule in policies.rules for oddity in linting.alone(rule)]
    found += linting.together()
    if used is not None:
        found += [
            Oddity(
                "never_used",
                rule.where,
                Text("decided nothing in the days looked at", "所查日期内未作出任何判定"),
            )
            for rule in policies.rules
            if rule.where not in used
        ]
    return sorted(found, key=lambda oddity: (oddity.where.file, oddity.where.line or 0, oddity.kind))


class _Linting:
    def __init__(self, policies: Policies, contracts: Mapping[str, Contract], today: date) -> None:
        self._policies, self._contracts, self._today = policies, contracts, today
        self._terms = Terms(policies.domains, contracts)
        self._posts: dict[tuple[str, str], set[str]] = {}
        self._home: dict[str, str] = {}
        for holding in policies.holdings:
            self._home[holding.post] = holding.domain
            for who in (holding.role, holding.post):
                kind = policies.domains[holding.domain].kind
                self._posts.setdefault((kind, who), set()).add(holding.post)
        self._reached: dict[tuple[str, str, str], frozenset[tuple[str, str]]] = {}

    # -- one rule -------------------------------------------------------------------------------

    def alone(self, rule: Rule) -> Iterator[Oddity]:
        scope = self._scope(rule)
        if rule.valid_until < self._today:
            yield Oddity(
                "expired", rule.where,
                Text(f"its last day was {rule.valid_until}", f"最后有效日为 {rule.valid_until}"),
            )  # fmt: skip
        elif (why := self._unreachable(rule, scope)) is not None:
            yield Oddity("unreachable", rule.where, why)
        elif rule.effect == "allow" and not rule.field.startswith("@"):
            field = self._contracts[rule.dataset].by_name[rule.field]
            if not offers(field, rule.action):
                yield Oddity(
                    "not_offered", rule.where,
                    Text(f"the contract offers no {rule.action} of {rule.field}",
                         f"数据契约未为 {rule.field} 提供 {rule.action}"),
                )  # fmt: skip
        if rule.effect == "allow":
            yield from self._over_wide(rule)

    def _unreachable(self, rule: Rule, scope: _Scope) -> Text | None:
        purpose = self._policies.purposes[rule.purpose]
        if not scope.fields:
            return Text(
                f"no field of {rule.dataset} is in {rule.field}",
                f"{rule.dataset} 没有属于 {rule.field} 的字段",
            )
        if not scope.reached:
            return Text("no domain lies in its reach", "其范围内没有任何域")
        if not (rule.valid_from <= purpose.valid_until and purpose.valid_from <= rule.valid_until):
            return Text(
                f"purpose {rule.purpose} is not valid in its days", f"其有效期内用途 {rule.purpose} 无效"
            )
        posts = {post for post, _ in scope.reached}
        held = any(
            holding.post in posts
            and holding.valid_from <= rule.valid_until
            and max(rule.valid_from, self._today) <= holding.valid_until
            for holding in self._policies.holdings
        )
        return None if held else Text("nobody holds such a post in its days", "其有效期内无人任该岗位")

    def _over_wide(self, rule: Rule) -> Iterator[Oddity]:
        if kind_of(rule) == "department" and rule.role not in self._home:
            yield Oddity(
                "over_wide", rule.where,
                Text(f"speaks to every department's {rule.role}: name the post",
                     f"适用于各部门的 {rule.role}：请写明岗位"),
            )  # fmt: skip
        if rule.field in _SENSITIVE and rule.action == "reveal" and rule.reach == "below":
            yield Oddity(
                "over_wide", rule.where,
                Text(f"reveals the whole class {rule.field} in every domain below: name the fields",
                     f"可在所有下级域查看 {rule.field} 整类原值：请逐一写明字段"),
            )  # fmt: skip
        if rule.valid_until - rule.valid_from > _LONGEST:
            yield Oddity(
                "over_wide", rule.where, Text("is valid for more than two years", "有效期超过两年")
            )  # fmt: skip

    # -- two rules ------------------------------------------------------------------------------

    def together(self) -> Iterator[Oddity]:
        groups: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in sorted(self._policies.rules, key=lambda r: (r.priority, r.effect == "allow")):
            groups.setdefault((kind_of(rule), rule.dataset, rule.purpose), []).append(rule)
        for rules in groups.values():
            scopes = [self._scope(rule) for rule in rules]
            for place, (rule, scope) in enumerate(zip(rules, scopes, strict=True)):
                if scope.reached and scope.fields:
                    yield from self._against(rule, scope, rules[:place], scopes[:place])

    def _against(
        self, rule: Rule, scope: _Scope, before: list[Rule], scopes: list[_Scope]
    ) -> Iterator[Oddity]:
        """The first rule that decides all of a rule's questions, or else the first of equal rank against it."""
        for earlier, theirs in zip(before, scopes, strict=True):
            if theirs.covers(scope):
                same = earlier.effect == rule.effect
                yield Oddity(
                    "shadowed" if same else "contradicting", rule.where,
                    Text(f"never decides: {earlier.where} says the same before it" if same
                         else f"never decides: {earlier.where} says the opposite before it",
                         f"不会起作用：{earlier.where} 在其前作出{'相同' if same else '相反'}结论"),
                    earlier.where,
                )  # fmt: skip
                return
        for earlier, theirs in zip(before, scopes, strict=True):
            opposite = rule.effect == "allow" and earlier.effect == "deny"
            if opposite and earlier.priority == rule.priority and theirs.meets(scope):
                yield Oddity(
                    "contradicting", rule.where,
                    Text(f"{earlier.where} of the same priority denies part of it: say which should win",
                         f"同一优先级的 {earlier.where} 禁止其一部分：请以优先级写明何者为准"),
                    earlier.where,
                )  # fmt: skip
                return

    # -- scopes ---------------------------------------------------------------------------------

    def _scope(self, rule: Rule) -> _Scope:
        contract = self._contracts[rule.dataset]
        return _Scope(
            self._in_reach(kind_of(rule), rule.role, rule.reach),
            frozenset(n for n in contract.by_name if self._terms.covers(rule.field, rule.dataset, n)),
            frozenset(word for word in _ASKED if self._terms.serves(rule.effect, rule.action, word)),
            rule.valid_from,
            rule.valid_until,
        )

    def _in_reach(self, kind: str, who: str, reach: str) -> frozenset[tuple[str, str]]:
        key = (kind, who, reach)
        if key not in self._reached:
            domains = self._policies.domains.by_code if reach == "below" else ()
            found = set()
            for post in self._posts.get((kind, who), ()):
                home = self._home[post]
                if reach == "below":
                    found |= {(post, code) for code in domains if self._terms.reaches(reach, home, code)}
                else:
                    found.add((post, home if reach == "own" else reach))
            self._reached[key] = frozenset(found)
        return self._reached[key]

"""What a change of the policies changes: who gains or loses which right, from which day. Nothing here does I/O.

Two bundles are compared by what they decide, not by their lines: a reordered file changes nothing, one priority may.

1. Where the bundles differ in a rule, a holding, a purpose, a contract or the domain tree, the *questions* this touches
   are worked out: post, dataset, purpose, fields. The rest is decided alike, because nothing it rests on differs.
2. Each is asked of both, in every domain (once for all that no rule of either tells apart, ``alike``), today and on
   every later day on which something about it begins or ends: a grant that begins tomorrow is no less a grant.
3. What a rule does not say but weakens something is listed beside: an account, a seal, a mask, a limit of the keys.

The *digest* names old, new and everything that widens. Whoever puts a widening in force names it, and so has seen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from huanshu.access.alike import Marks
from huanshu.access.decisions import Request
from huanshu.access.enforcer import Enforcer
from huanshu.access.rulebook import kind_of
from huanshu.access.terms import READS, Terms
from huanshu.canonical import digest
from huanshu.catalog.nouns import Contract, DomainTree, Holding, Policies, Rule

#: A right's order: no rung, then the ladder. Write actions are compared as a set.
_NONE: Final = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One bundle, and the day's questions to it."""

    policies: Policies
    contracts: Mapping[str, Contract]
    enforcer: Enforcer
    #: What is asked again and again: the holdings of a post, and the rules about a role or post by subject.
    marks: Marks
    held: Mapping[str, Sequence[Holding]]
    spoken: Mapping[tuple[str, str, str], Sequence[Rule]]

    @classmethod
    def of(cls, policies: Policies, contracts: Mapping[str, Contract], timezone: str) -> Side:
        held: dict[str, list[Holding]] = {}
        for holding in policies.holdings:
            held.setdefault(holding.post, []).append(holding)
        spoken: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in policies.rules:
            spoken.setdefault((rule.role, rule.dataset, rule.purpose), []).append(rule)
        enforcer = Enforcer(policies, contracts, zone=ZoneInfo(timezone))
        return cls(policies, contracts, enforcer, Marks(policies), held, spoken)


@dataclass(frozen=True, slots=True)
class Shift:
    """These persons, acting in this post, get other rights to a field in these domains. ``since`` is "" for now."""

    persons: tuple[str, ...]
    post: str
    dataset: str
    field: str
    purpose: str
    domains: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    since: str = ""

    @property
    def widens(self) -> bool:
        return _wider(self.before, self.after)

    @property
    def narrows(self) -> bool:
        return _wider(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Extent:
    """Persons × fields × communities × subjects; ``subjects`` is None where nobody counted."""

    persons: int
    fields: int
    domains: int
    subjects: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What it means to go from ``old`` to ``new``. A shift may widen one action and narrow another."""

    old: str
    new: str
    shifts: tuple[Shift, ...]
    #: What weakens something that no rule speaks of, one sentence each.
    beside: tuple[str, ...]

    @property
    def widening(self) -> tuple[Shift, ...]:
        return tuple(shift for shift in self.shifts if shift.widens)

    @property
    def narrowing(self) -> tuple[Shift, ...]:
        return tuple(shift for shift in self.shifts if shift.narrows)

    @property
    def widens(self) -> bool:
        return bool(self.widening or self.beside)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of ``{"old", "new", "widening"}``, lower-case hex."""
        listed: list[Any] = [
            {
                "persons": list(shift.persons), "post": shift.post, "dataset": shift.dataset, "field": shift.field,
                "purpose": shift.purpose, "domains": list(shift.domains), "before": list(shift.before),
                "after": list(shift.after), "since": shift.since,
            }
            for shift in self.widening
        ]  # fmt: skip
        named = {"old": self.old, "new": self.new, "widening": [*listed, *self.beside]}
        return digest(named)

    def extent(self, shifts: Iterable[Shift], counted: Mapping[tuple[str, str], int] | None = None) -> Extent:
        """How far some of the shifts go. ``counted``: subjects by (dataset, domain)."""
        seen = list(shifts)
        cells = {(shift.dataset, domain) for shift in seen for domain in shift.domains}
        return Extent(
            persons=len({person for shift in seen for person in shift.persons}),
            fields=len({(shift.dataset, shift.field) for shift in seen}),
            domains=len({domain for shift in seen for domain in shift.domains}),
            subjects=None if counted is None else sum(counted.get(cell, 0) for cell in cells),
        )


def change_between(old: Side, new: Side, at: datetime) -> Change:
    """What changes for whom from ``at`` on, an instant in the district's zone."""
    found: dict[Shift, Shift] = {}  # as it would be said today → as it begins
    for question in _questions(old, new):
        groups = _alike(old, new, question)
        for day in _days(old, new, question, at.date()):
            when = at if day == at.date() else datetime.combine(day, time(12), at.tzinfo)
            for shift in _shifts(old, new, question, groups, when):
                since = "" if day == at.date() else day.isoformat()
                found.setdefault(shift, replace(shift, since=since))
    ordered = sorted(
        found.values(), key=lambda s: (s.post, s.dataset, s.purpose, s.field, s.domains, s.since)
    )
    return Change(old.policies.digest, new.policies.digest, tuple(ordered), tuple(sorted(_beside(old, new))))


# -- which questions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Question:
    """One post, dataset and purpose, and the fields for which the answer may differ."""

    post: str
    dataset: str
    purpose: str
    fields: frozenset[str]


def _questions(old: Side, new: Side) -> list[_Question]:
    fields: dict[tuple[str, str, str], set[str]] = {}
    everything = _tree(old.policies.domains) != _tree(new.policies.domains)
    moved = {held[0] for held in {*map(_held, old.policies.holdings)} ^ {*map(_held, new.policies.holdings)}}
    purposes = {
        (name, dataset)
        for name in {*old.policies.purposes, *new.policies.purposes}
        for dataset in {*old.contracts, *new.contracts}
        if _period(old.policies, name, dataset) != _period(new.policies, name, dataset)
    }
    datasets = {
        name
        for name in {*old.contracts, *new.contracts}
        if _offered(old.contracts.get(name)) != _offered(new.contracts.get(name))
    }
    changed = {*map(_line, old.policies.rules)} ^ {*map(_line, new.policies.rules)}
    for side in (old, new):
        posts = _posts(side)
        terms = Terms(side.policies.domains, side.contracts)
        for rule in side.policies.rules:
            widely = (
                everything
                or (rule.purpose, rule.dataset) in purposes
                or rule.dataset in datasets
                or _line(rule) in changed
            )
            names = [
                n for n in side.contracts[rule.dataset].by_name if terms.covers(rule.field, rule.dataset, n)
            ]
            for post in posts.get((kind_of(rule), rule.role), ()):
                if widely or post in moved:
                    fields.setdefault((post, rule.dataset, rule.purpose), set()).update(names)
    return [_Question(*key, frozenset(names)) for key, names in sorted(fields.items())]


def _posts(side: Side) -> dict[tuple[str, str], set[str]]:
    """Posts by (kind of their domain, role or own name): whom a rule speaks to."""
    found: dict[tuple[str, str], set[str]] = {}
    for holding in side.policies.holdings:
        kind = side.policies.domains[holding.domain].kind
        for word in (holding.role, holding.post):
            found.setdefault((kind, word), set()).add(holding.post)
    return found


def _held(holding: Holding) -> tuple[object, ...]:
    return (
        holding.post, holding.domain, holding.role, holding.person, holding.valid_from, holding.valid_until
    )  # fmt: skip


def _line(rule: Rule) -> tuple[object, ...]:
    """What a rule says, wherever it stands."""
    return (
        kind_of(rule), rule.priority, rule.role, rule.reach, rule.dataset, rule.field, rule.purpose, rule.action,
        rule.valid_from, rule.valid_until, rule.effect,
    )  # fmt: skip


def _tree(domains: DomainTree) -> set[tuple[object, ...]]:
    return {(domain.code, domain.kind, domain.parent) for domain in domains}


def _period(policies: Policies, name: str, dataset: str) -> tuple[date, date] | None:
    purpose = policies.purposes.get(name)
    if purpose is None or dataset not in purpose.datasets:
        return None
    return purpose.valid_from, purpose.valid_until


def _offered(contract: Contract | None) -> set[tuple[object, ...]] | None:
    if contract is None:
        return None
    return {
        (f.name, f.level, f.sensitive_personal, f.mask is None, f.link_kind is None) for f in contract.fields
    }


def _days(old: Side, new: Side, question: _Question, today: date) -> list[date]:
    """Today, and every later day on which something about the question begins or has ended."""
    turns: set[date] = set()
    for side in (old, new):
        holdings = side.held.get(question.post, ())
        words = {question.post, *(h.role for h in holdings)}
        periods = [(h.valid_from, h.valid_until) for h in holdings]
        if (purpose := side.policies.purposes.get(question.purpose)) is not None:
            periods.append((purpose.valid_from, purpose.valid_until))
        periods += [
            (rule.valid_from, rule.valid_until)
            for who in words
            for rule in side.spoken.get((who, question.dataset, question.purpose), ())
        ]
        for start, end in periods:
            turns |= {start, end + timedelta(days=1)}
    return [today, *sorted(day for day in turns if day > today)]


# -- both answers -------------------------------------------------------------------------------------


def _shifts(
    old: Side, new: Side, question: _Question, alike: Sequence[tuple[str, ...]], at: datetime
) -> Iterator[Shift]:
    before, after = _persons(old, question.post, at), _persons(new, question.post, at)
    whom = [
        ((*sorted(before & after),), True, True),
        ((*sorted(before - after),), True, False),
        ((*sorted(after - before),), False, True),
    ]
    if not before | after:
        return
    for domains in alike:
        for field in sorted(question.fields):
            asked = Request(
                question.post, domains[0], question.dataset, field, question.purpose, "reveal", at
            )
            had = old.enforcer.rights(asked) if before else ()
            has = new.enforcer.rights(asked) if after else ()
            for persons, then, now in whom:
                one, other = (had if then else ()), (has if now else ())
                if persons and one != other:
                    yield Shift(
                        persons, question.post, question.dataset, field, question.purpose, domains, one, other
                    )


def _persons(side: Side, post: str, at: datetime) -> set[str]:
    return {holding.person for holding in side.policies.holders(post, at)}


def _alike(old: Side, new: Side, question: _Question) -> list[tuple[str, ...]]:
    """All domains of either side, in groups that no rule of either tells apart."""
    sides = [side for side in (old, new) if question.post in side.held]
    codes = dict.fromkeys([*new.policies.domains.by_code, *old.policies.domains.by_code])
    groups: dict[tuple[object, ...], list[str]] = {}
    for code in codes:
        mark = tuple(
            side.marks.mark(question.post, question.dataset, code) if code in side.policies.domains else None
            for side in sides
        )
        groups.setdefault(mark, []).append(code)
    return [tuple(group) for group in groups.values()]


def _wider(before: Sequence[str], after: Sequence[str]) -> bool:
    """True when ``after`` allows anything that ``before`` does not."""
    return _rung(after) > _rung(before) or bool(
        {w for w in after if w not in READS} - {w for w in before if w not in READS}
    )


def _rung(rights: Sequence[str]) -> int:
    return max((int(READS[word]) for word in rights if word in READS), default=_NONE)


# -- what no rule says --------------------------------------------------------------------------------


def _beside(old: Side, new: Side) -> Iterator[str]:
    """Weakened without a rule: who an account is, what is sealed, how it is masked, how long a key is lent."""
    for name, person in new.policies.persons.items():
        known = old.policies.persons.get(name)
        for account in ("os_account", "airflow_account"):
            was, now = getattr(known, account, ""), getattr(person, account)
            if known is not None and now and now != was:
                yield f"policies/persons.csv: {account} of {name} is {now}, was {was or 'none'}"
    for name, system in new.policies.systems.items():
        before = old.policies.systems.get(name)
        if system.os_account and (
            before is None or (system.os_account, system.kind) != (before.os_account, before.kind)
        ):
            yield f"policies/systems.csv: {name} runs as {system.os_account}, a {system.kind}"
    for dataset, contract in new.contracts.items():
        if (earlier := old.contracts.get(dataset)) is not None:
            yield from _unsealed(earlier, contract)
    for limit in ("lend_max_seconds", "open_max_values"):
        was, now = getattr(old.policies.keys, limit), getattr(new.policies.keys, limit)
        if now > was:
            yield f"policies/keys.yaml: {limit} is {now}, was {was}"


def _unsealed(old: Contract, new: Contract) -> Iterator[str]:
    for field in new.fields:
        was = old.by_name.get(field.name)
        if was is None:
            continue
        place = f"{new.where.file}: {field.name}"
        if was.sealed and not field.sealed:
            yield f"{place} is no longer sealed"
        if field.level < was.level or (was.sensitive_personal and not field.sensitive_personal):
            yield f"{place} is classified lower than before"
        if field.mask is not None and was.mask is not None and field.mask != was.mask:
            yield f"{place} is masked as {field.mask}, was {was.mask}"

"""Who can see this field? What can this person see? As of an instant, from the rules alone; opens nothing.

Domains that no rule tells apart are asked once and told together. Nothing here explains or decides: for a single answer
with its rule, ask ``Enforcer.decide``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from huanshu.access.alike import alike
from huanshu.access.decisions import Request
from huanshu.access.enforcer import Enforcer
from huanshu.catalog.nouns import Contract, Holding, Policies


@dataclass(frozen=True, slots=True)
class Sight:
    """A person, acting in a post, has these rights (the highest rung, then write actions) in these domains."""

    person: str
    post: str
    dataset: str
    field: str
    purpose: str
    domains: tuple[str, ...]
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seeing:
    """Answers over one bundle."""

    enforcer: Enforcer
    policies: Policies
    contracts: Mapping[str, Contract]

    def who(
        self, dataset: str, field: str, at: datetime, domains: Iterable[str] | None = None
    ) -> Iterator[Sight]:
        """Everyone who may see or change a field somewhere, or in ``domains``."""
        day = at.date()
        for holding in self.policies.holdings:
            if holding.valid_from <= day <= holding.valid_until:
                yield from self._sights(holding, dataset, [field], at, domains)

    def what(self, person: str, at: datetime) -> Iterator[Sight]:
        """Everything that a person may see or change, in every post he or she holds."""
        for holding in self.policies.posts_of(person, at):
            for dataset, contract in self.contracts.items():
                yield from self._sights(holding, dataset, contract.by_name, at, None)

    def _sights(
        self,
        holding: Holding,
        dataset: str,
        fields: Iterable[str],
        at: datetime,
        domains: Iterable[str] | None,
    ) -> Iterator[Sight]:
        post = holding.post
        codes = list(self.policies.domains.by_code) if domains is None else list(domains)
        purposes = [name for name, purpose in self.policies.purposes.items() if dataset in purpose.datasets]
        groups = alike(self.policies, post, dataset, codes)
        for field in fields:
            for purpose in purposes:
                found: dict[tuple[str, ...], list[str]] = {}
                for group in groups:
                    rights = self.enforcer.rights(
                        Request(post, group[0], dataset, field, purpose, "reveal", at)
                    )
                    if rights:
                        found.setdefault(rights, []).extend(group)
                for rights, reached in found.items():
                    yield Sight(holding.person, post, dataset, field, purpose, tuple(reached), rights)

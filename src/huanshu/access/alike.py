"""Receivers that no rule can tell apart for one post: decided once, the answer holds for all of them.

The same as ``Terms.reaches`` asks: is it the post's own domain, is it below, is it named by a rule of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable

from huanshu.access.terms import Terms
from huanshu.catalog.nouns import Policies


class Marks:
    """What the rules of one bundle can tell domains apart by."""

    def __init__(self, policies: Policies) -> None:
        self._terms = Terms(policies.domains, {})
        self._home = {holding.post: holding.domain for holding in reversed(policies.holdings)}
        self._named: dict[str, set[str]] = {}
        for rule in policies.rules:
            self._named.setdefault(rule.dataset, set()).add(rule.reach)

    def mark(self, post: str, dataset: str, code: str) -> tuple[object, ...]:
        """What the domains of one group share."""
        home = self._home.get(post)
        named = code if code in self._named.get(dataset, ()) else ""
        if home is None:
            return (named,)
        return (home == code, self._terms.reaches("below", home, code), named)


def alike(policies: Policies, post: str, dataset: str, domains: Iterable[str]) -> list[tuple[str, ...]]:
    """``domains`` in groups, in the order given; every group gets one answer to every question about ``dataset``."""
    marks = Marks(policies)
    groups: dict[tuple[object, ...], list[str]] = {}
    for code in domains:
        groups.setdefault(marks.mark(post, dataset, code), []).append(code)
    return [tuple(group) for group in groups.values()]

"""Receivers that no rule can tell apart for one post: decided once, the answer holds for all of them.

The same as ``Terms.reaches`` asks: is it the post's own domain, is it below, is it named by a rule of the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from huanshu.access.terms import Terms
from huanshu.catalog.nouns import Policies


def alike(policies: Policies, post: str, dataset: str, domains: Iterable[str]) -> list[tuple[str, ...]]:
    """``domains`` in groups, in the order given; every group gets one answer to every question about ``dataset``."""
    mark = marker(policies, post, dataset)
    groups: dict[tuple[object, ...], list[str]] = {}
    for code in domains:
        groups.setdefault(mark(code), []).append(code)
    return [tuple(group) for group in groups.values()]


def marker(policies: Policies, post: str, dataset: str) -> Callable[[str], tuple[object, ...]]:
    """Domain → a mark that the domains of one group share."""
    terms = Terms(policies.domains, {})
    held = [holding.domain for holding in policies.holdings if holding.post == post]
    named = {rule.reach for rule in policies.rules if rule.dataset == dataset}

    def mark(code: str) -> tuple[object, ...]:
        reached = [(home == code, terms.reaches("below", home, code)) for home in held[:1]]
        return (*reached, code if code in named else "")

    return mark

"""Separation of duties: who guards, who audits and who exchanges are three people (GB/T 35273 7.1, GB/T
22239)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from huanshu.catalog import Holding, Home
from huanshu.errors import ContentError, Text, Where

#: No two of these roles in one hand on one day; deputies count like holders.
APART: Final = frozenset({"security_officer", "auditor", "exchange_officer"})


def separated_duties(home: Home) -> Iterator[ContentError]:
    """An error for every pair of holdings that puts two of these roles into one hand at once."""
    held: dict[str, list[Holding]] = {}
    for holding in home.policies.holdings:
        if holding.role in APART:
            held.setdefault(holding.person, []).append(holding)
    for person, holdings in held.items():
        for one, other in combinations(holdings, 2):
            at_once = one.valid_from <= other.valid_until and other.valid_from <= one.valid_until
            if one.role != other.role and at_once:
                yield ContentError(
                    "post.duties.unseparated",
                    Text(
                        f"{person} is {one.role} and {other.role} at once, see line {one.where.line}",
                        f"{person} 同时担任 {one.role} 与 {other.role}，见第 {one.where.line} 行",
                    ),
                    remedy=Text("give one of the posts to another person", "请将其中一个岗位交由他人担任"),
                    where=Where(other.where.file, other.where.line, "person"),
                )

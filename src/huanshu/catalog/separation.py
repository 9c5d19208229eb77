"""Separation of duties: refused where a post or a rule is read, so that nothing of such a bundle is ever in force.

    1. Who guards, who audits, who runs the machines and who exchanges are different people (GB/T 35273 7.1, GB/T 22239:
       security, system and audit administration apart). Deputies count like holders, one day in common is enough.
    2. Nobody proposes and approves the same field of the same dataset: not one post by its rules, not one person by the
       posts he or she holds on the same day.

The log refuses what is left: nobody accepts what he proposed himself, in whichever posts (``keeper.corrections``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from huanshu.catalog.faults import Faults
from huanshu.catalog.nouns import Contract, DomainTree, Field, Holding, Rule
from huanshu.catalog.people import overlap
from huanshu.errors import ContentError, Text, Where

#: No two of these roles in one hand on one day.
APART: Final = frozenset({"security_officer", "auditor", "system_administrator", "exchange_officer"})


def check_separation(
    holdings: Iterable[Holding],
    rules: Iterable[Rule],
    tree: DomainTree,
    contracts: Mapping[str, Contract],
    faults: Faults,
) -> None:
    """Notes every breach. What has a fault of its own comes empty, and nothing is judged of it."""
    of_person: dict[str, list[Holding]] = {}
    for holding in holdings:
        of_person.setdefault(holding.person, []).append(holding)
    duties = _Duties(rules, tree, contracts)
    for error in duties.of_one_post(holdings):
        faults.note(error)
    for person, held in of_person.items():
        for one, other in combinations(held, 2):
            if one.post != other.post and overlap(one, other):
                if one.role != other.role and {one.role, other.role} <= APART:
                    faults.note(_unseparated(person, one, other))
                for error in duties.of_two(person, one, other):
                    faults.note(error)


class _Duties:
    """Which rules let whom propose or approve. Only these are looked at: most rules are about reading."""

    def __init__(self, rules: Iterable[Rule], tree: DomainTree, contracts: Mapping[str, Contract]) -> None:
        self._tree, self._contracts = tree, contracts
        self._rules: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in rules:
            if rule.effect == "allow" and rule.action in ("propose", "approve"):
                kind = rule.where.file.rsplit("/", 1)[1].removesuffix(".csv")
                self._rules.setdefault((kind, rule.role, rule.action), []).append(rule)

    def of_one_post(self, holdings: Iterable[Holding]) -> Iterator[ContentError]:
        """Of every rule to approve that meets one to propose, for whoever both speak to: an error at the later."""
        told: set[tuple[Where, Where]] = set()
        for holding in {h.post: h for h in holdings}.values() if self._rules else ():
            for propose, approve in self._both(holding, holding):
                if (propose.where, approve.where) not in told:
                    told.add((propose.where, approve.where))
                    yield _self_approval(
                        Where(approve.where.file, approve.where.line, "action"),
                        Text(f"{approve.role} would approve what {propose.where} lets it propose",
                             f"{approve.role} 将审批 {propose.where} 允许其自行提出的更正"),
                    )  # fmt: skip

    def of_two(self, person: str, one: Holding, other: Holding) -> Iterator[ContentError]:
        """An error at the later holding when a person proposes by one post what he or she approves by the other."""
        for propose, approve in (*self._both(one, other), *self._both(other, one)):
            yield _self_approval(
                Where(other.where.file, other.where.line, "person"),
                Text(f"{person} would propose ({propose.where}) and approve ({approve.where}), see line"
                     f" {one.where.line}",
                     f"{person} 将既提出（{propose.where}）又审批（{approve.where}），见第 {one.where.line} 行"),
            )  # fmt: skip
            return

    def _both(self, proposer: Holding, approver: Holding) -> Iterator[tuple[Rule, Rule]]:
        for propose in self._held(proposer, "propose"):
            for approve in self._held(approver, "approve"):
                if propose.dataset == approve.dataset and self._meet(propose, approve):
                    yield propose, approve

    def _held(self, holding: Holding, action: str) -> Iterator[Rule]:
        kind = self._tree[holding.domain].kind if holding.domain in self._tree else ""
        for who in (holding.role, holding.post):
            yield from self._rules.get((kind, who, action), ())

    def _meet(self, one: Rule, other: Rule) -> bool:
        """One field on one day."""
        if one.valid_from > other.valid_until or other.valid_from > one.valid_until:
            return False
        contract = self._contracts.get(one.dataset)
        return contract is not None and any(
            _in(one.field, f) and _in(other.field, f) for f in contract.fields
        )


def _in(group: str, field: Field) -> bool:
    return group in (field.name, f"@level{field.level}") or (
        group == "@sensitive_personal" and field.sensitive_personal
    )


def _unseparated(person: str, one: Holding, other: Holding) -> ContentError:
    return ContentError(
        "post.duties.unseparated",
        Text(
            f"{person} is {one.role} and {other.role} at once, see line {one.where.line}",
            f"{person} 同时担任 {one.role} 与 {other.role}，见第 {one.where.line} 行",
        ),
        remedy=Text("give one of the posts to another person", "请将其中一个岗位交由他人担任"),
        where=Where(other.where.file, other.where.line, "person"),
    )


def _self_approval(where: Where, what: Text) -> ContentError:
    return ContentError(
        "post.duties.self_approval",
        what,
        remedy=Text("let another post, held by another person, approve", "请由他人担任的其他岗位审批"),
        where=where,
    )

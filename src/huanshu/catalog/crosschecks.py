"""Whether the words of rules, cases and suites name things that exist in the other files.

A check is given an empty collection when the file it looks into has a fault, and then judges nothing: the
reference may be right. Grammar was judged by the readers; what a rule allows is judged by ``huanshu.access``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from huanshu.catalog import words
from huanshu.catalog.faults import Faults
from huanshu.catalog.nouns import (
    Case,
    Contract,
    DomainTree,
    Holding,
    Purpose,
    Rule,
    Suite,
)
from huanshu.errors import ContentError, Text, Where


def _at(where: Where, field: str) -> Where:
    return Where(where.file, where.line, field)


def check_suites(suites: Mapping[str, Suite], contracts: Mapping[str, Contract], faults: Faults) -> None:
    """Every column that an expectation names is a field of the contract."""
    for suite in suites.values():
        if suite.dataset not in contracts:
            continue
        fields = {f.name for f in contracts[suite.dataset].fields}
        for expectation in suite.expectations:
            with faults.caught():
                for column in _columns(expectation.kwargs):
                    if column not in fields:
                        raise words.unknown(
                            "suite.column.unknown",
                            Text("field", "字段"),
                            column,
                            fields,
                            _at(expectation.where, "kwargs"),
                        )


def _columns(kwargs: Mapping[str, object]) -> list[str]:
    """Fields behind column, column_A, column_B, column_list and column_set; what follows a # (a derivation)
    is judged by ``huanshu.quality``."""
    found: list[str] = []
    for key in ("column", "column_A", "column_B"):
        value = kwargs.get(key)
        if isinstance(value, str):
            found.append(value)
    for key in ("column_list", "column_set"):
        value = kwargs.get(key)
        if isinstance(value, list):
            found.extend(item for item in value if isinstance(item, str))
    return [column.split("#", 1)[0] for column in found]


def check_rules(
    rules: Collection[Rule],
    holdings: Collection[Holding],
    tree: DomainTree,
    purposes: Mapping[str, Purpose],
    contracts: Mapping[str, Contract],
    faults: Faults,
) -> None:
    """Role, reach, dataset, field and purpose of every rule exist, and the rule stands in its post's file."""
    kinds: dict[str, set[str]] = {}
    if tree.by_code:
        for holding in holdings:
            for word in (holding.role, holding.post):
                kinds.setdefault(word, set()).add(tree[holding.domain].kind)
    fields = {name: {f.name for f in contract.fields} for name, contract in contracts.items()}
    for rule in rules:
        with faults.caught():
            _check_role(rule, kinds)
            if rule.reach not in {"own", "below"} and tree.by_code and rule.reach not in tree:
                raise words.unknown(
                    "rule.domain.unknown",
                    Text("domain", "域"),
                    rule.reach,
                    tree.by_code,
                    _at(rule.where, "reach"),
                )
            _check_data(rule, rule.where, "rule", fields)
            check_purpose("rule", rule.purpose, rule.dataset, purposes, _at(rule.where, "purpose"))


def _check_role(rule: Rule, kinds: Mapping[str, set[str]]) -> None:
    if not kinds:
        return
    if rule.role not in kinds:
        raise ContentError(
            "rule.role.unheld",
            Text(
                f"no post holds role “{rule.role}” or is it", f"没有岗位具有角色“{rule.role}”，也没有这个岗位"
            ),
            remedy=words.hint(rule.role, kinds),
            where=_at(rule.where, "role"),
        )
    kind = rule.where.file.rsplit("/", 1)[1].removesuffix(".csv")
    if kind not in kinds[rule.role]:
        right = " / ".join(f"{k}.csv" for k in sorted(kinds[rule.role]))
        raise ContentError(
            "rule.role.misfiled",
            Text(
                f"no {kind} post holds role “{rule.role}” or is it",
                f"{kind} 级没有岗位具有角色“{rule.role}”，也没有这个岗位",
            ),
            remedy=Text(f"the rule belongs into {right}", f"该规则应写在 {right}"),
            where=_at(rule.where, "role"),
        )


def _check_data(asked: Rule | Case, where: Where, area: str, fields: Mapping[str, set[str]]) -> None:
    if not fields:
        return
    if asked.dataset not in fields:
        raise words.unknown(
            f"{area}.dataset.unknown", Text("dataset", "数据集"), asked.dataset, fields, _at(where, "dataset")
        )
    if not asked.field.startswith("@") and asked.field not in fields[asked.dataset]:
        raise words.unknown(
            f"{area}.field.unknown",
            Text("field", "字段"),
            asked.field,
            fields[asked.dataset],
            _at(where, "field"),
        )


def check_purpose(
    area: str, purpose: str, dataset: str, purposes: Mapping[str, Purpose], where: Where
) -> None:
    """The purpose exists and covers the dataset. ``area`` begins the code: rule, flow."""
    if not purposes:
        return
    if purpose not in purposes:
        raise words.unknown(f"{area}.purpose.unknown", Text("purpose", "用途"), purpose, purposes, where)
    covered = purposes[purpose].datasets
    if dataset not in covered:
        raise ContentError(
            f"{area}.purpose.uncovered",
            Text(f"purpose {purpose} does not cover {dataset}", f"用途 {purpose} 不包含 {dataset}"),
            remedy=Text(
                f"policies/purposes.yaml: it covers {', '.join(covered)}; add {dataset}, or name another purpose",
                f"policies/purposes.yaml：其包含 {', '.join(covered)}；请补上 {dataset}，或改用其他用途",
            ),
            where=where,
        )


def check_cases(
    cases: Collection[Case],
    posts: Collection[str],
    tree: DomainTree,
    purposes: Mapping[str, Purpose],
    contracts: Mapping[str, Contract],
    faults: Faults,
) -> None:
    """A case with a typing error would be denied and prove nothing; so its words must exist.

    The one thing a case may leave out is the purpose: a read without one must be denied."""
    fields = {name: {f.name for f in contract.fields} for name, contract in contracts.items()}
    for case in cases:
        with faults.caught():
            if posts and case.post not in posts:
                raise words.unknown(
                    "case.post.unknown", Text("post", "岗位"), case.post, posts, _at(case.where, "post")
                )
            if tree.by_code and case.domain not in tree:
                raise words.unknown(
                    "case.domain.unknown",
                    Text("domain", "域"),
                    case.domain,
                    tree.by_code,
                    _at(case.where, "domain"),
                )
            _check_data(case, case.where, "case", fields)
            if case.field.startswith("@"):
                raise ContentError(
                    "case.field.unknown",
                    Text("a case asks for one field, not for a class", "用例只针对一个字段，不针对一类字段"),
                    remedy=Text("name a field of the contract", "请填写契约中的一个字段"),
                    where=_at(case.where, "field"),
                )
            if case.purpose and case.purpose not in purposes and purposes:
                raise words.unknown(
                    "case.purpose.unknown",
                    Text("purpose", "用途"),
                    case.purpose,
                    purposes,
                    _at(case.where, "purpose"),
                )

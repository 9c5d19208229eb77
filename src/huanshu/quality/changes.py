"""One changed field of single records, judged by the rules that touch it and by no others.

``touching`` names what those rules look at, from contract and suite alone, so that whoever opens the other fields
knows beforehand which. Batch and dataset rules say nothing about one record, and a warning refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from huanshu.catalog import Contract, DomainTree, Expectation, Suite
from huanshu.quality import contract_rules, engine
from huanshu.quality.derived import column
from huanshu.quality.rules import ready

_COLUMN_KEYS = ("column", "column_A", "column_B")


@dataclass(frozen=True, slots=True)
class Failing:
    """A rule that a changed record fails, and every field that the rule looks at."""

    rule: str
    fields: frozenset[str]


def touching(field: str, suite: Suite, contract: Contract) -> frozenset[str]:
    """``field`` and every other field that a rule over it looks at."""
    looked_at = [
        fields for e in suite.expectations if field in (fields := _fields(e, contract)) and _judges(e)
    ]
    return frozenset({field}.union(*looked_at))


def judge_changes(
    field: str,
    records: Sequence[Mapping[str, str | None]],
    suite: Suite,
    contract: Contract,
    domains: DomainTree,
) -> list[tuple[Failing, ...]]:
    """What each record fails, ``field`` being changed in it. A record holds at least ``touching``'s fields."""
    found: list[list[Failing]] = [[] for _ in records]
    columns = {
        f.name: pa.array([record.get(f.name) for record in records], pa.large_string())
        for f in contract.fields
    }
    frame = pa.table(columns)
    for judged in contract_rules.judge(frame, contract, domains):
        if judged.result.rule == contract_rules.PREFIX + field:
            for row in judged.rows.tolist():
                found[row].append(Failing(judged.result.rule, frozenset({field})))
    session = engine.Session()
    for rule in ready(suite, contract, domains):
        fields = _fields(rule.expectation, contract)
        if field not in fields or not _judges(rule.expectation):
            continue
        outcome = engine.evaluate(
            session,
            rule.expectation.type,
            rule.kwargs,
            {c.written: c.cells(frame) for c in rule.columns},
            len(records),
            find_rows=True,
            where=rule.expectation.where,
        )
        for row in outcome.rows.tolist():
            found[row].append(Failing(rule.expectation.rule, fields))
    return [tuple(failing) for failing in found]


def _judges(expectation: Expectation) -> bool:
    return expectation.scope == "record" and expectation.severity == "error"


def _fields(expectation: Expectation, contract: Contract) -> frozenset[str]:
    """Every field that the expectation's columns read, derivations' operands too."""
    listed = expectation.kwargs.get("column_list")
    written = [expectation.kwargs.get(key) for key in _COLUMN_KEYS] + list(
        listed if isinstance(listed, list) else ()
    )
    named: set[str] = set()
    for text in written:
        if isinstance(text, str):
            found = column(text, contract, expectation.where)
            named |= {found.field, *(a for a in found.arguments if isinstance(a, str))}
    return frozenset(named)

"""One batch of records against its contract and its suite, in memory.

Order: the contract's own rules, then the suite's in file order, so that verdicts of equal suites line up.
Rules of scope dataset are not judged here: they need links, which only the keeper's keys make
(``uniqueness``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from huanshu.catalog import Contract, DomainTree, Suite
from huanshu.quality import contract_rules, engine
from huanshu.quality.distinct import distinct, has_dictionary, plain
from huanshu.quality.rules import ReadyRule, ready
from huanshu.quality.verdict import NO_ROWS, Rows, RuleResult, Verdict, decided
from huanshu.telemetry import span


def validate(frame: pa.Table, suite: Suite, contract: Contract, domains: DomainTree | None = None) -> Verdict:
    """The verdict over ``frame``: text columns named as the contract's fields, null where absent, with a dictionary or
    without.

    ``domains`` resolves ``@domains.…`` and makes an unknown home a failure. Raises ContentError for a suite
    that cannot run as meant (``suite.*``, ``quality.rule.broken``), ValueError when fields are lacking."""
    if missing := [f.name for f in contract.fields if f.name not in frame.column_names]:
        raise ValueError(f"the frame lacks {', '.join(missing)}")
    rules = ready(suite, contract, domains)
    with span("quality.validate", dataset=contract.dataset, records=frame.num_rows, rules=len(rules)):
        results: list[RuleResult] = []
        failed_rows: dict[str, Rows] = {}
        for result, rows in contract_rules.judge(frame, contract, domains):
            results.append(result)
            if len(rows):
                failed_rows[result.rule] = rows
        session = engine.Session()
        derived: dict[str, pa.Array] = {}
        for rule in rules:
            if rule.expectation.scope == "dataset":
                continue
            result, rows = _judge(session, rule, frame, derived)
            results.append(result)
            if len(rows):
                failed_rows[result.rule] = rows
    return Verdict(contract.dataset, suite.digest, frame.num_rows, tuple(results), failed_rows)


def _judge(
    session: engine.Session, rule: ReadyRule, frame: pa.Table, derived: dict[str, pa.Array]
) -> contract_rules.Judged:
    """``derived``: columns by what the suite writes; each is made once, for whichever rules ask for it."""
    for column in rule.columns:
        if column.written not in derived:
            derived[column.written] = column.cells(frame)
    columns = {column.written: derived[column.written] for column in rule.columns}
    expectation, records = rule.expectation, frame.num_rows
    batch = expectation.scope == "batch"
    if not batch and len(columns) == 1 and has_dictionary(*columns.values()):
        rows = _rows_of_values(session, rule, columns)
        return contract_rules.Judged(decided(expectation, len(rows), records, records), rows)
    columns = {written: plain(cells) for written, cells in columns.items()}
    outcome = engine.evaluate(
        session, expectation.type, rule.kwargs, columns, records, find_rows=not batch, where=expectation.where
    )
    if batch:
        result = decided(expectation, outcome.failed, outcome.counted, records)
        # The sums decide, so that cuts do not matter; over one frame the library must agree.
        assert result.passed == outcome.passed, expectation.rule
        return contract_rules.Judged(result, outcome.rows)
    return contract_rules.Judged(decided(expectation, outcome.failed, records, records), outcome.rows)


def _rows_of_values(session: engine.Session, rule: ReadyRule, columns: Mapping[str, pa.Array]) -> Rows:
    """The rows that fail a record rule on one column with a dictionary: the library judges each value once.

    Record rules judge a row by itself (``rules``), so equal rows are judged equally."""
    ((written, cells),) = columns.items()
    once = distinct(cells)
    outcome = engine.evaluate(
        session,
        rule.expectation.type,
        rule.kwargs,
        {written: once.values},
        len(once.values),
        find_rows=True,
        where=rule.expectation.where,
    )
    if not len(outcome.rows):
        return NO_ROWS
    failed = np.zeros(len(once.values), np.bool_)
    failed[outcome.rows] = True
    rows: Rows = np.flatnonzero(failed[once.codes])
    return rows

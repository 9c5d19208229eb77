"""质量结论: what a validation concluded. Names, counts and row positions; never a value.

Invariants: ``failed_count`` of a record rule is the length of its ``failed_rows``; a row is quarantined
exactly when a rule of severity *error* and of scope record or dataset fails it. A verdict over several
frames (``whole``) equals the verdict over their concatenation, whatever the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from huanshu.catalog import Expectation, Suite
from huanshu.errors import Text

Rows = NDArray[np.int64]

NO_ROWS: Final[Rows] = np.empty(0, dtype=np.int64)
ROW_COUNT: Final = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule: ``failed_count`` of ``counted`` records failed it.

    ``counted`` is every record for scope record, the records that have the value for scope batch, the
    records that entered the comparison for scope dataset."""

    rule: str
    scope: Literal["record", "batch", "dataset"]
    severity: Literal["error", "warning"]
    title: Text
    passed: bool
    failed_count: int
    counted: int

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "scope": self.scope,
            "severity": self.severity,
            "title": self.title._asdict(),
            "passed": self.passed,
            "failed_count": self.failed_count,
            "counted": self.counted,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion over ``records`` rows. Positions are 0-based rows of what was validated."""

    dataset: str
    suite_digest: str
    records: int
    rules: tuple[RuleResult, ...]
    #: Rule → ascending positions of the rows that fail it, both severities; only rules that failed.
    failed_rows: Mapping[str, Rows]

    @property
    def batch_ok(self) -> bool:
        """False when a batch rule of severity error failed: then nothing of the batch may be promoted."""
        return all(r.passed for r in self.rules if r.scope == "batch" and r.severity == "error")

    @property
    def failed(self) -> tuple[RuleResult, ...]:
        return tuple(r for r in self.rules if not r.passed)

    @property
    def quarantine(self) -> dict[int, tuple[str, ...]]:
        """Position → names of the error rules that it fails, in the order of the rules; ascending
        positions."""
        found: dict[int, list[str]] = {}
        for result in self.rules:
            if result.severity == "error" and result.scope != "batch":
                for row in self.failed_rows.get(result.rule, NO_ROWS).tolist():
                    found.setdefault(row, []).append(result.rule)
        return {row: tuple(found[row]) for row in sorted(found)}

    def quarantined_rows(self) -> Rows:
        """The positions of ``quarantine``, ascending."""
        rows = [
            self.failed_rows[r.rule]
            for r in self.rules
            if r.severity == "error" and r.scope != "batch" and r.rule in self.failed_rows
        ]
        return np.unique(np.concatenate(rows)) if rows else NO_ROWS

    def with_rule(self, result: RuleResult, rows: Rows) -> Verdict:
        """This verdict and one more rule, e.g. of scope dataset."""
        failed = {**self.failed_rows, result.rule: rows} if len(rows) else self.failed_rows
        return replace(self, rules=(*self.rules, result), failed_rows=failed)

    def as_json(self) -> dict[str, Any]:
        """Names and counts only, for ``district.batch.verdict`` and log entries: no positions, no values."""
        return {
            "dataset": self.dataset,
            "suite": self.suite_digest,
            "records": self.records,
            "quarantined": len(self.quarantined_rows()),
            "batch_ok": self.batch_ok,
            "rules": [result.as_json() for result in self.rules],
        }


def decided(expectation: Expectation, failed: int, counted: int, records: int) -> RuleResult:
    """The result of one rule from its counts; batch rules by their limits, all others by "none failed"."""
    passed = failed == 0
    if expectation.scope == "batch":
        if expectation.type in ROW_COUNT:
            passed = _within(expectation.kwargs, records)
            failed, counted = (0 if passed else records), records
        else:
            mostly = expectation.kwargs.get("mostly", 1)
            assert isinstance(mostly, (int, float))  # checked when the suite was compiled
            # The same comparison, in the same floats, as Great Expectations makes.
            passed = counted == 0 or (counted - failed) / counted >= mostly
    return RuleResult(
        expectation.rule, expectation.scope, expectation.severity, expectation.title, passed, failed, counted
    )


def _within(kwargs: Mapping[str, object], records: int) -> bool:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if "value" in kwargs:
        low = high = kwargs["value"]
    return (not isinstance(low, int) or records >= low) and (not isinstance(high, int) or records <= high)


def whole(verdicts: Sequence[Verdict], suite: Suite) -> Verdict:
    """The verdict over all frames, given theirs in row order; positions count through. At least one."""
    records = sum(v.records for v in verdicts)
    declared = {e.rule: e for e in suite.expectations}
    rules: list[RuleResult] = []
    for column in zip(*(v.rules for v in verdicts), strict=True):
        first = column[0]
        assert all(r.rule == first.rule for r in column)  # all of the same suite
        failed, counted = sum(r.failed_count for r in column), sum(r.counted for r in column)
        expectation = declared.get(first.rule)
        if expectation is not None:
            rules.append(decided(expectation, failed, counted, records))
        else:
            rules.append(replace(first, passed=failed == 0, failed_count=failed, counted=counted))
    rows: dict[str, list[Rows]] = {}
    start = 0
    for verdict in verdicts:
        for rule, positions in verdict.failed_rows.items():
            rows.setdefault(rule, []).append(positions + start)
        start += verdict.records
    merged = {rule: np.concatenate(parts) for rule, parts in rows.items()}
    return Verdict(verdicts[0].dataset, suite.digest, records, tuple(rules), merged)

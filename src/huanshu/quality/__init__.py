"""Quality: Great Expectations over one batch in memory, and what it concluded — never what it saw.

The only package that imports great_expectations; it does so on the first validation, because that import
takes seconds. A ``Verdict`` holds rule names, counts and row positions; no value leaves this package, not in
an exception either. Deliberately not here: sealing and storing quarantined rows (``huanshu.exchange``),
reading ``suite.yaml`` (``huanshu.catalog``).
"""

from huanshu.quality.changes import Failing, judge_changes, touching
from huanshu.quality.derived import DERIVATIONS
from huanshu.quality.engine import preload
from huanshu.quality.rules import check_suite
from huanshu.quality.samples import run_samples
from huanshu.quality.uniqueness import dataset_rules, repeated, unique_field
from huanshu.quality.validation import validate
from huanshu.quality.verdict import RuleResult, Verdict, whole

__all__ = [
    "DERIVATIONS",
    "Failing",
    "RuleResult",
    "Verdict",
    "check_suite",
    "dataset_rules",
    "judge_changes",
    "preload",
    "repeated",
    "run_samples",
    "touching",
    "unique_field",
    "validate",
    "whole",
]

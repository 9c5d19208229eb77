"""Rules of scope dataset: uniqueness, by link, over a whole extract.

The one stated rule: *of the records that pass every other rule, the first in row order keeps the identifier;
every later one is quarantined.* It looks at links in row order and at nothing else, so neither the size of
the batches nor the order of workers can change it. A record already quarantined does not hold the place of
a good one, and an absent identifier repeats nothing. Great Expectations' own ``unique`` marks the first one too
and sees one batch only; so here it lends its name, not its verdict.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from huanshu.catalog import Contract, Expectation, Suite
from huanshu.errors import Text
from huanshu.quality.contract_rules import PREFIX
from huanshu.quality.dates import Bools
from huanshu.quality.rules import UNIQUE
from huanshu.quality.verdict import Rows, RuleResult, decided


def dataset_rules(suite: Suite, contract: Contract) -> tuple[Expectation, ...]:
    """The suite's rules of scope dataset, each over its ``unique_field``; and the contract's own, that a primary key
    comes once, where no rule of severity error says so."""
    declared = tuple(e for e in suite.expectations if e.scope == "dataset")
    key = contract.primary_key
    if any(unique_field(rule) == key.name and rule.severity == "error" for rule in declared):
        return declared
    title = Text(f"{key.title.en}: comes once", f"{key.title.zh}：不重复")
    own = Expectation(
        f"{PREFIX}{key.name}_once", UNIQUE, {"column": key.name}, "dataset", "error", title, contract.where
    )
    return (*declared, own)


def unique_field(expectation: Expectation) -> str:
    """The identifier field whose links decide."""
    return str(expectation.kwargs["column"])


def repeated(expectation: Expectation, codes: NDArray[np.int64], counted: Bools) -> tuple[RuleResult, Rows]:
    """The rule's result, and the positions of the records that repeat an earlier one, ascending.

    ``codes`` are equal exactly where the links are; ``counted``: has the identifier and failed no other rule."""
    if expectation.scope != "dataset":
        raise ValueError(f"rule {expectation.rule} is of scope {expectation.scope}")
    rows = np.flatnonzero(counted)
    order = rows[np.argsort(codes[rows], kind="stable")]
    sorted_ = codes[order]
    found = np.sort(order[1:][sorted_[1:] == sorted_[:-1]]).astype(np.int64)
    return decided(expectation, len(found), len(rows), len(rows)), found

"""Rules of scope dataset: uniqueness, by link, over all batches of an extract.

The one stated rule: *of the records that pass every other rule, the first in row order keeps the identifier;
every later one is quarantined.* It looks at links in row order and at nothing else, so neither the size of
the batches nor the order of workers can change it. A record already quarantined does not hold the place of
a good one. Great Expectations' own ``unique`` marks the first one too and sees one batch only; so here it
lends its name, not its verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from huanshu.catalog import Expectation, Suite
from huanshu.quality.verdict import Rows, RuleResult, decided


def dataset_rules(suite: Suite) -> tuple[Expectation, ...]:
    """The suite's rules of scope dataset; each needs one ``Uniqueness`` per extract."""
    return tuple(e for e in suite.expectations if e.scope == "dataset")


class Uniqueness:
    """One uniqueness rule over one extract; feed it the batches in row order."""

    def __init__(self, expectation: Expectation) -> None:
        if expectation.scope != "dataset":
            raise ValueError(f"rule {expectation.rule} is of scope {expectation.scope}")
        self.expectation = expectation
        self._seen: set[bytes] = set()
        self._failed = 0
        self._counted = 0

    @property
    def field(self) -> str:
        """The identifier field whose links decide."""
        return str(self.expectation.kwargs["column"])

    def later(self, links: Sequence[bytes | None], quarantined: Iterable[int] = ()) -> Rows:
        """Positions in this batch whose link was seen before, ascending.

        ``links``: one per row of the batch, None where the identifier is absent; ``quarantined``: positions
        that other rules already took out. Both are passed over: they neither repeat nor hold a place."""
        passed_over = set(quarantined)
        seen = self._seen
        found: list[int] = []
        for row, link in enumerate(links):
            if link is None or row in passed_over:
                continue
            self._counted += 1
            if link in seen:
                found.append(row)
            else:
                seen.add(link)
        self._failed += len(found)
        return np.array(found, dtype=np.int64)

    def result(self) -> RuleResult:
        """The rule's result over everything fed so far."""
        return decided(self.expectation, self._failed, self._counted, self._counted)

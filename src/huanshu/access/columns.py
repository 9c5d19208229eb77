"""Plans applied to whole columns: to which rung each cell of many records may be read. Nothing here decides.

Records of one dataset lie in the domains of several plans; a plan was decided once a domain, and here its answer is
laid over every record of that domain at once. Nothing is computed a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from huanshu.access.decisions import Plan

Cells = np.ndarray[Any, np.dtype[np.uint8]]


def granted_rungs(plans: Sequence[Plan], plan_of: np.ndarray[Any, Any]) -> Cells:
    """Fields × records: 0 where nothing may be read, else the rung asked, for a field allowed as asked.

    ``plans``: of one dataset, all asked for the same fields, which are the rows, in the order asked. ``plan_of``: each
    record's place in ``plans``. A field denied as asked is 0, though a lower rung may be granted: nothing is changed
    behind the asker's back. ValueError when the plans were asked for different fields or under different rules.
    """
    if len({plan.policy_digest for plan in plans}) > 1 or len({tuple(plan.asked) for plan in plans}) > 1:
        raise ValueError("plans of one question under one policy")
    by_field = [[_rung(plan, name) for plan in plans] for name in (plans[0].asked if plans else ())]
    table = np.array(by_field, np.uint8).reshape(len(by_field), len(plans))
    cells = np.empty((len(table), len(plan_of)), np.uint8)
    for row, answers in zip(cells, table, strict=True):
        answers.take(plan_of, out=row)
    return cells


def _rung(plan: Plan, name: str) -> int:
    decision, asked = plan.decisions[name], plan.asked[name]
    return int(asked) if decision.allowed and isinstance(asked, int) else 0

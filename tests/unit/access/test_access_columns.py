"""Plans laid over columns: every cell says what its record's plan said of its field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from huanshu.access import PlanRequest, granted_rungs
from huanshu.catalog.nouns import Rung

ASKED = {"name": Rung.REVEAL, "citizen_number": Rung.MASK, "sex": Rung.COUNT}


def plan(enforcer: Any, district: Any, domain: str, fields: Any = None) -> Any:
    fields = ASKED if fields is None else fields
    return enforcer.plan(
        PlanRequest("yulan.clerk", domain, "resident", fields, "service", district.at("2026-06-01"))
    )


@pytest.fixture
def enforcer(district: Any) -> Any:
    lines = [
        "100, clerk, own, resident, name, service, reveal, 2026-01-01, 2027-12-31, allow",
        "100, clerk, own, resident, citizen_number, service, mask, 2026-01-01, 2027-12-31, allow",
        "100, clerk, 990101001002, resident, sex, service, reveal, 2026-01-01, 2027-12-31, allow",
    ]
    return district.enforcer(district.rules(community=lines))


def test_each_cell_has_the_rung_of_its_plan(enforcer: Any, district: Any) -> None:
    plans = [plan(enforcer, district, code) for code in ("990101001001", "990101001002")]
    cells = granted_rungs(plans, np.array([0, 1, 0, 1, 1]))
    assert cells.tolist() == [[4, 0, 4, 0, 0], [3, 0, 3, 0, 0], [0, 1, 0, 1, 1]]


def test_no_records_and_no_plans_are_no_cells(enforcer: Any, district: Any) -> None:
    assert granted_rungs([plan(enforcer, district, "990101001001")], np.array([], np.intp)).shape == (3, 0)
    assert granted_rungs([], np.array([], np.intp)).shape == (0, 0)


def test_plans_of_different_questions_are_refused(enforcer: Any, district: Any) -> None:
    one, other = (plan(enforcer, district, "990101001001", f) for f in (None, {"name": Rung.REVEAL}))
    with pytest.raises(ValueError, match="one question"):
        granted_rungs([one, other], np.array([0, 1]))


def test_a_write_is_no_rung(enforcer: Any, district: Any) -> None:
    written = plan(enforcer, district, "990101001001", {"name": "write"})
    assert granted_rungs([written], np.array([0])).tolist() == [[0]]

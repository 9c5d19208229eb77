"""Coverage: how far a round of deliveries came, told once in the log.

A receiver is up to date when nothing is due to it now. The answer is computed from the district's books, not from
what tasks said of themselves; it opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from huanshu.exchange.due import anything_due
from huanshu.exchange.ground import Ground


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of a delivery flow's receivers: how many are up to date, and the codes of the others."""

    up_to_date: int
    missing: tuple[str, ...]


def tell_coverage(ground: Ground, name: str, run: str) -> Coverage:
    """Count, and append ``exchange.coverage.reached`` once per run id."""
    flow = ground.flow(name, "delivery")
    with ground.district() as district, district.transaction():
        contract = ground.contract(flow)
        missing = tuple(
            receiver
            for receiver in flow.receivers
            if anything_due(district, ground.home, contract, flow, receiver)
        )
    told = Coverage(len(flow.receivers) - len(missing), missing)
    ground.keeper.append(
        {
            "event": "exchange.coverage.reached",
            "once": f"exchange.coverage.reached/{flow.flow}/{run}",
            "flow": {"id": flow.flow, "run": run},
            "detail": {
                "expected": len(flow.receivers),
                "up_to_date": told.up_to_date,
                "missing": list(missing),
                "enough": len(missing) <= flow.missing_at_most,
            },
        }
    )
    return told

"""The fold of holds and recalls, entry by entry."""

from __future__ import annotations

import json
from typing import Any

from huanshu.auditlog import Entry, Holds, content_digest
from huanshu.catalog import Rung

FLOW, HERE, POST = "resident.district_to_communities", "990101001001", "psb.exchange_officer"
D1, D2, D3 = "1" * 64, "2" * 64, "3" * 64


class Log:
    """Entries one after the other, folded as they come."""

    def __init__(self) -> None:
        self.holds, self.size = Holds(), 0

    def __call__(self, event: str, post: str = POST, **detail: Any) -> int:
        body = {
            "index": self.size, "event": event, "at": "2026-07-01T09:00:00+08:00", "person": "p.lin", "post": post,
            "domain": HERE, "dataset": "resident", "flow": {"id": FLOW, "digest": "0", "run": "r"},
            "fields": detail.pop("fields", {"name": "mask"}), "records": {"count": detail.pop("records", 0)},
            "detail": detail,
        }  # fmt: skip
        self.holds.apply(Entry.of(json.dumps(body).encode()))
        self.size += 1
        return self.size - 1

    def delivered(self, delivery: str, count: int, withdrawn: int = 0, **more: Any) -> None:
        index = self("exchange.delivery.authorised", delivery=delivery, **more)
        self(
            "exchange.delivery.arrived",
            delivery=delivery,
            authorised=index,
            count=count,
            withdrawn=withdrawn,
            holds=9,
            slice_digest="0" * 64,
        )


def held(log: Log, **deliveries: str) -> int:
    return log(
        "exchange.run.held", deliveries=deliveries, digest=content_digest(deliveries), reasons=[], outside=1
    )


def test_a_release_is_for_the_last_held_content_and_ends_with_the_next_hold() -> None:
    log = Log()
    held(log, **{HERE: D1[:32]})
    assert [h.by_hand for h in log.holds.standing(FLOW)] == [False]
    assert not log.holds.is_released(FLOW, HERE, D1)
    log("exchange.run.released", held=0)
    assert log.holds.standing() == []
    assert log.holds.is_released(FLOW, HERE, D1)
    assert not log.holds.is_released(FLOW, HERE, D2)
    held(log, **{HERE: D2[:32]})
    assert not log.holds.is_released(FLOW, HERE, D1)


def test_a_hold_by_hand_is_lifted_by_its_own_post_only() -> None:
    log = Log()
    log("exchange.flow.held", reason="x", post="district.security_officer")
    log("exchange.flow.held", reason="y")
    log("exchange.flow.released", held=1)
    assert [h.post for h in log.holds.standing(FLOW)] == ["district.security_officer"]


def test_fields_are_new_only_to_who_has_had_a_delivery() -> None:
    log = Log()
    asked = {"name": Rung.REVEAL, "phone": Rung.MASK}
    assert log.holds.unseen("resident", HERE, asked) == []
    log.delivered(D1, 3, fields={"name": "mask", "phone": "reveal"})
    assert log.holds.unseen("resident", HERE, asked) == ["name"]  # never at so high a rung
    assert log.holds.held_by(FLOW, HERE) == 9


def test_a_recall_ends_with_the_arrival_of_the_delivery_that_replaces_it() -> None:
    log = Log()
    log.delivered(D1, 3)
    recall = log(
        "exchange.delivery.recalled", delivery=D1, authorised=0, arrived=True, records=3, content="c"
    )
    log.delivered(D2, 9, 9)  # as many, and more, but others
    assert [r.delivery for r in log.holds.recalls()] == [D1]
    log("exchange.delivery.authorised", delivery=D3, replaces=[recall])
    assert [r.delivery for r in log.holds.recalls()] == [D1]
    log.delivered(D3, 2, 1, replaces=[recall])
    assert log.holds.recalls() == []
    assert log.holds.was_recalled(D1)  # the same content never comes again,
    assert log.holds.was_recalled(D3, "c")  # whatever its id
    assert not log.holds.was_recalled(D3, "d")


def test_a_recall_of_what_has_not_arrived_counts_when_it_does() -> None:
    log = Log()
    under_way = log("exchange.delivery.authorised", delivery=D1)
    log("exchange.delivery.recalled", delivery=D1, authorised=under_way, arrived=False, records=2)
    assert log.holds.recalls() == []
    assert log.holds.was_recalled(D1)
    arrived = {"delivery": D1, "authorised": under_way, "count": 2, "withdrawn": 0, "holds": 2}
    log("exchange.delivery.arrived", **arrived, slice_digest="0" * 64)
    assert [r.delivery for r in log.holds.recalls()] == [D1]

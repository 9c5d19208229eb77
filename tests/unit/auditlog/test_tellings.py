"""Which batches the log tells of, with what it binds of them, and which are under way."""

from __future__ import annotations

from typing import Any

from huanshu.auditlog import Entry
from huanshu.auditlog.tellings import Tellings


class Log:
    """Entries one after the other."""

    def __init__(self) -> None:
        self.tellings, self._size = Tellings(), 0

    def __call__(self, event: str, dataset: str = "resident", **detail: Any) -> int:
        index, self._size = self._size, self._size + 1
        body = {"event": event, "dataset": dataset, "detail": detail}
        self.tellings.apply(Entry(index, event, body, b""))
        return index


def test_a_batch_is_under_way_from_its_announcement_until_it_is_told() -> None:
    log = Log()
    assert not log.tellings.under_way("resident")
    begun = log("exchange.intake.authorised", batch="b1")
    assert log.tellings.under_way("resident")
    assert not log.tellings.under_way("enterprise")
    log("exchange.intake.promoted", batch="b1", authorised=begun, written={"sha256": "ab"})
    assert not log.tellings.under_way("resident")
    assert dict(log.tellings.told("resident")) == {"b1": b"\xab"}
    refused = log("exchange.intake.authorised", batch="b2")
    log("exchange.intake.refused", batch="b2", authorised=refused)
    assert not log.tellings.under_way("resident")


def test_what_was_announced_twice_is_told_once() -> None:
    log = Log()
    log("keys.rotation.authorised", rotation="rotation/1")
    second = log("keys.rotation.authorised", rotation="rotation/1")
    log("keys.rotation.completed", rotation="rotation/1", authorised=second, written={"sha256": "cd"})
    assert not log.tellings.under_way("resident")


def test_an_erasure_is_under_way_until_it_is_carried_out_in_the_dataset() -> None:
    log = Log()
    confirmed = log("erasure.subject.confirmed", proposed=0)
    assert log.tellings.under_way("resident")
    log("erasure.subject.completed", erasure=confirmed, written={"sha256": "ef"})
    assert not log.tellings.under_way("resident")
    assert list(log.tellings.told("resident")) == [f"erasure/{confirmed}"]


def test_what_an_older_version_told_binds_nothing() -> None:
    log = Log()
    log("exchange.intake.promoted", batch="b0", authorised=9)
    assert dict(log.tellings.told("resident")) == {"b0": b""}
    assert dict(log.tellings.told("enterprise")) == {}

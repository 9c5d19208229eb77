"""A receiver's lists: made by whichever flow comes first, and believed only as far as the staging is there."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from huanshu.catalog import read_home
from huanshu.exchange.receiving import Receiving
from huanshu.exchange.tables import create_receiver, exists, receiver_tables
from huanshu.store import connect


def test_two_flows_make_a_receivers_lists_at_once(roles: dict[str, str], root: Path) -> None:
    home = read_home(root)
    flow = next(flow for flow in home.flows.values() if flow.kind == "delivery")
    tables = receiver_tables(home.contracts[flow.dataset], flow, flow.receivers[0])
    raised: list[BaseException] = []

    def make() -> None:
        try:
            with connect(roles["huanshu_owner"]) as second, second.transaction():
                create_receiver(second, tables)
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    with connect(roles["huanshu_owner"]) as first:
        other = threading.Thread(target=make)
        with first.transaction():
            create_receiver(first, tables)
            other.start()
            other.join(0.3)
            assert other.is_alive(), "the second does not wait for the first"
        other.join()
        assert raised == []
        assert exists(first, tables.inbox)
        assert exists(first, tables.staged)


@pytest.mark.parametrize("change", ["DROP TABLE {}", "ALTER TABLE {} ADD COLUMN other text"])
def test_chunks_of_a_staging_that_is_gone_come_again(roles: dict[str, str], root: Path, change: str) -> None:
    """As after an upgrade in the middle of a delivery, or a change of fields and back."""
    home = read_home(root)
    flow = next(flow for flow in home.flows.values() if flow.kind == "delivery")
    contract, receiver = home.contracts[flow.dataset], flow.receivers[0]
    staging = receiver_tables(contract, flow, receiver).staging.as_string()
    nobody, everybody = np.empty(0, np.int64), np.arange(1, 4)
    with connect(roles["huanshu_owner"]) as store:
        first = Receiving(store, contract, flow, receiver)
        first.stage("d", 0, (), 0, everybody)
        assert first.staged_chunks("d") == {0}
        store.execute(change.format(staging).encode())
        second = Receiving(store, contract, flow, receiver)
        assert second.staged_chunks("d") == set()
        second.stage("d", 0, (), 0, everybody)
        second.stage("d", 1, (), 0, nobody)
        assert Receiving(store, contract, flow, receiver).staged_chunks("d") == {0, 1}
        line = Receiving(store, contract, flow, receiver).promote("d", 0, 3, None)
        assert (line.count, line.withdrawn, line.holds) == (0, 3, 0)

"""A receiver's lists are made by whichever flow comes first, of several at once."""

from __future__ import annotations

import threading
from pathlib import Path

from huanshu.catalog import read_home
from huanshu.errors import HuanshuError
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

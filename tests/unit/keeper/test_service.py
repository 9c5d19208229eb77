"""The service over a real log and vault: a ticket is its asker's, and every look-up is an entry of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from huanshu.access import Enforcer
from huanshu.auditlog import HeadFile, LogWriter, create_head
from huanshu.catalog import Home, read_home
from huanshu.errors import DeniedError, HuanshuError, TamperedError
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.establish import Peer
from huanshu.keeper.service import Parts, Service
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.sealing import CellContext, seal_column
from huanshu.sealing.keys import data_key
from huanshu.store import connect

HERE = "990101001001"
OWNER = Peer(os.geteuid(), "owner")


class Keeper:
    """A service of a sandbox, and the vault behind it."""

    def __init__(self, ground: Any, home: Home) -> None:
        self.ground, self.home = ground, home
        self.head = HeadFile(ground.folder / "keeper.head")
        create_head(ground.signer, home.log_origin, self.head)
        create_root(ground.folder / "root.key")
        self.vault = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
        self.service = self.started()
        self.service.append(OWNER, "p.chen", {"event": "log.origin.created", "detail": {"sandbox": True}})
        adopted = {"event": "policy.bundle.adopted", "detail": {"digest": home.policies.digest}}
        self.service.append(OWNER, "p.chen", adopted)

    def started(self) -> Service:
        url, ground = self.ground.keeper_url, self.ground
        return Service(
            Parts(
                read_home=lambda: self.home,
                enforcer=lambda home: Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone)),
                writer=LogWriter(
                    lambda: connect(url), ground.signer, self.home.log_origin, self.head, ground.clock
                ),
                vault=self.vault,
                connect=lambda: connect(url),
                clock=ground.clock,
                keeper_uid=OWNER.uid,
            )
        )

    def events(self) -> list[str]:
        return [event for (event,) in self.ground.rows("SELECT event FROM log.entry ORDER BY index")]

    def cell(self, record: int = 7, field: str = "name") -> StoredCell:
        key = self.vault.key(data_key(HERE, "resident", field, 1))
        context = CellContext(HERE, "resident", field, "reveal", 1)
        (sealed,) = seal_column(key, context, 60, [record], [1], ["张三"])
        return StoredCell(field, sealed, HERE, record, 1, 1, "reveal")


@pytest.fixture
def keeper(ground: Any, root: Path) -> Iterator[Keeper]:
    made = Keeper(ground, read_home(root))
    yield made
    made.service.close()


def claim(event: str = "access.record.authorised", **changes: Any) -> dict[str, Any]:
    return {
        "event": event, "post": "yulan.data_clerk", "domain": HERE, "dataset": "resident",
        "purpose": "grassroots_service", "fields": {"name": "reveal"}, "subjects": 1,
        "detail": {"record": 7, "values": 1}, **changes,
    }  # fmt: skip


def test_the_person_of_the_entry_opens_and_nobody_else(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), b"bitmap")
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
    for other in ("p.luo", "p.chen", "p.ma", None):
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.not_yours"):
            keeper.service.open(OWNER, other, ticket, [keeper.cell()])
    assert keeper.ground.rows("SELECT kind, fields, amount FROM log.loan") == [("opened", ["name"], 1)]


def test_a_value_that_the_entry_does_not_name_is_not_opened(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), b"bitmap")
    for cell in (keeper.cell(record=8), keeper.cell(field="employer")):
        with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell(), cell])
    assert keeper.ground.rows("SELECT * FROM log.loan") == []


def test_nobody_gets_anothers_ticket_by_its_key(keeper: Keeper) -> None:
    mine = claim(once="k/1")
    ticket = keeper.service.append(OWNER, "p.tang", mine, b"bitmap")
    assert keeper.service.append(OWNER, "p.tang", mine, b"bitmap") == ticket
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.not_yours"):
        keeper.service.append(OWNER, "p.luo", mine, b"bitmap")


def test_every_look_up_is_an_entry_of_its_own(keeper: Keeper) -> None:
    sought = claim("access.record.sought", detail={}, once="k/2")
    first = keeper.service.link(OWNER, "p.tang", sought, "citizen_number", "990101199001010018")
    assert keeper.service.link(OWNER, "p.tang", sought, "citizen_number", "990101199001010018") == first
    assert keeper.events().count("access.record.sought") == 2
    with pytest.raises(DeniedError):
        keeper.service.link(OWNER, "p.luo", sought, "citizen_number", "990101199001010018")
    assert keeper.events()[-1] == "access.request.denied"


def test_an_unknown_kind_of_identifier_leaves_no_key(keeper: Keeper) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.link\.unknown"):
        keeper.service.link(OWNER, "p.tang", claim("access.record.sought", detail={}), "other", "x")
    assert keeper.ground.rows("SELECT name FROM keys.wrapped WHERE name LIKE 'link/%'") == []


@pytest.mark.parametrize("event", ["no.such.event", "a\nb\x1b[31m", "990101199001010018", "x" * 5_000])
def test_a_refusal_is_logged_whatever_was_asked_and_never_in_the_askers_words(
    keeper: Keeper, event: str
) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.event\.not_admitted"):
        keeper.service.append(OWNER, "p.tang", claim(event))
    assert keeper.events()[-1] == "access.request.denied"
    ((leaf,),) = keeper.ground.rows(
        "SELECT convert_from(leaf, 'UTF8') FROM log.entry ORDER BY index DESC LIMIT 1"
    )
    assert '"asked":"unknown"' in leaf
    assert event not in leaf


def test_a_service_that_starts_again_knows_open_tickets_and_adoption(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), b"bitmap")
    keeper.service.close()
    keeper.vault.use(connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]


def test_openings_are_still_counted_after_a_new_start(keeper: Keeper) -> None:
    most = keeper.home.policies.keys.open_max_values
    ticket = keeper.service.append(OWNER, "p.tang", claim(), b"bitmap")
    keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()] * most)
    keeper.service.close()
    keeper.vault.use(connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    with pytest.raises(DeniedError, match=r"keeper\.open\.too_many"):
        keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])


def test_no_refusal_tells_a_value(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), b"bitmap")
    keeper.ground.clock.at = keeper.ground.clock.at.replace(year=2027)
    with pytest.raises(HuanshuError) as refused:
        keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
    assert refused.value.code == "keeper.ticket.expired"
    assert "张三" not in str(refused.value)


def test_a_keeper_that_does_not_start_holds_no_session(keeper: Keeper) -> None:
    keeper.service.close()
    keeper.ground.tamper("DELETE FROM log.entry WHERE index = 0")
    keeper.vault.use(connect(keeper.ground.keeper_url))
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        keeper.started()
    assert keeper.vault.closed
    for _ in range(100):
        if not keeper.ground.rows("SELECT 1 FROM pg_stat_activity WHERE usename = 'huanshu_keeper'"):
            return
        time.sleep(0.02)
    raise AssertionError("a session of the keeper is still open")

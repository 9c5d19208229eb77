"""An ended purpose loses the keys of its tokens: told first, by adopted rules, and not by a clock that was turned."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from keeping import Keeper

from huanshu.errors import UnavailableError
from huanshu.keeper.vault import Vault, load_root
from huanshu.sealing.keys import link_key, token_key
from huanshu.store import connect


def tokens(keeper: Keeper) -> list[str]:
    rows = keeper.ground.rows("SELECT name FROM keys.wrapped WHERE starts_with(name, 'token/') ORDER BY name")
    return [name for (name,) in rows]


def test_an_ended_purpose_loses_its_keys_and_the_log_says_so(keeper: Keeper) -> None:
    held = token_key("grassroots_service", "citizen_number")
    before = keeper.vault.key(held)
    keeper.vault.key(link_key("citizen_number"))
    keeper.service.tend()
    assert tokens(keeper) == [held]
    last = keeper.home.policies.purposes["grassroots_service"].valid_until
    keeper.ground.clock.at = keeper.ground.clock.at.replace(year=last.year, month=last.month, day=last.day)
    keeper.service.tend()
    keeper.ground.clock.pass_(86_400)  # the day after its last
    keeper.service.tend()
    assert tokens(keeper) == [held]  # ended, but not for a day yet
    keeper.ground.clock.pass_(86_400)
    keeper.service.tend()
    keeper.service.tend()
    assert tokens(keeper) == []
    told = [e for e in keeper.bodies() if e["event"] == "key.purpose.ended"]
    assert [(e["purpose"], e["detail"], e["person"]) for e in told] == [
        ("grassroots_service", {"keys": 1}, "p.chen")
    ]
    with pytest.raises(UnavailableError, match=r"keeper\.key\.missing"):
        keeper.vault.key(held, born=False)
    assert keeper.vault.key(held) != before  # prolonged: other tokens
    assert keeper.vault.key(link_key("citizen_number"), born=False)


def test_a_turned_clock_ends_no_purpose(keeper: Keeper) -> None:
    held = token_key("grassroots_service", "citizen_number")
    keeper.vault.key(held)
    keeper.service.tend()
    keeper.ground.clock.at += timedelta(days=2000)
    for _ in range(3):
        keeper.service.tend()
        keeper.ground.clock.pass_(3600)
    assert tokens(keeper) == [held]
    assert "key.purpose.ended" not in keeper.events()


def test_rules_that_are_not_adopted_end_no_purpose(keeper: Keeper) -> None:
    held = token_key("grassroots_service", "citizen_number")
    keeper.vault.key(held)
    purposes = keeper.home.policies.purposes
    edited = replace(purposes["grassroots_service"], valid_until=date(2026, 1, 1))
    changed = {**purposes, "grassroots_service": edited}
    keeper.home = replace(
        keeper.home, policies=replace(keeper.home.policies, purposes=changed, digest="cd" * 32)
    )
    keeper.service.close()
    keeper.vault = Vault(load_root(keeper.ground.folder / "root.key"), connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    for _ in range(3):
        keeper.ground.clock.pass_(86_400)
        keeper.service.tend()
    assert tokens(keeper) == [held]

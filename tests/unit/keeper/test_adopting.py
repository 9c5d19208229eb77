"""Putting rules in force: one person takes away, two give; whoever is named by the change itself is nobody yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keeping import Keeper, claim
from pyroaring import BitMap
from served import OWNER, service_over

from huanshu.catalog import Home, read_home
from huanshu.errors import DeniedError
from huanshu.keeper.establish import Peer

RULES = "policies/rules/community.csv"
PHONE = "p, 100, data_clerk, own, resident, phone, grassroots_service, reveal, 2026-01-01, 2027-12-31, allow"
AUTHOR, OTHER, CLERK = "p.chen", "p.deng", "p.tang"


class Changing(Keeper):
    """A keeper over a copy of the home that a test changes."""

    def __init__(self, ground: Any, path: Path) -> None:
        self.path = path
        super().__init__(ground, read_home(path))

    def started(self) -> Any:
        return service_over(self.ground, self.home, self.head, self.vault, read_home=lambda: self.home)

    def change(self, file: str, old: str, new: str) -> None:
        path = self.path / file
        text = path.read_text()
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new))
        self.home: Home = read_home(self.path)

    def adopt(self, person: str | None, peer: Peer = OWNER) -> Any:
        digest = self.home.policies.digest
        return self.service.append(
            peer, person, {"event": "policy.bundle.adopted", "detail": {"digest": digest}}
        )

    def propose(self, person: str, **detail: str) -> Any:
        pair = {"before": self.service.status(OWNER, None)["adopted"], "digest": self.home.policies.digest}
        return self.service.append(
            OWNER, person, {"event": "policy.bundle.proposed", "detail": {**pair, **detail}}
        )


@pytest.fixture
def changing(ground: Any, home: Path) -> Iterator[Changing]:
    made = Changing(ground, home)
    yield made
    made.service.close()


def test_one_person_takes_away_at_once_and_what_was_running_stops(changing: Changing) -> None:
    ticket = changing.service.append(OWNER, CLERK, claim(), BitMap([1]).serialize())
    changing.change(RULES, PHONE, f"# {PHONE}")
    changing.adopt(AUTHOR)
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        changing.service.open(OWNER, CLERK, ticket, [changing.cell()])
    last = changing.bodies()[-1]
    assert (last["event"], last["detail"]["author"]) == ("policy.bundle.adopted", AUTHOR)
    assert "proposed" not in last["detail"]


def test_giving_takes_another_person_and_the_very_pair_that_was_proposed(changing: Changing) -> None:
    changing.change(RULES, PHONE, PHONE.replace("own", "below"))
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unproposed"):
        changing.adopt(AUTHOR)
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        changing.propose(CLERK)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.overtaken"):
        changing.propose(AUTHOR, before="0" * 64)
    proposed = changing.propose(AUTHOR)
    with pytest.raises(DeniedError, match=r"identity\.person\.same"):
        changing.adopt(AUTHOR)
    changing.change(RULES, "# Daily service. 日常服务。", "# Daily service.")  # one byte more, another digest
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unproposed"):
        changing.adopt(OTHER)
    changing.change(RULES, "# Daily service.", "# Daily service. 日常服务。")
    changing.adopt(OTHER)
    last = changing.bodies()[-1]
    assert (last["person"], last["detail"]["author"], last["detail"]["proposed"]) == (
        OTHER,
        AUTHOR,
        proposed.index,
    )
    denied = [
        body["detail"]["reason"] for body in changing.bodies() if body["event"] == "access.request.denied"
    ]
    assert denied.count("policy.bundle.unproposed") == 2


def test_a_proposal_ends_when_anything_else_is_adopted(changing: Changing) -> None:
    changing.change(RULES, PHONE, PHONE.replace("own", "below"))
    changing.propose(AUTHOR)
    changing.change(RULES, PHONE.replace("own", "below"), f"# {PHONE}")
    changing.adopt(AUTHOR)
    changing.change(RULES, f"# {PHONE}", PHONE.replace("own", "below"))
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unproposed"):
        changing.adopt(OTHER)


def test_nobody_is_named_security_officer_by_the_change_itself(changing: Changing) -> None:
    """Who can write the files writes himself into them first."""
    holder = "district.security_officer,990101000000,security_officer,区数据安全员,District security officer"
    line = f"{holder},p.deng,deputy,2026-01-01,2027-12-31"
    changing.change("policies/posts.csv", line, line.replace("p.deng", "p.luo"))
    with pytest.raises(DeniedError, match=r"policy\.bundle\.self_named"):
        changing.propose("p.luo")


def test_an_account_that_the_change_gives_away_is_still_its_owners(changing: Changing) -> None:
    """Of two files, the one in force says whose account it is."""
    changing.change("policies/persons.csv", ",qh_deng,", ",mallory,")
    mallory = Peer(4242, "mallory")
    changing.propose(AUTHOR)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.self_named"):
        changing.adopt(None, mallory)


def test_what_was_not_kept_cannot_be_replaced(changing: Changing) -> None:
    changing.ground.tamper("DELETE FROM log.bundle WHERE length(files) > 0")
    changing.change(RULES, PHONE, f"# {PHONE}")
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unproposed"):
        changing.adopt(AUTHOR)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unkept"):
        changing.propose(AUTHOR)


def test_the_changes_are_told_to_who_reads_the_log(changing: Changing) -> None:
    assert changing.service.changes(OWNER, AUTHOR) == []
    changing.change(RULES, PHONE, PHONE.replace("own", "below"))
    assert changing.service.changes(OWNER, AUTHOR) == [[RULES, f"+ {PHONE.replace('own', 'below')}"]]
    with pytest.raises(DeniedError):
        changing.service.changes(OWNER, CLERK)

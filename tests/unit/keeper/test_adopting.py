"""Putting rules in force: one person takes away, two give; whoever is named by the change itself is nobody yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
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
AUTHOR, OTHER, CLERK, DISTRICT_CDO, CDO = "p.chen", "p.deng", "p.tang", "p.song", "p.wu"
PLAN = "ab" * 32
WIDER = PHONE.replace("own", "below")


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

    def adopt(self, person: str | None, peer: Peer = OWNER, plan: str = PLAN) -> Any:
        detail = {"digest": self.home.policies.digest, "plan": plan}
        return self.service.append(peer, person, {"event": "policy.bundle.adopted", "detail": detail})

    def propose(self, person: str, **detail: str) -> Any:
        pair = {"before": self.service.status(OWNER, None)["adopted"], "digest": self.home.policies.digest}
        said = {**pair, "plan": PLAN, **detail}
        return self.service.append(OWNER, person, {"event": "policy.bundle.proposed", "detail": said})


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
    with pytest.raises(DeniedError, match=r"identity\.person\.unestablished"):
        changing.adopt(None, mallory)
    hers = Peer(4243, "qh_deng")
    changing.adopt(None, hers)
    assert changing.bodies()[-1]["person"] == OTHER
    assert changing.service.status(mallory, None)["person"] == OTHER, "now it is in force"
    with pytest.raises(DeniedError, match=r"identity\.person\.unestablished"):
        changing.service.status(hers, None)


def test_who_writes_the_files_asks_in_nobodys_name(changing: Changing) -> None:
    """Neither a look nor its refusal names a victim whose account somebody has given himself."""
    mallory, her = Peer(4242, "mallory"), Peer(4243, "qh_tang")
    bitmap = BitMap([1]).serialize()
    ticket = changing.service.append(her, None, claim(), bitmap)
    changing.change("policies/persons.csv", ",qh_tang,", ",mallory,")
    size = len(changing.bodies())
    asks: list[Any] = [
        lambda: changing.service.append(mallory, None, claim(), bitmap),
        lambda: changing.service.append(
            mallory, None, claim("access.record.missed", detail={"reason": "absent"})
        ),
        lambda: changing.service.link(mallory, None, claim("access.record.sought", detail={}), "phone", "1"),
        lambda: changing.service.spent(mallory, None, None),
        lambda: changing.service.open(mallory, None, ticket, [changing.cell()]),
    ]
    for ask in asks:
        with pytest.raises(DeniedError, match=r"identity\.person\.unestablished"):
            ask()
    assert len(changing.bodies()) == size
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unadopted"):
        changing.service.append(her, None, claim(), bitmap)
    assert [body["person"] for body in changing.bodies()[size:]] == [CLERK]
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        changing.service.open(her, None, ticket, [changing.cell()])


def test_who_writes_himself_a_post_reads_nothing_by_it(changing: Changing) -> None:
    line = (
        "district.auditor,990101000000,auditor,区数据审计员,District auditor,{},holder,2026-01-01,2027-12-31"
    )
    changing.change("policies/posts.csv", line.format("p.xu"), line.format("p.luo"))
    for asks in (changing.service.changes, changing.service.withheld):
        with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
            asks(OWNER, "p.luo")
        asks(OWNER, "p.xu")
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        changing.service.spent(OWNER, "p.luo", CLERK)


def test_while_the_files_differ_the_keeper_that_starts_knows_who_is_in_force(changing: Changing) -> None:
    changing.change("policies/persons.csv", ",qh_tang,", ",mallory,")
    changing.service.close()
    changing.service = changing.started()
    with pytest.raises(DeniedError, match=r"identity\.person\.unestablished"):
        changing.service.status(Peer(4242, "mallory"), None)
    assert changing.service.status(Peer(4243, "qh_tang"), None)["person"] == CLERK


# -- whom one person may shut out ---------------------------------------------------------------------------------

POSTS = "policies/posts.csv"
OFFICER = "district.security_officer,990101000000,security_officer,区数据安全员,District security officer"
DEPUTY = f"{OFFICER},{OTHER},deputy,2026-01-01,2027-12-31"
OVER_ALL = (
    f"district.cdo,990101000000,cdo,区首席数据官,District chief data officer,{DISTRICT_CDO},holder,2026-01-01"
)
AUDITOR = (
    "district.auditor,990101000000,auditor,区数据审计员,District auditor,p.xu,holder,2026-01-01,2027-12-31"
)
OF_POLICE = (
    "psb.cdo,dept.public_security,cdo,公安分局首席数据官,PSB chief data officer,p.wu,holder,2026-01-01"
)
YESTERDAY, TOMORROW = "2026-06-30", "2026-07-02"


def alone(changing: Changing) -> str:
    try:
        changing.adopt(AUTHOR)
    except DeniedError as denied:
        return denied.code
    return ""


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (POSTS, DEPUTY, f"# {DEPUTY}"),
        (POSTS, DEPUTY, DEPUTY.replace("2027-12-31", TOMORROW)),
        (POSTS, f"{OVER_ALL},2027-12-31", f"{OVER_ALL},{YESTERDAY}"),
        (POSTS, f"{OF_POLICE},2027-12-31", f"{OF_POLICE},{TOMORROW}"),
        ("policies/persons.csv", "p.deng,邓悦,qh_deng,qh.deng", "p.deng,邓悦,,qh.deng"),
    ],
)
def test_one_person_stops_one_guard_at_once(changing: Changing, file: str, old: str, new: str) -> None:
    changing.change(file, old, new)
    assert alone(changing) == ""


@pytest.mark.parametrize(
    "changes",
    [
        [(POSTS, DEPUTY, f"# {DEPUTY}"), (POSTS, f"{OVER_ALL},2027-12-31", f"{OVER_ALL},{YESTERDAY}")],
        [(POSTS, DEPUTY, f"# {DEPUTY}"), (POSTS, f"{OF_POLICE},2027-12-31", f"{OF_POLICE},{TOMORROW}")],
        [
            (POSTS, DEPUTY, DEPUTY.replace("2027-12-31", TOMORROW)),
            (POSTS, AUDITOR, AUDITOR.replace("2027-12-31", YESTERDAY)),
        ],
        [
            (POSTS, AUDITOR, AUDITOR.replace("2027-12-31", YESTERDAY))
        ],  # the only one: nobody would look into the log
        [
            (POSTS, DEPUTY, DEPUTY.replace("2027-12-31", TOMORROW)),
            ("policies/persons.csv", "p.song,宋岚,qh_song,qh.song", "p.song,宋岚,,qh.song"),
        ],
    ],
)
def test_nobody_alone_is_left_alone(changing: Changing, changes: list[tuple[str, str, str]]) -> None:
    for change in changes:
        changing.change(*change)
    assert alone(changing) == "policy.bundle.unproposed"
    told = changing.service.changes(OWNER, AUTHOR)
    assert told
    assert all(file == POSTS and line.startswith("- p.") for file, line in told)


def test_one_after_the_other_two_who_can_give_back_stay(changing: Changing) -> None:
    changing.change(POSTS, DEPUTY, f"# {DEPUTY}")
    assert alone(changing) == ""
    changing.change(POSTS, f"{OVER_ALL},2027-12-31", f"{OVER_ALL},{YESTERDAY}")
    assert alone(changing) == "policy.bundle.unproposed"
    changing.change(POSTS, f"{OVER_ALL},{YESTERDAY}", f"{OVER_ALL},2027-12-31")
    changing.change(POSTS, f"# {DEPUTY}", DEPUTY)
    changing.propose(AUTHOR)
    changing.adopt(DISTRICT_CDO)


def test_the_only_auditor_stays_whatever_else_he_is(changing: Changing) -> None:
    """Also where the post of his that comes last in the file is another guard's."""
    also = OF_POLICE.replace("p.wu,holder", "p.xu,deputy")
    changing.change(POSTS, AUDITOR, f"{AUDITOR}\n{also},2027-12-31")
    changing.propose(AUTHOR)
    changing.adopt(OTHER)
    changing.change("policies/persons.csv", "p.xu,徐衡,qh_xu,qh.xu", "p.xu,徐衡,,qh.xu")
    assert alone(changing) == "policy.bundle.unproposed"


# -- what a proposal binds ----------------------------------------------------------------------------------------


def test_the_second_of_a_bundle_answers_for_the_district(changing: Changing) -> None:
    changing.change(RULES, PHONE, WIDER)
    changing.propose(AUTHOR)
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        changing.adopt(CDO)
    changing.adopt(DISTRICT_CDO)


def test_both_name_the_plan_that_they_read(changing: Changing) -> None:
    changing.change(RULES, PHONE, WIDER)
    for plan in ("", "ab", "AB" * 32):
        with pytest.raises(DeniedError, match=r"policy\.bundle\.planless"):
            changing.propose(AUTHOR, plan=plan)
    changing.propose(AUTHOR)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.planless"):
        changing.adopt(OTHER, plan="")
    with pytest.raises(DeniedError, match=r"policy\.bundle\.other_plan"):
        changing.adopt(OTHER, plan="cd" * 32)
    changing.adopt(OTHER)
    assert changing.bodies()[-1]["detail"]["plan"] == PLAN


def test_a_proposal_stands_for_thirty_days(changing: Changing) -> None:
    changing.change(RULES, PHONE, WIDER)
    changing.propose(AUTHOR)
    changing.ground.clock.at += timedelta(days=29, hours=23)
    changing.adopt(OTHER)
    changing.change(RULES, WIDER, f"{WIDER}\n{WIDER.replace('phone', 'grid')}")
    changing.propose(AUTHOR)
    changing.ground.clock.at += timedelta(days=30)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.unproposed"):
        changing.adopt(OTHER)


def test_whoever_has_left_proposes_nothing_any_more(changing: Changing) -> None:
    """The author's post ends in between; nothing was adopted, so the pair is still that of the proposal."""
    mine = f"{OFFICER},{AUTHOR},holder,2026-01-01,2027-12-31"
    changing.change(POSTS, mine, mine.replace("2027-12-31", TOMORROW))
    changing.adopt(AUTHOR)
    changing.change(RULES, PHONE, WIDER)
    changing.propose(AUTHOR)
    changing.ground.clock.at += timedelta(days=3)
    with pytest.raises(DeniedError, match=r"policy\.bundle\.author_left"):
        changing.adopt(OTHER)
    changing.propose(OTHER)
    changing.adopt(DISTRICT_CDO)


def test_what_was_not_kept_cannot_be_replaced(changing: Changing) -> None:
    changing.ground.tamper("DELETE FROM log.bundle WHERE length(files) > 0")
    changing.change(RULES, PHONE, f"# {PHONE}")
    size = len(changing.bodies())
    for ask in (
        lambda: changing.adopt(AUTHOR),
        lambda: changing.propose(AUTHOR),
        lambda: changing.service.status(OWNER, None),
    ):
        with pytest.raises(DeniedError, match=r"policy\.bundle\.unkept"):
            ask()
    changing.service.tend()
    assert {body["event"] for body in changing.bodies()[size:]} <= {"log.heartbeat.sent"}
    changing.change(RULES, f"# {PHONE}", PHONE)
    changing.service.close()
    changing.service = changing.started()
    changing.change(RULES, PHONE, f"# {PHONE}")
    changing.adopt(AUTHOR)


def test_the_changes_are_told_to_who_reads_the_log(changing: Changing) -> None:
    assert changing.service.changes(OWNER, AUTHOR) == []
    changing.change(RULES, PHONE, PHONE.replace("own", "below"))
    assert changing.service.changes(OWNER, AUTHOR) == [[RULES, f"+ {PHONE.replace('own', 'below')}"]]
    with pytest.raises(DeniedError):
        changing.service.changes(OWNER, CLERK)

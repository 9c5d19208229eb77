"""The service over a real log and vault: a ticket is its asker's, and every look-up is an entry of its own."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keeping import BITMAP, HERE, Keeper, claim
from pyroaring import BitMap
from served import OWNER, service_over

from huanshu.catalog import read_home
from huanshu.errors import DeniedError, HuanshuError, TamperedError, UnavailableError
from huanshu.keeper import protocol
from huanshu.keeper.tickets import Ticket
from huanshu.sealing.keys import data_key
from huanshu.store import connect
from huanshu.tlog import Checkpoint
from huanshu_verify import Options, fsck
from huanshu_witness.carrying import answer_files
from huanshu_witness.state import State, create


def test_the_person_of_the_entry_opens_and_nobody_else(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
    for other in ("p.luo", "p.chen", "p.ma", None):
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.not_yours"):
            keeper.service.open(OWNER, other, ticket, [keeper.cell()])
    assert keeper.ground.rows("SELECT kind, fields, amount FROM log.loan") == [("opened", ["name"], 1)]


def test_a_value_that_the_entry_does_not_name_is_not_opened(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    for cell in (keeper.cell(record=8), keeper.cell(field="employer")):
        with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell(), cell])
    assert keeper.ground.rows("SELECT * FROM log.loan") == []


def test_nobody_gets_anothers_ticket_by_its_key(keeper: Keeper) -> None:
    mine = claim(once="access.record.authorised/1")
    ticket = keeper.service.append(OWNER, "p.tang", mine, BITMAP)
    assert keeper.service.append(OWNER, "p.tang", mine, BITMAP) == ticket
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.not_yours"):
        keeper.service.append(OWNER, "p.luo", mine, BITMAP)


def test_nobody_takes_the_key_of_what_somebody_else_is_about_to_tell(keeper: Keeper) -> None:
    built = {"event": "report.page.built", "detail": {"report": "x", "entries": 1, "sha256": "ab" * 32}}
    size = len(keeper.events())
    for key in ("exchange.delivery.arrived/abc", "reports/1", "report.page.builtin/1", "", "/"):
        with pytest.raises(DeniedError, match=r"keeper\.once\.other"):
            keeper.service.append(OWNER, "p.tang", {**built, "once": key})
    assert len(keeper.events()) == size
    for key in ("report.page/1", "report.page.built/1"):
        assert (
            keeper.service.append(OWNER, "p.tang", {**built, "once": key}).index == len(keeper.events()) - 1
        )


@pytest.mark.parametrize("bitmap", [b"", b"\0", b"bitmap", BITMAP[:-1], b"\xff" * 64])
def test_what_is_no_bitmap_never_lies_beside_the_log(keeper: Keeper, bitmap: bytes) -> None:
    """It could not be read again, and every later question who saw somebody would end there."""
    size = len(keeper.events())
    with pytest.raises(ValueError, match=r"."):
        keeper.service.append(OWNER, "p.tang", claim(), bitmap)
    assert len(keeper.events()) == size


def test_the_keeper_counts_the_subjects_itself(keeper: Keeper) -> None:
    """Alerts go by the number: a clerk who takes many and says one is counted all the same."""
    keeper.service.append(OWNER, "p.tang", claim(subjects=1), BitMap(range(299)).serialize())
    assert keeper.bodies()[-1]["subjects"]["count"] == 299


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
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.service.close()
    keeper.vault.use(connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]


def test_openings_are_still_counted_after_a_new_start(keeper: Keeper) -> None:
    most = keeper.home.policies.keys.open_max_values
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()] * most)
    keeper.service.close()
    keeper.vault.use(connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    with pytest.raises(DeniedError, match=r"keeper\.open\.too_many"):
        keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])


def test_no_refusal_tells_a_value(keeper: Keeper) -> None:
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
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


# -- who answers to whom, and what was recalled -----------------------------------------------------------------------

DELIVERY, INTAKE = "resident.district_to_communities", "resident.psb_to_district"


def approved(keeper: Keeper, *flows: str) -> None:
    for flow in flows:
        detail = {"digest": keeper.home.flows[flow].digest, "until": "2026-12-01T00:00:00+08:00"}
        granted = {"event": "approval.flow.granted", "flow": {"id": flow}, "detail": detail}
        keeper.service.append(OWNER, "p.lin", granted)


def delivered(keeper: Keeper, delivery: str, content: str, **claimed: Any) -> None:
    """A delivery of one record that arrives HERE."""
    flow = {"id": DELIVERY, "run": "r"}
    detail = {
        "delivery": delivery * 64,
        "content": content * 64,
        "receiver": HERE,
        "upserts": 1,
        "withdrawals": 0,
    }
    ticket = keeper.service.append(
        OWNER, None,
        {"event": "exchange.delivery.authorised", "flow": flow, "subjects": 1, "detail": detail, **claimed},
        BitMap([70]).serialize(),
    )  # fmt: skip
    told = {"receiver": HERE, "count": 1, "withdrawn": 0, "holds": 1, "digest": "", "slice_digest": ""}
    named = {"index": ticket.index, "leaf_hash": ticket.leaf_hash}
    keeper.service.append(
        OWNER, None, {"event": "exchange.delivery.arrived", "ticket": named, "detail": told}
    )


def test_what_carries_many_takes_another_person_than_the_approver(keeper: Keeper) -> None:
    approved(keeper, DELIVERY)
    keeper.home = replace(
        keeper.home,
        policies=replace(keeper.home.policies, limits=replace(keeper.home.policies.limits, deliver_alone=2)),
    )
    keeper.service.close()
    keeper.vault.use(connect(keeper.ground.keeper_url))
    keeper.service = keeper.started()
    detail = {"delivery": "d" * 64, "content": "d" * 64, "receiver": HERE, "upserts": 2, "withdrawals": 0}
    asked = {"event": "exchange.delivery.authorised", "flow": {"id": DELIVERY, "run": "r"}, "detail": detail}

    def code(upserts: int, subjects: int) -> str:
        said = {**asked, "detail": {**detail, "upserts": upserts, "delivery": f"{upserts}{subjects}" * 32}}
        try:
            keeper.service.append(OWNER, None, said, BitMap(range(subjects)).serialize())
        except DeniedError as denied:
            return denied.code
        return ""

    assert [code(2, 2), code(3, 2), code(2, 3)] == ["", *["exchange.delivery.unseconded"] * 2]
    digest = keeper.home.flows[DELIVERY].digest
    seconded = {"event": "approval.flow.seconded", "flow": {"id": DELIVERY}, "detail": {"digest": digest}}
    for person, refused in (("p.lin", "identity.person.same"), ("p.tang", "identity.post.not_held"),
                            ("p.ren_chuntong", "identity.post.not_held")):  # fmt: skip
        with pytest.raises(DeniedError, match=refused.replace(".", r"\.")):
            keeper.service.append(OWNER, person, seconded)
    other = {**seconded, "detail": {"digest": "0" * 64}}
    with pytest.raises(DeniedError, match=r"approval\.flow\.other_digest"):
        keeper.service.append(OWNER, "p.chen", other)
    assert code(3, 2) == "exchange.delivery.unseconded"
    keeper.service.append(OWNER, "p.wu", seconded)
    assert [code(3, 2), code(2, 3)] == ["", ""]
    approved(keeper, DELIVERY)  # anew: that is another approval
    assert code(4, 2) == "exchange.delivery.unseconded"


def test_a_delivery_that_names_nobody_is_not_authorised(keeper: Keeper) -> None:
    """Its keys would be lent, and the question who saw whom would pass it over."""
    approved(keeper, DELIVERY)
    detail = {"delivery": "d" * 64, "content": "d" * 64, "receiver": HERE, "upserts": 1, "withdrawals": 0}
    claimed = {
        "event": "exchange.delivery.authorised",
        "flow": {"id": DELIVERY, "run": "r"},
        "detail": detail,
    }
    size = len(keeper.events())
    with pytest.raises(ValueError, match=r"names its subjects"):
        keeper.service.append(OWNER, None, claimed)
    assert len(keeper.events()) == size
    ticket = keeper.service.append(OWNER, None, claimed, BitMap([70]).serialize())
    named = {"index": ticket.index, "leaf_hash": ticket.leaf_hash}
    told = {"receiver": HERE, "reason": "x", "chunks": 0}
    stopped = {"event": "exchange.delivery.stopped", "ticket": named, "detail": told}
    with pytest.raises(ValueError, match=r"names its subjects"):
        keeper.service.append(OWNER, None, stopped)
    keeper.service.append(OWNER, None, stopped, BitMap().serialize())


def recalled(keeper: Keeper) -> None:
    """A delivery of record 7 that arrived HERE and is taken back."""
    delivered(keeper, "d", "d")
    keeper.service.append(
        OWNER, "p.lin",
        {"event": "exchange.delivery.recalled", "records": 1, "detail": {"delivery": "d" * 64, "reason": "wrong"}},
        BitMap([7]).serialize(),
    )  # fmt: skip


def test_a_recalled_record_is_read_by_no_other_way(keeper: Keeper) -> None:
    approved(keeper, DELIVERY)
    look = claim("access.correction.authorised", detail={"change": "c.1", "record": 7, "values": 1})
    book = claim("access.workbook.authorised", detail={"workbook": "w", "sequence": 1, "records": 1})
    before = [keeper.service.append(OWNER, "p.tang", each, BitMap([70]).serialize()) for each in (look, book)]
    key = data_key(HERE, "resident", "name", 1)
    assert keeper.service.open(OWNER, "p.tang", before[0], [keeper.cell()]) == ["张三"]
    assert keeper.service.lend(OWNER, None, before[1], 0, [key])
    recalled(keeper)
    with pytest.raises(DeniedError, match=r"access\.record\.recalled"):
        keeper.service.open(OWNER, "p.tang", before[0], [keeper.cell()])
    with pytest.raises(DeniedError, match=r"access\.workbook\.recalled"):
        keeper.service.lend(OWNER, None, before[1], 1, [key])
    with pytest.raises(DeniedError, match=r"access\.record\.recalled"):
        keeper.service.append(OWNER, "p.tang", look, BitMap([70]).serialize())
    with pytest.raises(DeniedError, match=r"access\.workbook\.recalled"):
        keeper.service.append(OWNER, "p.tang", book, BitMap([70]).serialize())
    other = {**look, "detail": {"change": "c.1", "record": 8, "values": 1}}
    assert keeper.service.append(OWNER, "p.tang", other, BitMap([70]).serialize())


def test_a_mark_is_checked_for_its_own_community_and_makes_no_key(keeper: Keeper) -> None:
    for person, domain in (("p.luo", HERE), (None, HERE)):  # another community's clerk; the platform
        with pytest.raises(DeniedError):
            keeper.service.marked(OWNER, person, domain, "resident", "a", b"")
    with pytest.raises(UnavailableError, match=r"keeper\.key\.missing"):
        keeper.service.marked(OWNER, "p.tang", HERE, "resident", "a", b"")
    book = claim("access.workbook.authorised", detail={"workbook": "w", "sequence": 1, "records": 1})
    ticket = keeper.service.append(OWNER, "p.tang", book, BitMap([70]).serialize())
    mark = keeper.service.mark(OWNER, None, ticket, "a")
    assert keeper.service.marked(OWNER, "p.tang", HERE, "resident", "a", mark)
    assert not keeper.service.marked(OWNER, "p.tang", HERE, "resident", "b", mark)


def test_a_run_by_hand_is_in_the_name_of_who_started_it_in_airflow(keeper: Keeper) -> None:
    approved(keeper, DELIVERY)

    def start(account: str | None, person: str | None = None) -> Any:
        named = {} if account is None else {"triggered_by": account}
        claim = {"event": "exchange.run.started", "flow": {"id": DELIVERY, "run": "r", **named}, "detail": {}}
        index = keeper.service.append(OWNER, person, claim).index
        return keeper.bodies()[index]

    by_itself, by_hand = start(None), start("qh.lin")
    assert (by_itself["person"], by_itself["established"]["by"]) == ("p.lin", "approval")
    assert (by_hand["person"], by_hand["established"]) == ("p.lin", {"by": "airflow", "account": "qh.lin"})
    assert by_hand["flow"]["approval"] == by_itself["flow"]["approval"]
    assert "triggered_by" not in by_hand["flow"]
    for account, code in (
        ("admin", "airflow.unknown"),
        ("", "airflow.unknown"),
        ("qh.lin_ming", "post.not_held"),
    ):
        with pytest.raises(DeniedError, match=rf"identity\.{code}"):
            start(account)
    with pytest.raises(DeniedError, match=r"identity\.person\.stated"):
        start("qh.lin", "p.tang")  # only a scheduler's account hands on what Airflow says
    told = [b for b in keeper.bodies() if b["event"] == "access.request.denied"]
    assert [b["person"] for b in told] == [
        "p.lin",
        "p.lin",
        "p.lin_ming",
        "p.tang",
    ]  # of nobody's runs: the post's


def test_a_recall_ends_with_what_replaces_its_records_not_with_as_many_others(keeper: Keeper) -> None:
    approved(keeper, DELIVERY)
    recalled(keeper)
    (recall,) = keeper.service.recalls(OWNER, None)

    def bitmap(*records: int) -> str:
        return protocol.as_text(BitMap(records).serialize())

    index = str(recall["index"])
    delivered(keeper, "1", "1")
    delivered(keeper, "2", "2", replaced={index: bitmap(8)})
    delivered(keeper, "3", "3", replaced={str(recall["index"] + 1): bitmap(7)})
    told = {"delivery": "4" * 64, "content": "4" * 64, "receiver": HERE, "upserts": 1, "withdrawals": 0}
    delivered(keeper, "4", "4", detail={**told, "replaces": [recall["index"]]})  # its word alone
    assert len(keeper.service.recalls(OWNER, None)) == 1
    delivered(keeper, "5", "5", replaced={index: bitmap(6, 7)})
    assert keeper.service.recalls(OWNER, None) == []


def test_recalled_content_does_not_come_again_under_another_id(keeper: Keeper) -> None:
    approved(keeper, DELIVERY)
    recalled(keeper)
    with pytest.raises(DeniedError, match=r"exchange\.delivery\.recalled"):
        delivered(keeper, "e", "d")
    delivered(keeper, "e", "e")


def test_nobody_accepts_what_he_proposed_himself_in_whichever_posts(ground: Any, home: Path) -> None:
    """Posts that would let one person do both are refused when they are read; the keeper does not rely on that."""
    read = read_home(home)
    (clerk,) = [h for h in read.policies.holdings if h.post == "yulan.data_clerk" and h.capacity == "holder"]
    both = (*read.policies.holdings, replace(clerk, person="p.he", capacity="deputy"))
    made = Keeper(ground, replace(read, policies=replace(read.policies, holdings=both)))
    try:
        batch = "b" * 64
        for person in ("p.he", "p.tang"):
            made.service.append(
                OWNER, person,
                claim("correction.batch.authorised", purpose="register_upkeep", fields={"phone": "propose"},
                      detail={"batch": batch, "channel": "signed", "sequence": 1, "records": 1}),
                BitMap([70]).serialize(),
            )  # fmt: skip
            change = claim(
                "correction.change.authorised", post="psb.steward", purpose="register_upkeep",
                fields={"phone": "approve"}, detail={"change": f"{batch[:12]}.1", "batch": batch, "record": 7},
            )  # fmt: skip
            if person == "p.he":
                with pytest.raises(DeniedError, match=r"correction\.steward\.proposer"):
                    made.service.append(OWNER, "p.he", change, BitMap([70]).serialize())
                batch = "c" * 64
            else:
                assert made.service.append(OWNER, "p.he", change, BitMap([70]).serialize())
                for lie in ({"batch": "b" * 64}, {"batch": "e" * 64, "change": f"{'e' * 12}.1"}):
                    with pytest.raises(DeniedError, match=r"correction\.claim\.unknown"):
                        made.service.append(
                            OWNER, "p.he", {**change, "detail": {**change["detail"], **lie}}, BitMap([70]).serialize()
                        )  # fmt: skip
    finally:
        made.service.close()


def test_a_finding_is_settled_by_its_own_flow_and_its_own_steward(keeper: Keeper) -> None:
    approved(keeper, INTAKE)
    rows, receipt = "quarantine/resident/aaaa", "receipt/enterprise.district_to_communities/990101001001"
    told = {
        "kind": "quality.rows.quarantined",
        "due": "2026-07-09",
        "owner_post": "psb.steward",
        "about": "resident",
    }
    opening = {
        "event": "finding.case.opened", "flow": {"id": INTAKE, "run": "r"}, "domain": "990101000000",
        "detail": {"finding": rows, **told},
    }  # fmt: skip
    keeper.service.append(OWNER, None, opening)
    settling = {"event": "finding.case.settled", "detail": {"finding": rows, "disposition": "seen"}}
    with pytest.raises(DeniedError):
        keeper.service.append(OWNER, "p.feng_ming", {**settling, "dataset": "enterprise"})
    foreign = {"finding": receipt, "disposition": "arrived"}
    with pytest.raises(DeniedError):
        keeper.service.append(OWNER, None, {**opening, "event": "finding.case.settled", "detail": foreign})
    with pytest.raises(DeniedError):  # a steward settles; what opens is the run's to say
        keeper.service.append(OWNER, "p.he", {**settling, "event": "finding.case.opened", "dataset": "resident",
                                              "detail": {"finding": "quarantine/resident/bbbb", **told}})  # fmt: skip
    assert [f["finding"] for f in keeper.service.findings(OWNER, None)] == [rows]
    keeper.service.append(OWNER, "p.he", {**settling, "dataset": "resident"})
    assert keeper.service.findings(OWNER, None) == []


# -- freshness: what the keeper does by itself, and what it refuses on old evidence ---------------


def test_silence_is_never_normal(keeper: Keeper) -> None:
    keeper.service.tend()
    assert "log.heartbeat.sent" not in keeper.events()
    keeper.ground.clock.pass_(5 * 60)
    keeper.service.tend()
    keeper.service.tend()
    assert keeper.events().count("log.heartbeat.sent") == 1
    (body,) = [e for e in keeper.bodies() if e["event"] == "log.heartbeat.sent"]
    assert (body["person"], body["established"]["by"], body["detail"]) == (
        "p.chen",
        "approval",
        {"published": 2},
    )
    assert keeper.published() == len(keeper.events())


def test_old_evidence_closes_what_is_sensitive_and_opens_again_by_itself(keeper: Keeper) -> None:
    keeper.ground.clock.pass_(16 * 60)
    ticket = keeper.service.append(OWNER, "p.tang", claim(detail={"record": 7, "values": 1}), BITMAP)
    for sick in (keeper.without_disk(), keeper.without_database()):
        with sick:
            keeper.ground.clock.pass_(16 * 60)
            for _ in range(2):
                with pytest.raises(UnavailableError, match=r"auditlog\.log\.(stale|unwritable)"):
                    keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
            with suppress(HuanshuError):
                keeper.service.tend()
        ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
        assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
    keeper.service.tend()
    (ended,) = [e for e in keeper.bodies() if e["event"] == "log.staleness.ended"]
    assert ended["detail"]["reason"] == "auditlog.log.stale"
    assert ended["detail"]["seconds"] >= 16 * 60
    assert len(keeper.ground.rows("SELECT * FROM log.loan")) == 2


def test_what_is_not_sensitive_goes_on(keeper: Keeper) -> None:
    with keeper.without_disk():
        keeper.ground.clock.pass_(16 * 60)
        assert keeper.service.status(OWNER, "p.tang")["person"] == "p.tang"
        ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
        sought = claim("access.record.sought", detail={})
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
            keeper.service.link(OWNER, "p.tang", sought, "citizen_number", "990101199001010018")


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_moved_a_day_is_an_entry_and_revives_nothing(keeper: Keeper, days: int) -> None:
    """Forward: healed by a heartbeat, and told. Back: nothing is opened until the clock is right again, and what has
    ended by the log's own time has ended."""
    keeper.service.tend()
    keeper.ground.clock.pass_(1)
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    until = keeper.bodies()[-1]["detail"]["until"]
    keeper.ground.clock.at += timedelta(days=days)
    if days > 0:
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.expired"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
    else:
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
    keeper.service.tend()
    moved = [e["detail"] for e in keeper.bodies() if e["event"] == "log.clock.moved"]
    assert moved == [{"seconds": 86_400, "direction": "forward" if days > 0 else "back"}]
    assert datetime.fromisoformat(until) > datetime.fromisoformat(keeper.bodies()[0]["at"])
    if days < 0:
        keeper.ground.clock.at += timedelta(days=1)
        assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]


def test_a_log_found_changed_stops_the_keeper(keeper: Keeper) -> None:
    keeper.service.tend()
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.ground.tamper("UPDATE log.entry SET leaf = leaf || ' '::bytea WHERE index = 2")
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        keeper.service.tend()
    for _ in range(2):
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            keeper.service.status(OWNER, "p.tang")


TAKEN: dict[str, Callable[[Path], object]] = {
    "the folder": shutil.rmtree,
    "all but the folder": lambda folder: [shutil.rmtree(folder / "tile"), (folder / "checkpoint").unlink()],
    "an older copy": lambda folder: [
        shutil.rmtree(folder),
        shutil.copytree(folder.with_name("older"), folder),
    ],
}


@pytest.mark.parametrize("what", TAKEN)
def test_published_files_that_go_come_back_whole_and_it_is_told(keeper: Keeper, what: str) -> None:
    folder = keeper.ground.folder / "log"
    keeper.service.tend()
    shutil.copytree(folder, folder.with_name("older"))
    for _ in range(3):
        keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.service.tend()
    TAKEN[what](folder)
    keeper.service.tend()  # nothing is new, and yet
    assert keeper.published() == 5
    assert verified(keeper) == []
    keeper.service.tend()
    keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.service.tend()
    told = [e["detail"] for e in keeper.bodies() if e["event"] == "log.publication.renewed"]
    assert told == [{"entries": 5}], "once"
    assert keeper.published() == keeper.service.status(OWNER, "p.tang")["size"]
    assert verified(keeper) == []


def verified(keeper: Keeper) -> list[Any]:
    """What the verifier finds in the published folder alone."""
    vkey = keeper.ground.signer.vkey(keeper.home.log_origin)
    return list(fsck(Options(vkey=vkey, published=keeper.ground.folder / "log")).problems)


def test_a_published_checkpoint_of_somebody_else_stops_the_keeper(keeper: Keeper) -> None:
    keeper.service.tend()
    note = keeper.ground.folder / "log" / "checkpoint"
    note.write_text(note.read_text().replace("\n2\n", "\n1\n"))
    with pytest.raises(TamperedError, match=r"auditlog\.checkpoint\.forged"):
        keeper.service.tend()


def test_a_machine_set_back_does_not_start_on_newer_published_files(keeper: Keeper) -> None:
    """Database and keeper's folder of last week, published files of today: found at start."""
    older = keeper.head.read()
    keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    keeper.service.tend()
    keeper.service.close()
    keeper.ground.tamper(
        "DELETE FROM log.entry WHERE index >= 2", "DELETE FROM log.checkpoint WHERE size > 2"
    )
    keeper.head.write(older)
    keeper.vault.use(connect(keeper.ground.keeper_url))
    with pytest.raises(TamperedError, match=r"auditlog\.log\.rolled_back"):
        keeper.started()


def test_an_origin_that_no_entry_opens_does_not_start(keeper: Keeper) -> None:
    """The log's key alone: the whole log signed under a later origin, without a word about what was given up."""
    keeper.service.close()
    signer, later = keeper.ground.signer, f"{keeper.home.log_origin}/2"
    there = signer.read_checkpoint(keeper.home.log_origin, str(keeper.head.read()))
    note = signer.checkpoint_note(Checkpoint(later, there.size, there.root))
    with connect(keeper.ground.tamper_url) as admin:
        admin.execute("UPDATE log.checkpoint SET note = %s WHERE size = %s", (note, there.size))
    keeper.head.write(note)
    keeper.vault.use(connect(keeper.ground.keeper_url))
    with pytest.raises(TamperedError, match=r"auditlog\.origin\.unopened"):
        service_over(keeper.ground, keeper.home, keeper.head, keeper.vault, origin=later)


def test_witnesses_once_named_must_have_seen_the_log_lately(keeper: Keeper) -> None:
    """Named by files that are carried; a change of who vouches is an entry, also when it is taken back."""
    folder, clock = keeper.ground.folder, keeper.ground.clock
    create(folder / "w", "w.example/w", [keeper.ground.signer.vkey(keeper.home.log_origin)])
    with State(folder / "w") as witness:
        (folder / "witnesses.policy").write_text(f"witness w {witness.vkey}\nquorum w\n")
        ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
            keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()])
        assert keeper.service.status(OWNER, "p.tang")["evidence"]["witness_age_s"] is None
        keeper.service.tend()
        answered = answer_files(witness, folder / "witnesses/w", lambda: clock().timestamp())
        assert [answer.status for _, answer in answered] == [200]
        clock.pass_(16)
        keeper.service.tend()
        assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
        assert "w.example/w" in (folder / "log/checkpoint.witnessed").read_text()
        told = keeper.service.status(OWNER, "p.tang")["evidence"]
        assert (told["witness_age_s"], told["witness_max_s"], told["checkpoint_max_s"]) == (16, 900, 900)
        assert told["checkpoint_age_s"] < 60
        clock.pass_(15 * 60)
        keeper.service.tend()
        later = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
            keeper.service.open(OWNER, "p.tang", later, [keeper.cell()])
    (folder / "witnesses.policy").write_text("witness w\n")
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
        keeper.service.open(OWNER, "p.tang", later, [keeper.cell()])
    (folder / "witnesses.policy").unlink()
    keeper.service.tend()
    assert keeper.service.open(OWNER, "p.tang", later, [keeper.cell()]) == ["张三"]
    named = [e["detail"] for e in keeper.bodies() if e["event"] == "log.witnesses.named"]
    assert [(n["witnesses"], n["quorum"]) for n in named] == [(1, "w"), (0, "none")]


def test_a_witness_ahead_of_our_clock_is_told_once_and_closes_nothing(keeper: Keeper) -> None:
    """Two witnesses, either of which suffices; one answers with tomorrow's time, again and again."""
    folder, clock = keeper.ground.folder, keeper.ground.clock
    for name in "ab":
        create(folder / name, f"{name}.example/w", [keeper.ground.signer.vkey(keeper.home.log_origin)])
    with State(folder / "a") as right, State(folder / "b") as ahead:
        (folder / "witnesses.policy").write_text(
            f"witness right {right.vkey}\nwitness ahead {ahead.vkey}\ngroup any any right ahead\nquorum any\n"
        )
        for _ in range(3):
            keeper.service.tend()
            answer_files(right, folder / "witnesses/right", lambda: clock().timestamp())
            answer_files(ahead, folder / "witnesses/ahead", lambda: clock().timestamp() + 86_400)
            clock.pass_(16)
            keeper.service.tend()
            ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
            assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
        keeper.service.tend()
        assert "b.example/w" not in (folder / "log/checkpoint.witnessed").read_text()
    told = [e["detail"] for e in keeper.bodies() if e["event"] == "log.witness.doubted"]
    assert [(t["witness"], t["seconds"] > 86_000) for t in told] == [("ahead", True)]


def test_callers_at_once_each_get_their_own_durable_ticket(keeper: Keeper) -> None:
    """Admitted one after the other, committed together; and a group that is lost leaves nothing behind in memory."""
    got: list[Ticket] = []

    def caller() -> None:
        for _ in range(5):
            ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
            ((stored,),) = keeper.ground.rows(
                f"SELECT encode(leaf_hash, 'hex') FROM log.entry WHERE index = {ticket.index}"
            )
            assert stored == ticket.leaf_hash
            got.append(ticket)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ticket.index for ticket in got) == list(range(2, 22))
    with keeper.without_database(), pytest.raises(UnavailableError):
        keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    ticket = keeper.service.append(OWNER, "p.tang", claim(), BITMAP)
    assert ticket.index == 22
    assert keeper.service.open(OWNER, "p.tang", ticket, [keeper.cell()]) == ["张三"]
    assert keeper.service.status(OWNER, "p.tang")["size"] == 23

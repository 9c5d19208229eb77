"""Acts in another's name, or for what did not happen, are refused by the keeper; each beside its honest twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroaring import BitMap

from huanshu.assembly import connect, create
from huanshu.assembly.keeper_process import build_service
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, UnavailableError
from huanshu.exchange.plan import plan_delivery
from huanshu.exchange.receipts import sign
from huanshu.keeper.establish import Peer
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001002"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        yield made


def test_a_plan_before_the_first_intake_is_empty_not_broken(place: Range) -> None:
    plan = plan_delivery(place.acting().ground(), DELIVERY)
    assert len(plan.receivers) == 146
    assert {receiver.upserts for receiver in plan.receivers} == {0}


def test_nobody_settles_anothers_ticket(place: Range) -> None:
    claim = {
        "event": "exchange.delivery.authorised", "flow": {"id": DELIVERY, "run": "x"}, "subjects": 0,
        "detail": {"delivery": "e" * 64, "content": "e" * 64, "receiver": A, "upserts": 0, "withdrawals": 0},
    }  # fmt: skip
    ticket = place.acting().keeper.append(claim, BitMap().serialize())
    told = {
        "event": "exchange.delivery.stopped", "subjects": 0, "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
        "detail": {"receiver": A, "reason": "mine", "chunks": 0},
    }  # fmt: skip
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        place.acting("p.tang").keeper.append(told, BitMap().serialize())
    place.acting("p.lin").keeper.append(told, BitMap().serialize())


def test_nobody_signs_for_what_did_not_arrive(place: Range) -> None:
    claim = {
        "event": "exchange.delivery.signed",
        "domain": A,
        "dataset": "resident",
        "detail": {"delivery": "d" * 64, "arrived": 3},
    }
    with pytest.raises(DeniedError, match=r"exchange\.receipt\.unknown"):
        place.acting("p.tang").keeper.append(claim)
    place.take_in(INTAKE)
    place.deliver(DELIVERY)
    theirs = next(
        e.body["detail"]["delivery"] for e in place.entries()
        if e.event == "exchange.delivery.arrived" and e.body["domain"] == B
    )  # fmt: skip
    claim["detail"] = {"delivery": theirs, "arrived": 3}
    with pytest.raises(DeniedError, match=r"exchange\.receipt\.unknown"):
        place.acting("p.tang").keeper.append(claim)
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        place.acting("p.tang").keeper.append({**claim, "domain": B})
    assert sign(place.acting("p.tang").ground(), A)


def test_a_finding_belongs_to_a_flow(place: Range) -> None:
    detail = {
        "finding": "f",
        "kind": "k",
        "due": "2026-12-01T00:00:00+08:00",
        "owner_post": "psb.steward",
        "about": A,
    }
    with pytest.raises(DeniedError, match=r"finding\.case\.unowned"):
        place.acting("p.tang").keeper.append({"event": "finding.case.opened", "detail": detail})
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        place.acting("p.tang").keeper.append(
            {"event": "finding.case.opened", "flow": {"id": DELIVERY}, "domain": A, "detail": detail}
        )


def test_not_even_a_refusal_is_entry_0(tmp_path: Path, home: Path) -> None:
    settings = Settings(home, tmp_path / "state", "en")
    deployment = create(settings)
    try:
        service = build_service(deployment)
        me = Peer(__import__("os").geteuid(), "owner")
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.not_begun"):
            service.append(me, "p.tang", {"event": "policy.bundle.adopted", "detail": {"digest": "0" * 64}})
        assert service.status(me, "p.chen")["size"] == 0
        service.append(me, "p.chen", {"event": "log.origin.created", "detail": {"sandbox": True}})
        assert service.status(me, "p.chen")["sandbox"] is True
        service.close()
    finally:
        for name in deployment.embedded:
            deployment.server(name).stop()
    assert connect(settings).deployment.embedded == ("district", "shiqiao")

"""A ticket is good for what its entry names, while what the entry names still stands."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from huanshu.auditlog import Entry, Register
from huanshu.catalog import read_home
from huanshu.catalog.nouns import Home
from huanshu.errors import DeniedError
from huanshu.keeper.tickets import OpenTickets, Ticket, lendable, require_lendable, still_valid
from huanshu.sealing import KeyName

DELIVERY, INTAKE = "resident.district_to_communities", "resident.psb_to_district"
HERE, ELSEWHERE = "990101001001", "990101001002"
NOW = datetime.fromisoformat("2026-07-01T09:00:00+08:00")
UNTIL = NOW + timedelta(hours=1)


@pytest.fixture(scope="module")
def sample(root: Path) -> Home:
    return read_home(root)


def delivery(home: Home, **changes: Any) -> dict[str, Any]:
    flow = home.flows[DELIVERY]
    return {
        "index": 5, "event": "exchange.delivery.authorised", "dataset": "resident", "domain": HERE,
        "purpose": flow.purpose, "policy": home.policies.digest,
        "flow": {"id": flow.flow, "digest": flow.digest, "approval": 3},
        "fields": {name: rung.word for name, rung in flow.fields.items()},
        "detail": {"delivery": "d1", "until": UNTIL.isoformat()}, **changes,
    }  # fmt: skip


def intake(home: Home) -> dict[str, Any]:
    flow = home.flows[INTAKE]
    return {
        **delivery(home), "event": "exchange.intake.authorised", "domain": home.policies.domains.district.code,
        "flow": {"id": flow.flow, "digest": flow.digest, "approval": 3},
        "fields": {field.name: "write" for field in home.contracts["resident"].fields},
        "detail": {"batch": "b1", "until": UNTIL.isoformat()},
    }  # fmt: skip


def register(
    home: Home, *, policy: str | None = None, approved: bool = True, until: datetime = UNTIL
) -> Register:
    flow, made = home.flows[DELIVERY], Register()
    said = [("policy.bundle.adopted", {"digest": policy or home.policies.digest})]
    if approved:
        said.append(
            ("approval.flow.granted", {"flow": flow.flow, "digest": flow.digest, "until": until.isoformat()})
        )
    for index, (event, detail) in enumerate(said):
        made.apply(
            Entry(index, event, {"person": "p.lin", "post": "psb.exchange_officer", "detail": detail}, b"")
        )
    return made


# -- what may be lent -----------------------------------------------------------------------------


def test_a_delivery_names_exactly_the_sealed_fields_of_its_receiver(sample: Home) -> None:
    sealed = {f.name for f in sample.contracts["resident"].sealed_fields} & set(sample.flows[DELIVERY].fields)
    assert len(sealed) >= 8
    assert lendable(delivery(sample), sample) == {f"data/{HERE}/resident/{name}" for name in sealed}


def test_an_intake_names_every_home_and_the_marks_of_its_contract(sample: Home) -> None:
    communities = [d.code for d in sample.policies.domains if d.kind == "community"]
    sealed = [f.name for f in sample.contracts["resident"].sealed_fields]
    assert (len(communities), len(sealed) > 8) == (146, True)
    assert lendable(intake(sample), sample) == {
        *(f"data/{code}/resident/{name}" for code in communities for name in sealed),
        "quarantine/resident", "content/resident", "link/citizen_number",
    }  # fmt: skip


def test_a_single_read_lends_no_key(sample: Home) -> None:
    body = delivery(sample, event="access.record.authorised")
    assert lendable(body, sample) == frozenset()


GOOD = f"data/{HERE}/resident/name/1"


def test_what_the_entry_names_is_lent(sample: Home) -> None:
    require_lendable([KeyName(GOOD), KeyName(f"data/{HERE}/resident/phone/1")], delivery(sample), sample)


@pytest.mark.parametrize(
    "name",
    [
        f"data/{ELSEWHERE}/resident/name/1",  # another domain
        "data/990101000000/resident/name/1",  # the district's own
        f"data/{HERE}/resident/marital_status/1",  # a field that the flow does not hand out
        f"data/{HERE}/resident/sex/1",  # a plain field
        f"data/{HERE}/household/name/1",  # another dataset
        f"data/{HERE}/resident/name/2",  # another epoch
        f"data/{HERE}/resident/name/01",
        f"data/{HERE}/resident/name/",
        f"data/{HERE}/resident/name",
        f"data/{HERE}/resident/name/1/1",
        f"data/{HERE}/resident/name/1 ",
        "link/citizen_number",
        "content/resident",
        "quarantine/resident/1",
        "bitmap/1",
        "token/grassroots_service/citizen_number",
        "",
        "data",
        "/",
    ],
)
def test_what_the_entry_does_not_name_is_refused_also_beside_what_it_does(sample: Home, name: str) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.lend\.not_named"):
        require_lendable([KeyName(GOOD), KeyName(name)], delivery(sample), sample)


def test_older_data_keys_are_lent_after_a_new_epoch_and_future_ones_never(sample: Home) -> None:
    keys = dataclasses.replace(sample.policies.keys, epoch=2)
    later = dataclasses.replace(sample, policies=dataclasses.replace(sample.policies, keys=keys))
    prefix = GOOD.removesuffix("1")
    require_lendable([KeyName(f"{prefix}1"), KeyName(f"{prefix}2")], delivery(later), later)
    require_lendable([KeyName("quarantine/resident/2")], intake(later), later)
    for name in (
        f"{prefix}0",
        f"{prefix}3",
        f"{prefix}-1",
        f"{prefix}01",
        f"{prefix}１",
        "quarantine/resident/1",
    ):
        with pytest.raises(DeniedError, match=r"keeper\.lend\.not_named"):
            require_lendable([KeyName(name)], intake(later), later)


def test_a_field_that_the_entry_leaves_out_is_refused_although_the_flow_has_it(sample: Home) -> None:
    body = delivery(sample, fields={"phone": "reveal"})
    with pytest.raises(DeniedError):
        require_lendable([KeyName(GOOD)], body, sample)


def test_a_match_lends_the_purposes_token_key(sample: Home) -> None:
    body = delivery(sample, fields={"citizen_number": "match"})
    assert "token/grassroots_service/citizen_number" in lendable(body, sample)


# -- while it stands ------------------------------------------------------------------------------


def test_it_stands(sample: Home) -> None:
    still_valid(delivery(sample), sample, register(sample), NOW)
    still_valid(delivery(sample), sample, register(sample), UNTIL)


def test_the_policies_were_edited(sample: Home) -> None:
    edited = dataclasses.replace(sample, policies=dataclasses.replace(sample.policies, digest="00" * 32))
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        still_valid(delivery(sample), edited, register(sample), NOW)


def test_another_bundle_was_adopted(sample: Home) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        still_valid(delivery(sample), sample, register(sample, policy="00" * 32), NOW)


def test_both_changed_together(sample: Home) -> None:
    edited = dataclasses.replace(sample, policies=dataclasses.replace(sample.policies, digest="00" * 32))
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        still_valid(delivery(sample), edited, register(sample, policy="00" * 32), NOW)


def test_its_time_has_passed(sample: Home) -> None:
    later = UNTIL + timedelta(microseconds=1)
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.expired"):
        still_valid(delivery(sample), sample, register(sample, until=UNTIL + timedelta(days=1)), later)


@pytest.mark.parametrize("gone", [False, True])
def test_the_flow_file_changed_or_is_gone(sample: Home, gone: bool) -> None:
    flows = dict(sample.flows)
    flow = flows.pop(DELIVERY)
    if not gone:
        flows[DELIVERY] = dataclasses.replace(flow, digest="00" * 32)
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.flow_changed"):
        still_valid(delivery(sample), dataclasses.replace(sample, flows=flows), register(sample), NOW)


@pytest.mark.parametrize("how", ["revoked", "never given", "ended"])
def test_the_approval_has_ended(sample: Home, how: str) -> None:
    said = register(sample, approved=how != "never given", until=NOW - timedelta(days=how == "ended"))
    if how == "revoked":
        flow = sample.flows[DELIVERY]
        body = {"detail": {"flow": flow.flow, "digest": flow.digest}}
        said.apply(Entry(9, "approval.flow.revoked", body, b""))
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.approval_ended"):
        still_valid(delivery(sample), sample, said, NOW)


# -- open and settled -----------------------------------------------------------------------------

TICKET = Ticket(5, "aa" * 32)


def opened(home: Home) -> OpenTickets:
    tickets = OpenTickets()
    tickets.apply(TICKET, Entry(5, "exchange.delivery.authorised", delivery(home), b""))
    return tickets


def test_an_open_ticket_is_found_by_index_and_hash_together(sample: Home) -> None:
    tickets = opened(sample)
    assert tickets.entry(TICKET) == delivery(sample)
    assert tickets.about("exchange.delivery.authorised", "d1") == TICKET
    assert tickets.about("exchange.delivery.authorised", "d2") is None
    assert tickets.about("exchange.intake.authorised", "d1") is None
    for other in (Ticket(5, "bb" * 32), Ticket(6, "aa" * 32), Ticket(-1, "")):
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.unknown"):
            tickets.entry(other)


@pytest.mark.parametrize(
    "settling",
    [
        "exchange.delivery.arrived",
        "exchange.delivery.stopped",
        "exchange.intake.promoted",
        "exchange.intake.refused",
    ],
)
def test_a_settled_ticket_is_refused_for_good(sample: Home, settling: str) -> None:
    tickets = opened(sample)
    tickets.apply(Ticket(6, "cc" * 32), Entry(6, settling, {"detail": {"authorised": 5}}, b""))
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.unknown"):
        tickets.entry(TICKET)
    assert tickets.about("exchange.delivery.authorised", "d1") is None


def test_another_tickets_settlement_leaves_it_open(sample: Home) -> None:
    tickets = opened(sample)
    tickets.apply(
        Ticket(6, "cc" * 32), Entry(6, "exchange.delivery.arrived", {"detail": {"authorised": 4}}, b"")
    )
    assert tickets.entry(TICKET)


def test_openings_are_counted_over_the_life_of_a_ticket(sample: Home) -> None:
    tickets = opened(sample)
    tickets.count_opening(TICKET, 60, 64)
    with pytest.raises(DeniedError, match=r"keeper\.open\.too_many"):
        tickets.count_opening(TICKET, 5, 64)
    tickets.count_opening(TICKET, 4, 64)  # a refused one did not count
    with pytest.raises(DeniedError):
        tickets.count_opening(TICKET, 1, 64)
    tickets.count_opening(Ticket(6, "aa" * 32), 64, 64)

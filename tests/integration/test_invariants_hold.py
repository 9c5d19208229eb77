"""The invariants of the design, each with its defence removed once to see the test go red.

1 no ticket, no plaintext · 3 denials explain themselves and hide existence · 4 expiry and compare-and-append ·
5 persons established · 6 one place, one time · 8 nothing passes silently · 9, 10 are tested where they live
(tests/unit/ground, tests/unit/verify, and below). 2 is test_canary_values, 7 is tests/faults.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import (
    ContentError,
    DeniedError,
    HuanshuError,
    InputError,
    TamperedError,
    UnavailableError,
)
from huanshu.exchange.runs import run_delivery
from huanshu.gate import bulk
from huanshu.gate.read import Asked, read
from huanshu.identity import revoke_flow
from huanshu.keeper import tickets
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.tickets import Ticket
from huanshu.sealing.keys import data_key
from huanshu.settings import read_settings

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B, C = "990101001001", "990101001002", "990101001003"


@pytest.fixture
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        yield made


def first(place: Range, home: str) -> int:
    return place.due_records("resident", home)[0][0]


def ask(place: Range, domain: str, record: int, person: str = "p.tang", **change: object) -> object:
    running = place.acting(person)
    asked = Asked(
        "yulan.data_clerk", domain, "resident", "grassroots_service", {"name": Rung.REVEAL}, record or None
    )
    return read(running.home, running.keeper, running.district, replace(asked, **change))  # type: ignore[arg-type]


# -- 1: no ticket, no plaintext ----------------------------------------------------------------------


def test_1_without_the_log_nothing_is_opened(place: Range) -> None:
    record, loans = first(place, A), place.loans()
    place.deployment.server("district").stop()
    with pytest.raises(UnavailableError):
        ask(place, A, record)
    place.deployment.server("district").start()
    assert place.loans() == loans
    assert ask(place, A, record)  # it resumes by itself


def test_1_a_forged_ticket_lends_and_opens_nothing(place: Range) -> None:
    keeper, loans = place.acting("p.tang").keeper, place.loans()
    name = data_key(A, "resident", "name", 1)
    for ticket in (Ticket(6, "00" * 32), Ticket(10**6, "ab" * 32)):
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.unknown"):
            keeper.lend(ticket, 0, [name])
        with pytest.raises(DeniedError, match=r"keeper\.ticket\.unknown"):
            keeper.open(ticket, [StoredCell("name", b"x" * 77, A, 1, 1, 1, "reveal")])
    assert place.loans() == loans


def test_1_an_entry_lends_only_what_it_names(place: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    place.deliver(DELIVERY)
    keeper = place.acting().keeper
    claim = {
        "event": "exchange.delivery.authorised", "flow": {"id": DELIVERY, "run": "x"}, "subjects": 0,
        "detail": {"delivery": "f" * 64, "content": "f" * 64, "receiver": A, "upserts": 0, "withdrawals": 0},
    }  # fmt: skip
    ticket = keeper.append(claim, BitMap().serialize())
    mine, theirs = data_key(A, "resident", "name", 1), data_key(B, "resident", "name", 1)
    keeper.lend(ticket, 0, [mine])
    for other in (
        theirs,
        data_key(A, "resident", "ethnicity", 1),
        "link/citizen_number",
        "quarantine/resident/1",
    ):
        with pytest.raises(DeniedError, match=r"keeper\.lend\.not_named"):
            keeper.lend(ticket, 0, [other])  # type: ignore[list-item]
    monkeypatch.setattr("huanshu.keeper.opening.require_lendable", lambda *_: None)
    assert keeper.lend(ticket, 0, [theirs])  # the defence removed: the neighbour's key is lent


def test_1_a_record_ticket_opens_only_that_record(place: Range) -> None:
    running = place.acting("p.tang")
    mine, other = [number for number, _ in place.due_records("resident", A)[:2]]
    claim = {
        "event": "access.record.authorised", "post": "yulan.data_clerk", "domain": A, "dataset": "resident",
        "purpose": "grassroots_service", "fields": {"name": "reveal"}, "detail": {"record": mine, "values": 1},
    }  # fmt: skip
    ticket = running.keeper.append({**claim, "subjects": 1}, BitMap([1]).serialize())
    with running.district() as district:
        cells = dict(
            district.execute(
                "SELECT record, name FROM district.resident WHERE record = ANY(%s)", ([mine, other],)
            )
        )
    stored = StoredCell("name", bytes(cells[mine]), A, mine, 1, 1, "reveal")
    assert running.keeper.open(ticket, [stored])[0]
    for wrong in (
        replace(stored, record=other, sealed=bytes(cells[other])),
        replace(stored, field="phone"),
        replace(stored, domain=B),
    ):
        with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
            running.keeper.open(ticket, [wrong])


# -- 3: denials --------------------------------------------------------------------------------------


def test_3_elsewhere_answers_like_nowhere(place: Range) -> None:
    answers = set()
    for number in (first(place, B), 10**9):
        with pytest.raises(InputError) as refused:
            ask(place, A, number)
        answers.add((refused.value.code, refused.value.explain("zh"), refused.value.explain("en")))
    assert len(answers) == 1
    reasons = [e.body["detail"]["reason"] for e in place.entries() if e.event == "access.record.missed"]
    assert reasons == ["elsewhere", "absent"]  # the log knows, the asker does not


def test_3_by_identifier_too(place: Range) -> None:
    sample = (ROOT / "expectations/resident/samples/passing.csv").read_text().splitlines()
    column = sample[0].split(",").index("community")
    theirs = next(line.split(",")[0] for line in sample[1:] if line.split(",")[column] == B)
    ours = next(line.split(",")[0] for line in sample[1:] if line.split(",")[column] == A)
    texts = set()
    for identifier in (theirs, "990101190001010000"):
        with pytest.raises(InputError) as refused:
            ask(place, A, 0, identifier=identifier)
        texts.add(refused.value.explain("en"))
    assert len(texts) == 1
    assert ask(place, A, 0, identifier=ours)


def test_3_a_denial_names_the_smallest_grant(place: Range) -> None:
    with pytest.raises(DeniedError) as refused:
        ask(place, B, first(place, B))
    assert "policies/rules/community.csv" in refused.value.explain("en")
    assert "p, " in refused.value.explain("zh")


# -- 4: expiry, compare-and-append -------------------------------------------------------------------


def narrow(place: Range) -> None:
    """Security staff take a rule away: the file changes, nobody has adopted it yet."""
    path = place.settings.home / "policies/rules/community.csv"
    path.write_text(path.read_text() + "# narrowed\n")


@pytest.mark.parametrize("how", ["policy file changed", "approval revoked", "flow file changed"])
def test_4_a_running_delivery_stops_within_one_chunk(place: Range, how: str) -> None:
    running = place.acting()
    lent_after: list[int] = []

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            if how == "approval revoked":
                revoke_flow(place.acting("p.lin").keeper, DELIVERY)
            elif how == "policy file changed":
                narrow(place)
            else:
                path = place.settings.home / f"dags/flows/{DELIVERY}.yaml"
                path.write_text(path.read_text() + "\n")
            lent_after.append(place.loans())

    due = place.due_records("resident", C)
    assert len(due) > 3  # more than one chunk
    with pytest.raises(DeniedError, match=r"keeper\.ticket"):
        run_delivery(running.ground(pause=pause, chunk=3), DELIVERY, "stopping", [C])
    assert place.loans() == lent_after[0]
    assert place.slice_records("resident", C) == []
    stopped = [e.body for e in place.entries() if e.event == "exchange.delivery.stopped"]
    assert [s["domain"] for s in stopped] == [C]
    assert stopped[0]["subjects"]["count"] == 3  # exactly those that were opened


def test_4_without_the_check_the_run_would_go_on(place: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huanshu.keeper.admitting.still_valid", lambda *_: None)  # the defence removed
    pause = lambda point: narrow(place) if point == "c:chunk:0" else None  # noqa: E731
    run_delivery(place.acting().ground(pause=pause, chunk=3), DELIVERY, "going on", [C])
    assert place.slice_records("resident", C) == place.due_records("resident", C)


def test_4_an_unadopted_bundle_opens_nothing(place: Range) -> None:
    narrow(place)
    with pytest.raises(DeniedError, match=r"policies/rules/\S+\.csv.*policy\.bundle\.unadopted"):
        ask(place, A, first(place, A))


def test_4_a_decision_under_an_old_policy_is_refused(place: Range) -> None:
    claim = {
        "event": "exchange.delivery.authorised", "flow": {"id": DELIVERY, "run": "x"}, "policy": "0" * 64,
        "detail": {"delivery": "f" * 64, "content": "f" * 64, "receiver": A, "upserts": 0, "withdrawals": 0},
    }  # fmt: skip
    with pytest.raises(DeniedError, match=r"keeper\.append\.stale_policy"):
        place.acting().keeper.append(claim)


def test_4_validity_is_judged_at_the_instant() -> None:
    home = connect_home()
    body = {"policy": home.policies.digest, "detail": {"until": "2026-01-01T00:00:00+08:00"}}
    from huanshu.auditlog import Register

    register = Register()
    register.policy_digest = home.policies.digest
    from datetime import datetime

    tickets.still_valid(body, home, register, datetime.fromisoformat("2025-12-31T00:00:00+08:00"))
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.expired"):
        tickets.still_valid(body, home, register, datetime.fromisoformat("2026-01-01T00:00:01+08:00"))


def connect_home():  # type: ignore[no-untyped-def]
    from huanshu.catalog import read_home

    return read_home(ROOT)


# -- 5: persons --------------------------------------------------------------------------------------


def test_5_a_flow_changed_by_one_byte_does_not_run(place: Range) -> None:
    path = place.settings.home / f"dags/flows/{DELIVERY}.yaml"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(DeniedError, match=r"exchange\.flow\.unapproved"):
        place.deliver(DELIVERY)
    denied = place.acts()[-1]
    assert (denied.event, denied.body["person"], denied.body["established"]["by"]) == (
        "access.request.denied",
        "p.lin",
        "post",
    )


def test_5_only_a_holder_of_the_post_approves(place: Range) -> None:
    flow = place.acting().home.flows[DELIVERY]
    claim = {
        "event": "approval.flow.granted", "flow": {"id": DELIVERY},
        "detail": {"digest": flow.digest, "until": "2027-01-01T00:00:00+08:00"},
    }  # fmt: skip
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        place.acting("p.tang").keeper.append(claim)
    place.acting("p.zhao").keeper.append(claim)  # the deputy may


def test_5_every_entry_names_a_person_of_the_home(place: Range) -> None:
    place.deliver(DELIVERY)
    ask(place, A, first(place, A))
    persons = place.acting().home.policies.persons
    entries = place.entries()
    assert len(entries) > 15
    assert {entry.body["person"] for entry in entries} <= set(persons)


# -- 6: one place, one time --------------------------------------------------------------------------


def test_6_swapped_cells_do_not_open_and_stop_a_delivery(place: Range) -> None:
    (a, _), (b, _) = place.due_records("resident", C)[:2]
    with place.administrator() as administrator:
        administrator.execute(
            "UPDATE district.resident v SET phone = o.phone FROM district.resident o"
            " WHERE (v.record, o.record) IN ((%(a)s, %(b)s), (%(b)s, %(a)s))", {"a": a, "b": b},
        )  # fmt: skip
    with pytest.raises(HuanshuError, match=r"sealing\.cell\.refused"):
        run_delivery(place.acting().ground(), DELIVERY, "swapped", [C])
    assert place.slice_records("resident", C) == []


def test_6_a_revealed_cell_does_not_fit_where_a_masked_one_belongs(place: Range) -> None:
    """Who can write both stores cannot lift a community from mask to reveal."""
    place.deliver(DELIVERY)
    running = place.acting("p.tang")
    record = first(place, A)
    with running.district() as district:
        (revealed,) = district.execute(
            "SELECT citizen_number FROM district.resident WHERE record = %s", (record,)
        ).fetchone()
    claim = {
        "event": "access.record.authorised", "post": "yulan.data_clerk", "domain": A, "dataset": "resident",
        "purpose": "grassroots_service", "fields": {"citizen_number": "mask"}, "detail": {"record": record, "values": 1},
    }  # fmt: skip
    ticket = running.keeper.append({**claim, "subjects": 1}, BitMap([1]).serialize())
    with pytest.raises(TamperedError):
        running.keeper.open(ticket, [StoredCell("citizen_number", bytes(revealed), A, record, 1, 1, "mask")])
    with running.receiver(A) as store:
        (masked,) = store.execute(
            f"SELECT citizen_number FROM receiver_{A}.resident WHERE record = %s".encode(), (record,)
        ).fetchone()
    (value,) = running.keeper.open(
        ticket, [StoredCell("citizen_number", bytes(masked), A, record, 1, 1, "mask")]
    )
    assert value is not None
    assert value[6:14] == "*" * 8


# -- 8: nothing passes silently ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("policies/purposes.yaml", ("legal_basis", "legal_bases")),
        ("policies/keys.yaml", ("epoch", "epok")),
        ("expectations/resident/contract.yaml", ("huanshu.level", "huanshu.levle")),
        ("expectations/resident/suite.yaml", ("severity: error", "severty: error")),
        (f"dags/flows/{DELIVERY}.yaml", ("accountable_post", "acountable_post")),
        ("audit/obligations.yaml", ("citation", "citaton")),
    ],
)
def test_8_a_misspelt_key_names_file_line_and_the_right_word(
    home: Path, file: str, change: tuple[str, str]
) -> None:
    from huanshu.catalog import read_home

    path = home / file
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(ContentError) as refused:
        read_home(home)
    assert str(refused.value.where).startswith(f"{file}:")
    assert change[0].split(".")[-1].split(":")[0] in refused.value.explain("en")


def test_8_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ContentError, match="HUANSHU_STATE"):
        read_settings({"HUANSHU_STAET": "/somewhere"})


# -- 10: nothing leaves ------------------------------------------------------------------------------


def test_10_an_intake_and_a_delivery_connect_to_nothing_but_unix_sockets() -> None:
    script = """
import json, socket, sys
from pathlib import Path
from typing import Any
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        seen.append([event, str(arguments[1] if event == "socket.connect" else arguments[0])])
sys.addaudithook(hook)
from huanshu.drill.range import Range
with Range(Path(sys.argv[1])) as place:
    place.take_in("resident.psb_to_district")
    place.deliver("resident.district_to_communities")
print(json.dumps(seen))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(ROOT)], env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-1500:]
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert seen
    assert [place for _, place in seen if not place.startswith("/")] == []


def test_the_reseal_of_a_rung_that_is_not_offered_fails_closed() -> None:
    home = connect_home()
    contract, flow = home.contracts["resident"], home.flows[DELIVERY]
    for name, rung in (("name", Rung.COUNT), ("phone", Rung.MATCH)):
        odd = replace(flow, fields={name: rung})
        nobody: Any = None  # refused before a key is asked for
        with pytest.raises(ContentError, match=r"exchange\.rung\.not_offered"):
            next(bulk.reseal(nobody, nobody, 0, contract, odd, (A, 1), [(A, 1)], ()))

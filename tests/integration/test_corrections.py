"""Corrections end to end: proposed by a community, judged, answered by the steward, and given back — real parts only."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from huanshu.assembly import Running
from huanshu.assembly.sandbox import enrol_community, put_in_force, sign_corrections
from huanshu.auditlog import Signer
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError, TamperedError
from huanshu.exchange.corrections import accept, judge, propose, refuse, show, withdraw
from huanshu.exchange.corrections.books import Correction, find
from huanshu.exchange.corrections.judging import ticket_of
from huanshu.exchange.corrections.origin import REPLAYED, settle
from huanshu.exchange.corrections.proposing import Receipt
from huanshu.gate.read import Asked, read
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.proposals import Proposed
from huanshu.sealing.keys import data_key

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001002"
CLERK, STEWARD, HEAD = (
    ("p.tang", "yulan.data_clerk"),
    ("p.he", "psb.steward"),
    ("p.yang", "yulan.station_head"),
)


class Place:
    """A range with its residents taken in and given out, and community A's key."""

    def __init__(self, made: Range) -> None:
        self.range = made
        self._running: dict[str | None, Running] = {}
        made.take_in(INTAKE)
        made.deliver(DELIVERY)
        self.signer: Signer = enrol_community(made.settings, A)
        self.sequence = 0

    def ground(self, person: str | None, **parts: Any) -> Any:
        return self.acting(person).ground(**parts)

    def acting(self, person: str | None) -> Running:
        if person not in self._running:
            self._running[person] = self.range.acting(person)
        return self._running[person]

    def records(self, home: str = A) -> list[tuple[int, int]]:
        return self.range.due_records("resident", home)

    def batch(self, *changes: dict[str, Any], sequence: int | None = None, sender: str = A) -> bytes:
        if sequence is None:
            self.sequence += 1
        return sign_corrections(self.signer, sender, "resident", sequence or self.sequence, changes)

    def propose(self, *changes: dict[str, Any]) -> Receipt:
        return propose(self.ground(CLERK[0]), self.batch(*changes), CLERK[1])

    def one(self, record: int, field: str, value: str | None, base: int = 1) -> Correction:
        (only,) = self.propose(change(record, field, value, base)).corrections
        return only

    def value(
        self, record: int, field: str, *, person: str = "p.yang", post: str = "yulan.station_head"
    ) -> str | None:
        asked = Asked(post, A, "resident", "grassroots_service", {field: Rung.REVEAL}, record=record)
        running = self.acting(person)
        return read(running.home, running.keeper, running.district, asked).values[field]

    def renew(self) -> None:
        """Read the home again: its policies have changed."""
        self._running.clear()

    def answer(self, verb: Any, correction: Correction, *reason: str, **parts: Any) -> Correction:
        """By whoever holds the post that answers for the field."""
        holdings = self.ground(None).home.policies.holdings
        person = next(h.person for h in holdings if h.post == correction.steward)
        answered: Correction = verb(
            self.ground(person, **parts), correction.correction, correction.steward, *reason
        )
        return answered

    def rows(self, query: str) -> list[Any]:
        with self.range.acting().district() as district:
            return district.execute(query.encode()).fetchall()

    def events(self, since: int = 0) -> list[str]:
        return [e.event for e in self.range.acts()[since:]]


def change(
    record: int, field: str, value: str | None, base: int = 1, reference: str = "走访登记本第3页"
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "record": record, "field": field, "base": base, "evidence": {"kind": "visit", "reference": reference}
    }  # fmt: skip
    return made if value is None else {**made, "value": value}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Range(ROOT) as made:
        yield Place(made)


def test_a_correction_goes_all_the_way_and_comes_back(place: Place) -> None:
    record, version = next((r, v) for r, v in place.records() if place.value(r, "phone"))
    old = place.value(record, "phone")
    size = len(place.range.acts())
    receipt = place.propose(change(record, "phone", "13900001111", version))
    assert (receipt.known, receipt.judged, receipt.count("proposed")) == (False, True, 1)
    (proposed,) = receipt.corrections
    assert proposed.steward == STEWARD[1]
    assert proposed.due is not None
    assert place.events(size) == [
        "correction.batch.authorised",
        "finding.case.opened",
        "correction.batch.judged",
    ]
    entry = place.range.acts()[size]
    assert entry.body["person"] == CLERK[0]
    assert entry.body["how"] == "compared"
    assert entry.body["fields"]["phone"] == "propose"
    assert entry.body["subjects"]["count"] == 1

    shown = show(place.ground(STEWARD[0]), proposed.correction, STEWARD[1])
    assert (shown.rung, shown.reference) == (Rung.MASK, "走访登记本第3页")
    assert shown.proposed == "139****1111"
    assert old is not None
    assert shown.current == f"{old[:3]}****{old[-4:]}"

    accepted = place.answer(accept, proposed)
    assert (accepted.state, accepted.version) == ("accepted", version + 1)
    assert place.value(record, "phone") == "13900001111"
    assert place.value(record, "name") is not None  # every cell fits the new version
    assert not [
        f for f in place.range.acting().keeper.findings() if str(f["finding"]).startswith("correction/")
    ]
    place.range.deliver(DELIVERY)
    assert (record, version + 1) in place.range.slice_records("resident", A)
    again = place.answer(accept, proposed)
    assert again == accepted
    assert place.events().count("correction.change.accepted") == 1
    assert place.range.verify().problems == []


def test_no_proposed_value_is_at_rest_or_in_the_log(place: Place) -> None:
    record, version = place.records()[1]
    place.one(record, "phone", "13912345678", version)
    with place.range.administrator() as administrator:
        dump = b"".join(
            bytes(row[0])
            for table in (
                "district.correction",
                "district.correction_batch",
                "log.entry",
                "district.resident",
            )
            for row in administrator.execute(f"SELECT convert_to(t::text, 'UTF8') FROM {table} t".encode())
        )
    assert len(dump) > 1000
    for needle in (b"13912345678", "走访登记本".encode(), b"13912345678".hex().encode()):
        assert needle not in dump
    assert b"visit" in dump


def test_rules_judge_and_speak_only_of_what_the_proposer_may_see(place: Place) -> None:
    records = place.records()
    (bad,) = place.propose(change(records[0][0], "phone", "12", records[0][1])).corrections
    assert (bad.state, bad.reason, bad.rules) == ("refused", "correction.value.fails", ["phone_form"])
    # residence_since must not lie before the birth date, which this clerk sees masked: the rule may be named.
    (early,) = place.propose(
        change(records[0][0], "residence_since", "1800-01-01", records[0][1])
    ).corrections
    assert early.state == "refused"
    assert early.rules == ["residence_after_birth"]


def test_a_rule_over_a_hidden_field_is_not_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from huanshu.exchange.corrections.rights import Rights

    record, version = place.records()[0]
    monkeypatch.setattr(Rights, "sees", lambda self, field: field != "birth_date")
    (hidden,) = place.propose(change(record, "residence_since", "1800-01-01", version)).corrections
    assert (hidden.state, hidden.reason, hidden.rules) == ("refused", "correction.value.disagrees", [])
    # The answer is one bit of what may not be seen: it is given three times, then the question is not opened.
    reasons = [
        place.propose(change(record, "residence_since", f"180{n}-01-01", version)).corrections[0].reason
        for n in range(3)
    ]
    assert reasons == ["correction.value.disagrees"] * 2 + ["correction.attempts.spent"]
    monkeypatch.undo()
    record, version = place.records()[1]
    (told,) = place.propose(change(record, "residence_since", "1800-01-01", version)).corrections
    assert told.reason == "correction.value.fails"


def test_a_judge_that_is_a_person_gets_no_keys(place: Place) -> None:
    """In production the clerk's process is not the platform's: the batch waits, and the clerk's keeper lends nothing."""
    record, version = place.records()[1]
    ground = place.ground(CLERK[0])
    keeper = ground.keeper
    try:
        keeper.acting_as = lambda person: type(keeper)(place.range.settings.keeper_socket, CLERK[0])
        loans = place.range.loans()
        receipt = propose(ground, place.batch(change(record, "education", "20", version)), CLERK[1])
        assert (receipt.judged, receipt.corrections[0].state) == (False, "received")
        assert place.range.loans() == loans
    finally:
        del keeper.acting_as
    assert judge(place.ground(None)) == [receipt.batch]
    with place.range.acting().district() as district:
        assert find(district, batch=receipt.batch)[0].state == "proposed"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("citizen_number", "990101199001010016", "correction.field.fixed"),
        ("community", B, "correction.field.fixed"),
        ("care_status", "10", "correction.field.denied"),
        ("phone", "=1+1", "correction.value.formula"),
        ("residence_address", "＝HYPERLINK(1)", "correction.value.formula"),
        ("residence_address", "长" * 200, "correction.value.too_long"),
    ],
)
def test_what_cannot_be_proposed_is_refused_unread(place: Place, field: str, value: str, reason: str) -> None:
    record, version = place.records()[0]
    receipt = place.propose(change(record, "education", "20", version), change(record, field, value, version))
    refused = receipt.corrections[1]
    assert (refused.state, refused.reason, refused.value) == ("refused", reason, None)
    assert receipt.corrections[0].state == "proposed"


def test_nothing_proposable_is_denied_and_keeps_nothing(place: Place) -> None:
    record, version = place.records()[0]
    size = len(place.range.acts())
    with pytest.raises(DeniedError, match=r"access\.request\.denied"):
        place.propose(change(record, "care_status", "10", version))
    place.sequence -= 1
    assert place.events(size) == ["access.request.denied"]


def test_a_record_elsewhere_answers_like_none(place: Place) -> None:
    theirs, version = place.records(B)[0]
    receipt = place.propose(
        change(place.records()[0][0], "education", "20", place.records()[0][1]),
        change(theirs, "phone", "13900002222", version),
        change(10**9, "phone", "13900002222", version),
    )
    assert [c.reason for c in receipt.corrections[1:]] == ["correction.record.missing"] * 2
    assert receipt.corrections[1].value is None


def test_a_stale_base_conflicts_only_when_the_field_has_changed(place: Place) -> None:
    record, version = place.records()[2]
    place.answer(accept, place.one(record, "phone", "13900003333", version))
    stale_same = place.one(record, "phone", "13900004444", version)
    assert (stale_same.state, stale_same.reason) == ("conflict", "correction.field.changed")
    stale_other = place.one(record, "education", "20", version)
    assert stale_other.state == "proposed"
    assert place.answer(accept, stale_other).state == "accepted"
    assert place.value(record, "phone") == "13900003333"
    assert place.value(record, "education") == "20"


def test_of_two_pending_ones_the_second_conflicts(place: Place) -> None:
    record, version = place.records()[3]
    first = place.one(record, "phone", "13900005555", version)
    second = place.one(record, "phone", "13900006666", version)
    assert place.answer(accept, first).state == "accepted"
    lost = place.answer(accept, second)
    assert (lost.state, lost.reason) == ("conflict", "correction.field.changed")
    assert place.value(record, "phone") == "13900005555"
    assert place.events().count("correction.change.conflicted") == 1


def test_refusal_and_withdrawal(place: Place) -> None:
    record, version = place.records()[0]
    one, two = place.one(record, "education", "30", version), place.one(record, "education", "40", version)
    with pytest.raises(InputError, match=r"correction\.reason\.unknown"):
        place.answer(refuse, one, "he has a beard")
    refused = place.answer(refuse, one, "register_right")
    assert (refused.state, refused.reason) == ("refused", "register_right")
    assert place.answer(refuse, one, "register_right") == refused
    with pytest.raises(InputError, match=r"correction\.change\.answered"):
        place.answer(accept, one)
    assert withdraw(place.ground(CLERK[0]), two.correction, CLERK[1]).state == "withdrawn"
    size = len(place.range.acts())
    assert withdraw(place.ground(CLERK[0]), two.correction, CLERK[1]).state == "withdrawn"
    assert len(place.range.acts()) == size
    with pytest.raises(InputError, match=r"correction\.change\.answered"):
        withdraw(place.ground(CLERK[0]), one.correction, CLERK[1])


@pytest.mark.parametrize(
    ("person", "post", "verb"),
    [
        (*CLERK, accept),
        (*HEAD, accept),
        ("p.luo", "wangjiang.data_clerk", withdraw),
        (*STEWARD, withdraw),
        ("p.tang", "psb.steward", accept),
    ],
)
def test_nobody_answers_in_anothers_place(place: Place, person: str, post: str, verb: Any) -> None:
    record, version = place.records()[0]
    pending = place.one(record, "education", "10", version)
    before = place.range.state_digest("resident", (A, B))
    with pytest.raises(DeniedError):
        verb(place.ground(person), pending.correction, post)
    assert place.range.state_digest("resident", (A, B)) == before
    withdraw(place.ground(CLERK[0]), pending.correction, CLERK[1])


def test_the_same_batch_again_changes_nothing(place: Place) -> None:
    record, version = place.records()[0]
    raw = place.batch(change(record, "education", "20", version))
    first = propose(place.ground(CLERK[0]), raw, CLERK[1])
    size, loans = len(place.range.acts()), place.range.loans()
    again = propose(place.ground(CLERK[0]), json.dumps(json.loads(raw), indent=1).encode(), CLERK[1])
    assert again.known
    assert again.corrections == first.corrections
    assert (len(place.range.acts()), place.range.loans()) == (size, loans)
    # Its answer is for who may send it: signed by the community, handed in by somebody of the post.
    forged = json.dumps({**json.loads(raw), "signature": "0" * 128}).encode()
    for by, handed, error in (
        (CLERK[0], forged, InputError),
        ("p.luo", raw, DeniedError),
    ):
        with pytest.raises(error):
            propose(place.ground(by), handed, CLERK[1])
    with pytest.raises(InputError, match=r"correction\.origin\.foreign"):
        propose(place.ground("p.luo"), raw, "wangjiang.data_clerk")
    for finding in [f for f in place.range.acting().keeper.findings() if str(f["about"]) in (A, B)]:
        named = {"post": "district.security_officer", "domain": str(finding["about"]), "dataset": "resident"}
        settle(place.ground("p.chen"), str(finding["finding"]), named, "looked_into")


def test_replay_gap_and_foreign_origin_are_held_with_a_finding(place: Place) -> None:
    record, version = place.records()[0]
    one = change(record, "education", "20", version)
    last = place.sequence

    def held(raw: bytes, post: tuple[str, str] = CLERK) -> tuple[str, list[str]]:
        before, size = place.rows("SELECT count(*) FROM district.correction"), len(place.range.acts())
        with pytest.raises(InputError) as refused:
            propose(place.ground(post[0]), raw, post[1])
        assert place.rows("SELECT count(*) FROM district.correction") == before
        return refused.value.code, place.events(size)

    told = ["correction.batch.held", "finding.case.opened"]
    assert held(place.batch(one, sequence=last)) == (REPLAYED, told)
    later = place.batch(one, sequence=last + 2)
    assert held(later) == ("correction.sequence.gap", told)
    # A's batch handed in by B; B's name over A's signature; a broken signature.
    theirs = ("p.luo", "wangjiang.data_clerk")
    assert held(place.batch(one, sequence=last + 1), theirs) == ("correction.origin.foreign", told)
    enrol_community(place.range.settings, B)
    assert held(place.batch(one, sequence=1, sender=B), theirs) == ("correction.origin.foreign", told)
    # The missing one comes; the later one again: the gap's finding closes by itself.
    propose(place.ground(CLERK[0]), place.batch(one, sequence=last + 1), CLERK[1])
    assert propose(place.ground(CLERK[0]), later, CLERK[1]).count("proposed") == 1
    place.sequence = last + 2
    keeper = place.range.acting().keeper
    held_still = [f for f in keeper.findings() if str(f["finding"]).startswith("correction/held/")]
    assert {f["kind"] for f in held_still} == {REPLAYED, "correction.origin.foreign"}
    assert {f["owner_post"] for f in held_still} == {"district.security_officer"}
    named = {"post": "district.security_officer", "domain": A, "dataset": "resident"}
    with pytest.raises(DeniedError):
        settle(place.ground("p.tang"), held_still[0]["finding"], {**named, "post": CLERK[1]}, "looked_into")
    for finding in held_still:
        settle(place.ground("p.chen"), finding["finding"], named, "looked_into")
    assert not [f for f in keeper.findings() if str(f["finding"]).startswith("correction/held/")]


def test_an_unanswered_one_becomes_overdue(place: Place) -> None:
    record, version = place.records()[0]
    pending = place.one(record, "education", "20", version)
    assert pending.due is not None
    assert not pending.overdue(pending.due - timedelta(seconds=1))
    assert pending.overdue(pending.due + timedelta(seconds=1))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m | {"extra": 1},
        lambda m: {k: v for k, v in m.items() if k != "nonce"},
        lambda m: m | {"sequence": True},
        lambda m: m | {"changes": []},
        lambda m: m | {"changes": m["changes"] * 2},
        lambda m: m | {"changes": [m["changes"][0] | {"value": ""}]},
        lambda m: m | {"changes": [m["changes"][0] | {"evidence": {"kind": "rumour", "reference": "x"}}]},
        lambda m: m | {"changes": [m["changes"][0] | {"field": "../../etc"}]},
    ],
)
def test_a_malformed_batch_is_an_error_that_quotes_nothing(place: Place, spoil: Any) -> None:
    record, version = place.records()[0]
    members = json.loads(place.batch(change(record, "phone", "13977778888", version), sequence=9999))
    with pytest.raises(InputError, match=r"correction\.message\.") as refused:
        propose(place.ground(CLERK[0]), json.dumps(spoil(members)).encode(), CLERK[1])
    assert "13977778888" not in str(refused.value.as_json())
    for raw in (b"", b"[]", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000):
        with pytest.raises(InputError):
            propose(place.ground(CLERK[0]), raw, CLERK[1])


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("correction:authorised", marks=pytest.mark.slow),
        "correction:received",
        pytest.param("correction:judged", marks=pytest.mark.slow),
        "correction:written",
        pytest.param("correction:told", marks=pytest.mark.slow),
        pytest.param("correction:accept:authorised", marks=pytest.mark.slow),
        "correction:accept:resealed",
        "correction:accept:written",
    ],
)
def test_interrupted_anywhere_the_same_call_finishes_it_once(place: Place, point: str) -> None:
    def pause(here: str) -> None:
        if here == point:
            raise Killed

    record, version = place.records()[4]
    raw = place.batch(change(record, "education", "60", version))
    try:
        propose(place.ground(CLERK[0], pause=pause), raw, CLERK[1])
    except Killed:
        judge(place.ground(None))
    receipt = propose(place.ground(CLERK[0]), raw, CLERK[1])
    assert receipt.judged
    assert receipt.count("proposed") == 1
    before = place.events().count("correction.change.accepted")
    try:
        place.answer(accept, receipt.corrections[0], pause=pause)
    except Killed:
        place.answer(accept, receipt.corrections[0])
    assert place.events().count("correction.change.accepted") == before + 1
    assert place.records()[4] == (record, version + 1)
    assert place.value(record, "education") == "60"
    assert place.range.verify().problems == []


# -- what the department's next extract makes of it ---------------------------------------------------------


def extract(change_rows: Any = None) -> bytes:
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    if change_rows is not None:
        change_rows(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def test_an_extract_does_not_undo_a_correction_until_the_departments_own_value_changes(place: Place) -> None:
    rows = list(csv.DictReader(io.StringIO(extract().decode())))
    every = [row["residence_address"] for row in rows]
    homes = {
        row["residence_address"]
        for row in rows
        if row["community"] == A and every.count(row["residence_address"]) == 1
    }
    record, old = next(
        (r, a) for r, _ in place.records() if (a := str(place.value(r, "residence_address"))) in homes
    )
    new, theirs = "清禾区柳岸街道更正路1号", "清禾区柳岸街道部门路2号"
    version = dict(place.records())[record]
    place.answer(accept, place.one(record, "residence_address", new, version))

    def row_of(rows: list[dict[str, str]]) -> dict[str, str]:
        (mine,) = [row for row in rows if row["residence_address"] == old]
        return mine

    def standing() -> int:
        asked = f"SELECT count(*) FROM district.correction WHERE standing AND record = {record}"
        return int(place.rows(f"{asked} AND field = 'residence_address'")[0][0])

    # The same extract again: nothing has changed, the correction stands and no new version is made.
    before = dict(place.records())[record]
    place.range.take_in(INTAKE, 2, extract())
    assert (dict(place.records())[record], standing()) == (before, 1)
    # The department changes another field and still carries the old address: its change comes, the correction stays.
    place.range.take_in(INTAKE, 3, extract(lambda rows: row_of(rows).update(building_code="Z9")))
    assert (dict(place.records())[record], standing()) == (before + 1, 1)
    assert (place.value(record, "residence_address"), place.value(record, "building_code")) == (new, "Z9")
    # The department's own address changes: now its word counts, and the correction has ended.
    place.range.take_in(INTAKE, 4, extract(lambda rows: row_of(rows).update(residence_address=theirs)))
    assert (place.value(record, "residence_address"), standing()) == (theirs, 0)
    # And going back to the old one is the department's word as well.
    place.range.take_in(INTAKE, 5, extract())
    assert place.value(record, "residence_address") == old
    assert place.range.verify().problems == []


def test_the_keeper_lends_and_seals_nothing_beyond_the_entry(place: Place) -> None:
    """A malicious client of the keeper, with every ciphertext in hand: what it may not have, it does not get."""
    record, version = place.records()[0]
    pending = place.one(record, "phone", "13900008888", version)
    clerk, steward = place.acting(CLERK[0]).keeper, place.acting(STEWARD[0]).keeper
    with place.range.acting().district() as district:
        row = district.execute(
            "SELECT entry_index FROM district.correction_batch WHERE batch = %s", (pending.batch,)
        ).fetchone()
        assert row is not None
        settled = ticket_of(district, row[0])
    # The batch is judged: its ticket is closed, for sealing and for lending.
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.unknown"):
        clerk.seal(settled, [Proposed(pending.correction, "phone", record, version, "1")])
    claim = {
        "event": "correction.batch.authorised", "post": CLERK[1], "domain": A, "dataset": "resident",
        "purpose": "register_upkeep", "fields": {"phone": "propose"}, "compared": ["care_status"], "subjects": 0,
        "detail": {"batch": "e" * 64, "channel": "signed", "sequence": 99, "records": 1},
    }  # fmt: skip
    mine = clerk.append(claim, BitMap().serialize())
    own = Proposed(f"{'e' * 12}.1", "phone", record, version, "1")
    assert len(clerk.seal(mine, [own])) == 1
    for item in (replace(own, correction=pending.correction), replace(own, field="name")):
        with pytest.raises(DeniedError, match=r"keeper\.seal\.not_named"):
            clerk.seal(mine, [item])
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.not_yours"):
        place.acting("p.luo").keeper.seal(mine, [own])
    name = data_key(A, "resident", "phone", 1)
    with pytest.raises(DeniedError, match=r"keeper\.ticket\.platform_only"):
        clerk.lend(mine, 0, [name])
    platform = clerk.acting_as(None)
    assert platform.lend(mine, 0, [name])[name]
    for other in (data_key(B, "resident", "phone", 1), data_key(A, "resident", "name", 1)):
        with pytest.raises(DeniedError, match=r"keeper\.lend\.not_named"):
            platform.lend(mine, 0, [other])
    told = {
        "event": "correction.batch.judged",
        "ticket": {"index": mine.index, "leaf_hash": mine.leaf_hash},
        "detail": {"proposed": 0, "refused": 0, "conflict": 0},
    }
    with pytest.raises(DeniedError, match=r"correction\.judge\.in_person"):
        clerk.append(told)
    # No cell opens as a proposal, no proposal under another correction, and a steward's own ticket is for one of them.
    shown = {
        "event": "access.correction.authorised", "post": STEWARD[1], "domain": A, "dataset": "resident",
        "purpose": "register_upkeep", "fields": {"phone": "mask"}, "subjects": 0,
        "detail": {"change": pending.correction, "record": record, "values": 1},
    }  # fmt: skip
    ((about,),) = place.rows(
        f"SELECT subjects FROM district.resident WHERE record = {record} AND batch_out IS NULL"
    )
    look = steward.append(shown, BitMap(about).serialize())
    assert pending.value is not None
    cell = StoredCell("phone", pending.value, A, record, version, 1, f"propose/{pending.correction}")
    assert steward.open(look, [cell]) == ["139****8888"]
    with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
        steward.open(look, [replace(cell, rung=f"propose/{'e' * 12}.1")])
    with pytest.raises(TamperedError):
        steward.open(look, [replace(cell, rung="reveal")])
    with pytest.raises(DeniedError, match=r"keeper\.mark\.not_named"):
        platform.mark(look, "anything")
    place.answer(refuse, pending, "register_right")


def test_a_batch_that_the_rules_have_overtaken_is_refused_not_judged(place: Place) -> None:
    record, version = place.records()[0]

    def pause(here: str) -> None:
        if here == "correction:received":
            raise Killed

    raw = place.batch(change(record, "phone", "13900007777", version))
    with pytest.raises(Killed):
        propose(place.ground(CLERK[0], pause=pause), raw, CLERK[1])
    file = place.range.settings.home / "policies" / "keys.yaml"
    file.write_text(file.read_text() + "# one more line\n")
    place.renew()
    put_in_force(place.range.settings)
    loans = place.range.loans()
    judge(place.ground(None))
    (late,) = propose(place.ground(CLERK[0]), raw, CLERK[1]).corrections
    assert (late.state, late.reason) == ("refused", "correction.batch.expired")
    assert place.range.loans() == loans
    assert place.range.verify().problems == []


def test_the_verifier_joins_judgements_and_acceptances_with_loans(place: Place) -> None:
    events = place.events()
    assert events.count("correction.batch.judged") > 3
    assert events.count("correction.change.accepted") > 1
    accepted = next(e for e in place.range.entries() if e.event == "correction.change.accepted")
    judged = next(
        e
        for e in place.range.entries()
        if e.event == "correction.batch.judged" and e.body["detail"]["proposed"]
    )
    named = sorted(int(e.body["detail"]["authorised"]) for e in (accepted, judged))
    with place.range.administrator() as administrator:
        rows = administrator.execute(
            "DELETE FROM log.loan WHERE entry_index = ANY(%s) RETURNING entry_index, kind, chunk, fields, amount",
            (named,),
        ).fetchall()
        try:
            found = [p.at for p in place.range.verify().problems if p.step == "5 loans"]
        finally:
            for row in rows:
                administrator.execute(
                    "INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (%s, %s, %s, %s, %s)",
                    row,
                )
    assert found == [f"entry {index}" for index in named]
    assert place.range.verify().problems == []

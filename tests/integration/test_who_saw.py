"""Who saw a resident: exact over deliveries, stopped deliveries, single reads and moves; and only for who may ask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from huanshu.catalog import Rung
from huanshu.drill.range import CHUNK, Range
from huanshu.errors import DeniedError, HuanshuError, InputError
from huanshu.exchange.runs import run_delivery
from huanshu.gate.read import Asked, read
from huanshu.gate.seen import AskedWho, WhoSaw, who_saw
from huanshu.identity import approve_flow, revoke_flow

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
OLD, NEW = "990101001001", "990101001003"
AUDITOR, CLERK = "p.xu", "p.tang"
SAMPLE = ROOT / "expectations/resident/samples/passing.csv"


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(SAMPLE.read_text())))


def extract(changed: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(changed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(changed)
    return out.getvalue().encode()


def ask(place: Range, person: str | None = AUDITOR, **changes: object) -> WhoSaw:
    given = {
        "post": "district.auditor",
        "dataset": "resident",
        "purpose": "access_review",
        "case": "complaint 118",
    }
    running = place.acting(person)
    return who_saw(running.home, running.keeper, running.district, AskedWho(**(given | changes)))  # type: ignore[arg-type]


def view(place: Range, record: int) -> int:
    running = place.acting(CLERK)
    asked = Asked("yulan.data_clerk", OLD, "resident", "grassroots_service", {"name": Rung.REVEAL}, record)
    return read(running.home, running.keeper, running.district, asked).entry_index


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    """A mover's life: delivered to OLD and viewed there, moved to NEW, one delivery stopped before his chunk."""
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1)
        made.deliver(DELIVERY)
        yield made


def test_who_saw_a_mover(place: Range) -> None:
    mover, *_ = [row for row in rows() if row["community"] == OLD]
    before = ask(place, identifier=mover["citizen_number"])
    (record,) = [r for r, _ in place.due_records("resident", OLD) if _of(place, r, before)]
    assert [(s.how, s.domain) for s in before.sightings] == [("moved", OLD)]
    viewed = view(place, record)

    moved = [r | ({"community": NEW, "grid": NEW + "001"} if r == mover else {}) for r in rows()]
    place.take_in(INTAKE, 2, extract(moved))
    place.deliver(DELIVERY)
    answer = ask(place, record=record)
    seen = [(s.how, s.domain) for s in answer.sightings if s.how != "compared"]
    assert seen == [("moved", OLD), ("viewed", OLD), ("moved", NEW)]
    assert before.entry in {s.entry for s in answer.sightings if s.how == "compared"}  # questions show, too
    (group,) = [g for g in answer.groups if g.how == "viewed"]
    assert (group.entries, group.persons, group.post) == ((viewed,), (CLERK,), "yulan.data_clerk")
    assert (group.department, group.purpose) == (OLD, "grassroots_service")
    (delivered,) = [g for g in answer.groups if g.domain == NEW]
    assert (delivered.post, delivered.department) == ("psb.exchange_officer", "dept.public_security")
    with pytest.raises(
        InputError, match=r"access\.record\.missing"
    ):  # the old community cannot open it any more
        view(place, record)


def _of(place: Range, record: int, answer: WhoSaw) -> bool:
    """Whether the record's subject is the one that was asked about: its own answer has the same question in it."""
    mine = ask(place, record=record)
    return answer.entry in {s.entry for s in mine.sightings if s.how == "compared"}


def test_exact_for_everybody(place: Range) -> None:
    """Against the store's own arithmetic: each record of a slice was moved there, and nowhere else."""
    records = [r for r, _ in place.due_records("resident", NEW)]
    assert len(records) > 2
    for record in records[:3]:
        moved = {s.domain for s in ask(place, record=record).sightings if s.how == "moved"}
        assert moved <= {OLD, NEW}
        assert NEW in moved


def test_authorised_but_stopped_is_told_apart(place: Range) -> None:
    changed = [r | {"residence_address": r["residence_address"] + "甲"} for r in rows()]
    place.take_in(INTAKE, 3, extract(changed))
    running = place.acting("p.lin")

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            revoke_flow(running.keeper, DELIVERY)

    with pytest.raises(HuanshuError):
        run_delivery(place.acting().ground(chunk=CHUNK, pause=pause), DELIVERY, "revoked", [OLD])
    due = [r for r, _ in place.due_records("resident", OLD)]
    assert len(due) > CHUNK
    how = {
        record: [s.how for s in ask(place, record=record).sightings if s.domain == OLD][-1] for record in due
    }
    assert [how[r] for r in due[:CHUNK]] == ["moved"] * CHUNK
    assert {how[r] for r in due[CHUNK:]} == {"stopped"}
    from datetime import date

    approve_flow(running.keeper, running.home, DELIVERY, date(2027, 6, 30))
    place.deliver(DELIVERY)
    assert [s.how for s in ask(place, record=due[-1]).sightings if s.domain == OLD][-1] == "moved"
    assert place.verify().clean


def test_only_who_may(place: Range) -> None:
    record = place.due_records("resident", OLD)[0][0]
    size = len(place.entries())
    for person, post in (
        (CLERK, "yulan.data_clerk"),
        ("p.song", "district.cdo"),
        (CLERK, "district.auditor"),
    ):
        with pytest.raises(DeniedError):
            ask(place, person, post=post, record=record)
    with pytest.raises(DeniedError):
        ask(place, purpose="grassroots_service", record=record)
    with pytest.raises(InputError, match=r"exchange\.reason\.unfit"):
        ask(place, case="", record=record)
    with pytest.raises(InputError, match=r"access\.subject\.unknown"):
        ask(place, identifier="110101190001010013")
    told = [e.event for e in place.entries()[size:]]
    assert told == ["access.request.denied"] * 4 + ["access.seen.asked"]


def test_a_missing_bitmap_is_an_error_not_an_absence(place: Range) -> None:
    record = place.due_records("resident", OLD)[0][0]
    first = next(e for e in place.entries() if e.event == "exchange.delivery.authorised")
    digest = bytes.fromhex(first.body["subjects"]["sealed_sha256"])
    with place.administrator() as administrator:
        administrator.execute("DELETE FROM log.bitmap WHERE sealed_sha256 = %s", (digest,))
    ask(place, record=record)  # the keeper has read it; what it knows is still the whole answer
    place.stop_keeper()
    place.start_keeper()
    with pytest.raises(HuanshuError, match=r"auditlog\.bitmap\.changed"):
        ask(place, record=record)

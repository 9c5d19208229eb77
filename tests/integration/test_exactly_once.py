"""The same change twice is two deliveries: nothing of a delivery's identity may depend on what happened only once."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from huanshu.drill.range import CHUNK, Range
from huanshu.errors import HeldError
from huanshu.exchange import holds
from huanshu.exchange.ground import Pause, no_pause
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import run_delivery

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001003"
OFFICER = "p.lin"


def sample(without: int = 0, *, moved: bool = False) -> bytes:
    """The passing sample, without the first so many residents of A; or with everybody of A registered in B."""
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    gone = [row["citizen_number"] for row in rows if row["community"] == A][:without]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if moved and row["community"] == A:
            row["community"], row["grid"] = B, f"{B}001"
        if row["citizen_number"] not in gone:
            writer.writerow(row)
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, sample())
        made.deliver(DELIVERY)
        yield made


def deliver(place: Range) -> None:
    """As an officer would: what is held is looked at and let go."""
    try:
        place.deliver(DELIVERY)
    except HeldError:
        holds.release(place.acting(OFFICER).ground(chunk=CHUNK), DELIVERY, "as expected")
        place.deliver(DELIVERY)


def take_in(place: Range, sequence: int, content: bytes, pause: Pause = no_pause) -> None:
    place.sandbox.write_extract(
        place.acting().home.flows[INTAKE], f"resident-{sequence}.csv", content, sequence=sequence,
        period=f"2026-{sequence:02d}", records=content.count(b"\n") - 1,
    )  # fmt: skip
    folder = place.settings.intake_folder / INTAKE
    run_intake(place.acting().ground(pause=pause), INTAKE, f"t-{sequence}", folder)


def test_whoever_leaves_comes_back_and_leaves_again_is_withdrawn_twice(place: Range) -> None:
    there = len(place.slice_records("resident", A))
    assert there > 1
    sizes = []
    for sequence, without in ((2, 1), (3, 0), (4, 1)):
        place.take_in(INTAKE, sequence, sample(without))
        deliver(place)
        sizes.append(len(place.slice_records("resident", A)))
        assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert sizes == [there - 1, there, there - 1]
    arrived = [e.body["detail"] for e in place.entries() if e.event == "exchange.delivery.arrived"]
    assert sum(detail["withdrawn"] for detail in arrived) == 2
    assert place.verify().problems == []


def test_a_run_judged_while_an_extract_is_under_way_is_judged_anew(place: Range) -> None:
    """Everybody of A comes to B in the meantime. The keeper alone would let B's delivery pass: nobody leaves B."""
    run = f"t-{uuid.uuid4()}"

    def judged(point: str) -> None:
        if point == "intake:staged":
            run_delivery(place.acting().ground(chunk=CHUNK), DELIVERY, run, [B])

    take_in(place, 5, sample(moved=True), judged)
    with pytest.raises(HeldError, match=r"exchange\.run\.held"):
        run_delivery(place.acting().ground(chunk=CHUNK), DELIVERY, run, [B])
    take_in(place, 6, sample())
    deliver(place)


def test_an_extract_taken_in_between_two_receivers_of_a_run_is_judged_before_the_second(place: Range) -> None:
    taken_in: list[str] = []

    def overtake(point: str) -> None:
        if point == "a:frozen" and not taken_in:
            taken_in.append(point)
            take_in(place, 7, sample(moved=True))

    with pytest.raises(HeldError, match=r"exchange\.run\.held"):
        run_delivery(
            place.acting().ground(chunk=CHUNK, pause=overtake), DELIVERY, f"t-{uuid.uuid4()}", [A, B]
        )
    assert taken_in


def test_a_community_that_everybody_left_is_emptied_and_filled_again(place: Range) -> None:
    deliver(place)
    assert place.slice_records("resident", A) == place.due_records("resident", A) == []
    place.take_in(INTAKE, 8, sample())
    deliver(place)
    assert place.slice_records("resident", A) == place.due_records("resident", A) != []
    assert place.verify().problems == []

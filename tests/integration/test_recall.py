"""A delivery taken back: its records are not opened for the receiver until a later delivery replaces them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huanshu.catalog import Rung
from huanshu.drill.range import CHUNK, Range
from huanshu.errors import DeniedError, InputError
from huanshu.exchange import recalls
from huanshu.exchange.runs import run_delivery
from huanshu.gate.read import Asked, read

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001003"
OFFICER, CLERK, SECURITY = "p.lin", "p.tang", "p.chen"


def extract(address: str) -> bytes:
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"residence_address": address} for row in rows)
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1)
        made.deliver(DELIVERY)
        yield made


def view(place: Range, record: int) -> int:
    running = place.acting(CLERK)
    asked = Asked("yulan.data_clerk", A, "resident", "grassroots_service", {"name": Rung.REVEAL}, record)
    return read(running.home, running.keeper, running.district, asked).entry_index


def ours(place: Range) -> list[int]:
    found = [record for record, _ in place.due_records("resident", A)]
    assert len(found) > CHUNK
    return found


def test_1_recalled_is_not_opened_and_says_who_had(place: Range) -> None:
    first, second, *_ = ours(place)
    seen = [view(place, first), view(place, first), view(place, second)]
    for stranger in (CLERK, None):
        with pytest.raises(DeniedError):
            recalls.recall(place.acting(stranger).ground(), DELIVERY, A, "not mine")
    found = recalls.find(place.acting().ground(), DELIVERY, A)
    assert (found.arrived, found.records) == (True, len(ours(place)))
    made = recalls.recall(place.acting(OFFICER).ground(), DELIVERY, A, "the wrong street list")
    (opened,) = made.opened
    assert (opened.post, opened.person, opened.openings, opened.subjects) == ("yulan.data_clerk", CLERK, 3, 2)
    assert opened.entries == tuple(seen)
    for record in ours(place)[:3]:
        with pytest.raises(DeniedError, match=r"access\.record\.recalled"):
            view(place, record)
    place.stop_keeper()
    place.start_keeper()  # it is the log that says so, not the keeper's memory
    with pytest.raises(DeniedError, match=r"access\.record\.recalled"):
        view(place, first)
    assert place.verify().clean


def test_2_the_same_content_does_not_come_again(place: Range) -> None:
    arrived = len([e for e in place.entries() if e.event == "exchange.delivery.arrived"])
    with pytest.raises(DeniedError, match=r"exchange\.delivery\.recalled"):
        place.deliver(DELIVERY)
    with pytest.raises(
        DeniedError, match=r"exchange\.delivery\.recalled"
    ):  # cut otherwise, it has another id
        run_delivery(place.acting().ground(chunk=CHUNK + 1), DELIVERY, "cut-otherwise")
    assert len([e for e in place.entries() if e.event == "exchange.delivery.arrived"]) == arrived


def test_3_a_later_delivery_replaces_every_record_and_ends_it(place: Range) -> None:
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    mine = next(n for n, row in enumerate(rows) if row["community"] == A)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        row | ({"residence_address": "清禾区望江路1号"} if n == mine else {}) for n, row in enumerate(rows)
    )
    place.take_in(INTAKE, 2, out.getvalue().encode())
    outcomes = run_delivery(place.acting().ground(chunk=CHUNK), DELIVERY, "replaces")
    (to_a,) = [o for o in outcomes if o.receiver == A]
    assert to_a.upserts == len(ours(place))  # all of them, though only one has changed
    assert place.acting().keeper.recalls() == []
    view(place, ours(place)[0])
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert place.verify().clean


def test_4_a_delivery_under_way_stops_within_a_chunk(place: Range) -> None:
    place.take_in(INTAKE, 3, extract("清禾区石桥路2号"))
    loans = place.loans()

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            recalls.recall(place.acting(SECURITY).ground(chunk=CHUNK), DELIVERY, A, "stop, wrong period")

    with pytest.raises(DeniedError, match=r"exchange\.delivery\.recalled"):
        run_delivery(place.acting().ground(chunk=CHUNK, pause=pause), DELIVERY, "under-way", [A])
    assert place.loans() == loans + 1
    stopped = [e for e in place.entries() if e.event == "exchange.delivery.stopped"][-1]
    assert stopped.body["detail"]["reason"] == "exchange.delivery.recalled"
    view(place, ours(place)[0])  # it never arrived: nothing in the slice came from it
    place.take_in(INTAKE, 4, extract("清禾区石桥路3号"))
    place.deliver(DELIVERY)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert place.verify().clean


def test_5_what_is_meant_must_be_clear(place: Range) -> None:
    ground = place.acting(OFFICER).ground()
    for named, receiver in ((DELIVERY, None), ("abc", None), ("0" * 12, None), (DELIVERY, "990101001999")):
        with pytest.raises(InputError):
            recalls.recall(ground, named, receiver, "unclear")


def test_6_from_the_command_line(place: Range, command: Callable[..., tuple[int, Any]]) -> None:
    here = place.settings
    assert command(here, f"huanshu flow hold {DELIVERY} --reason 'an incident' --as {SECURITY}")[0] == 0
    code, holds = command(here, "huanshu flow holds")
    assert (code, [hold["flow"] for hold in holds]) == (0, [DELIVERY])
    assert command(here, f"huanshu flow run {DELIVERY}")[0] == 8
    assert command(here, f"huanshu flow release {DELIVERY} --reason over --as {OFFICER}")[0] == 5
    assert command(here, f"huanshu flow release {DELIVERY} --reason over --as {SECURITY}")[0] == 0
    assert command(here, "huanshu flow holds")[1] == []
    code, found = command(here, f"huanshu flow recall {DELIVERY} --receiver {A} --reason x --dry-run")
    assert (code, found["receiver"]) == (0, A)
    assert place.acting().keeper.recalls() == []
    code, made = command(
        here, f"huanshu flow recall {found['delivery']} --reason 'wrong month' --as {OFFICER}"
    )
    assert (code, made["what"]["records"]) == (0, found["records"])
    asked = (
        f"huanshu record seen resident --record {ours(place)[0]} --post district.auditor --case c1 --as p.xu"
    )
    code, answer = command(here, asked)
    assert code == 0
    assert {group["how"] for group in answer["groups"]} >= {"moved", "viewed"}
    assert command(here, asked + " --identifier")[0] == 4

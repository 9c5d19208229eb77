"""A flow whose fields change: what a receiver holds is delivered anew in the new shape, whole, once, after a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from huanshu.drill.range import CHUNK, Range
from huanshu.errors import ContentError, HeldError
from huanshu.exchange import holds
from huanshu.exchange.ground import no_pause
from huanshu.exchange.runs import run_delivery
from huanshu.exchange.tables import create, described, district_tables, stored_fields
from huanshu.identity import approve_flow

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A = "990101001001"
FLOW = f"dags/flows/{DELIVERY}.yaml"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    def without(home: Path) -> None:
        path = home / FLOW
        path.write_text(path.read_text().replace("  education: reveal\n", ""))

    with Range(ROOT, edit=without) as made:
        made.take_in(INTAKE, 1)
        made.deliver(DELIVERY)
        yield made


def change(place: Range, old: str, new: str) -> None:
    path = place.settings.home / FLOW
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    officer = place.acting("p.lin")
    until = officer.ground().clock().date() + timedelta(days=30)
    approve_flow(officer.keeper, officer.home, DELIVERY, until)


def deliver(place: Range, run: str, pause: Callable[[str], None] = no_pause) -> int:
    """Records that were opened for A."""
    ground = place.acting().ground(chunk=CHUNK, pause=pause)
    return sum(outcome.opened for outcome in run_delivery(ground, DELIVERY, run, [A]))


def columns(place: Range) -> list[str]:
    with place.acting().receiver(A) as store:
        place = f"receiver_{A}.resident"
        return [column.split(" ")[0] for column in described(store, [place])[place]][3:-2]


def fields(place: Range) -> list[str]:
    home = place.acting().home
    return [field.name for field in stored_fields(home.contracts["resident"], home.flows[DELIVERY])]


def test_1_a_new_field_waits_for_a_person_and_then_comes_for_every_record_once(place: Range) -> None:
    assert "education" not in columns(place)
    change(place, "  occupation: reveal\n", "  education: reveal\n  occupation: reveal\n")
    loans = place.loans()
    with pytest.raises(HeldError):
        deliver(place, "new")
    assert place.loans() == loans
    holds.release(place.acting("p.lin").ground(chunk=CHUNK), DELIVERY, "communities need it")
    count = len(place.due_records("resident", A))
    assert count > CHUNK
    assert deliver(place, "new") == count
    assert columns(place) == fields(place)
    assert "education" in columns(place)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert deliver(place, "again") == 0
    assert place.verify().problems == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("  education: reveal\n", ""), ("  name: reveal\n", "  name: mask\n")],
    ids=["gone", "lower"],
)
def test_2_what_a_flow_no_longer_gives_lies_nowhere_any_more(place: Range, old: str, new: str) -> None:
    change(place, old, new)
    assert deliver(place, f"less-{len(new)}") == len(place.due_records("resident", A))
    assert columns(place) == fields(place)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert deliver(place, f"less-{len(new)}-again") == 0
    assert place.verify().problems == []


@pytest.mark.parametrize("point", ["c:chunk:0", "d:promoted"])
def test_3_a_flow_changed_under_a_killed_run_is_whole_all_the_same(place: Range, point: str) -> None:
    """Before its effect, and after it: then the books are written by a run that knows other fields."""
    sequence = 2 + ["c:chunk:0", "d:promoted"].index(point)
    sample = (
        (ROOT / "expectations/resident/samples/passing.csv").read_text().replace("清荷路", f"荷{sequence}路")
    )
    place.take_in(INTAKE, sequence, sample.encode())

    def die(at: str) -> None:
        if at == point:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        deliver(place, f"dies-{sequence}", die)
    change(place, "  veteran: reveal\n" if sequence == 2 else "  elderly_allowance: reveal\n", "")
    assert deliver(place, f"goes-on-{sequence}") == len(place.due_records("resident", A))
    assert columns(place) == fields(place)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert place.verify().problems == []


def test_4_a_contract_that_its_records_do_not_fit_is_named(place: Range) -> None:
    contract = place.acting().home.contracts["resident"]
    other = replace(contract, fields=contract.fields[:-1])
    with place.acting().district() as district:
        create(district, *district_tables(contract))
        with pytest.raises(ContentError, match=r"exchange\.dataset\.reshaped") as told:
            create(district, *district_tables(other))
    assert contract.fields[-1].name in told.value.what.zh

"""Quarantined rows: listed without values, seen by their steward at his rungs, repaired by the platform, settled by what comes."""

from __future__ import annotations

import csv
import io
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError, UnavailableError
from huanshu.exchange import quarantine, staging
from huanshu.exchange.repairs import run_repairs
from huanshu.gate.quarantine import RowAnswer, show_row

ROOT = Path(__file__).parents[2]
INTAKE = "resident.psb_to_district"
STEWARD = "psb.steward"
SAMPLE = (ROOT / "expectations/resident/samples/passing.csv").read_text()
ROWS = list(csv.DictReader(io.StringIO(SAMPLE)))
#: Data rows (from 0) with a telephone: the first three get a wrong one, the fourth a wrong number of its own.
WITH_PHONE = [n for n, row in enumerate(ROWS) if row["phone"]][:4]


def extract(wrong: dict[int, dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(ROWS[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | wrong.get(n, {}) for n, row in enumerate(ROWS))
    return out.getvalue().encode()


def wrong_phones(*places: int) -> bytes:
    number = ROWS[WITH_PHONE[3]]["citizen_number"]
    broken = number[:-1] + ("1" if number[-1] != "1" else "2")
    faults = {WITH_PHONE[n]: {"phone": "12345"} for n in places if n < 3}
    return extract(faults | ({WITH_PHONE[3]: {"citizen_number": broken}} if 3 in places else {}))


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, wrong_phones(0, 1, 2, 3))
        yield made


def batch(place: Range) -> str:
    return max(quarantine.heaps(place.acting().ground()), key=lambda heap: heap.sequence).batch


def row_of(n: int) -> int:
    return WITH_PHONE[n] + 1


def steward(place: Range) -> str:
    return place.acting().home.policies.holders(STEWARD, place.acting().ground().clock())[0].person


def show(place: Range, n: int, person: str | None = None, post: str = STEWARD) -> RowAnswer:
    running = place.acting(person or steward(place))
    found = quarantine.one(running.ground(), batch(place), row_of(n))
    return show_row(
        running.home, running.keeper, running.home.contracts["resident"], (found.batch, found.row), found.sealed,
        found.subjects, post, "register_upkeep", running.ground().clock(),
    )  # fmt: skip


def order(place: Range, n: int, **values: str | None) -> None:
    ground = place.acting(steward(place)).ground()
    quarantine.order_repair(ground, batch(place), row_of(n), "register_upkeep", values)


def state(place: Range, n: int, of: str) -> str:
    return quarantine.one(place.acting().ground(), of, row_of(n)).state


def test_1_listed_by_rule_without_a_value_and_due(place: Range) -> None:
    heaps = {heap.rule: heap for heap in quarantine.heaps(place.acting().ground())}
    assert heaps["phone_form"].open == 3
    assert {"phone_form", "citizen_number_checksum"} <= set(heaps)
    assert heaps["phone_form"].title.zh != "phone_form"
    assert all(heap.due for heap in heaps.values())
    (finding,) = [f for f in place.acting().keeper.findings() if f["finding"].startswith("quarantine/")]
    assert finding["owner_post"] == STEWARD


def test_2_the_steward_sees_one_row_at_his_rungs_and_nobody_else(place: Range) -> None:
    loans = place.loans()
    answer = show(place, 0)
    source = ROWS[WITH_PHONE[0]]
    assert answer.values["phone"] == "12345"
    assert answer.values["sex"] == source["sex"]
    assert answer.values["citizen_number"] != source["citizen_number"]
    assert answer.values["name"] != source["name"]
    assert "ethnicity" not in answer.values or answer.values["ethnicity"] != source["ethnicity"]
    assert place.loans() == loans + 1
    assert place.entries()[answer.entry].event == "access.quarantine.authorised"
    for person, post in (("p.tang", "yulan.data_clerk"), ("p.tang", STEWARD)):
        with pytest.raises(DeniedError):
            show(place, 0, person, post)
    claim = {**place.entries()[answer.entry].body, "fields": {"name": "reveal"}}
    with pytest.raises(DeniedError):  # the client's own reading of the rules only selects
        place.acting(steward(place)).keeper.append(claim)


def test_3_a_repair_is_ordered_judged_and_promoted(place: Range) -> None:
    with pytest.raises(DeniedError):  # not his field
        order(place, 0, disability_grade="1")
    order(place, 0, phone="10012345678")
    with pytest.raises(InputError):
        order(place, 0, phone="10012345679")
    with place.acting().district() as district:
        ((sealed,),) = district.execute(
            "SELECT repair FROM district.quarantine WHERE state = 'ordered'"
        ).fetchall()
    assert b"10012345678" not in bytes(sealed)
    of = batch(place)
    due = len(_current(place))
    for point, so_far in (
        ("repair:staged", due),
        ("repair:promoted", due + 1),
    ):  # dies before, and after, its one effect
        with pytest.raises(InterruptedError):
            run_repairs(place.acting().ground(pause=_dying(point)), INTAKE)
        assert len(_current(place)) == so_far
    assert run_repairs(place.acting().ground(), INTAKE) == []  # only the log was still to be told
    assert len(_current(place)) == due + 1
    assert state(place, 0, of) == "repaired"
    events = [entry.event for entry in place.entries()]
    assert [e for e in events if e.startswith("quarantine.repair")] == [
        "quarantine.repair.ordered", "quarantine.repair.authorised", "quarantine.repair.promoted"
    ]  # fmt: skip
    ordered = next(e for e in place.entries() if e.event == "quarantine.repair.ordered")
    assert "10012345678" not in ordered.leaf.decode()
    assert place.verify().clean


def test_4_a_repair_that_fails_again_changes_nothing(place: Range, monkeypatch: pytest.MonkeyPatch) -> None:
    order(place, 1, phone="999")
    due = _current(place)
    with monkeypatch.context() as careless:
        # What an engine fails with may quote the row: it goes no further than the worker.
        careless.setattr(staging, "validate", lambda table, *_: int(f"x{table.column('phone')[0]}"))
        with pytest.raises(UnavailableError, match=r"exchange\.worker\.failed") as failed:
            run_repairs(place.acting().ground(), INTAKE)
    told = "".join(traceback.format_exception(failed.value))
    assert "ValueError" in told
    assert "999" not in told
    (done,) = run_repairs(place.acting().ground(), INTAKE)
    assert (done.state, done.rules) == ("refused", ("phone_form",))
    assert _current(place) == due
    found = quarantine.one(place.acting().ground(), batch(place), row_of(1))
    assert (found.state, found.failed) == ("open", ("phone_form",))
    # A number that belongs to another record is nobody's repair.
    order(place, 3, citizen_number=ROWS[WITH_PHONE[0]]["citizen_number"], sex=ROWS[WITH_PHONE[0]]["sex"],
          birth_date=ROWS[WITH_PHONE[0]]["birth_date"])  # fmt: skip
    (done,) = run_repairs(place.acting().ground(), INTAKE)
    assert done.state == "refused"
    assert "citizen_number_unique" in done.rules
    assert _current(place) == due


def test_5_what_the_department_sends_next_settles(place: Range) -> None:
    first = batch(place)
    place.take_in(INTAKE, 2, wrong_phones(2))  # row 1 mended, row 2 wrong again, row 3's true number at last
    assert state(place, 1, first) == "resubmitted"
    assert state(place, 2, first) == "superseded"
    assert state(place, 3, first) == "superseded"  # under its broken number it never came again
    assert state(place, 0, first) == "repaired"
    promoted = [e for e in place.entries() if e.event == "exchange.intake.promoted"][-1]
    assert promoted.body["detail"]["settled"] == {"resubmitted": 1, "superseded": 2}
    open_now = [
        f["finding"] for f in place.acting().keeper.findings() if f["finding"].startswith("quarantine/")
    ]
    assert open_now == [f"quarantine/resident/{batch(place)[:16]}"]


def test_6_dismissed_with_a_reason_settles_the_finding(place: Range) -> None:
    with pytest.raises(DeniedError):
        quarantine.dismiss(place.acting("p.lin").ground(), batch(place), "not mine", row=row_of(2), rule=None)
    of = batch(place)
    ground = place.acting(steward(place)).ground()
    _, count = quarantine.dismiss(ground, of, "line is disconnected", row=row_of(2), rule=None)
    assert count == 1
    assert state(place, 2, of) == "dismissed"
    assert not [f for f in ground.keeper.findings() if f["finding"].startswith("quarantine/")]
    with pytest.raises(InputError, match=r"quarantine\.row\.settled"):
        quarantine.dismiss(ground, of, "again", row=row_of(2), rule=None)
    assert place.verify().clean


def test_7_from_the_command_line(place: Range, command: Callable[..., tuple[int, Any]]) -> None:
    here, person = place.settings, steward(place)
    place.take_in(INTAKE, 3, wrong_phones(0, 1))
    of = batch(place)
    code, listed = command(here, f"huanshu quarantine list --batch {of[:8]}")
    assert (code, [row["row"] for row in listed["rows"]]) == (0, [row_of(0), row_of(1)])
    assert "12345" not in str(listed)
    code, shown = command(
        here, f"huanshu quarantine show {of[:8]} {row_of(0)} --post {STEWARD} --as {person}"
    )
    assert (code, shown["values"]["phone"]) == (0, "12345")
    order_it = f"huanshu quarantine repair {of[:8]} {row_of(0)} --as {person}"
    assert command(here, f"{order_it} --dry-run", "phone=10012345678\n")[1]["fields"] == ["phone"]
    assert command(here, order_it, "no equals sign\n")[0] == 4
    assert command(here, order_it, "phone=10012345678\n")[0] == 0
    size = len(place.acts())
    code, waiting = command(here, f"huanshu quarantine apply {INTAKE} --dry-run")
    assert (code, [w["state"] for w in waiting]) == (0, ["ordered"])
    assert len(place.acts()) == size
    code, done = command(here, f"huanshu quarantine apply {INTAKE}")
    assert (code, [each["state"] for each in done]) == (0, ["repaired"])
    code, dismissed = command(here, f"huanshu quarantine dismiss {of[:8]} --reason unreachable --as {person}")
    assert (code, dismissed["rows"]) == (0, 1)


def _dying(at: str) -> Callable[[str], None]:
    def pause(point: str) -> None:
        if point == at:
            raise InterruptedError

    return pause


def _current(place: Range) -> list[tuple[int, int]]:
    with place.acting().district() as district:
        return district.execute(
            "SELECT record, version FROM district.resident WHERE batch_out IS NULL ORDER BY 1"
        ).fetchall()

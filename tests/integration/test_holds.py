"""Human error waits for a person: swapped communities, a field never delivered before, a flow held by hand."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroaring import BitMap

from huanshu.assembly.sandbox import put_in_force
from huanshu.drill.range import CHUNK, Range
from huanshu.errors import DeniedError, HeldError, InputError
from huanshu.exchange import holds
from huanshu.exchange.plan import plan_delivery
from huanshu.exchange.runs import run_delivery
from huanshu.identity import approve_flow

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001003"
OFFICER, CLERK, SECURITY = "p.lin", "p.tang", "p.chen"


def sample(swapped: bool = False, without: int = 0) -> bytes:
    """The passing sample, five records each for A and B; with the codes of both swapped; without some of A's."""
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    mine = defaultdict(list)
    for row in rows:
        mine[row["community"]].append(row)
    n = min(len(mine[A]), len(mine[B]))
    assert n >= 5
    chosen = mine[A][without:n] + mine[B][:n] + [r for c in mine if c not in (A, B) for r in mine[c]]
    if swapped:
        other = {A: B, B: A}
        for row in chosen:
            if (home := other.get(row["community"])) is not None:
                row["community"], row["grid"] = home, f"{home}001"
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(chosen)
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, sample())
        made.deliver(DELIVERY)
        yield made


def events(place: Range, start: int = 0) -> list[str]:
    return [entry.event for entry in place.acts()[start:]]


def release(place: Range, person: str, named: str = DELIVERY) -> list[int]:
    ground = place.acting(person).ground(chunk=CHUNK)
    return [ticket.index for ticket in holds.release(ground, named, "two streets were re-assigned")]


def test_1_swapped_communities_of_equal_size_wait(place: Range) -> None:
    before = {code: place.slice_records("resident", code) for code in (A, B)}
    assert len(before[A]) == len(before[B]) >= 5
    place.take_in(INTAKE, 2, sample(swapped=True))
    size, loans = len(place.acts()), place.loans()
    assert {reason["about"] for reason in plan_delivery(place.acting().ground(), DELIVERY).held} == {A, B}
    with pytest.raises(HeldError, match=r"exchange\.run\.held"):
        place.deliver(DELIVERY)
    assert events(place, size) == ["exchange.run.started", "exchange.run.held", "finding.case.opened"]
    told = place.acts()[size + 1].body["detail"]
    per_receiver = {r["about"]: r for r in told["reasons"]}
    assert set(per_receiver) == {A, B}
    assert per_receiver[A]["before"] == per_receiver[A]["after"] == per_receiver[A]["leaving"]
    assert set(told["deliveries"]) == {A, B}
    assert place.loans() == loans
    assert {code: place.slice_records("resident", code) for code in (A, B)} == before
    with pytest.raises(HeldError):  # the same content: no second entry
        place.deliver(DELIVERY)
    assert events(place).count("exchange.run.held") == 1


def test_2_the_keeper_refuses_what_a_worker_would_slip_past(place: Range) -> None:
    claim = {
        "event": "exchange.delivery.authorised", "flow": {"id": DELIVERY, "run": "x"}, "subjects": 0,
        "detail": {"delivery": "e" * 64, "content": "e" * 64, "receiver": A, "upserts": 1, "withdrawals": 0},
    }  # fmt: skip
    with pytest.raises(HeldError, match=r"exchange\.run\.held"):
        place.acting().keeper.append(claim, BitMap().serialize())
    held = place.acting().keeper.holds(DELIVERY)[0]
    told = {
        "event": "exchange.run.released",
        "flow": {"id": DELIVERY},
        "detail": {"held": held.index, "reason": "ok"},
    }
    for asker in (None, CLERK, SECURITY):  # a worker's word does not release, nor anybody's but the post's
        with pytest.raises(DeniedError):
            place.acting(asker).keeper.append(told)
    told["detail"] = {"held": held.index, "reason": "resident 13800000000 called"}
    with pytest.raises(InputError, match=r"exchange\.reason\.unfit"):
        place.acting(OFFICER).keeper.append(told)
    assert place.acting().keeper.holds(DELIVERY) == [held]


def test_3_other_content_than_the_released_is_held_again(place: Range) -> None:
    released = release(place, OFFICER)
    assert place.acting().keeper.holds(DELIVERY) == []
    assert not [f for f in place.acting().keeper.findings() if f["finding"] == f"held/{DELIVERY}"]
    place.take_in(INTAKE, 3, sample(swapped=True, without=1))
    with pytest.raises(HeldError):
        place.deliver(DELIVERY)
    assert [e.body["detail"]["held"] for e in place.entries() if e.event == "exchange.run.released"][
        -1
    ] < released[0]
    assert len(place.acting().keeper.holds(DELIVERY)) == 1


def test_4_the_mended_extract_still_needs_a_word_and_then_arrives(place: Range) -> None:
    place.take_in(INTAKE, 4, sample())
    with pytest.raises(HeldError):
        place.deliver(DELIVERY)
    reasons = [e.body["detail"]["reasons"] for e in place.entries() if e.event == "exchange.run.held"][-1]
    assert [r["kind"] for r in reasons] == ["standing"]
    release(place, OFFICER)
    place.deliver(DELIVERY)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    assert place.verify().clean


def test_5_a_released_swap_is_delivered_as_it_was_held(place: Range) -> None:
    place.take_in(INTAKE, 5, sample(swapped=True))
    with pytest.raises(HeldError):
        place.deliver(DELIVERY)
    (run,) = [h.run for h in place.acting().keeper.holds(DELIVERY)]
    release(place, OFFICER, run)
    place.deliver(DELIVERY)
    assert place.slice_records("resident", A) == place.due_records("resident", A)
    place.deliver(DELIVERY)  # nothing due: nothing held
    assert place.acting().keeper.holds(DELIVERY) == []


def test_6_the_keeper_knows_withdrawals_by_itself(place: Range) -> None:
    """A worker that judges nothing is refused all the same, from the keeper's own arithmetic."""
    place.take_in(INTAKE, 6, sample())
    ground = place.acting().ground(chunk=CHUNK)
    skipped = ground.keeper.status()["size"]
    flow = ground.flow(DELIVERY)
    from huanshu.exchange.delivery import deliver
    from huanshu.exchange.routes import Routes

    with Routes(ground) as routes, pytest.raises(DeniedError, match=r"exchange\.delivery\.unexpected"):
        deliver(ground, routes, flow, A, "no-judge")
    assert "exchange.delivery.authorised" not in events(place, skipped)
    with pytest.raises(HeldError):
        place.deliver(DELIVERY)
    release(place, OFFICER)
    place.deliver(DELIVERY)


def test_7_held_by_hand_stops_within_a_chunk_until_the_same_post_releases(place: Range) -> None:
    changed = sample().decode().replace("号", "号院")
    place.take_in(INTAKE, 7, changed.encode())
    started = []

    def pause(point: str) -> None:
        if point == "c:chunk:0" and not started:
            started.append(point)
            holds.put(place.acting(SECURITY).ground(), DELIVERY, "an incident is looked into")

    with pytest.raises(HeldError, match=r"exchange\.flow\.held"):
        run_delivery(place.acting().ground(chunk=CHUNK, pause=pause), DELIVERY, "by-hand")
    assert started
    stopped = [e for e in place.entries() if e.event == "exchange.delivery.stopped"]
    assert stopped[-1].body["detail"]["reason"] == "exchange.flow.held"
    assert stopped[-1].body["detail"]["chunks"] == 1
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        release(place, OFFICER)
    release(place, SECURITY)
    place.deliver(DELIVERY)
    assert place.slice_records("resident", A) == place.due_records("resident", A)


def test_8_a_field_never_delivered_before_waits(place: Range) -> None:
    path = place.settings.home / "dags/flows" / f"{DELIVERY}.yaml"
    path.write_text(path.read_text().replace("  citizen_number: mask\n", ""))
    _approve(place)
    place.deliver(DELIVERY)  # less than before needs nobody
    path.write_text(
        path.read_text().replace("fields:\n", "fields:\n  citizen_number: mask\n  employer: reveal\n")
    )
    _grant(place, "employer")
    _approve(place)
    place.take_in(INTAKE, 8, sample())
    with pytest.raises(HeldError):
        place.deliver(DELIVERY)
    reasons = [e.body["detail"]["reasons"] for e in place.entries() if e.event == "exchange.run.held"][-1]
    assert {tuple(r["fields"]) for r in reasons} == {("employer",)}  # the number it had before


def _grant(place: Range, field: str) -> None:
    rules = place.settings.home / "policies/rules/department.csv"
    line = f"p, 100, exchange_officer, below, resident, {field}, grassroots_service, reveal, 2026-01-01, 2027-12-31, allow\n"
    rules.write_text(rules.read_text() + line)
    put_in_force(place.settings)


def _approve(place: Range) -> None:
    from datetime import date

    running = place.acting(OFFICER)
    approve_flow(running.keeper, running.home, DELIVERY, date(2027, 6, 30))


def test_9_one_run_is_held_for_the_same_content_as_often_as_it_comes_back() -> None:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, sample())
        made.deliver(DELIVERY)
        held = []
        for sequence, swapped in ((2, True), (3, False), (4, True)):
            made.take_in(INTAKE, sequence, sample(swapped=swapped))
            ground = made.acting().ground(chunk=CHUNK)
            with pytest.raises(HeldError):
                run_delivery(ground, DELIVERY, "one-run", [A])
            held.append(made.acting().keeper.holds(DELIVERY)[0].index)
            release(made, OFFICER)
            run_delivery(ground, DELIVERY, "one-run", [A, B])
        assert sorted(set(held)) == held

"""Receivers side by side: forked workers, one of them killed; and what a delivery leaves in books and stores."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from huanshu.assembly.verifying import verify_deployment
from huanshu.catalog import Contract, Flow
from huanshu.drill.range import CHUNK, Range
from huanshu.exchange.receiving import Inbox, Receiving
from huanshu.exchange.runs import Attempt, attempt_delivery

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1)
        yield made


def run(place: Range, name: str, victim: str = "") -> Attempt:
    """Deliver by two workers. The one that serves ``victim`` is killed between its commit and its receipt."""
    homes = place.homes("resident")
    assert len(homes) > 2
    serving = [""]

    def receiving(store: psycopg.Connection, contract: Contract, flow: Flow, receiver: str) -> Receiving:
        serving[0] = receiver  # in the worker's own memory
        return Receiving(store, contract, flow, receiver)

    def pause(point: str) -> None:
        if victim and point == "d:promoted" and serving[0] == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    ground = place.acting().ground(pause=pause, chunk=CHUNK, workers=2)
    return attempt_delivery(replace(ground, receiving=receiving), DELIVERY, name, homes)


def arrivals(place: Range) -> list[str]:
    return [entry.body["domain"] for entry in place.entries() if entry.event == "exchange.delivery.arrived"]


def test_1_a_killed_worker_fails_its_receiver_and_nobody_else(place: Range) -> None:
    homes = place.homes("resident")
    attempt = run(place, "killed", victim=homes[0])
    (failure,) = attempt.failures
    assert (failure.receiver, failure.error.code) == (homes[0], "exchange.worker.lost")
    assert [outcome.receiver for outcome in attempt.outcomes] == homes[1:]
    assert sorted(arrivals(place)) == homes[1:]
    findings = [f["about"] for f in place.acting().keeper.findings()]
    assert findings == [homes[0]]


def test_2_the_next_run_settles_it_and_opens_nothing(place: Range) -> None:
    homes, loans = place.homes("resident"), place.loans()
    attempt = run(place, "settled")
    assert not attempt.failures
    assert [outcome.state for outcome in attempt.outcomes] == ["arrived", *["unchanged"] * (len(homes) - 1)]
    assert place.loans() == loans
    assert sorted(arrivals(place)) == homes
    assert place.acting().keeper.findings() == []


def test_3_every_slice_and_every_book_is_what_the_district_has(place: Range) -> None:
    seen = 0
    with place.acting().district() as district:
        for home in place.homes("resident"):
            due = place.due_records("resident", home)
            assert place.slice_records("resident", home) == due
            booked = district.execute(
                "SELECT unnest(records), unnest(versions) FROM district.delivered WHERE receiver = %s",
                (home,),
            ).fetchall()
            assert booked == due
            seen += len(due)
    assert seen > 10


def test_4_nothing_is_left_in_a_staging(place: Range) -> None:
    for home in place.homes("resident"):
        with place.acting().receiver(home) as store:
            names = {
                row[0]
                for row in store.execute(
                    "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
                    (f"receiver_{home}",),
                )
            }
            assert names == {"inbox", "staged", "resident"}
            assert store.execute(f"SELECT count(*) FROM receiver_{home}.staged".encode()).fetchone() == (0,)


def test_5_a_delivery_of_one_chunk_is_one_commit_and_verifies(place: Range) -> None:
    place.take_in("grid_event.urban_to_district", 1)
    homes = place.homes("grid_event")
    assert homes
    flow = "grid_event.district_to_communities"
    attempt = attempt_delivery(place.acting().ground(workers=2), flow, "whole", homes)
    assert not attempt.failures
    for home in homes:
        due = place.due_records("grid_event", home)
        assert due
        assert place.slice_records("grid_event", home) == due
    report = verify_deployment(place.acting())
    assert report.problems == []
    assert report.rows > 10


def test_6_rows_that_somebody_put_into_a_staging_are_not_promoted(place: Range) -> None:
    """Whoever can write there makes the delivery fail, and nothing of it is in the slice."""
    place.take_in(INTAKE, 2, _moved())
    home = place.homes("resident")[0]
    before = place.slice_records("resident", home)
    assert before != place.due_records("resident", home)

    class Intruded(Receiving):
        def promote(self, delivery: str, upserts: int, withdrawals: int, still: str | None) -> Inbox:
            self._run("INSERT INTO {staging} SELECT * FROM {slice} LIMIT 1")
            self._run("UPDATE {staging} SET delivery = %s", delivery)
            return super().promote(delivery, upserts, withdrawals, still)

    ground = replace(place.acting().ground(workers=1), receiving=Intruded)
    attempt = attempt_delivery(ground, DELIVERY, "intruded", [home])
    assert [failure.error.code for failure in attempt.failures] == ["exchange.staging.incomplete"]
    assert place.slice_records("resident", home) == before


def _moved() -> bytes:
    """The sample with every address changed."""
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {**row, "residence_address": f"清禾区柳岸街道清荷路{n}号"} for n, row in enumerate(rows, 1)
    )
    return out.getvalue().encode()

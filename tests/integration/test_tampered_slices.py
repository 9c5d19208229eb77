"""A receiver's administrator changes its slice: the verifier sees it, and no later delivery makes it good."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from huanshu.drill.range import CHUNK, Range
from huanshu.exchange.runs import RunError, run_delivery

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A = "990101001001"
SLICE = f"receiver_{A}.resident"


def sample(changed: int, number: int) -> bytes:
    """The passing sample; the first ``changed`` residents of A live at a new address."""
    rows = list(csv.DictReader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
    for row in [row for row in rows if row["community"] == A][:changed]:
        row["residence_address"] = f"清禾区柳岸街道清荷路{number}号"
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def deliver(place: Range) -> None:
    run_delivery(place.acting().ground(chunk=CHUNK), DELIVERY, f"t-{uuid.uuid4()}", [A])


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, sample(0, 0))
        deliver(made)
        with made.administrator() as administrator:
            administrator.execute(f"CREATE TABLE public.older AS TABLE {SLICE}".encode())
        made.take_in(INTAKE, 2, sample(2, 2))
        deliver(made)
        assert made.verify().problems == []
        with made.administrator() as administrator:
            administrator.execute(f"CREATE TABLE public.newer AS TABLE {SLICE}".encode())
        yield made


def put_back(administrator: psycopg.Connection) -> None:
    administrator.execute(f"TRUNCATE {SLICE}".encode())
    administrator.execute(f"INSERT INTO {SLICE} TABLE public.newer".encode())


ROLLED_BACK = (
    f"DELETE FROM {SLICE} WHERE version = 2",
    f"INSERT INTO {SLICE} SELECT * FROM public.older WHERE record NOT IN (SELECT record FROM {SLICE})",
)
CUT = (f"DELETE FROM {SLICE} WHERE record = (SELECT max(record) FROM {SLICE})",)
EMPTIED = (f"TRUNCATE {SLICE}",)


@pytest.mark.parametrize("changes", [ROLLED_BACK, CUT, EMPTIED], ids=["rolled back", "cut", "emptied"])
def test_a_changed_slice_is_seen_and_not_made_good_by_the_next_delivery(
    place: Range, changes: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    sequence = 3 + ["rolled back", "cut", "emptied"].index(request.node.callspec.id)
    with place.administrator() as administrator:
        for change in changes:
            assert administrator.execute(change.encode()).rowcount
        assert any(A in problem.at for problem in place.verify().problems)
        place.take_in(INTAKE, sequence, sample(1, sequence))
        arrived = len(place.entries())
        with pytest.raises(RunError, match=r"exchange\.slice\.changed"):
            deliver(place)
        told = [e.event for e in place.entries()[arrived:]]
        assert "exchange.run.started" in told
        assert "exchange.delivery.authorised" not in told  # nothing was opened for it
        assert any(A in problem.at for problem in place.verify().problems)
        put_back(administrator)
        deliver(place)
        assert place.slice_records("resident", A) == place.due_records("resident", A)
        assert place.verify().problems == []
        administrator.execute("DROP TABLE public.newer")
        administrator.execute(f"CREATE TABLE public.newer AS TABLE {SLICE}".encode())


def test_loans_and_bitmaps_that_no_entry_has_are_seen(place: Range) -> None:
    with place.administrator() as administrator:
        administrator.execute(
            "SET session_replication_role = replica"
        )  # triggers and foreign keys are no obstacle
        (loan,) = administrator.execute(
            "INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (0, 'keys', 0, '{name}', 1)"
            " RETURNING loan"
        ).fetchone()  # type: ignore[misc]
        assert any(problem.at == f"loan {loan}" for problem in place.verify().problems)
        administrator.execute("DELETE FROM log.loan WHERE loan = %s", (loan,))
        assert place.verify().problems == []
        administrator.execute(
            "UPDATE log.bitmap SET sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 1)"
            " WHERE sealed_sha256 = (SELECT min(sealed_sha256) FROM log.bitmap)"
        )
        assert any(problem.step.startswith("4") for problem in place.verify().problems)

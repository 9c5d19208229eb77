"""One extract, cut in every way: the same quarantine, the same numbers, the same store; and whoever is killed, all or
nothing. Real servers, a real keeper, workers that are really forked."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import Sandbox, prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.errors import InputError, UnavailableError
from huanshu.exchange.ground import Ground
from huanshu.exchange.intake import BatchOutcome, run_intake
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE = "resident.psb_to_district"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
Rows = list[dict[str, str]]


def renumbered(number: str, by: int) -> str:
    """Another citizen number of the same day and sex, with the right check character."""
    stem = number[:14] + f"{(int(number[14:17]) + 2 * by) % 1000:03}"
    return stem + "10X98765432"[sum(int(d) * w for d, w in zip(stem, _WEIGHTS, strict=True)) % 11]


def register(copies: int = 5) -> Rows:
    """A clean register of fictional people."""
    sample = (ROOT / "expectations/resident/samples/passing.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(sample)))
    return [
        {**row, "citizen_number": renumbered(row["citizen_number"], 7 * n)}
        for n in range(copies)
        for row in rows
    ]


def spoilt(rows: Rows) -> tuple[Rows, dict[int, str]]:
    """The rows with defects among them, and what each defective data row (from 1) must fail."""
    made = [dict(row) for row in rows]
    made[3]["sex"] = "9"
    made[40]["grid"] = made[40]["community"] + "999"
    made.insert(20, dict(made[2]))  # the same number again, near
    made.append(dict(made[5]))  # and far
    faulty = {**made[30], "phone": "1"}
    made.insert(10, faulty)  # comes first but is faulty: row 30's, now later, keeps the number
    made.append({**faulty, "phone": ""})  # a third time: too late
    rules = {
        4: "sex_code", 11: "phone_form", 22: "citizen_number_unique", 43: "grid_known",
        len(made) - 1: "citizen_number_unique", len(made): "citizen_number_unique",
    }  # fmt: skip
    return made, rules


class Place:
    def __init__(self, folder: Path) -> None:
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(ROOT / part, folder / "home" / part)
        self.settings = Settings(folder / "home", folder / "state", "en")
        self.stack = Stack(self.settings).__enter__()
        self.sandbox: Sandbox = prepare(self.settings)
        self.sequence = 0

    def send(self, rows: Rows, spoil: tuple[bytes, bytes] = (b"", b""), **manifest: Any) -> None:
        """Put the next extract in place of the last; ``spoil``: these bytes by those, as no CSV writer would."""
        self.sequence += 1
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        raw = out.getvalue().encode()
        shutil.rmtree(self.settings.intake_folder / INTAKE, ignore_errors=True)
        self.sandbox.write_extract(
            self.sandbox.home.flows[INTAKE], f"r{self.sequence}.csv", raw.replace(*spoil) if spoil[0] else raw,
            sequence=self.sequence, period="2026-09", records=len(rows), **manifest,
        )  # fmt: skip

    def ground(self, **given: Any) -> Ground:
        return dataclasses.replace(connect(self.settings).ground(), **given)

    def take_in(self, **given: Any) -> BatchOutcome:
        folder = self.settings.intake_folder / INTAKE
        outcome = run_intake(self.ground(**given), INTAKE, f"t-{uuid.uuid4()}", folder)
        return outcome.batches[-1]

    def rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        with connect(self.settings).district() as district:
            return district.execute(query.encode(), given).fetchall()

    def quarantined(self, batch: str) -> dict[int, list[str]]:
        return dict(
            self.rows("SELECT row, rules FROM district.quarantine WHERE batch = %s ORDER BY row", batch)
        )

    def current(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT record, version, home, mark, subjects, link_citizen_number FROM district.resident"
            " WHERE batch_out IS NULL ORDER BY record"
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("intake"))
    yield made
    made.stack.stop()


@pytest.fixture(scope="module")
def loaded(place: Place) -> tuple[Rows, list[BatchOutcome], list[list[tuple[Any, ...]]]]:
    """The same extract, five times over, each time cut another way."""
    rows, _ = spoilt(register())
    outcomes, states = [], []
    for workers, batch in ((2, 7), (1, 100), (2, 100), (1, 7), (3, 1000)):
        place.send(rows)
        outcomes.append(place.take_in(workers=workers, batch=batch))
        states.append(place.current())
    return rows, outcomes, states


def test_the_same_rows_are_quarantined_however_the_extract_was_cut(place: Place, loaded: Any) -> None:
    rows, outcomes, _ = loaded
    _, expected = spoilt(register())
    assert len(expected) == 6
    for outcome in outcomes:
        found = place.quarantined(outcome.batch)
        assert {row: expected[row] in rules for row, rules in found.items()} == dict.fromkeys(expected, True)
        assert found == place.quarantined(outcomes[0].batch)
        assert outcome.rules == outcomes[0].rules
        assert (outcome.good, outcome.quarantined) == (len(rows) - 6, 6)


def test_the_same_extract_again_changes_nothing(loaded: Any) -> None:
    rows, outcomes, states = loaded
    assert [outcome.unchanged for outcome in outcomes] == [0, *[len(rows) - 6] * 4]
    assert [outcome.withdrawn for outcome in outcomes] == [0] * 5
    assert len(states[0]) == len(rows) - 6
    assert len({record for record, *_ in states[0]}) == len(states[0])
    assert all(state == states[0] for state in states)


def test_a_first_extracts_rows_are_stored_frozen(place: Place, loaded: Any) -> None:
    """Otherwise whoever reads them first writes every page once more."""
    ((pages, frozen),) = place.rows(
        "SELECT relpages, relallfrozen FROM pg_class WHERE oid = 'district.resident'::regclass"
    )
    assert frozen == pages > 0


def test_the_next_period_brings_exactly_what_changed(place: Place, loaded: Any) -> None:
    """A mover, a change, a death, a birth and a faulty row; then the dead one back, by changes only."""
    before = {row[5]: row for row in place.current()}
    rows, clean = [dict(row) for row in spoilt(register())[0]], register(6)
    mover, changed, dead, faulty = (
        next(n for n, r in enumerate(rows) if r == clean[k]) for k in (0, 1, 13, 14)
    )
    away = rows[dead]
    other = next(r for r in rows if r["community"] != rows[mover]["community"])
    rows[mover].update(community=other["community"], grid=other["grid"], building_code=other["building_code"])
    rows[changed]["residence_address"] = "清禾区柳岸街道清荷路77号"
    rows[faulty]["phone"] = "12"
    born = clean[-1]
    rows = [row for n, row in enumerate(rows) if n != dead] + [born]
    place.send(rows)
    outcome = place.take_in(workers=2, batch=40)
    assert (outcome.withdrawn, outcome.good - outcome.unchanged) == (1, 3)
    after = {row[5]: row for row in place.current()}
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1
    moved = [(before[k], after[k]) for k in before.keys() & after.keys() if before[k] != after[k]]
    assert len(moved) == 2  # the faulty row's record keeps its last good version
    assert all((new[0], new[1], new[4]) == (old[0], old[1] + 1, old[4]) for old, new in moved)
    assert sum(new[2] == other["community"] != old[2] for old, new in moved) == 1
    place.send([away], mode="changes")
    outcome = place.take_in(workers=2)
    assert (outcome.good, outcome.unchanged, outcome.withdrawn) == (1, 0, 0)
    (back,) = (row for row in place.current() if row[5] not in after)
    assert back[:2] == (before[back[5]][0], before[back[5]][1] + 1)
    assert [p.what for p in verify_deployment(connect(place.settings)).problems] == []


def test_the_earliest_faulty_line_is_the_one_that_is_told(place: Place, loaded: Any) -> None:
    rows = register()
    for row in (20, 60):
        rows[row] = {**rows[row], "name": "SPOIL"}
    place.send(rows, (b"SPOIL", b'an open "quotation'))
    before = place.current()
    with pytest.raises(InputError) as told:
        place.take_in(workers=2)
    place.sequence -= 1  # nothing of it was kept, so the mended one comes under the same number
    assert (told.value.code, told.value.where and told.value.where.line) == ("extract.cell.quotation", 22)
    assert place.current() == before


def killed(place: Place, victim: Callable[[], int]) -> Callable[[str], None]:
    """A pause at which a worker kills somebody, at its first chunk."""
    here = os.getpid()

    def pause(point: str) -> None:
        if point == "intake:batch:0" and os.getpid() != here:
            os.kill(victim(), signal.SIGKILL)
            time.sleep(0.1)

    return pause


def test_a_killed_worker_leaves_nothing_and_the_next_run_cures_it(place: Place, loaded: Any) -> None:
    rows = [{**row, "residence_address": "清禾区柳岸街道清荷路88号"} for row in register()]
    place.send(rows)
    before = place.current()
    with pytest.raises(UnavailableError) as told:
        place.take_in(workers=2, pause=killed(place, os.getpid))
    assert told.value.code == "exchange.worker.lost"
    assert place.current() == before
    assert place.take_in(workers=2).state == "promoted"
    assert len(place.current()) == len(rows)


def test_a_killed_loader_leaves_nothing_and_the_next_run_cures_it(place: Place, loaded: Any) -> None:
    rows = [{**row, "residence_address": "清禾区柳岸街道清荷路89号"} for row in register()]
    place.send(rows)
    before, here = place.current(), psutil.Process()

    def loader() -> int:
        return max(here.children(), key=lambda child: child.create_time()).pid

    with pytest.raises(UnavailableError) as told:
        place.take_in(workers=2, pause=killed(place, loader))
    assert told.value.code == "exchange.worker.lost"
    assert place.current() == before
    assert place.take_in(workers=2).state == "promoted"
    assert {version for _, version, *_ in place.current()} != {version for _, version, *_ in before}


def test_why_rows_cannot_be_loaded_is_told(place: Place, loaded: Any) -> None:
    """The workers see only that nobody takes their rows any more."""
    rows = [{**row, "residence_address": "清禾区柳岸街道清荷路90号"} for row in register()]
    place.send(rows)
    before, real = place.current(), place.ground().district

    def refusing() -> psycopg.Connection:
        connection = real()
        if sys._getframe(1).f_code.co_filename.endswith("loading.py"):
            connection.execute("SET default_transaction_read_only = on")
        return connection

    with pytest.raises(UnavailableError) as told:
        place.take_in(workers=2, district=refusing)
    assert told.value.code == "store.server.read_only"
    assert place.current() == before
    assert place.take_in(workers=2).state == "promoted"


_PARENT = """
import dataclasses, os, signal, sys
from pathlib import Path
from huanshu.assembly import connect
from huanshu.exchange.intake import run_intake
from huanshu.settings import Settings
here = os.getpid()
def pause(point):
    if point == "intake:batch:0" and os.getpid() != here:
        os.kill(here, signal.SIGKILL)
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), "en")
ground = dataclasses.replace(connect(settings).ground(), workers=2, pause=pause)
run_intake(ground, sys.argv[3], "killed", settings.intake_folder / sys.argv[3])
"""


def test_workers_end_with_their_parent_and_the_next_run_cures_it(place: Place, loaded: Any) -> None:
    rows = [{**row, "residence_address": "清禾区柳岸街道清荷路99号"} for row in register()]
    place.send(rows)
    before = place.current()
    command = [sys.executable, "-c", _PARENT, str(place.settings.home), str(place.settings.state), INTAKE]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL
    assert place.current() == before
    assert (
        place.take_in(workers=2).state == "promoted"
    )  # waits until the orphans are gone, and is not disturbed
    assert place.take_in(workers=2).state == "known"
    assert {version for _, version, *_ in place.current()} != {version for _, version, *_ in before}
    assert [p.what for p in verify_deployment(connect(place.settings)).problems] == []

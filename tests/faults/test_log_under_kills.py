"""Four processes ask for entries and values while they, the keeper and the log's PostgreSQL are killed at random.

    what was answered              in the log, under that index, with that leaf: nothing acknowledged is lost
    a value that was opened        has its entry and its loan: no data leave without one
    the log                        dense, one tree, every checkpoint a part of the next: the verifier is content
    the published folder           the same, read alone

``make faults`` writes 100 000 entries; here some hundred.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import askers
import psycopg
import pytest
from askers import answered, answers
from district import NEAR, ROOT, District
from psycopg.conninfo import make_conninfo

from huanshu.assembly import connect
from huanshu.catalog import Rung
from huanshu.errors import HuanshuError, UnavailableError
from huanshu.gate.read import Answer, Asked, read
from huanshu_verify import Options, fsck

BOUNDED, FULL = 300, 100_000


def disturb(district: District, folder: Path, entries: int, seed: int, kills: int) -> dict[str, int]:
    """Run the askers to their end, killing keeper or server about ``kills`` times. Returns how often each was."""
    dice, killed = random.Random(seed), {"keeper": 0, "district": 0}
    asking = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("askers.py")), str(district.settings.home),
         str(district.settings.state), str(folder), str(entries), str(seed)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    try:
        due, waited = 0, 0
        while asking.poll() is None:
            # After so many more answers, not after so long: how often they are killed does not hang on the machine.
            if answered(folder) <= due:
                time.sleep(0.05)
                waited += 1
                if (
                    waited % 100 == 0
                ):  # who was killed was not dead yet when we looked whether to start it again
                    mend(district)
                continue
            waited = 0
            victim = dice.choice(["keeper", "keeper", "district"])
            pid = district.pid(victim)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed[victim] += 1
            mend(district)
            due = answered(folder) + dice.randint(1, 2 * entries // kills)
        assert asking.returncode == 0
    finally:
        asking.kill()
        asking.wait()
    return killed


def mend(district: District) -> None:
    """A keeper that comes up while the server is still recovering gives up, as it should: it is started again."""
    for _ in range(20):
        try:
            district.mend()
        except HuanshuError:
            time.sleep(0.2)
        else:
            return
    district.mend()


def check(district: District, folder: Path) -> None:
    mend(district)
    running = connect(district.settings)
    said = answers(folder)
    appended = {
        int(index): leaf_hash for kind, index, *rest in said if kind == "appended" for leaf_hash in rest
    }
    opened = {int(index) for kind, index in (line[:2] for line in said) if kind == "opened"}
    assert appended
    assert opened
    assert len(appended) == sum(line[0] == "appended" for line in said), "one index was given to two"
    with running.district() as store:
        rows = store.execute(
            "SELECT index, event, encode(leaf_hash, 'hex') FROM log.entry ORDER BY index"
        ).fetchall()
        loans = {
            index for (index,) in store.execute("SELECT entry_index FROM log.loan WHERE kind = 'opened'")
        }
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert {index: hashed for index, _, hashed in rows if index in appended} == appended
    assert opened <= loans
    assert {rows[index][1] for index in opened} == {"access.record.authorised"}
    assert district.verify() == []
    vkey = running.keeper.status()["vkey"]
    report = fsck(Options(vkey=vkey, published=district.settings.log_folder))
    assert report.clean, report.problems
    assert report.size > 0


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = District(tmp_path_factory.mktemp("kills"))
    made.change()
    yield made
    made.close()


def test_no_answered_entry_is_lost_whoever_is_killed(district: District, tmp_path: Path) -> None:
    killed = disturb(district, tmp_path, BOUNDED, seed=1, kills=6)
    assert sum(killed.values()) >= 2
    check(district, tmp_path)


def test_a_server_killed_in_the_middle_of_an_append_lets_nothing_out(district: District) -> None:
    """The append waits inside its transaction when the server dies under it: whoever asked gets no value."""
    running = connect(district.settings, askers.PERSON)
    (record, _), *_ = district.due(NEAR)
    asked = Asked(askers.POST, NEAR, "resident", "grassroots_service", {"name": Rung.REVEAL}, record=record)

    def look() -> object:
        try:
            return read(running.home, running.keeper, running.district, asked)
        except (UnavailableError, psycopg.OperationalError) as error:
            return error

    assert isinstance(look(), Answer)
    before = running.keeper.status()["size"]
    url = make_conninfo(district.stack.deployment.server("district").admin_url, dbname="huanshu")
    with ThreadPoolExecutor(1) as beside, closing(psycopg.connect(url)) as administrator:
        administrator.execute("LOCK TABLE log.checkpoint IN ACCESS EXCLUSIVE MODE")
        asking = beside.submit(look)
        waiting = b"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'log.checkpoint'::regclass"
        until = time.monotonic() + 30
        while administrator.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < until, "nothing was appended"
            time.sleep(0.01)
        pid = district.pid("district")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        told = asking.result(60)
    assert isinstance(told, Exception), "a value left without an entry"
    mend(district)
    assert [e["index"] for e in district.entries("access.record.authorised") if e["index"] >= before] == []
    assert district.verify() == []
    assert isinstance(look(), Answer)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_entries_under_kills(district: District, tmp_path: Path) -> None:
    killed = disturb(district, tmp_path, FULL, seed=2, kills=100)
    assert min(killed.values()) >= 10
    check(district, tmp_path)

"""Four processes that ask the keeper for entries and for values, and are killed at random: what they were answered.

python askers.py HOME STATE FOLDER ENTRIES SEED

Forks the four, kills one now and then and forks another in its place, until ENTRIES were acknowledged in all. In each,
several threads ask with a connection of their own, so that groups of entries are under way at once. A thread writes
``appended INDEX LEAF_HASH`` or ``opened INDEX`` into FOLDER when, and only when, it holds the answer.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import psycopg

from huanshu.assembly import connect
from huanshu.catalog import Rung
from huanshu.errors import UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.settings import Settings

PROCESSES, THREADS = 4, 8
PERSON, POST, HOME = "p.tang", "yulan.data_clerk", "990101001001"


def ask(settings: Settings, folder: Path, records: list[int]) -> None:
    """Ask until killed. Whatever else ends a thread ends the process, and is seen by who forked it."""
    out = os.open(folder / f"answers.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def run(number: int) -> None:
        try:
            _ask(settings, out, records, random.Random(os.getpid() * THREADS + number))
        except BaseException:  # noqa: BLE001 - told, and the end of this process
            traceback.print_exc()
            os._exit(1)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    threads[0].join()


def _ask(settings: Settings, out: int, records: list[int], dice: random.Random) -> None:
    """Mostly entries, now and then a value. What fails is asked again, as something new."""
    running, parent = connect(settings, PERSON), os.getppid()
    while os.getppid() == parent:  # whoever forked us may be killed too: then nobody is left to end us
        try:
            if dice.random() < 0.1:
                fields, record = {"name": Rung.REVEAL}, dice.choice(records)
                asked = Asked(POST, HOME, "resident", "grassroots_service", fields, record=record)
                answer = read(running.home, running.keeper, running.district, asked)
                assert answer.values["name"]
                os.write(out, b"opened %d\n" % answer.entry_index)
            else:
                detail = {"report": "r", "entries": 0, "sha256": f"{dice.getrandbits(256):064x}"}
                ticket = running.keeper.append({"event": "report.page.built", "detail": detail})
                os.write(out, f"appended {ticket.index} {ticket.leaf_hash}\n".encode())
        except (UnavailableError, psycopg.OperationalError):
            time.sleep(0.05)


def answered(folder: Path) -> int:
    """How much was answered so far."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("answers.*"))


def answers(folder: Path) -> list[list[str]]:
    """What was answered so far, in whole lines: a killed process may have left the beginning of one."""
    lines = [line for file in folder.glob("answers.*") for line in file.read_text().split("\n")[:-1]]
    return [line.split(" ") for line in lines]


def main(home: str, state: str, folder: str, entries: int, seed: int) -> None:
    settings, place, dice = Settings(Path(home), Path(state), "en"), Path(folder), random.Random(seed)
    with connect(settings).district() as district:
        query = b"SELECT record FROM district.resident WHERE batch_out IS NULL AND home = %s"
        records = [row[0] for row in district.execute(query, (HOME,))]
    alive: list[int] = []
    while answered(place) < entries:
        while len(alive) < PROCESSES:
            child = os.fork()
            if child == 0:
                try:
                    ask(settings, place, records)
                finally:
                    os._exit(1)
            alive.append(child)
        time.sleep(dice.uniform(0.2, 1.5))
        _kill(alive.pop(dice.randrange(len(alive))))
    for child in alive:
        _kill(child)


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise SystemExit(f"an asker ended by itself: {status}")


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))

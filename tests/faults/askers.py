"""Four processes that ask the keeper for entries and for values, and are killed at random: what they were answered.

python askers.py HOME STATE FOLDER ENTRIES SEED

Forks the four, kills one now and then and forks another in its place, until ENTRIES were acknowledged in all. Each writes
``appended INDEX LEAF_HASH`` or ``opened INDEX`` into FOLDER when, and only when, it holds the answer.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import psycopg

from huanshu.assembly import connect
from huanshu.catalog import Rung
from huanshu.errors import UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.settings import Settings

PROCESSES = 4
PERSON, POST, HOME = "p.tang", "yulan.data_clerk", "990101001001"


def ask(settings: Settings, folder: Path, records: list[int]) -> None:
    """Ask until killed: mostly entries, now and then a value. What fails is asked again, as something new."""
    out = os.open(folder / f"answers.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    dice, running = random.Random(os.getpid()), connect(settings, PERSON)
    while True:
        try:
            if dice.random() < 0.1:
                asked = Asked(
                    POST,
                    HOME,
                    "resident",
                    "grassroots_service",
                    {"name": Rung.REVEAL},
                    record=dice.choice(records),
                )
                answer = read(running.home, running.keeper, running.district, asked)
                assert answer.values["name"]
                os.write(out, b"opened %d\n" % answer.entry_index)
            else:
                detail = {"report": "r", "entries": 0, "sha256": f"{dice.getrandbits(256):064x}"}
                ticket = running.keeper.append({"event": "report.page.built", "detail": detail})
                os.write(out, f"appended {ticket.index} {ticket.leaf_hash}\n".encode())
        except (UnavailableError, psycopg.OperationalError):
            time.sleep(0.05)


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
    while len(answers(place)) < entries:
        while len(alive) < PROCESSES:
            child = os.fork()
            if child == 0:
                try:
                    ask(settings, place, records)
                finally:
                    os._exit(1)
            alive.append(child)
        time.sleep(dice.uniform(0.2, 1.5))
        victim = alive.pop(dice.randrange(len(alive)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    for child in alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))

"""A district to break: real servers, real keeper process, the sample home, and a worker that kills.

python district.py HOME STATE FLOW RECEIVER POINT VICTIM_PID|self      (deliver, kill at a point)
python district.py HOME STATE FLOW intake  POINT VICTIM_PID|self      (take in, kill at a point)
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.auditlog.reader import read_entries
from huanshu.drill.blanks import lay_blank_servers
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import run_delivery
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
NEAR, FAR = "990101001001", "990101001003"  # FAR has a PostgreSQL server of its own
CHUNK = 2


class District:
    """Brought up once; ``change`` makes something due again."""

    def __init__(self, folder: Path) -> None:
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(ROOT / part, folder / "home" / part)
        self.settings = Settings(folder / "home", folder / "state", "en")
        lay_blank_servers(self.settings)
        self.stack = Stack(self.settings).__enter__()
        self.sandbox = prepare(self.settings)
        self.sequence = 0

    def close(self) -> None:
        self.stack.stop()

    # -- what is going on ---------------------------------------------------------------------------

    def write_change(self) -> None:
        """Put the next extract in place: everybody's address differs from the one before."""
        self.sequence += 1
        sample = (self.settings.home / "expectations/resident/samples/passing.csv").read_text()
        rows = list(csv.DictReader(io.StringIO(sample)))
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            row["residence_address"] = f"清禾区柳岸街道清荷路{self.sequence}号"
            writer.writerow(row)
        flow = self.sandbox.home.flows[INTAKE]
        folder = self.settings.intake_folder / INTAKE
        shutil.rmtree(folder, ignore_errors=True)
        self.sandbox.write_extract(
            flow, f"resident-{self.sequence}.csv", out.getvalue().encode(), sequence=self.sequence,
            period="2026-09", records=len(rows),
        )  # fmt: skip

    def take_in(self) -> None:
        run_intake(
            connect(self.settings).ground(), INTAKE, f"t-{uuid.uuid4()}", self.settings.intake_folder / INTAKE
        )

    def change(self) -> None:
        self.write_change()
        self.take_in()

    def deliver(self, receiver: str) -> None:
        run_delivery(connect(self.settings).ground(chunk=CHUNK), DELIVERY, f"t-{uuid.uuid4()}", [receiver])

    def worker(self, receiver: str, point: str, victim: str) -> int:
        """A worker process that kills at ``point``: itself, the keeper, or a server. Its exit code."""
        ended = subprocess.run(
            [sys.executable, __file__, str(self.settings.home), str(self.settings.state),
             INTAKE if receiver == "intake" else DELIVERY, receiver, point, str(self.pid(victim) or "self")],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return ended.returncode

    def pid(self, victim: str) -> int | None:
        if victim == "keeper":
            assert self.stack.keeper is not None
            return self.stack.keeper.pid
        if victim in ("district", "shiqiao"):
            return self.stack.deployment.server(victim).postmaster_pid
        return None

    def mend(self) -> None:
        """What an operator does: start what is down, and nothing else."""
        for name in self.stack.deployment.embedded:
            self.stack.deployment.server(name).start()
        keeper = self.stack.keeper
        if keeper is None or keeper.poll() is not None:
            self.stack.start_keeper()

    # -- what came of it ----------------------------------------------------------------------------

    def due(self, home: str) -> list[tuple[int, int]]:
        with connect(self.settings).district() as district:
            return district.execute(
                "SELECT record, version FROM district.resident WHERE batch_out IS NULL AND home = %s ORDER BY 1",
                (home,),
            ).fetchall()

    def holds(self, receiver: str) -> list[tuple[int, int]]:
        with connect(self.settings).receiver(receiver) as store:
            if store.execute("SELECT to_regclass(%s)", (f"receiver_{receiver}.resident",)).fetchone() == (
                None,
            ):
                return []
            return store.execute(
                f"SELECT record, version FROM receiver_{receiver}.resident ORDER BY 1".encode()
            ).fetchall()

    def entries(self, event: str) -> list[dict]:
        with connect(self.settings).district() as district:
            return [dict(e.body) for e in read_entries(district) if e.event == event]

    def loans(self, delivery: str) -> dict[int, int]:
        """Chunk → how often keys were lent for it, over all entries that authorised this delivery."""
        authorised = [
            e["index"]
            for e in self.entries("exchange.delivery.authorised")
            if e["detail"]["delivery"] == delivery
        ]
        with connect(self.settings).district() as district:
            rows = district.execute(
                "SELECT chunk, count(*) FROM log.loan WHERE entry_index = ANY(%s) GROUP BY chunk",
                (authorised,),
            ).fetchall()
        return dict(rows)

    def verify(self) -> list[str]:
        return [f"{p.step} {p.at} {p.what}" for p in verify_deployment(connect(self.settings)).problems]


def main(home: str, state: str, flow: str, receiver: str, point: str, victim: str) -> None:
    running = connect(Settings(Path(home), Path(state), "en"))

    def pause(point_: str, point: str = point) -> None:
        if point_ == point:
            os.kill(os.getpid() if victim == "self" else int(victim), signal.SIGKILL)
            time.sleep(0.2)

    ground = running.ground(pause=lambda point: pause(point), chunk=CHUNK)
    if receiver == "intake":
        run_intake(ground, flow, f"w-{os.getpid()}", running.deployment.settings.intake_folder / flow)
    else:
        run_delivery(ground, flow, f"w-{os.getpid()}", [receiver])


if __name__ == "__main__":
    main(*sys.argv[1:])

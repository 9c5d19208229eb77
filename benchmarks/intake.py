"""How much an intake costs beside a bare COPY of the very bytes it leaves behind.

    python benchmarks/intake.py --records 100000            # a short run
    python benchmarks/intake.py --records 1300000           # the goal: intake.copy_ratio ≤ 1.8

Ours    ``run_intake`` on a real deployment (embedded PostgreSQL, keeper, log): signature and digest, CSV, every rule of
        the suite, links, numbers, sealing, COPY, indexes, promotion, the log's entries, ANALYZE. The libraries are
        imported before the clock starts (a worker lives longer than one extract); how long that took is printed.
Peer    the sealed table that ours left, copied out binary to a file; then COPY IN on one connection into an identical
        table, loaded first and indexed after, as ours is. Median of three, on the same server. It copies as anybody
        would, into a table that is there. Ours stores its rows frozen (docs/decisions/0029); what the same would bring
        the peer is measured once and told beside it.
Memory  of this process and all its children but PostgreSQL, together (``measuring.Memory``).
Clock   wall seconds decide. Beside them stand processor seconds, ours and PostgreSQL's: on a machine that does other
        work meanwhile they are the figures to trust.

A second period (mostly unchanged rows) is taken in afterwards with ``--periods 2``. Results go to
``benchmarks/results/intake.json``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from measuring import Cpu, Memory, Result, Stages, machine, show, write

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import Sandbox, prepare
from huanshu.exchange.intake import BatchOutcome, run_intake
from huanshu.quality import preload
from huanshu.settings import Settings

ROOT = Path(__file__).parents[1]
FLOW = "resident.psb_to_district"


@contextmanager
def deployment(keep: Path | None) -> Iterator[tuple[Stack, Sandbox]]:
    """A throw-away deployment of the sample home."""
    folder = keep or Path(tempfile.mkdtemp(prefix="huanshu-bench-"))
    settings = Settings(ROOT, folder / "state", "en")
    try:
        with Stack(settings) as stack:
            yield stack, prepare(settings)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def extract(records: int, period: int, cache: Path) -> tuple[bytes, str, int]:
    """A period's register as CSV, its name of period, and how many records it has."""
    folder = cache / f"{records}.{period}"
    if not list(folder.glob("resident*.csv")):
        subprocess.run(
            [sys.executable, "-m", "huanshu", "simulate", "--out", str(folder), "--residents", str(records),
             "--period", str(period), "--dataset", "resident"],
            check=True, stdout=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
    (path,) = folder.glob("resident*.csv")
    raw = path.read_bytes()
    return raw, f"2026-{8 + period:02}", raw.count(b"\n") - 1


@dataclass(frozen=True, slots=True)
class Run:
    """One period through the real intake."""

    records: int
    seconds: float
    cpu: Cpu
    peak: float  # GB
    batch: BatchOutcome

    def show(self, title: str) -> None:
        batch = self.batch
        print(
            f"\n{title}: {self.records} records in {self.seconds:.2f} s ({self.cpu}), peak {self.peak:.2f} GB;"
            f" {batch.state}, good {batch.good}, quarantined {batch.quarantined}, unchanged {batch.unchanged},"
            f" withdrawn {batch.withdrawn}"
        )
        stages = Stages()
        stages.seconds |= batch.stages
        stages.print("where the time goes (of all workers together)")


def take_in(stack: Stack, sandbox: Sandbox, sequence: int, records: int, cache: Path) -> Run:
    raw, period, rows = extract(records, sequence, cache)
    folder = sandbox.settings.intake_folder / FLOW
    shutil.rmtree(folder, ignore_errors=True)
    sandbox.write_extract(
        sandbox.home.flows[FLOW],
        f"resident-{sequence}.csv",
        raw,
        sequence=sequence,
        period=period,
        records=rows,
    )
    del raw
    ground = connect(sandbox.settings).ground()
    with Memory() as memory:
        used, begun = Cpu.now(postmaster(stack)), time.perf_counter()
        outcome = run_intake(ground, FLOW, f"bench-{sequence}", folder)
        seconds = time.perf_counter() - begun
        used = Cpu.now(postmaster(stack)) - used
    (batch,) = outcome.batches
    return Run(rows, seconds, used, memory.gigabytes, batch)


def postmaster(stack: Stack) -> int:
    found = stack.deployment.server("district").postmaster_pid
    assert found is not None
    return found


class Peer:
    """A bare COPY of the same sealed bytes into an identical table, then the same indexes."""

    def __init__(self, url: str, table: str, folder: Path) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._table = table
        self._file = folder / "sealed.copy"
        with (
            self._file.open("wb") as file,
            self._connection.cursor().copy(
                f"COPY district.{table} TO STDOUT (FORMAT binary)".encode()
            ) as copy,
        ):
            for part in copy:
                file.write(part)
        self.bytes = self._file.stat().st_size
        self._indexes = [
            row[0]
            for row in self._connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'district' AND tablename = %s", (table,)
            )
        ]

    def run(self) -> tuple[float, float]:
        """Seconds of (COPY, indexes)."""
        self._make()
        return self._fill(b"FORMAT binary")

    def run_frozen(self) -> float:
        """Seconds of both, all in the transaction that makes the table."""
        with self._connection.transaction():
            self._make()
            return sum(self._fill(b"FORMAT binary, FREEZE"))

    def _make(self) -> None:
        self._connection.execute("DROP TABLE IF EXISTS district.bare")
        self._connection.execute(
            f"CREATE TABLE district.bare (LIKE district.{self._table} INCLUDING DEFAULTS)".encode()
        )

    def _fill(self, form: bytes) -> tuple[float, float]:
        execute = self._connection.execute
        begun = time.perf_counter()
        with (
            self._file.open("rb") as file,
            self._connection.cursor().copy(b"COPY district.bare FROM STDIN (" + form + b")") as copy,
        ):
            while part := file.read(1 << 18):
                copy.write(part)
        copied = time.perf_counter()
        for number, index in enumerate(self._indexes):
            name = index.split(" INDEX ", 1)[1].split(" ", 1)[0]
            made = index.replace(f" {name} ", f" bare_{number} ", 1).replace(
                f"district.{self._table} ", "district.bare "
            )
            execute(made.encode())
        return copied - begun, time.perf_counter() - copied

    def close(self) -> None:
        self._connection.execute("DROP TABLE IF EXISTS district.bare")
        self._connection.close()
        self._file.unlink()


def measure(records: int, periods: int, cache: Path, keep: Path | None) -> list[Result]:
    print(machine())
    load = os.getloadavg()[0]
    begun = time.perf_counter()
    preload()
    print(f"imports before the clock: {time.perf_counter() - begun:.1f} s")
    with deployment(keep) as (stack, sandbox):
        first = take_in(stack, sandbox, 1, records, cache)
        first.show("first period")
        peer = Peer(stack.deployment.roles["huanshu_app"], "resident", sandbox.settings.state)
        used = Cpu.now(postmaster(stack))
        runs = [peer.run() for _ in range(3)]
        used = Cpu.now(postmaster(stack)) - used
        bare, bare_cpu = statistics.median(sum(run) for run in runs), used.total / len(runs)
        print(
            f"\nbare COPY of {peer.bytes / 2**20:.0f} MiB: {bare:.2f} s, median of"
            f" {', '.join(f'{copied:.2f} + {indexed:.2f} (indexes)' for copied, indexed in runs)};"
            f" {bare_cpu:.1f} s of processor"
        )
        frozen = peer.run_frozen()
        peer.close()
        results = [
            Result("intake.copy_ratio", first.seconds / bare, "ratio", "≤ 1.8", "bare binary COPY, s", bare),
            Result(
                "intake.cpu_ratio",
                first.cpu.total / bare_cpu,
                "ratio",
                "",
                "bare binary COPY, cpu s",
                bare_cpu,
            ),
            Result("intake.frozen_copy_ratio", first.seconds / frozen, "ratio", "", "COPY FREEZE, s", frozen),
            Result("intake.records", first.records, "records"),
            Result("intake.load", load, "load average at the start"),
            Result("intake.seconds", first.seconds, "s"),
            Result("intake.cpu_ours", first.cpu.ours, "cpu s"),
            Result("intake.cpu_server", first.cpu.server, "cpu s"),
            Result("intake.peak_rss_gb", first.peak, "GB", "≤ 3"),
            *(Result(f"intake.stage.{name}", took, "s") for name, took in first.batch.stages.items()),
        ]
        for period in range(2, periods + 1):
            again = take_in(stack, sandbox, period, records, cache)
            again.show(f"period {period}")
            results.append(Result(f"intake.period_{period}_seconds", again.seconds, "s"))
            results.append(Result(f"intake.period_{period}_cpu", again.cpu.total, "cpu s"))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--periods", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "huanshu-bench-extracts")
    parser.add_argument("--state", type=Path, help="keep the deployment in this folder")
    given = parser.parse_args()
    results = measure(given.records, given.periods, given.cache, given.state)
    write("intake", results)
    show(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

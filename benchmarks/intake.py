"""How much an intake costs beside a bare COPY of the very bytes it leaves behind.

    python benchmarks/intake.py --records 100000            # a short run
    python benchmarks/intake.py --records 1300000           # the goal: intake.copy_ratio ≤ 1.8

Ours    ``run_intake`` on a real deployment (embedded PostgreSQL, keeper, log): signature and digest, CSV, every rule of
        the suite, links, numbers, sealing, COPY, indexes, promotion, the log's entries, ANALYZE. The libraries are
        imported before the clock starts (a worker lives longer than one extract); how long that took is printed.
Peer    the sealed table that ours left, copied out binary to a file; then COPY IN on one connection into an identical
        table, loaded first and indexed after, as ours is. Median of three, on the same server.
Memory  the sum of the proportional set sizes of this process and all its children but PostgreSQL: pages that forked
        processes share count once.

A second period (mostly unchanged rows) is taken in afterwards with ``--periods 2``. Results go to
``benchmarks/results/intake.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import psycopg

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import Sandbox, prepare
from huanshu.exchange.intake import BatchOutcome, run_intake
from huanshu.quality import engine
from huanshu.settings import Settings

ROOT = Path(__file__).parents[1]
FLOW = "resident.psb_to_district"
GOAL_RATIO, GOAL_RSS = 1.8, 3.0


class Memory:
    """The peak of what our processes hold together, sampled."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(_own(process) for process in _family()))


def _family() -> list[psutil.Process]:
    here = psutil.Process()
    return [here, *here.children(recursive=True)]


def _own(process: psutil.Process) -> int:
    try:
        if "postgres" in process.name():
            return 0
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except (OSError, psutil.Error):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


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


def take_in(settings: Settings, sandbox: Sandbox, sequence: int, records: int, cache: Path) -> dict[str, Any]:
    """One period through the real intake: seconds, peak memory, outcome."""
    raw, period, rows = extract(records, sequence, cache)
    folder = settings.intake_folder / FLOW
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
    ground = connect(settings).ground()
    with Memory() as memory:
        begun = time.perf_counter()
        outcome = run_intake(ground, FLOW, f"bench-{sequence}", folder)
        seconds = time.perf_counter() - begun
    (batch,) = outcome.batches
    return {"seconds": seconds, "peak": memory.peak, "batch": batch, "records": rows}


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
        execute = self._connection.execute
        execute("DROP TABLE IF EXISTS district.bare")
        execute(f"CREATE TABLE district.bare (LIKE district.{self._table} INCLUDING DEFAULTS)".encode())
        begun = time.perf_counter()
        with (
            self._file.open("rb") as file,
            self._connection.cursor().copy(b"COPY district.bare FROM STDIN (FORMAT binary)") as copy,
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


def measure(records: int, periods: int, cache: Path, keep: Path | None) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    engine.known_types()
    print(f"imports before the clock: {time.perf_counter() - begun:.1f} s")
    with deployment(keep) as (stack, sandbox):
        settings = sandbox.settings
        first = take_in(settings, sandbox, 1, records, cache)
        _show("first period", first)
        peer = Peer(stack.deployment.roles["huanshu_app"], "resident", settings.state)
        runs = [peer.run() for _ in range(3)]
        bare = statistics.median(sum(run) for run in runs)
        print(
            f"bare COPY of {peer.bytes / 2**20:.0f} MiB: {bare:.2f} s"
            f" (copy {statistics.median(r[0] for r in runs):.2f}, indexes {statistics.median(r[1] for r in runs):.2f};"
            f" runs {', '.join(f'{sum(run):.2f}' for run in runs)})"
        )
        peer.close()
        ratio = first["seconds"] / bare
        print(
            f"ratio {ratio:.2f} (goal {GOAL_RATIO}); peak {first['peak'] / 2**30:.2f} GiB (goal {GOAL_RSS})"
        )
        results = [
            _result("intake.copy_ratio", ratio, "ratio", GOAL_RATIO, "bare binary COPY, seconds", bare),
            _result("intake.seconds", first["seconds"], f"s for {first['records']} records"),
            _result("intake.peak_rss_gb", first["peak"] / 2**30, "GiB", GOAL_RSS),
        ]
        results += [
            _result(f"intake.stage.{name}", seconds, "s, summed over workers")
            for name, seconds in _stages(first["batch"]).items()
        ]
        for period in range(2, periods + 1):
            again = take_in(settings, sandbox, period, records, cache)
            _show(f"period {period}", again)
            results.append(_result(f"intake.period_{period}_seconds", again["seconds"], "s"))
    return results


def _stages(batch: BatchOutcome) -> dict[str, float]:
    found: dict[str, float] = asdict(batch).get("stages", {})
    return found


def _show(title: str, run: dict[str, Any]) -> None:
    batch = run["batch"]
    print(
        f"{title}: {run['records']} records in {run['seconds']:.2f} s, peak {run['peak'] / 2**30:.2f} GiB;"
        f" {batch.state}, good {batch.good}, quarantined {batch.quarantined}, unchanged {batch.unchanged},"
        f" withdrawn {batch.withdrawn}"
    )
    stages = _stages(batch)
    total = sum(stages.values()) or 1.0
    for name, seconds in stages.items():
        print(f"    {name:<12} {seconds:7.2f} s  {seconds / total:5.1%}")


def _result(
    name: str, value: float, unit: str, goal: float | None = None, peer: str | None = None,
    peer_value: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {"id": name, "value": value, "unit": unit, "goal": goal, "peer": peer, "peer_value": peer_value}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--periods", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "huanshu-bench-extracts")
    parser.add_argument("--state", type=Path, help="keep the deployment in this folder")
    given = parser.parse_args()
    results = measure(given.records, given.periods, given.cache, given.state)
    target = ROOT / "benchmarks/results/intake.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(f"→ {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What every benchmark shares: stages timed, memory watched, results written and printed.

A result is ``{"id", "value", "unit", "goal", "peer", "peer_value"}``; ``goal`` is "≤ 1.0" or "" when the figure is
only reported. A peer that is not installed is printed as absent, never left out silently.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure. ``peer_value`` is the peer's own figure in the same unit of work, for the reader."""

    id: str
    value: float | None
    unit: str
    goal: str = ""
    peer: str = ""
    peer_value: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal or without a value."""
        if not self.goal or self.value is None:
            return None
        sign, bound = self.goal.split()
        return self.value <= float(bound) if sign == "≤" else self.value >= float(bound)


class Stages:
    """Seconds by named stage, in order of first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def print(self, title: str) -> None:
        """Each stage's seconds and its share of their sum."""
        whole = sum(self.seconds.values()) or 1.0
        print(f"\n{title}")
        for name, seconds in self.seconds.items():
            print(f"  {name:<34} {seconds:8.2f} s  {seconds / whole:6.1%}")


class Memory:
    """The peak of the memory of this process and its children together, PostgreSQL and Airflow apart.

    Summed are proportional set sizes: a page that a forked worker shares with its parent counts once. The kernel walks
    every page for that (40 ms a look at 2 GB; ten looks a second once were a fifth of what an intake seemed to cost).
    So it is asked only when resident memory, which is cheap to read, is higher by ``_STEP`` than at the last look."""

    _STEP = 1.03
    _FAMILY_EVERY = 5  # looks: who our children are takes a walk through all processes

    def __init__(self, every: float = 0.1) -> None:
        self.peak = 0
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    @property
    def gigabytes(self) -> float:
        return self.peak / 1e9

    def _watch(self) -> None:
        highest, looks = 0.0, 0
        while not self._end.wait(self._every):
            if looks % self._FAMILY_EVERY == 0:
                ours = _ours()
            looks += 1
            resident = sum(map(_resident, ours))
            if resident > highest * self._STEP:  # a peak is missed by so much at most
                highest = resident
                self.peak = max(self.peak, sum(map(_proportional, ours)))


def _ours() -> list[psutil.Process]:
    me = psutil.Process()
    found = [me, *me.children(recursive=True)]
    return [process for process in found if not _name(process).startswith(("postgres", "psql", "airflow"))]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "postgres"  # it has ended


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except FileNotFoundError:  # where there is no Linux: an upper bound
        return _resident(process)
    except OSError:
        return 0


def _used(root: psutil.Process) -> float:
    """User and system, of those that have ended too."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
        except psutil.Error:
            continue
    return total


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor seconds: of our processes and of PostgreSQL. On a busy machine they say more than a clock."""

    ours: float
    server: float

    @staticmethod
    def now(postmaster: int) -> Cpu:
        """So far: this process, its children and theirs; the server of that process id and its own children."""
        return Cpu(_used(psutil.Process()), _used(psutil.Process(postmaster)))

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.ours - before.ours, self.server - before.server)

    def __str__(self) -> str:
        return f"{self.ours:.1f} s of processor in our processes, {self.server:.1f} s in PostgreSQL"

    @property
    def total(self) -> float:
        return self.ours + self.server


def machine() -> str:
    """One line about where the figures were seen."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0]
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {python}, load {load:.1f} at the start;"
        f" pace {pace():.0f} ns"
    )


def pace() -> float:
    """Nanoseconds that one addition in a loop of plain Python takes here and now, best of five: processors lent by the
    hour differ twofold, and absolute times with them. Compare such times only between runs of like pace."""
    best = float("inf")
    for _ in range(5):
        begun, total = time.process_time_ns(), 0
        for number in range(200_000):
            total += number
        best = min(best, (time.process_time_ns() - begun) / 200_000)
    return best


def write(name: str, results: Sequence[Result]) -> None:
    """Put results into ``results/<name>.json``; figures of the same ids are replaced, others stay."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    known = {entry["id"]: entry for entry in json.loads(path.read_text())} if path.exists() else {}
    known |= {result.id: asdict(result) for result in results}
    path.write_text(json.dumps(list(known.values()), ensure_ascii=False, indent=1) + "\n")


def merge(source: str, target: str) -> None:
    """Figures of one file into another: a target of ``make`` has one file with all of them."""
    path = RESULTS / f"{source}.json"
    if path.exists():
        fields = Result.__dataclass_fields__
        found = [{name: entry.get(name) for name in fields} for entry in json.loads(path.read_text())]
        for entry in found:
            goal = entry["goal"]
            entry |= {
                "goal": "" if goal is None else goal if isinstance(goal, str) else f"≤ {goal}",
                "peer": entry["peer"] or "",
            }
        write(target, [Result(**entry) for entry in found])


def show(results: Sequence[Result]) -> None:
    """The table: figure, goal, peer."""
    print(f"\n{'id':<34} {'value':>10} {'unit':<10} {'goal':<8} {'':<5} peer")
    for result in results:
        value = "absent" if result.value is None else f"{result.value:.3g}"
        told = {None: "", True: "met", False: "MISSED"}[result.met]
        peer = result.peer + ("" if result.peer_value is None else f" ({result.peer_value:.3g})")
        print(f"{result.id:<34} {value:>10} {result.unit:<10} {result.goal:<8} {told:<6} {peer}")

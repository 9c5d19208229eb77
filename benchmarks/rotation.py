"""How long a district's rotation takes, and what reading costs meanwhile.

    python benchmarks/rotation.py --records 20000            # a short run
    python benchmarks/rotation.py --records 1300000          # reported: rotate.full_district_s

A register is taken in; epoch and link generation are raised; ``huanshu keys rotate`` as the platform runs it: every
sealed field of every version, which are more than seven, then every link. The figure is scaled by the rows alone to a
district's 1.3 million. Meanwhile one process reads single records through the gate, as
it did before the rotation: the medians and 99th percentiles of both stand side by side.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from intake import ROOT, take_in
from measuring import Result, machine, show, write

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.catalog import Rung
from huanshu.exchange.rotation import rotate
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies
from huanshu.settings import Settings

FULL = 1_300_000


def raise_to(settings: Settings, epoch: int, generation: int) -> None:
    path = settings.home / "policies/keys.yaml"
    lines = [x for x in path.read_text().splitlines() if not x.startswith(("epoch:", "link_generation:"))]
    path.write_text("\n".join([*lines, f"epoch: {epoch}", f"link_generation: {generation}", ""]))
    author, second = connect(settings, "p.chen"), connect(settings, "p.deng")
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)


def reading(settings: Settings, seconds: float, told: Any, stop: Any) -> None:
    """Reads of one sealed field of one record, one after the other, until stopped."""
    here, times = connect(settings, "p.tang"), []
    with here.district() as district:
        rows = district.execute(
            "SELECT record FROM district.resident WHERE home = '990101001001' AND batch_out IS NULL LIMIT 200"
        ).fetchall()
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until and not stop.is_set():
        asked = Asked(
            "yulan.data_clerk", "990101001001", "resident", "grassroots_service", {"name": Rung.REVEAL},
            rows[number % len(rows)][0],
        )  # fmt: skip
        begun = time.perf_counter()
        read(here.home, here.keeper, here.district, asked)
        times.append((time.perf_counter() - begun) * 1000)
        number += 1
    told.put(times)


def read_beside(settings: Settings, seconds: float) -> tuple[Any, Any, Any]:
    context = multiprocessing.get_context("spawn")
    told, stop = context.Queue(), context.Event()
    process = context.Process(target=reading, args=(settings, seconds, told, stop))
    process.start()
    return process, told, stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "huanshu-bench-cache")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="huanshu-bench-") as made:
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(ROOT / part, Path(made) / "home" / part)
        settings = Settings(Path(made) / "home", Path(made) / "state", "en")
        with Stack(settings) as stack:
            take_in(stack, prepare(settings), 1, given.records, given.cache)
            process, told, stop = read_beside(settings, 10.0)
            before = told.get(timeout=120)
            process.join()
            raise_to(settings, 2, 2)
            process, told, stop = read_beside(settings, 3600.0)
            cpu, begun = time.process_time(), time.perf_counter()
            done = rotate(connect(settings).ground())
            seconds, used = time.perf_counter() - begun, time.process_time() - cpu
            stop.set()
            during = told.get(timeout=120)
            process.join()
            contract = connect(settings).home.contracts["resident"]
    rows = sum(each.rows for each in done if each.what == "cells")
    sealed = len(contract.sealed_fields)
    print(
        f"{rows} rows × {sealed} sealed fields, and their links: {seconds:.1f} s by the clock, {used:.1f} s of ours"
    )
    whole, what = seconds * FULL / max(rows, 1), f"{rows} rows × {sealed} fields, links"
    alone = "without rotation"
    results = [
        Result("rotate.full_district_s", whole, "s", "", what, seconds),
        Result("rotate.read_p50_ms", statistics.median(during), "ms", "", alone, statistics.median(before)),
        Result("rotate.read_p99_ms", p99(during), "ms", "", alone, p99(before)),
    ]
    show(results)
    write("sealing", results)


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


if __name__ == "__main__":
    main()

"""The whole district once: simulate → intake → delivery to every community → verifier, and a table at the end.

    make full-scale                     1 300 000 residents, 290 000 enterprises, 200 000 events, vaccinations due
    make full-scale RECORDS=20000       the same, smaller: enterprises and events shrink with the residents
    … full_scale.py --library           the same with every cell sealed and opened by the library, value by value: what
                                        sealing by column is beside (printed, not kept)

Everything runs in a throw-away deployment. Memory is the peak of the summed resident memory of all our processes
(simulator, workers, keeper), PostgreSQL apart.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import Memory, Result, machine, show, write

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import Sandbox, holder_of, prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.catalog import Flow
from huanshu.errors import HeldError
from huanshu.exchange.holds import release
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.gate import intake as gate_intake
from huanshu.sealing import columns
from huanshu.sealing.rows import Sealed
from huanshu.settings import Settings

ROOT = Path(__file__).parents[1]
DATASETS = ("resident", "enterprise", "grid_event", "vaccination_due")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table at the end."""

    what: str
    seconds: float
    peak: float
    told: str


class Lines(list[Line]):
    """The table, printed as it grows."""

    @contextmanager
    def timed(self, what: str) -> Iterator[list[str]]:
        told: list[str] = []
        began = time.perf_counter()
        with Memory() as memory:
            yield told
        self.append(Line(what, time.perf_counter() - began, memory.gigabytes, ", ".join(told)))
        self.print(self[-1])

    @staticmethod
    def print(line: Line) -> None:
        print(f"  {line.what:<34}{line.seconds:>8.1f} s {line.peak:>6.2f} GB   {line.told}", flush=True)


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--records", type=int, default=1_300_000, help="residents")
    asked.add_argument("--periods", type=int, default=1)
    asked.add_argument("--folder", type=Path, default=Path("/tmp/huanshu-full"))
    asked.add_argument("--library", action="store_true", help="seal and open value by value")
    given = asked.parse_args()
    print(machine())
    if given.library:
        seal_by_value()
    shutil.rmtree(given.folder, ignore_errors=True)
    try:
        return run(given.records, given.periods, given.folder, keep=not given.library)
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)


def seal_by_value() -> None:
    """Before anybody is forked: the same cells, each by a call of ``cryptography``'s AESSIV."""
    columns._FEW.update(dict.fromkeys(columns._FEW, sys.maxsize))

    def seal_fields(fields: Sequence[Sealed], records: np.ndarray, versions: np.ndarray) -> None:
        for field in fields:
            padded = field.text[:, : field.size]
            columns.seal_padded(field.key, field.context, records, versions, padded, out=field.cells)

    gate_intake.seal_fields = seal_fields


def run(records: int, periods: int, folder: Path, *, keep: bool) -> int:
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, folder / "home" / part)
    settings = Settings(folder / "home", folder / "state", "en")
    lines = Lines()
    with Stack(settings):
        sandbox = prepare(settings)
        for period in range(1, periods + 1):
            extracts = folder / f"extracts-{period}"
            with lines.timed(f"simulate, period {period}") as told:
                told.append(simulate(settings, records, period, extracts))
            for dataset in DATASETS:
                exchange(lines, settings, sandbox, dataset, period, extracts)
            shutil.rmtree(extracts)
        with lines.timed("verifier") as told:
            report = verify_deployment(connect(settings))
            told += [f"{report.entries} entries", f"{report.rows} rows", f"{len(report.problems)} problems"]
    peak = max(line.peak for line in lines)
    whole = sum(line.seconds for line in lines)
    print(f"\n{'':<34}{'seconds':>10} {'peak':>9}")
    for line in lines:
        lines.print(line)
    print(f"  {'all':<34}{whole:>8.1f} s {peak:>6.2f} GB")
    results = [
        Result("full_scale.residents", records, "records"),
        Result("full_scale.seconds", whole, "s"),
        Result("full_scale.peak_rss_gb", peak, "GB", "≤ 3"),
    ]
    show(results)
    if keep and records >= 1_300_000:
        write("full_scale", results)
    return int(bool(report.problems) or peak > 3)


def simulate(settings: Settings, records: int, period: int, folder: Path) -> str:
    command = [
        str(Path(sys.executable).with_name("huanshu")), "simulate", "--out", str(folder), "--residents", str(records),
        "--period", str(period),
    ]  # fmt: skip
    environment = {
        "HUANSHU_HOME": str(settings.home),
        "HUANSHU_STATE": str(settings.state),
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:.0f} MB of extracts"


def exchange(
    lines: Lines, settings: Settings, sandbox: Sandbox, dataset: str, period: int, extracts: Path
) -> None:
    intake, delivery = _flows(sandbox, dataset)
    unsigned = next(extracts.rglob(f"{dataset}.*.unsigned.json"))
    sandbox.sign_extract(intake, unsigned)
    with lines.timed(f"{dataset}, intake {period}") as told:
        ground = connect(settings, holder_of(sandbox.home, intake.accountable_post)).ground()
        outcome = run_intake(ground, intake.flow, f"full-{period}", settings.intake_folder / intake.flow)
        for batch in outcome.batches:
            told.append(f"{batch.good} good, {batch.quarantined} quarantined, {batch.unchanged} unchanged")
    with lines.timed(f"{dataset}, delivery {period}") as told:
        ground = connect(settings, holder_of(sandbox.home, delivery.accountable_post)).ground()
        try:
            outcomes = run_delivery(ground, delivery.flow, f"full-{period}")
        except HeldError:  # of a small district a month's movers are soon more than the flow expects
            release(ground, delivery.flow, "looked at: a small district")
            told.append("held, released")
            outcomes = run_delivery(ground, delivery.flow, f"full-{period}")
        complete_run(ground, delivery.flow, f"full-{period}", outcomes)
        told.append(f"{sum(outcome.state == 'arrived' for outcome in outcomes)} arrived")
        told.append(
            f"{sum(o.upserts for o in outcomes)} upserts, {sum(o.withdrawals for o in outcomes)} withdrawn"
        )


def _flows(sandbox: Sandbox, dataset: str) -> tuple[Flow, Flow]:
    flows = [flow for flow in sandbox.home.flows.values() if flow.dataset == dataset]
    return (
        next(flow for flow in flows if flow.kind == "intake"),
        next(flow for flow in flows if flow.kind == "delivery"),
    )


if __name__ == "__main__":
    raise SystemExit(main())

# ruff: noqa: INP001 - a folder of scripts, no package
"""The two files through the loop, in a deployment of their own, and what of it shows without a key.

The folder of this script is the home, all but ``policies/domains.csv``: ``huanshu domains import`` makes that
from the published table, into a copy. The casbin model and the holidays, which are the same everywhere, come
from the sample home. Every figure of ``Seen`` is read from the log and the stores; only the records opened
and the times are what the runs answered.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from expected import PLAIN
from sender import ASSIGNED, communities, prepared

from huanshu.assembly import Running, Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Flow, Home
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.exchange.tables import receiver_schema
from huanshu.settings import Language, Settings
from huanshu_verify import Options, Report, fsck

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PERSONS, DIVISIONS = "persons_febrl3.csv", "chancheng_divisions.csv"
#: The department that domains.csv gets beside the imported rows; its parent is the one district.
DEPARTMENT = "dept.register,人口登记部门,Register Office,department,{district},"


@dataclass
class Seen:
    """What the log and the stores say."""

    good: int = 0
    quarantined: int = 0
    #: Data row of the extract → the rules that sealed it away.
    quarantine: dict[int, frozenset[str]] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    #: Receiver → rows of PLAIN in its slice.
    slices: dict[str, Counter[tuple[str, ...]]] = field(default_factory=dict)
    #: Record number → subject ordinal in the district, and → token at the receiver.
    ordinals: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    subjects: int = 0
    again: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    opened_again: int = 0
    report: Report = field(default_factory=Report)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - began


def absent(data: Path) -> list[str]:
    """The files that are not there."""
    return [name for name in (PERSONS, DIVISIONS) if not (data / name).is_file()]


def huanshu(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with this interpreter and the package that this script imported."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "huanshu", *arguments],
        capture_output=True, text=True, encoding="utf-8", env=environment, check=False,
    )  # fmt: skip


def make_home(target: Path, divisions: Path) -> Path:
    """A whole home at ``target``: this folder's, with the table's domains. It has passed ``check``."""
    for folder in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(HERE / folder, target / folder)
    shutil.copy(ROOT / "policies" / "model.conf", target / "policies")
    shutil.copy(ROOT / "audit" / "calendar.csv", target / "audit")
    domains = target / "policies" / "domains.csv"
    _succeed(huanshu("domains", "import", str(divisions), "--out", str(domains)))
    # Parents stand first in what was imported, and the district is everybody's parent.
    district = domains.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    with domains.open("a", encoding="utf-8") as file:
        file.write(DEPARTMENT.format(district=district) + "\n")
    _succeed(huanshu("check", str(target)))
    return target


def _succeed(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args[3:])}: {done.stdout}{done.stderr}")


def loop(data: Path, work: Path, language: Language = "zh") -> Seen:
    """Import, intake, delivery to every community, delivery again, verification, all in ``work``."""
    seen = Seen()
    with seen.timed("home"):
        home = make_home(work / "home", data / DIVISIONS)
    settings = Settings(home=home, state=work / "state", language=language)
    stack = Stack(settings)
    with seen.timed("start"):
        stack.__enter__()
    try:
        sandbox = prepare(settings)
        intake, delivery = flows(sandbox.home)
        content = prepared(data / PERSONS, communities(data / DIVISIONS))
        names = [f.name for f in sandbox.home.contracts[intake.dataset].fields]
        sandbox.write_extract(
            intake, "persons.csv", content, sequence=1, period="2026-01", records=content.count(b"\n") - 1,
            extra={
                "dialect": {"skip_initial_space": True},
                "columns": {ASSIGNED if name == "community" else name: name for name in names},
            },
        )  # fmt: skip
        running = connect(settings)
        ground = running.ground()
        with seen.timed("intake"):
            run_intake(ground, intake.flow, "real-1", settings.intake_folder / intake.flow)
        with seen.timed("delivery"):
            outcomes = run_delivery(ground, delivery.flow, "real-1")
        complete_run(ground, delivery.flow, "real-1", outcomes)
        seen.opened = sum(outcome.opened for outcome in outcomes)
        with seen.timed("again"):
            again = run_delivery(ground, delivery.flow, "real-2")
        seen.again = Counter(outcome.state for outcome in again)
        seen.opened_again = sum(outcome.opened for outcome in again)
        with seen.timed("verify"):
            seen.report = _verified(running, stack, delivery)
        _look(seen, running, intake, delivery)
        running.keeper.close()
    finally:
        stack.stop()
    return seen


def flows(home: Home) -> tuple[Flow, Flow]:
    """The intake and the delivery of this home."""
    kinds = {flow.kind: flow for flow in home.flows.values()}
    return kinds["intake"], kinds["delivery"]


def _verified(running: Running, stack: Stack, delivery: Flow) -> Report:
    store = stack.deployment.stores[""]
    return fsck(
        Options(
            stack.deployment.roles["huanshu_app"],
            str(running.keeper.status()["vkey"]),
            (stack.settings.keeper_folder / "head").read_text(),
            dict.fromkeys(delivery.receivers, store),
        )
    )


def _look(seen: Seen, running: Running, intake: Flow, delivery: Flow) -> None:
    """Everything that can be read without a key."""
    dataset = intake.dataset
    with running.district() as district:
        told = next(
            e.body["detail"] for e in read_entries(district) if e.body["event"] == "exchange.intake.promoted"
        )
        seen.good, seen.quarantined = told["good"], told["quarantined"]
        seen.rules, seen.warnings = told["rules"], told["warnings"]
        sealed_away = district.execute("SELECT row, rules FROM district.quarantine")
        seen.quarantine = {row: frozenset(rules) for row, rules in sealed_away}
        seen.subjects = _subjects(district)
        query = f"SELECT rec_id, subjects FROM district.{dataset} WHERE batch_out IS NULL"
        seen.ordinals = {
            rec_id: about[0] for rec_id, about in district.execute(query.encode()) if len(about) == 1
        }
    with running.receiver(delivery.receivers[0]) as store:
        for code in delivery.receivers:
            query = f"SELECT soc_sec_id, {', '.join(PLAIN)} FROM {receiver_schema(code)}.{dataset}"
            rows = store.execute(query.encode()).fetchall()
            seen.slices[code] = Counter(tuple(cell or "" for cell in row[1:]) for row in rows)
            seen.tokens.update({row[1]: bytes(row[0]) for row in rows})


def _subjects(district: psycopg.Connection) -> int:
    row = district.execute("SELECT count(*) FROM district.subject WHERE kind = 'person'").fetchone()
    return int(row[0]) if row else 0

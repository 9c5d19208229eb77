# ruff: noqa: INP001 - a folder of scripts, no package
"""A second home from ``huanshu init --lang en`` and the files of this folder, and the planning notices through it.

    python examples/planning/loop.py FILE

Everything happens in a temporary folder; nothing of the file stays behind. The home is made by the command line and
by copying files: no line of Python is the home's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from recount import recount
from sender import COLUMNS, DISTRICT, divisions, prepared

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.cli.speech import Speech
from huanshu.errors import Text
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.exchange.tables import receiver_schema
from huanshu.settings import Settings
from huanshu_verify import Report

HERE = Path(__file__).resolve().parent
EVENTS = "planning_events_iom.csv"
DATASET = "planning_event"
INTAKE, DELIVERY = f"{DATASET}.planning_to_district", f"{DATASET}.district_to_communities"
#: Files of the new home that belong to its place-holder dataset.
PLACE_HOLDERS = ("expectations/household", "dags/flows", "policies/cases", "policies/rules")
DEPARTMENT = f"dept.planning,规划部门,Planning Office,department,{DISTRICT},\n"


@dataclass
class Seen:
    """What the log and the stores say."""

    good: int = 0
    quarantined: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    #: Receiver's name → references in its slice; and names of authorities that the slice's own rows bear.
    slices: dict[str, set[str]] = field(default_factory=dict)
    authorities: dict[str, set[str]] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    report: Report = field(default_factory=Report)


def huanshu(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line, with this interpreter and the package that this script imported."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if home is not None:
        environment["HUANSHU_HOME"] = str(home)
    return subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "huanshu", "--lang", "en", *arguments],
        capture_output=True, text=True, encoding="utf-8", env=environment, check=False,
    )  # fmt: skip


def make_home(target: Path, events: Path) -> Path:
    """A new home, its place-holders replaced by this folder's files, its domains imported. It has passed ``check``."""
    _succeed(huanshu("init", str(target)))
    for place in PLACE_HOLDERS:
        shutil.rmtree(target / place)
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(HERE / part, target / part, dirs_exist_ok=True)
    table, domains = target.parent / "divisions.csv", target / "policies/domains.csv"
    table.write_text(divisions(events), encoding="utf-8")
    _succeed(huanshu("domains", "import", str(table), "--out", str(domains)))
    with domains.open("a", encoding="utf-8") as file:
        file.write(DEPARTMENT)
    _succeed(huanshu("check", home=target))
    return target


def _succeed(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args[3:])}: {done.stdout}{done.stderr}")


def loop(events: Path, work: Path) -> Seen:
    """Intake, delivery to every local authority, delivery again, verification, all in ``work``."""
    seen = Seen()
    settings = Settings(home=make_home(work / "home", events), state=work / "state", language="en")
    with Stack(settings):
        sandbox = prepare(settings)
        content = prepared(events)
        sandbox.write_extract(
            sandbox.home.flows[INTAKE], "notices.csv", content, sequence=1, period="2024-11",
            records=content.count(b"\n") - 1, extra={"columns": COLUMNS},
        )  # fmt: skip
        running = connect(settings)
        ground = running.ground()
        (batch,) = run_intake(ground, INTAKE, "planning-1", settings.intake_folder / INTAKE).batches
        seen.good, seen.quarantined, seen.rules = batch.good, batch.quarantined, batch.rules
        complete_run(ground, DELIVERY, "planning-1", run_delivery(ground, DELIVERY, "planning-1"))
        seen.again = {outcome.state for outcome in run_delivery(ground, DELIVERY, "planning-2")}
        seen.report = verify_deployment(running)
        for code in sandbox.home.flows[DELIVERY].receivers:
            name = sandbox.home.policies.domains[code].name.en
            with running.receiver(code) as store:
                query = f"SELECT reference, authority FROM {receiver_schema(code)}.{DATASET}"
                rows = store.execute(query.encode()).fetchall()
            seen.slices[name] = {row[0] for row in rows}
            seen.authorities[name] = {row[1] for row in rows}
        running.keeper.close()
    return seen


def main(events: Path) -> int:
    """The screen. 1 when the platform and the file alone do not agree."""
    speech = Speech("en")
    if not events.is_file():
        speech.tell(Text(f"SKIPPED: {events} is not there", f"已跳过：没有 {events}"))
        return 0
    rows, want = recount(events)
    with tempfile.TemporaryDirectory(prefix="huanshu-planning-") as work:
        seen = loop(events, Path(work))
    speech.table(
        Text(f"{rows} notices", f"{rows} 条公示"),
        [Text("local authority", "地方当局"), Text("platform", "平台"), Text("the file alone", "仅据文件")],
        [(name, len(seen.slices.get(name, ())), len(want[name])) for name in sorted(want)],
    )
    return int(seen.slices != want)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

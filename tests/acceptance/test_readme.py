"""What the README promises: the demo through Airflow, and five attempts to cheat it that must fail.

The commands and their answers are read from README.md itself, so the page cannot drift from the product.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole demo

ROOT = Path(__file__).parents[2]
EXIT = {
    "access.request.denied": 5,
    "cheat.log.found": 7,
    "sealing.cell.refused": 7,
    "exchange.flow.unapproved": 5,
}


class Shell:
    """A newcomer's shell in a copy of the sample home, after the demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(ROOT / part, folder / part)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "src"),
            "HUANSHU_STATE": str(folder / "state"),
            "HUANSHU_LANG": "en",
        }

    def huanshu(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "huanshu", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(tmp_path_factory.mktemp("newcomer"))
    shown = made.huanshu("--json", "demo", "--residents", "8000", timeout=420)
    assert shown.returncode == 0, shown.stderr[-2000:]
    made.told = json.loads(shown.stdout)  # type: ignore[attr-defined]
    made.numbers = {f"${name.upper()}": str(n) for name, n in made.told["records"].items()}  # type: ignore[attr-defined]
    return made


def attempts() -> list[tuple[str, str]]:
    """(command, answer) of every ``$`` line in the README's "Try to cheat it"."""
    section = (ROOT / "README.md").read_text().split("## Try to cheat it")[1].split("\n## ")[0]
    return re.findall(r"^\$ (.+)\n(✗ .+)$", section, flags=re.MULTILINE)


def test_the_readme_lists_five_attempts() -> None:
    assert len(attempts()) == 5
    assert {re.search(r"\[([a-z_.]+)\]", answer)[1] for _, answer in attempts()} == set(EXIT)  # type: ignore[index]


def test_the_demo_runs_through_airflow_and_verifies(shell: Shell) -> None:
    told = shell.told  # type: ignore[attr-defined]
    assert told["clean"] is True
    assert told["entries"] > 30
    assert any("Airflow" in step for step in told["seconds"])
    page = Path(told["report"]).read_text()
    assert "990101001003" in page
    assert "SANDBOX" in page


@pytest.mark.parametrize(("command", "answer"), attempts())
def test_cheating_fails_with_the_answer_promised(shell: Shell, command: str, answer: str) -> None:
    changed = shell.folder / "dags/flows/resident.district_to_communities.yaml"
    before = changed.read_bytes()
    try:
        *first, last = [part.strip() for part in command.split(";")]
        for part in first:
            assert part == "echo >> dags/flows/resident.district_to_communities.yaml"
            changed.write_bytes(before + b"\n")
        words = shlex.split(last)
        assert words[0] == "huanshu"
        ended = shell.huanshu(*(shell.numbers.get(word, word) for word in words[1:]))  # type: ignore[attr-defined]
    finally:
        changed.write_bytes(before)
    code = re.search(r"\[([a-z_.]+)\]", answer)[1]  # type: ignore[index]
    assert f"[{code}]" in ended.stderr
    assert ended.returncode == EXIT[code]
    said = " ".join(ended.stderr.split())
    for piece in re.split(r"…", answer.split(" [")[0]):
        assert " ".join(piece.split()) in said


def test_the_honest_read_beside_them_works(shell: Shell) -> None:
    """The legitimate twin: without it, five refusals would prove nothing."""
    told = shell.huanshu(
        "--json", "--as", "p.tang", "record", "read", "resident", "--domain", "990101001001", "--post",
        "yulan.data_clerk", "--purpose", "grassroots_service", "--fields", "name,citizen_number:mask", "--record",
        shell.numbers["$OWN"],  # type: ignore[attr-defined]
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    values = json.loads(told.stdout)["values"]
    assert values["name"]
    assert "*" in values["citizen_number"]


def test_tampering_was_put_back(shell: Shell) -> None:
    ended = shell.huanshu("--json", "verify")
    assert ended.returncode == 0, ended.stdout
    assert json.loads(ended.stdout)["problems"] == []


def test_no_resident_lies_in_airflow_or_the_databases(shell: Shell) -> None:
    """Invariant 2, through real Airflow: its metadata database, its logs, the stores, the WAL, the reports."""
    state = shell.folder / "state"
    extract = (state / "intake/resident.psb_to_district").glob("*.csv")
    rows = list(csv.DictReader(io.StringIO(next(iter(sorted(extract))).read_bytes().decode("utf-8"))))
    phones = [row["phone"] for row in rows if len(row["phone"]) == 11][:10]
    numbers = [row["citizen_number"] for row in rows[:10]]
    names = [row["name"] for row in rows if len(row["name"]) >= 3][:10]
    assert len(phones) == len(numbers) == len(names) == 10
    needles = [value.encode() for value in (*phones, *numbers, *names)]
    searched = [path for path in state.rglob("*") if path.is_file() and "intake" not in path.parts]
    assert any("airflow" in path.parts and path.suffix == ".log" for path in searched)
    assert any("pg_wal" in path.parts for path in searched)
    hits = []
    for path in searched:
        raw = path.read_bytes()
        hits += [(str(path), needle[:2]) for needle in needles if needle in raw]
    assert hits == []

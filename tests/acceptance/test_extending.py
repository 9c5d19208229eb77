"""docs/extending.md, followed to the letter by somebody who has only the page; then each file left out in turn.

The blocks are taken from the page: ``sh`` is run, a block with a path is written to it. The home is the sample
district without ``vaccination_due``, in a sandbox that was running before the exchange existed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from huanshu.assembly import Stack, connect
from huanshu.assembly.checking import access_cases, flow_rules
from huanshu.assembly.sandbox import prepare
from huanshu.auditlog import Signer, create_signing_key
from huanshu.auditlog.reader import read_entries
from huanshu.authoring.planning import outline
from huanshu.canonical import canonical
from huanshu.catalog import read_home
from huanshu.cli.context import CONTEXT, hoist
from huanshu.cli.entry import app
from huanshu.conformance import check_home
from huanshu.drill.rehearsal import rehearse
from huanshu.errors import ContentError
from huanshu.exchange.tables import receiver_schema
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
DATASET = "vaccination_due"
INTAKE, DELIVERY = f"{DATASET}.health_to_district", f"{DATASET}.district_to_communities"
#: Another dataset of the sample district, which only costs time here.
SPARED = ("enterprise",)


def without_the_exchange(target: Path) -> Path:
    """The sample home as it was before anybody thought of vaccinations (and without one dataset more)."""
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, target / part)
    for dataset in (DATASET, *SPARED):
        shutil.rmtree(target / "expectations" / dataset)
        for file in [*target.glob(f"dags/flows/{dataset}.*"), target / f"policies/cases/{dataset}.csv"]:
            file.unlink()
        for sheet in [*target.glob("policies/rules/*.csv"), *target.glob("policies/cases/*.csv")]:
            lines = sheet.read_text("utf-8").splitlines(keepends=True)
            sheet.write_text("".join(line for line in lines if dataset not in line), "utf-8")
        purposes = target / "policies/purposes.yaml"
        purposes.write_text(re.sub(rf",? *\b{dataset}\b", "", purposes.read_text("utf-8")), "utf-8")
    assert not [p for p in target.rglob("*.csv") if DATASET in p.read_text("utf-8")]
    return target


def blocks() -> list[tuple[str, str, str]]:
    """(language, path or "", text) of every block of the page that is to be followed."""
    found = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) > 12
    return [(language, path, text) for language, path, text in found if language == "sh" or path]


@dataclass
class Followed:
    """The home when the page was at its end, and what the commands said."""

    home: Path
    settings: Settings
    told: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    work = tmp_path_factory.mktemp("extending")
    seen = Followed(without_the_exchange(work / "home"), Settings(work / "home", work / "state", "en"))
    create_signing_key(work / "health.key")
    with Stack(seen.settings), pytest.MonkeyPatch.context() as patch:
        prepare(seen.settings)
        patch.chdir(seen.home)
        for name, value in {
            "HUANSHU_HOME": seen.home, "HUANSHU_STATE": seen.settings.state, "HUANSHU_LANG": "en", "COLUMNS": 200,
            "KEY": Signer.load(work / "health.key").public_key.hex(), "FOLDER": work / "extract",
        }.items():  # fmt: skip
            patch.setenv(name, str(value))
        for language, path, text in blocks():
            if language != "sh":
                (seen.home / path).parent.mkdir(parents=True, exist_ok=True)
                (seen.home / path).write_text(text, "utf-8")
                seen.written.append(path)
                continue
            if "flow run" in text:
                seen.sent = _extract(work)
            for line in text.replace("\\\n", " ").splitlines():
                seen.told.append(_done(line))
        yield seen


def _done(line: str) -> str:
    """One line of a ``sh`` block. Ours run in this process: each import of the quality engine costs seconds."""
    if not line.startswith("huanshu "):
        return subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout
    words = shlex.split(os.path.expandvars(line))
    CONTEXT._settings = None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        left = app(hoist(words[1 : words.index(">") if ">" in words else None]), standalone_mode=False)
    assert not left, f"{line}: exit code {left}\n{said.getvalue()}"
    if ">" in words:
        Path(words[-1]).write_text(said.getvalue(), "utf-8")
    return said.getvalue()


def _extract(work: Path) -> Counter[str]:
    """What the bureau sends: simulated, and signed with its key. Records by community."""
    _done(f"huanshu simulate --dataset {DATASET} --defects 0 --out {work / 'extract'}")
    (unsigned,) = (work / "extract").glob("*.unsigned.json")
    said = json.loads(unsigned.read_text("utf-8"))
    said["signature"] = Signer.load(work / "health.key").sign(canonical(said)).hex()
    (work / "extract" / f"{DATASET}.manifest.json").write_text(json.dumps(said), "utf-8")
    with (work / "extract" / said["file"]).open(encoding=said["encoding"], newline="") as file:
        return Counter(row["community"] for row in csv.DictReader(file))


def test_the_children_are_where_they_live(followed: Followed) -> None:
    running = connect(followed.settings)
    assert followed.sent.total() > 20
    arrived: Counter[str] = Counter()
    for code in running.home.flows[DELIVERY].receivers:
        with running.receiver(code) as store:
            table = f"{receiver_schema(code)}.{DATASET}"
            if store.execute("SELECT to_regclass(%s)", (table,)).fetchone() != (None,):
                arrived[code] = store.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0]
    assert +arrived == followed.sent
    with running.district() as district:
        entries = [e.body for e in read_entries(district) if e.event == "exchange.delivery.arrived"]
    assert {e["domain"] for e in entries if e["dataset"] == DATASET} == set(followed.sent)


def test_only_the_guardian_is_revealed(followed: Followed) -> None:
    fields = read_home(followed.home).flows[DELIVERY].fields
    assert {name for name, rung in fields.items() if rung.word == "mask"} == {
        "citizen_number",
        "name",
        "birth_date",
    }
    assert "vaccine" not in fields
    rehearsed = next(told for told in followed.told if "rehearsed" in told)
    assert "韩艳刚" in rehearsed
    assert "10052202981" in rehearsed
    assert "韩梅" not in rehearsed
    assert "NOT CAUGHT" not in rehearsed


def test_the_plan_counts_subjects(followed: Followed) -> None:
    planned = next(told for told in followed.told if "approved until" in told)
    code, many = followed.sent.most_common(1)[0]
    (row,) = [line for line in planned.splitlines() if code in line]
    cells = [cell.strip() for cell in row.split("│") if cell.strip()]
    assert cells[2:5] == [str(many)] * 3
    assert "approved until 2027-06-30" in planned
    assert "→" not in planned  # adopted, approved: nothing is left to do


def _table() -> dict[str, str]:
    """What the page says is answered when a file (or its lines) is left out."""
    rows = re.findall(
        r"^\| (?:the lines of )?`([^`|]+/[^`|]+)` \| `([a-z._]+)`", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return dict(rows)


def test_the_table_names_every_file_that_was_written(followed: Followed) -> None:
    table = _table()
    assert len(table) == 14
    assert set(followed.written) <= set(table)
    assert {f"dags/flows/{INTAKE}.yaml", f"dags/flows/{DELIVERY}.yaml", "policies/purposes.yaml"} <= set(
        table
    )


@pytest.mark.parametrize("place", _table())
def test_a_file_left_out_is_named(followed: Followed, tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(followed.home / part, home / part)
    if place.startswith("policies/") and "/cases/" not in place:
        before = without_the_exchange(tmp_path / "before") / place
        shutil.copy(before, home / place)
    else:
        (home / place).unlink()
    told = "\n".join(_answers(home, place))
    assert _table()[place] in told
    assert place in told or "huanshu flow new vaccination_due --from dept.health" in told, told


def _answers(home: Path, place: str) -> list[str]:
    """The command that the page says next: ``check``; for a flow, ``plan`` of the delivery and ``rehearse``."""
    if not place.startswith("dags/"):
        return [p.explain("en") for p in check_home(home, extra=(access_cases, flow_rules))]
    with pytest.raises(ContentError) as raised:
        _flow_commands(home)
    return [raised.value.explain("en")]


def _flow_commands(home: Path) -> None:
    outline(home, DELIVERY, datetime.now(UTC))
    rehearse(home, DELIVERY, datetime.now(UTC))

"""``huanshu access`` as people use it: from files alone, in both languages and as JSON, with exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from huanshu.cli.context import CONTEXT, hoist
from huanshu.cli.entry import app
from huanshu.errors import HuanshuError

ROOT = Path(__file__).parents[2]
CASES = "policies/cases/community.csv"


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with one rung higher."""
    folder = tmp_path_factory.mktemp("draft")
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, folder / part)
    rules = folder / "policies/rules/community.csv"
    old = "p, 100, data_clerk, own, resident, citizen_number, grassroots_service, mask"
    text = rules.read_text("utf-8")
    assert text.count(old) == 1
    rules.write_text(text.replace(old, old.removesuffix("mask") + "reveal"), "utf-8")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def said(line: list[str], home: Path = ROOT) -> tuple[int, str]:
        monkeypatch.setenv("HUANSHU_HOME", str(home))
        monkeypatch.setenv("HUANSHU_STATE", str(tmp_path))
        monkeypatch.setenv("COLUMNS", "200")
        CONTEXT._settings = None
        result = CliRunner().invoke(app, hoist(line))
        if isinstance(result.exception, HuanshuError):
            return result.exception.exit_code, result.exception.explain("en")
        return result.exit_code, result.output

    return said


def test_plan_of_two_folders(run: Any, draft: Path) -> None:
    code, said = run(["--json", "access", "plan", str(ROOT), str(draft)])
    told = json.loads(said)
    assert code == 0
    assert told["widens"]
    assert told["extent"]["gains"]["domains"] == 146
    assert told["extent"]["gains"]["fields"] == 1
    assert told["losses"] == []
    assert run(["access", "plan", str(ROOT), str(draft), "--hash"]) == (0, told["hash"] + "\n")
    code, said = run(["--lang", "en", "access", "plan", str(ROOT), str(draft)])
    assert f"hash {told['hash']}" in said
    assert "146 domains" in said
    assert json.loads(run(["--json", "access", "plan", str(ROOT), str(ROOT)])[1])["widens"] is False


def test_test_and_lint(run: Any, draft: Path) -> None:
    assert run(["access", "test"])[0] == 0
    code, said = run(["--json", "access", "test"], draft)
    assert code == 3  # a case denies what the draft allows
    assert any(CASES in failed["where"] for failed in json.loads(said)["failed"])
    code, said = run(["--json", "access", "lint"])
    assert code == 0
    assert {oddity["kind"] for oddity in json.loads(said)["oddities"]} <= {"expired"}


def test_who_and_what(run: Any) -> None:
    here = ["--on", "2026-06-01"]
    code, said = run(["--json", "access", "who", "resident", "phone", "--domain", "990101001001", *here])
    assert code == 0
    assert "p.tang" in {sight["person"] for sight in json.loads(said)["sights"]}
    code, said = run(["--json", "access", "what", "p.tang", *here])
    sights = json.loads(said)["sights"]
    assert {sight["post"] for sight in sights} == {"yulan.data_clerk"}
    assert ("phone", "resident") in {(sight["field"], sight["dataset"]) for sight in sights}
    assert json.loads(run(["--json", "access", "what", "p.tang", "--on", "2020-01-01"])[1])["sights"] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["access", "who", "resident", "phnoe"], "phone"),
        (["access", "who", "residnet", "phone"], "resident"),
        (["access", "what", "p.tagn"], "p.tang"),
        (["access", "what", "p.tang", "--on", "1. June"], "2026-07-01"),
    ],
)
def test_a_word_that_names_nothing(run: Any, line: list[str], told: str) -> None:
    code, said = run(line)
    assert code == 4
    assert told in said

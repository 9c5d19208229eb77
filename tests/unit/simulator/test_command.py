"""``huanshu simulate`` as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from huanshu.cli.context import CONTEXT, hoist
from huanshu.cli.entry import app
from huanshu.errors import InputError

ROOT = Path(__file__).parents[3]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "huanshu", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HUANSHU_HOME": str(home), "HUANSHU_LANG": "en"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_json_names_what_was_written(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(
        home,
        "simulate",
        "--out",
        str(out),
        "--residents",
        "400",
        "--dataset",
        "resident",
        "--format",
        "gb18030",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["dataset"] == "resident"
    assert Path(told["file"]).read_bytes().decode("gb18030").count("\n") == told["rows"] + 1
    truth = json.loads(Path(told["truth"]).read_text())
    assert sum(1 for d in truth["defects"] if d["rules"]) == told["defects"] > 10


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--format", "cvs"), "simulator.format.unknown"),
        (("--dataset", "residents"), "simulator.dataset.unknown"),
        (("--residents", "5"), "simulator.scale.small"),
        (("--swap", "990101001001"), "simulator.swap.malformed"),
        (("--swap", "990101001001,990101001999"), "simulator.swap.unknown"),
    ],
)
def test_a_wrong_argument_is_an_error_and_leaves_nothing(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: what ``main`` would turn into words and exit code 4."""
    monkeypatch.setenv("HUANSHU_HOME", str(home))
    monkeypatch.setattr(CONTEXT, "_settings", None)
    out = tmp_path / "out"
    with pytest.raises(InputError) as raised:
        app(hoist(["simulate", "--out", str(out), *arguments]))
    assert raised.value.code == code
    assert not out.exists()

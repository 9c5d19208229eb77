"""When a delivery task is tried again: while everybody who failed was merely away, and never after a denial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="the airflow extra is not installed")

ROOT = Path(__file__).parents[3]
SCRIPT = """
import warnings
warnings.simplefilter("ignore")
from types import SimpleNamespace
from huanshu.airflow import tasks
from huanshu.errors import DeniedError, InputError, Text, UnavailableError
from huanshu.exchange.runs import Failure

away = Failure("a", UnavailableError("store.server.unreachable", Text("away", "不可达")))
denied = Failure("b", DeniedError("access.request.denied", Text("no", "否")))
wrong = Failure("c", InputError("x.y.z", Text("bad", "坏")))
for number in (1, 2, 3):
    tasks.get_current_context = lambda: {"ti": SimpleNamespace(try_number=number, max_tries=2)}
    print(number, *(tasks._worth_another_try(f) for f in ([away], [away, denied], [denied], [away, wrong])))
"""


def test_a_denial_is_never_tried_again(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines() == [
        "1 True False False False",
        "2 True False False False",
        "3 False False False False",
    ]

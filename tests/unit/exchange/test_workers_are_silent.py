"""What a worker fails with may quote a resident's value: its words go nowhere, whether it was forked or lives here."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from huanshu.errors import UnavailableError
from huanshu.exchange.workers import Report, Workers

SECRET = "990101199001010018"


class Careless:
    def __init__(self, report: Report) -> None:
        self.report = report

    def fail(self) -> None:
        raise ValueError(f"cannot parse {SECRET}")


@pytest.mark.parametrize("count", [1, 2])
def test_a_foreign_error_is_told_by_its_class_alone(count: int) -> None:
    with (
        Workers([Careless] * count, lambda _: None) as workers,
        pytest.raises(UnavailableError, match=r"exchange\.worker\.failed") as failed,
    ):
        workers.ask("fail", [()] * count)
    told = "".join(traceback.format_exception(failed.value))
    assert "ValueError" in told
    assert SECRET not in told


def test_a_process_that_connects_leaves_no_core_file() -> None:
    """It may hold keys and an extract in plain, and its workers inherit the limit."""
    script = (
        "import resource as r\nfrom huanshu.assembly.running import connect\n"
        "hard = r.getrlimit(r.RLIMIT_CORE)[1]\nr.setrlimit(r.RLIMIT_CORE, (hard, hard))\n"
        "try:\n    connect(None)\nexcept AttributeError:\n    pass\nprint(r.getrlimit(r.RLIMIT_CORE))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(0, 0)"

"""What nobody foresaw: an exception whose own words hold a citizen number reaches nobody with them.

Each face is run as the process it is; beside the number, the class and the place must be there, or nothing was tested.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

from huanshu import defects
from huanshu.errors import DefectError, HeldError, HuanshuError, Text, Where
from huanshu.exchange.runs import RunError
from huanshu.keeper.client import Keeper
from huanshu.keeper.server import Server

ROOT = Path(__file__).parents[3]
NUMBER = "440604195001010023"
#: With the number in its text, in its cause and in a local variable.
CARELESS = f"""
import sys
class Careless({{base}}):
    pass
def fault(*_, **__):
    number = "{NUMBER}"
    try:
        int("x" + number)
    except ValueError as first:
        raise Careless("cannot read " + number) from first
"""
LINE = f"""
{CARELESS}
from huanshu.cli import entry
entry.checks.check_home = fault
sys.argv = ["huanshu", *{{arguments}}]
entry.main()
"""


def run(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": str(ROOT / "src"),
        "AIRFLOW_HOME": str(cwd / "airflow"),
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "HUANSHU_HOME": str(ROOT), "HUANSHU_STATE": str(cwd)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def command_line(cwd: Path, *arguments: str, base: str = "RuntimeError") -> subprocess.CompletedProcess[str]:
    return run(LINE.format(base=base, arguments=["check", *arguments]), cwd)


@pytest.mark.parametrize(
    ("base", "arguments"),
    [
        ("RuntimeError", ()),
        ("RuntimeError", ("--json",)),
        ("RuntimeError", ("--frames", "--lang", "en")),
        ("BaseException", ("--lang", "en")),  # as a panic of a Rust library is
    ],
)
def test_the_command_line_says_class_and_place(tmp_path: Path, arguments: tuple[str, ...], base: str) -> None:
    ended = command_line(tmp_path, *arguments, base=base)
    said = ended.stdout + ended.stderr
    assert ended.returncode == DefectError.exit_code == 9, said
    assert "Careless" in said
    assert "huanshu.cli.checks:" in said
    assert "program.defect.unforeseen" in said
    assert NUMBER not in said
    assert "Traceback" not in said
    if "--json" in arguments:
        assert json.loads(ended.stdout)["error"]["code"] == "program.defect.unforeseen"
    # A developer's view has every call and the first cause, and no more than names.
    assert ("ValueError" in said) is ("--frames" in arguments)
    assert ("huanshu.cli.entry:" in said) is ("--frames" in arguments)


@pytest.mark.parametrize(
    "way",
    [
        "threading.Thread(target=fault).start()",
        "type('Late', (), {'__del__': fault})()",
        "logging.getLogger('x').error('%d', Told())",
        "fault()",
    ],
)
def test_what_python_itself_would_print_is_silent(tmp_path: Path, way: str) -> None:
    script = (
        CARELESS.format(base="RuntimeError")
        + "import logging, threading\nfrom huanshu.defects import silence\n"
        + f"class Told:\n    __str__ = lambda self: '{NUMBER}'\n    __repr__ = __str__\nlogging.basicConfig()\n"
    )
    loud, silent = run(script + way, tmp_path), run(f"{script}silence()\n{way}", tmp_path)
    assert NUMBER in loud.stderr  # or there would be nothing to keep silent
    assert NUMBER not in silent.stderr + silent.stdout


TASK = f"""
import warnings
warnings.simplefilter("ignore")
{CARELESS}
import contextlib, structlog, traceback
from huanshu.airflow import tasks
from airflow.sdk.exceptions import AirflowTaskTimeout, AirflowSkipException
from airflow.sdk._shared.logging.structlog import structlog_processors
tasks._triggered_by = lambda: None  # there is no run here
tasks.connect = lambda *_, **__: fault()
if {{interrupts}}:
    def interrupted(*_, **__):
        try:
            fault()
        except Careless:
            raise AirflowTaskTimeout("Timeout")
    tasks.connect = interrupted
try:
    tasks.coverage("a.b")
except BaseException as error:
    print(type(error).__name__)
    traceback.print_exception(error)
    # as Airflow's own log renders it: a document, cause by cause
    form = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(use_rich=False, show_locals=False))
    print(form(None, "error", {{{{"exc_info": error}}}}))
"""


@pytest.mark.parametrize("interrupts", [False, True])
def test_a_task_s_log_has_class_and_place(tmp_path: Path, interrupts: bool) -> None:
    pytest.importorskip("airflow", reason="the airflow extra is not installed")
    ended = run(TASK.format(base="RuntimeError", interrupts=interrupts), tmp_path)
    said = ended.stdout + ended.stderr
    assert ended.stdout.startswith("AirflowTaskTimeout" if interrupts else "AirflowFailException"), said
    assert interrupts or "Careless at huanshu." in said
    assert NUMBER not in said


class Faulty:
    """A service with a fault in it, where the real one has its sealed values in hand."""

    def status(self, *_: object) -> None:
        number = NUMBER
        try:
            int(f"x{number}")
        except ValueError as error:
            raise RuntimeError(f"cannot open {number}") from error

    def tend(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Nothing is held."""


def test_the_keeper_answers_and_logs_class_and_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path / "k.sock", Faulty())  # type: ignore[arg-type]
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        with pytest.raises(DefectError) as caught:
            Keeper(tmp_path / "k.sock").status()
    finally:
        server.shutdown()
        server.server_close()
    told = "".join(traceback.format_exception(caught.value)) + caught.value.explain("zh") + caplog.text
    assert told.count("RuntimeError at") == 2  # the answer and the keeper's log
    assert "huanshu.keeper.server:" in told
    assert NUMBER not in told


@pytest.mark.parametrize("family", [*HuanshuError.__subclasses__(), HeldError, RunError])
def test_an_error_crosses_from_a_worker_to_its_parent(family: type[HuanshuError]) -> None:
    sent = family.__new__(family)
    HuanshuError.__init__(sent, "a.b.c", Text("what", "何事"), remedy=Text("do", "做"), where=Where("f", 3))
    sent.__cause__ = ValueError(NUMBER)
    raw = pickle.dumps(sent)
    arrived = pickle.loads(raw)
    assert (type(arrived), arrived.as_json()) == (family, sent.as_json())
    assert NUMBER.encode() not in raw


def test_what_is_not_shaped_like_a_name_is_not_repeated() -> None:
    made = type(f"E {NUMBER}", (Exception,), {})
    assert defects.kind_of(made()) == "?"
    assert NUMBER not in "\n".join(defects.frames(made()))

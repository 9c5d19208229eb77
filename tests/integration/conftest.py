"""The command line over a range, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest

from huanshu.cli import context, main
from huanshu.settings import Settings

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """``command(settings, line, stdin="")`` → exit code and JSON answer."""

    def run(settings: Settings, line: str, stdin: str = "") -> tuple[int, Any]:
        monkeypatch.setenv("HUANSHU_HOME", str(settings.home))
        monkeypatch.setenv("HUANSHU_STATE", str(settings.state))
        monkeypatch.setattr(sys, "argv", [*shlex.split(line), "--json", "--lang", "en"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(context.CONTEXT, "_settings", None)
        out = io.StringIO()
        code = 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, json.loads(out.getvalue()) if out.getvalue() else None

    assert "HUANSHU_HOME" not in os.environ
    return run

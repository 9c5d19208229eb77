"""The command line in this process: its start alone costs a second or two, and nothing here is about processes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from huanshu.cli.context import CONTEXT, hoist
from huanshu.cli.entry import app


@pytest.fixture
def huanshu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``huanshu(home, *words)`` → what it printed. Errors are raised."""

    def run(home: Path, *words: str) -> str:
        monkeypatch.setenv("HUANSHU_HOME", str(home))
        monkeypatch.setattr(CONTEXT, "_settings", None)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert not app(hoist(["--lang", "en", *words]), standalone_mode=False)
        return said.getvalue()

    return run

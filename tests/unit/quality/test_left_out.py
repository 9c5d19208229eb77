"""What the library's import leaves out is there again afterwards."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from huanshu.quality.engine import _left_out


def test_a_module_is_left_out_for_an_import_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seen_nowhere_else.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with _left_out("seen_nowhere_else"), pytest.raises(ImportError):
        import_module("seen_nowhere_else")
    assert import_module("seen_nowhere_else")


def test_what_was_imported_before_stays() -> None:
    with _left_out("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json

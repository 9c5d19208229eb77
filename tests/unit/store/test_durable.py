"""A file is there whole, for whom it is meant, or as it was."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from huanshu.store import durable


def test_it_replaces_whole_and_nobody_else_may_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    durable.write_whole(path, b"one")
    (tmp_path / ".secret.new").write_bytes(b"of a killed run")
    (tmp_path / ".secret.new").chmod(0o666)
    durable.write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_killed_before_the_rename_the_file_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    durable.write_whole(path, b"one")
    monkeypatch.setattr(Path, "rename", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    if (child := os.fork()) == 0:
        durable.write_whole(path, b"two")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_bytes() == b"one"
    monkeypatch.undo()
    durable.write_whole(path, b"three")
    assert path.read_bytes() == b"three"

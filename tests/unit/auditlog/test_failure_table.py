"""The failure table of an append: each write × {not persisted, persisted anyway}, then start again.

What must hold whatever failed: no acknowledged entry is lost; no two checkpoints of one size were ever shown;
an entry that was not acknowledged is in the log under our signature, or it is nowhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from huanshu.auditlog import LogWriter
from huanshu.errors import UnavailableError
from huanshu.store import connect
from huanshu_verify import Options, fsck

ORIGIN = "qinghe.example/huanshu"


def require_law(ground: Any, acknowledged: list[Any], writer: LogWriter) -> None:
    """The three sentences above, and the outside verifier's word for the whole."""
    leaves = [bytes(leaf) for (leaf,) in ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    assert [a.entry.leaf for a in acknowledged] == [leaves[a.entry.index] for a in acknowledged]
    assert writer.size == len(leaves)
    report = fsck(Options(ground.tamper_url, writer.vkey, ground.head.read()))
    assert report.clean, report.problems
    assert report.entries == len(leaves)


@pytest.mark.parametrize("fails", ["not persisted", "persisted anyway"])
def test_the_head_cannot_be_written(ground: Any, simulated: Any, make_draft: Any, fails: str) -> None:
    writer = ground.started()
    acknowledged = writer.append([make_draft(0)])
    simulated.fails = fails
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.unwritable"):
        writer.append([make_draft(1), make_draft(2)])
    with pytest.raises(UnavailableError):  # poisoned: nothing before a new start
        writer.append([make_draft(9)])
    simulated.fails = None
    assert [entry.index for entry, _ in ground.recover(writer)] == [1, 2]
    acknowledged += writer.append([make_draft(3)])
    assert acknowledged[-1].entry.index == 3
    require_law(ground, acknowledged, writer)


@pytest.mark.parametrize("fails", ["not persisted", "persisted anyway"])
def test_the_head_cannot_be_written_and_the_process_dies(
    ground: Any, simulated: Any, make_draft: Any, fails: str
) -> None:
    writer = ground.started()
    acknowledged = writer.append([make_draft(0)])
    simulated.fails = fails
    with pytest.raises(UnavailableError):
        writer.append([make_draft(1)])
    writer.close()
    simulated.fails = None
    again = ground.started()
    assert again.size == 2  # signed by us: adopted
    require_law(ground, acknowledged + again.append([make_draft(2)]), again)


class Breaking:
    """A connection whose COMMIT is lost on the way: before it reached the server, or on the way back."""

    def __init__(self, inner: psycopg.Connection, kill: Callable[[int], None]) -> None:
        self._inner, self._kill, self.breaks = inner, kill, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def transaction(self) -> Any:
        breaking = self

        class Transaction:
            def __enter__(self) -> None:
                self.real = breaking._inner.transaction()
                self.real.__enter__()

            def __exit__(self, *raised: Any) -> None:
                pid = breaking._inner.info.backend_pid
                if breaking.breaks == "not persisted":
                    breaking._kill(pid)
                self.real.__exit__(*raised)
                if breaking.breaks == "persisted anyway":
                    breaking._kill(pid)
                    breaking._inner.execute("SELECT 1")

        return Transaction()


@pytest.mark.parametrize(("fails", "adopted"), [("not persisted", 0), ("persisted anyway", 2)])
@pytest.mark.parametrize("dies", [False, True], ids=["recover", "start again"])
def test_the_commit_is_unclear(ground: Any, make_draft: Any, fails: str, adopted: int, dies: bool) -> None:
    def kill(pid: int) -> None:
        with connect(ground.tamper_url) as admin:
            assert admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)

    opened: list[Breaking] = []

    def breaking() -> Any:
        opened.append(Breaking(connect(ground.keeper_url), kill))
        return opened[-1]

    writer = LogWriter(breaking, ground.signer, ORIGIN, ground.head, ground.clock)
    list(writer.start())
    acknowledged = writer.append([make_draft(0)])
    opened[0].breaks = fails  # the session that commits
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.unwritable"):
        writer.append([make_draft(1), make_draft(2)])
    head = ground.signer.read_checkpoint(ORIGIN, ground.head.read())
    assert head.size == 1  # nothing unclear was shown
    if dies:
        writer.close()
        writer = ground.started()
    else:
        assert len(ground.recover(writer)) == adopted
    acknowledged += writer.append([make_draft(3)])
    assert writer.size == 1 + adopted + 1
    require_law(ground, acknowledged, writer)
    writer.close()


def test_a_killed_backend_loses_nothing_acknowledged(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    acknowledged = writer.append([make_draft(0)])
    with connect(ground.tamper_url) as admin:
        killed = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'huanshu_keeper'"
        ).fetchall()
    assert killed == [(True,), (True,)]
    with pytest.raises(UnavailableError):
        writer.append([make_draft(1)])
    assert ground.recover(writer) == []
    acknowledged += writer.append([make_draft(1)])
    require_law(ground, acknowledged, writer)


def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged(ground: Any) -> None:
    """SIGKILL, five times, at moments that differ."""
    src = Path(__file__).parents[3] / "src"
    said: dict[int, str] = {}
    for turn in range(5):
        child = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("appender_process.py")),
                ground.keeper_url,
                ground.folder,
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(src)},
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.01 + 0.013 * turn)
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                index, _, hashed = line.strip().partition(" ")
                assert int(index) not in said
                said[int(index)] = hashed
        _until_backend_gone(ground)
    assert len(said) > 5
    writer = ground.started()
    stored = dict(ground.rows("SELECT index, encode(leaf_hash, 'hex') FROM log.entry"))
    assert said.items() <= stored.items()
    require_law(ground, [], writer)


def _until_backend_gone(ground: Any) -> None:
    for _ in range(200):
        if not ground.rows("SELECT 1 FROM pg_stat_activity WHERE usename = 'huanshu_keeper'"):
            return
        time.sleep(0.02)
    raise AssertionError("the killed writer's session is still there")

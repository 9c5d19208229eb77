"""The publisher fails at its system calls: EIO, ENOSPC or SIGKILL at the n-th of a kind, by strace.

Whatever fails and when, the folder holds an earlier checkpoint or the new one, whole, and the verifier reads it alone; the
next attempt brings it to the head. Nothing of the log itself is touched by any of it.

``make faults`` strikes at every call; here once for each kind and fault. Skipped, loudly, where there is no strace or it may not trace.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from district import ROOT

from huanshu.auditlog import (
    Draft,
    HeadFile,
    LogWriter,
    PublishedLog,
    Publisher,
    Signer,
    create_head,
    create_signing_key,
)
from huanshu.store import connect
from huanshu_verify import Options, fsck

ORIGIN = "qinghe.example/huanshu"
KINDS = ("openat", "write", "fsync", "rename", "mkdir", "close")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
#: Sizes published before and after: a first publication, a partial tile that grows, one that is filled, two of them.
STEPS = ((0, 40), (40, 90), (90, 300), (300, 900))


class Place:
    """A log in PostgreSQL, heads of several sizes, and a process that publishes when told."""

    def __init__(self, urls: dict[str, str], folder: Path) -> None:
        self.urls, self.folder = urls, folder
        create_signing_key(folder / "log.key")
        self.signer = Signer.load(folder / "log.key")
        head = HeadFile(folder / "head")
        create_head(self.signer, ORIGIN, head)
        writer = LogWriter(
            lambda: connect(urls["huanshu_keeper"]), self.signer, ORIGIN, head, lambda: datetime.now(UTC)
        )
        list(writer.start())
        for size in sorted({size for step in STEPS for size in step} - {0}):
            writer.append([_entry(n) for n in range(writer.size, size)])
            (folder / f"head.{size}").write_text(str(head.read()))
        writer.close()
        self._publishing = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("publishing.py")), urls["huanshu_keeper"], str(folder), ORIGIN],
            env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def close(self) -> None:
        with self._publishing as publishing:
            assert publishing.stdin is not None
            publishing.stdin.close()
            publishing.wait(10)

    def before(self, size: int) -> Path:
        """A folder as it was after the publication up to ``size``."""
        kept, fresh = self.folder / f"published.{size}", self.folder / "published"
        shutil.rmtree(fresh, ignore_errors=True)
        if not size:
            return fresh
        if not kept.exists():
            self.publish(kept, size)
        shutil.copytree(kept, fresh)
        return fresh

    def publish(self, folder: Path, size: int) -> None:
        publisher = Publisher(
            PublishedLog(folder), lambda: connect(self.urls["huanshu_keeper"]),
            lambda note: self.signer.read_checkpoint(ORIGIN, note),
        )  # fmt: skip
        publisher.publish((self.folder / f"head.{size}").read_text())
        publisher.close()

    def struck(self, folder: Path, size: int, *options: str) -> tuple[int, str]:
        """Publish in the other process under strace with these options: its end, and what strace saw."""
        publishing = self._publishing
        assert publishing.stdin is not None
        assert publishing.stdout is not None
        print(folder, self.folder / f"head.{size}", file=publishing.stdin, flush=True)
        child = int(publishing.stdout.readline())
        seen = self.folder / "strace.out"
        command = ["strace", "-p", str(child), "-f", "-y", "-o", str(seen), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracing:
            assert tracing.stderr is not None
            attached = tracing.stderr.readline()
            print(file=publishing.stdin, flush=True)
            ended = int(publishing.stdout.readline())
            tracing.wait(20)
        if "attached" not in attached:
            pytest.skip(f"strace may not trace here: {attached.strip()}")
        return ended, seen.read_text()

    def verified(self, folder: Path) -> int:
        """The size that the folder shows, read by the verifier alone; 0 when nothing is published."""
        if not (folder / "checkpoint").exists():
            return 0
        report = fsck(Options(vkey=self.signer.vkey(ORIGIN), published=folder))
        assert report.clean, report.problems
        return report.size


def _entry(number: int) -> Draft:
    about = f"sealed bitmap {number}".encode() if number % 50 == 7 else None
    body: dict[str, Any] = {
        "event": "report.page.built", "person": "p.xu", "established": {"by": "os", "account": "qh_xu"},
        "policy": "ab" * 32, "detail": {"report": "r", "entries": number, "sha256": "cd" * 32},
    }  # fmt: skip
    if about is not None:
        body |= {
            "event": "access.seen.authorised", "post": "a", "domain": "b", "dataset": "c", "purpose": "d", "how": "compared",
            "fields": {}, "contract": "cd" * 32, "detail": {"case": "x", "until": "2026-12-31"},
            "subjects": {"count": 1, "sha256": "00" * 32, "sealed_sha256": hashlib.sha256(about).hexdigest()},
        }  # fmt: skip
    return Draft(body, bitmap=about)


@pytest.fixture
def place(roles: dict[str, str], tmp_path: Path) -> Iterator[Place]:
    if shutil.which("strace") is None:
        pytest.skip(
            "NOT TESTED: there is no strace here, so no system call of the publisher can be made to fail"
        )
    made = Place(roles, tmp_path)
    yield made
    made.close()


def calls(place: Place, step: tuple[int, int]) -> list[tuple[str, int]]:
    """(kind, n-th of its kind) of every call that a publication makes on its folder."""
    folder = place.before(step[0])
    ended, seen = place.struck(folder, step[1], "-e", f"trace={','.join(KINDS)}")
    assert ended == 0
    counted = dict.fromkeys(KINDS, 0)
    found = []
    for line in seen.splitlines():
        if (kind := re.match(r"\d+ +(\w+)\(", line)) is not None and kind[1] in counted:
            counted[kind[1]] += 1
            if str(folder) in line and (kind[1] != "openat" or "O_CREAT" in line):
                found.append((kind[1], counted[kind[1]]))
    assert len(found) > 20
    return found


def strike(place: Place, step: tuple[int, int], call: tuple[str, int], fault: str) -> int:
    """One fault, and what must hold after it. Returns how the publisher ended."""
    old, new = step
    folder = place.before(old)
    ended, _ = place.struck(
        folder, new, "-e", f"trace={call[0]}", "-e", f"inject={call[0]}:{fault}:when={call[1]}"
    )
    what = (step, call, fault, ended)
    assert ended in ((-9,) if "SIGKILL" in fault else (0, 3)), what
    assert place.verified(folder) in (old, new), what
    if ended == 0:
        assert place.verified(folder) == new, what
    place.publish(folder, new)
    assert place.verified(folder) == new, what
    return ended


def every(place: Place) -> list[tuple[tuple[int, int], tuple[str, int], str]]:
    return [(step, call, fault) for step in STEPS for call in calls(place, step) for fault in FAULTS]


def test_a_publisher_struck_at_a_system_call_leaves_a_whole_folder(place: Place) -> None:
    points = every(place)
    assert {call[0] for _, call, _ in points} == set(KINDS)
    dice = random.Random(20260101)
    ends = set()
    for kind in KINDS:
        for fault in FAULTS:
            ends.add(strike(place, *dice.choice([p for p in points if p[1][0] == kind and p[2] == fault])))
    assert {-9, 3} <= ends, "faults were felt"


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_publisher_struck_at_every_system_call(place: Place) -> None:
    points = every(place)
    assert len(points) >= 500
    ends = [strike(place, *point) for point in points]
    assert ends.count(-9) == len(points) // 3
    assert ends.count(3) > len(points) // 3

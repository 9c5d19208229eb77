"""A log in real PostgreSQL, a head that can fail on either side of its effect, a clock that a test turns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from huanshu.auditlog import Draft, HeadFile, LogWriter, Signer, create_head, create_signing_key
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import DISTRICT_ROLES, new_passwords, prepare_district, role_url
from huanshu.store.urls import with_database

ORIGIN = "qinghe.example/huanshu"


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.at = datetime(2026, 7, 1, 9, 0, tzinfo=timezone(timedelta(hours=8)))
        self.elapsed = 0.0

    def __call__(self) -> datetime:
        return self.at

    def ticks(self) -> float:
        """The clock that nobody can set."""
        return self.elapsed

    def pass_(self, seconds: float) -> None:
        """Let time pass by both clocks."""
        self.at += timedelta(seconds=seconds)
        self.elapsed += seconds


class SimulatedHead:
    """A head store that may fail before its effect, or after it."""

    def __init__(self) -> None:
        self.note: str | None = None
        self.fails: str | None = None

    def read(self) -> str | None:
        return self.note

    def write(self, note: str) -> None:
        if self.fails == "not persisted":
            raise OSError("the disk is full")
        self.note = note
        if self.fails == "persisted anyway":
            raise OSError("the folder could not be flushed")


class Ground:
    """Everything a writer stands on, so that a test can start one again."""

    def __init__(self, roles: dict[str, str], admin_url: str, folder: Path) -> None:
        self.roles, self.folder, self.clock = roles, folder, Clock()
        self.keeper_url = roles["huanshu_keeper"]
        #: A superuser in the district database: the tamperer of these tests.
        self.tamper_url = with_database(admin_url, "huanshu")
        create_signing_key(folder / "log.key")
        self.signer = Signer.load(folder / "log.key")
        self.head: Any = HeadFile(folder / "head")
        create_head(self.signer, ORIGIN, self.head)
        self._writers: list[LogWriter] = []
        #: Publishers that a test has made, to be closed with it.
        self.publishers: list[Any] = []

    def writer(self) -> LogWriter:
        """A writer that has not started."""
        writer = LogWriter(lambda: connect(self.keeper_url), self.signer, ORIGIN, self.head, self.clock)
        self._writers.append(writer)
        return writer

    def started(self) -> LogWriter:
        writer = self.writer()
        list(writer.start())
        return writer

    def recover(self, writer: LogWriter) -> list[Any] | None:
        """Start a writer again when its sessions are gone: the entries that it had not acknowledged; otherwise None."""
        if writer.answers():
            return None
        before = writer.size
        return [found for found in writer.start() if found[0].index >= before]

    def tamper(self, *statements: str) -> None:
        """Change the log behind every constraint, as somebody with the server in hand could."""
        with connect(self.tamper_url) as admin:
            admin.execute("SET session_replication_role = replica")
            for statement in statements:
                assert admin.execute(statement.encode()).rowcount, f"{statement} changed nothing"

    def rows(self, query: str) -> list[Any]:
        with connect(self.tamper_url) as admin:
            return admin.execute(query.encode()).fetchall()

    def close(self) -> None:
        for writer in (*self._writers, *self.publishers):
            writer.close()


def draft(number: int = 0, once: str | None = None, bitmap: bytes | None = None) -> Draft:
    """A small, complete entry."""
    body = {
        "event": "report.page.built",
        "person": "p.xu",
        "established": {"by": "os", "account": "qh_xu"},
        "policy": "ab" * 32,
        "detail": {"report": "exchange_summary", "entries": number, "sha256": "cd" * 32},
    }
    return Draft(body, once, bitmap)


@pytest.fixture(scope="module")
def kept_roles(server: EmbeddedServer) -> dict[str, str]:
    """As ``roles``, but made once for a module: each test empties the log instead (much faster)."""
    passwords = new_passwords(DISTRICT_ROLES)
    with connect(server.admin_url) as admin:
        admin.execute(b"DROP DATABASE IF EXISTS huanshu WITH (FORCE)")
    prepare_district(server.admin_url, passwords)
    urls = {role: role_url(server.admin_url, role, passwords) for role in DISTRICT_ROLES}
    with connect(urls["huanshu_owner"]) as owner:
        migrate(owner)
    return urls


@pytest.fixture
def ground(kept_roles: dict[str, str], server: EmbeddedServer, tmp_path: Path) -> Iterator[Ground]:
    made = Ground(kept_roles, server.admin_url, tmp_path)
    with connect(made.tamper_url) as admin:
        admin.execute(
            b"TRUNCATE log.entry, log.checkpoint, log.bitmap, log.loan, keys.wrapped, told.counted RESTART IDENTITY"
        )
    yield made
    made.close()


@pytest.fixture
def simulated(ground: Ground) -> SimulatedHead:
    """The ground's head, replaced by one that can fail."""
    head = SimulatedHead()
    create_head(ground.signer, ORIGIN, head)
    ground.head = head
    return head


@pytest.fixture
def make_draft() -> Any:
    return draft

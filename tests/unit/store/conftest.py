"""A server to be killed and misconfigured, and an empty database to migrate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from huanshu.store import EmbeddedServer, connect
from huanshu.store.urls import with_database

_numbers = itertools.count()


@pytest.fixture(scope="session")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of these tests' own; each test leaves it running and in order."""
    with EmbeddedServer(tmp_path_factory.mktemp("spare") / "server") as started:
        yield started


@pytest.fixture
def scratch(server: EmbeddedServer) -> Iterator[str]:
    """The administrator's URL of an empty database."""
    name = f"scratch_{next(_numbers)}"
    with connect(server.admin_url) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    yield with_database(server.admin_url, name)
    with connect(server.admin_url) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

"""Sessions: errors without values, and no log on a server that does not flush."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from huanshu.errors import UnavailableError
from huanshu.store import EmbeddedServer, connect, require_promises


@pytest.fixture
def admin(spare: EmbeddedServer) -> Iterator[psycopg.Connection]:
    with connect(spare.admin_url) as connection:
        yield connection
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


def _set_on_the_server(admin: psycopg.Connection, name: str, value: str) -> None:
    admin.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
    admin.execute("SELECT pg_reload_conf()")
    end = time.monotonic() + 10
    while admin.execute(f"SHOW {name}".encode()).fetchone() != (value,):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_server_that_keeps_its_promises(admin: psycopg.Connection) -> None:
    require_promises(admin)


@pytest.mark.parametrize("promise", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_does_not(admin: psycopg.Connection, promise: str) -> None:
    _set_on_the_server(admin, promise, "off")
    try:
        with pytest.raises(UnavailableError, match=rf"{promise} off.*store\.server\.promises_nothing"):
            require_promises(admin)
    finally:
        _set_on_the_server(admin, promise, "on")
    require_promises(admin)


def test_a_session_that_does_not(admin: psycopg.Connection) -> None:
    admin.execute("SET synchronous_commit = off")
    with pytest.raises(UnavailableError, match="synchronous_commit"):
        require_promises(admin)


def test_sessions_are_alike(server: EmbeddedServer) -> None:
    with connect(server.admin_url) as connection:
        assert connection.autocommit
        assert connection.info.encoding == "utf-8"
        assert connection.execute("SHOW application_name").fetchone() == ("huanshu",)


def test_nobody_answers(server: EmbeddedServer) -> None:
    url = server.url("postgres", "a-wrong-password", "postgres")
    with pytest.raises(UnavailableError, match=r"store\.server\.unreachable") as refused:
        connect(url)
    assert "a-wrong-password" not in str(refused.value) + repr(refused.value)
    assert refused.value.__suppress_context__

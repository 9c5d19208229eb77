"""Connections: one way to open one, and the promises a server must keep before it may hold a log."""

from __future__ import annotations

import psycopg

from huanshu.errors import Text, UnavailableError
from huanshu.store.urls import redacted, require_protected

_PROMISES = ("fsync", "full_page_writes", "synchronous_commit")


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode: every transaction is opened explicitly. UnavailableError otherwise."""
    try:
        return psycopg.connect(
            require_protected(url), autocommit=True, connect_timeout=10, application_name="huanshu"
        )
    except psycopg.OperationalError:
        raise UnavailableError(
            "store.server.unreachable",
            Text(f"{redacted(url)} cannot be reached", f"无法连接 {redacted(url)}"),
            remedy=Text(
                "is the server up? huanshu up, or ask its operator",
                "请确认数据库已启动：huanshu up，或联系运维",
            ),
        ) from None


def require_promises(connection: psycopg.Connection) -> None:
    """Refuse a server that does not flush what it says it has flushed (DESIGN §11)."""
    rows = connection.execute(
        "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'", (list(_PROMISES),)
    ).fetchall()
    if rows:
        broken = ", ".join(sorted(row[0] for row in rows))
        raise UnavailableError(
            "store.server.promises_nothing",
            Text(f"the server runs with {broken} off", f"数据库关闭了 {broken}"),
            remedy=Text("switch them on; a log on it would not be durable", "请开启；否则日志不具备持久性"),
        )

"""Connections: one way to open one, what it means when one breaks, and the promises a server must keep before it
may hold a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from huanshu.errors import ContentError, Text, UnavailableError
from huanshu.store.urls import redacted, require_near, require_protected

_PROMISES = ("fsync", "full_page_writes", "synchronous_commit")
#: What reads damaged pages as if they were sound.
_LIES = ("ignore_checksum_failure", "zero_damaged_pages")
_PATIENCE_SECONDS = 10


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode: every transaction is opened explicitly.

    ContentError for a URL that would carry data in the clear, UnavailableError when nobody answers."""
    require_protected(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_PATIENCE_SECONDS,
            application_name="huanshu",
            client_encoding="UTF8",
        )
    except psycopg.OperationalError:
        raise UnavailableError(
            "store.server.unreachable",
            Text(f"{redacted(url)} cannot be reached", f"无法连接 {redacted(url)}"),
            remedy=Text(
                "is the server up, and the password still right? huanshu up, or ask its operator",
                "请确认数据库已启动、密码仍有效：huanshu up，或联系运维",
            ),
        ) from None
    try:
        require_near(url, connection.info.hostaddr)
    except ContentError:
        connection.close()
        raise
    return connection


@contextmanager
def available() -> Iterator[None]:
    """A server that goes away, fills up or stops taking writes meanwhile is one UnavailableError, and none of the
    server's words: they can quote a row."""
    told: UnavailableError
    try:
        yield
    except psycopg.errors.DiskFull:
        told = UnavailableError(
            "store.disk.full",
            Text("the database's disk is full", "数据库所在磁盘已满"),
            remedy=Text("free space, then run again", "请释放空间后重试"),
        )
    except psycopg.errors.ReadOnlySqlTransaction:
        told = UnavailableError(
            "store.server.read_only",
            Text("the database takes no writes", "数据库只读，无法写入"),
            remedy=Text(
                "is this a standby? make it writable, then run again", "是否连到备库？恢复可写后重试"
            ),
        )
    except psycopg.errors.InsufficientPrivilege:
        told = UnavailableError(
            "store.server.refused",
            Text("the database does not let us write there", "数据库不允许在此写入"),
            remedy=Text("give our role its rights back, then run again", "请恢复本平台角色的权限后重试"),
        )
    except psycopg.OperationalError:
        told = UnavailableError(
            "store.server.lost",
            Text("the database went away", "数据库连接中断"),
            remedy=Text("start it, then run again", "请启动数据库后重试"),
        )
    else:
        return
    raise told


def require_promises(connection: psycopg.Connection) -> None:
    """Refuse a server that does not flush what it says it has flushed (DESIGN §11), or hides what was damaged."""
    rows = connection.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", ([*_PROMISES, *_LIES],)
    ).fetchall()
    kept = {name for name, setting in rows if setting != "off"}
    if lies := ", ".join(sorted(kept & set(_LIES))):
        raise UnavailableError(
            "store.server.promises_nothing",
            Text(f"the server runs with {lies} on", f"数据库开启了 {lies}"),
            remedy=Text("switch them off; damage must be seen", "请关闭；损坏必须可见"),
        )
    if broken := ", ".join(sorted(set(_PROMISES) - kept)):
        raise UnavailableError(
            "store.server.promises_nothing",
            Text(f"the server runs with {broken} off", f"数据库关闭了 {broken}"),
            remedy=Text("switch them on; a log on it would not be durable", "请开启；否则日志不具备持久性"),
        )

"""Whole databases out and in again, by PostgreSQL's own pg_dump and pg_restore: as of one moment, all or nothing.

The programs come with the embedded server. Passwords go to them by environment, never by a command line. What a program
says is not passed on: it can quote a row.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from huanshu.errors import Text, UnavailableError
from huanshu.store.embedded import programs
from huanshu.store.urls import with_database

_SAYS = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
         "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}  # fmt: skip


@contextmanager
def moment(admin_url: str, database: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """A connection that sees the database as of now for as long as the context lasts, and the name of that moment."""
    with closing(psycopg.connect(with_database(admin_url, database))) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield connection, str(row[0])


def dump(admin_url: str, database: str, path: Path, snapshot: str | None = None) -> None:
    """Write a database to a file. Raises UnavailableError."""
    at = [] if snapshot is None else [f"--snapshot={snapshot}"]
    _run(admin_url, database, "pg_dump", "--format=custom", "--compress=gzip:1", f"--file={path}", *at)


def load(admin_url: str, database: str, path: Path) -> None:
    """Fill an empty database from such a file, in one transaction. Raises UnavailableError; then it is empty still."""
    _run(
        admin_url,
        database,
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={database}",
        str(path),
    )


def _run(admin_url: str, database: str, program: str, *arguments: str) -> None:
    said = conninfo_to_dict(with_database(admin_url, database))
    named = {_SAYS[name]: str(value) for name, value in said.items() if name in _SAYS}
    ended = subprocess.run(  # noqa: S603 - the server's own program
        [str(programs() / program), "--no-password", *arguments],
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **named}, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if ended.returncode:
        raise UnavailableError(
            "store.dump.failed",
            Text(f"{program} gave up", f"{program} 未能完成"),
            remedy=Text(
                "is the server up and the disk not full? then run again", "请检查服务器与磁盘空间后重试"
            ),
        )

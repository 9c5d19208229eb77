"""Numbered migrations, each applied once, in order, in one transaction of its own, by the owner role.

A migration that was applied and has changed since is an error: history is added to, never edited. So is a
database that has migrations this version does not know: older code must not write to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg

from huanshu.errors import TamperedError, Text, UnavailableError

_LEDGER = (
    "CREATE TABLE IF NOT EXISTS public.schema_migration"
    " (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)
_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql")


def migrate(connection: psycopg.Connection, folder: Traversable | None = None) -> list[str]:
    """Apply what is missing; returns the names applied now. Concurrent callers wait for each other.

    A failing migration leaves those before it applied and nothing of itself."""
    scripts = _read(resources.files(__package__) if folder is None else folder)
    with _alone(connection):
        connection.execute(_LEDGER)
        rows = connection.execute("SELECT name, sha256 FROM public.schema_migration").fetchall()
        known: dict[str, str] = dict(rows)
        _check(known, scripts)
        missing = [name for name in scripts if name not in known]
        for name in missing:
            with connection.transaction():
                connection.execute(scripts[name])
                connection.execute(
                    "INSERT INTO public.schema_migration (name, sha256) VALUES (%s, %s)",
                    (name, _digest(scripts[name])),
                )
    return missing


def _read(folder: Traversable) -> dict[str, bytes]:
    """Name → script, in order of their numbers."""
    named = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [name[:4] for name in named if _NAME.fullmatch(name)]
    if len(set(numbers)) != len(named):
        raise ValueError(f"migrations are named NNNN_word.sql, each with a number of its own: {named}")
    return {name: folder.joinpath(name).read_bytes() for name in named}


def _check(known: Mapping[str, str], scripts: Mapping[str, bytes]) -> None:
    for name, digest in sorted(known.items()):
        if name not in scripts:
            raise UnavailableError(
                "store.migration.unknown",
                Text(
                    f"the database has migration {name}, which this version does not know",
                    f"数据库已有迁移 {name}，本版本不认识",
                ),
                remedy=Text("install the newer version again", "请重新安装较新的版本"),
            )
        if _digest(scripts[name]) != digest:
            raise TamperedError(
                "store.migration.changed",
                Text(f"{name} was applied and has changed since", f"迁移 {name} 应用后被改动"),
                remedy=Text("restore the file; write a new migration instead", "请恢复该文件，并另写新迁移"),
            )


@contextmanager
def _alone(connection: psycopg.Connection) -> Iterator[None]:
    """A lock of the session, not of a transaction: every migration has a transaction of its own."""
    connection.execute("SELECT pg_advisory_lock(hashtext('huanshu.migrations'))")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(hashtext('huanshu.migrations'))")


def _digest(script: bytes) -> str:
    return hashlib.sha256(script).hexdigest()

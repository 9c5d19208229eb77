"""Numbered migrations, each applied once, in order, in one transaction of its own, by the owner role.

A migration that was applied and has changed since is an error: history is added to, never edited.
"""

from __future__ import annotations

import hashlib
from importlib import resources

import psycopg

from huanshu.errors import TamperedError, Text

_LEDGER = (
    "CREATE TABLE IF NOT EXISTS public.schema_migration"
    " (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)


def migrate(connection: psycopg.Connection) -> list[str]:
    """Apply what is missing; returns the names applied now. Concurrent callers wait for each other."""
    applied_now: list[str] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('huanshu.migrations'))")
        connection.execute(_LEDGER)
        known: dict[str, str] = dict(
            connection.execute("SELECT name, sha256 FROM public.schema_migration").fetchall()
        )
        folder = resources.files(__package__)
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name):
            text = file.read_bytes()
            digest = hashlib.sha256(text).hexdigest()
            if known.get(file.name, digest) != digest:
                raise TamperedError(
                    "store.migration.changed",
                    Text(f"{file.name} was applied and has changed since", f"迁移 {file.name} 应用后被改动"),
                    remedy=Text(
                        "restore the file; write a new migration instead", "请恢复该文件，并另写新迁移"
                    ),
                )
            if file.name not in known:
                connection.execute(text)
                connection.execute(
                    "INSERT INTO public.schema_migration (name, sha256) VALUES (%s, %s)", (file.name, digest)
                )
                applied_now.append(file.name)
    return applied_now

"""Every policy bundle that was ever current, kept beside the log under its digest, so that a decision can be replayed.

Kept before the entry that adopts it: a crash in between leaves a bundle that nothing names. Kept once more at a start,
for a log that was begun before bundles were kept. Who can change one is found out by its digest.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import psycopg

from huanshu.catalog import Contract, Home, Policies, read_bundle
from huanshu.catalog.bundle import pack_bundle, read_packed, unpack_bundle
from huanshu.catalog.narrowing import Widened
from huanshu.catalog.narrowing import widened as compared
from huanshu.errors import ContentError, DeniedError, TamperedError, Text

_KEPT = "SELECT files FROM log.bundle WHERE digest = %s"
_KEEP = "INSERT INTO log.bundle (digest, files) VALUES (%s, %s) ON CONFLICT (digest) DO NOTHING"


def keep(connect: Callable[[], psycopg.Connection], home: Home) -> None:
    """Keep the bundle of ``home``, durably. DeniedError when its files have changed since they were read."""
    digest, packed = pack_bundle(Path(home.path))
    if digest != home.policies.digest:
        raise DeniedError(
            "policy.bundle.other",
            Text("the bundle read now has another digest", "当前读取的策略摘要与申请不符"),
        )
    with connect() as connection, connection.transaction():
        connection.execute(_KEEP, (bytes.fromhex(digest), packed))


def widened(connect: Callable[[], psycopg.Connection], before: str | None, home: Home) -> list[Widened]:
    """What may widen between the bundle in force and that of ``home``. One that was not kept, or has changed since,
    cannot be compared: then everything may."""
    everything = [Widened("policies", "")]
    if before is None:
        return everything
    with connect() as connection:
        row = connection.execute(_KEPT, (bytes.fromhex(before),)).fetchone()
    digest, packed = pack_bundle(Path(home.path))
    if row is None or digest != home.policies.digest:
        return everything
    try:
        return compared(read_packed(bytes(row[0]), before), read_packed(packed, digest))
    except (TamperedError, csv.Error):
        return everything


def differing(connect: Callable[[], psycopg.Connection], before: str | None, home: Home) -> list[str]:
    """Files in which the bundle of ``home`` differs from the one in force; [] where that cannot be said."""
    if before is None:
        return []
    with connect() as connection:
        row = connection.execute(_KEPT, (bytes.fromhex(before),)).fetchone()
    digest, packed = pack_bundle(Path(home.path))
    try:
        old, new = read_packed(b"" if row is None else bytes(row[0]), before), read_packed(packed, digest)
    except TamperedError:
        return []
    return sorted(file for file in {*old, *new} if old.get(file) != new.get(file))


class Kept(NamedTuple):
    """A bundle as it was adopted."""

    policies: Policies
    contracts: Mapping[str, Contract]


def in_force(connect: Callable[[], psycopg.Connection], digest: str | None) -> Kept | None:
    """The bundle in force as it was adopted, from what was kept of it; None when that is gone or changed."""
    if digest is None:
        return None
    with connect() as connection:
        row = connection.execute(_KEPT, (bytes.fromhex(digest),)).fetchone()
    with tempfile.TemporaryDirectory(prefix="huanshu-bundle-") as folder:
        try:
            unpack_bundle(b"" if row is None else bytes(row[0]), digest, Path(folder))
            return Kept(*read_bundle(Path(folder)))
        except (TamperedError, ContentError):
            return None

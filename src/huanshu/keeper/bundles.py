"""Every policy bundle that was ever current, kept beside the log under its digest, so that a decision can be replayed.

Kept before the entry that adopts it: a crash in between leaves a bundle that nothing names. Kept once more at a start,
for a log that was begun before bundles were kept. Who can change one is found out by its digest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg

from huanshu.catalog import Home
from huanshu.catalog.bundle import pack_bundle
from huanshu.errors import DeniedError, Text

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

"""The line of a batch in the district's store: an extract's, or the one row of a repair's.

``staging`` → ``promoted`` | ``refused``; a staging line is forgotten with all its quarantine by the next attempt. Each
function is part of its caller's transaction. Who can change a line can have an extract taken in twice or not at all;
the log says which batches were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import psycopg

_FORGET = "DELETE FROM district.{} WHERE batch IN (SELECT batch FROM district.batch WHERE {})"


def begin(
    district: psycopg.Connection, batch: str, dataset: str, sender: str, sequence: int, entry: int
) -> None:
    """This batch is under way, by the log's entry."""
    district.execute(
        "INSERT INTO district.batch (batch, dataset, sender, sequence, state, entry_index)"
        " VALUES (%s, %s, %s, %s, 'staging', %s)",
        (batch, dataset, sender, sequence, entry),
    )


def settle(
    district: psycopg.Connection,
    batch: str,
    state: Literal["promoted", "refused"],
    verdict: Mapping[str, Any],
) -> None:
    """What became of it: ``verdict`` holds counts, names of rules and, under ``log``, what its entry says."""
    told = json.dumps(verdict, ensure_ascii=False)
    district.execute(
        "UPDATE district.batch SET state = %s, verdict = %s, settled_at = now() WHERE batch = %s",
        (state, told, batch),
    )


def settled(district: psycopg.Connection, batch: str) -> tuple[str, Mapping[str, Any]] | None:
    """State and verdict of a batch that came to its end."""
    row = district.execute(
        "SELECT state, verdict FROM district.batch WHERE batch = %s AND state <> 'staging'", (batch,)
    ).fetchone()
    return None if row is None else (str(row[0]), row[1])


def forget(district: psycopg.Connection, batch: str) -> None:
    """As if it had never come."""
    for table in ("quarantine", "batch"):
        district.execute(_FORGET.format(table, "batch = %s").encode(), (batch,))


def forget_interrupted(district: psycopg.Connection, dataset: str) -> None:
    """Attempts that did not come to their end leave nothing."""
    for table in ("quarantine", "batch"):
        district.execute(_FORGET.format(table, "dataset = %s AND state = 'staging'").encode(), (dataset,))

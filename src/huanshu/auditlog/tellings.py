"""Tellings: what the log's entries bind of the rows of each batch, and which renewals were told, in their order.

A pure fold; no I/O, no clock. It keeps one digest a batch: the lists themselves lie in the store (FORMAT.md, 14 and
18), where they can be changed, and hold only as these digests say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from huanshu.auditlog.entries import Entry

#: Events that tell of rows written, and how their batch is called in the rows.
WRITES: Final[Mapping[str, str]] = {
    "exchange.intake.promoted": "{batch}",
    "quarantine.repair.promoted": "{batch}",
    "correction.change.accepted": "correction/{change}",
    "keys.rotation.completed": "{rotation}",
    "keys.rotation.stopped": "{rotation}",
    "erasure.subject.completed": "erasure/{erasure}",
}
_RENEWS: Final = ("keys.", "erasure.")


class Tellings:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], bytes] = {}
        self._renewals: dict[str, list[str]] = {}

    def apply(self, entry: Entry) -> None:
        named = WRITES.get(entry.event)
        if named is None:
            return
        detail, dataset = entry.body["detail"], str(entry.body["dataset"])
        name = named.format(**detail)
        # An older version bound nothing.
        self._told[dataset, name] = bytes.fromhex(str(detail.get("written", {}).get("sha256", "")))
        if entry.event.startswith(_RENEWS):
            self._renewals.setdefault(dataset, []).append(name)

    def bound(self, dataset: str, batch: str) -> str | None:
        """The written digest (hex) that the entry of a batch binds; "" where it binds none, None before it is told."""
        found = self._told.get((dataset, batch))
        return None if found is None else found.hex()

    def renewals(self, dataset: str) -> list[str]:
        """Names of the renewals that were told, oldest first."""
        return list(self._renewals.get(dataset, ()))

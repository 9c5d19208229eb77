"""Tellings: what the log's entries bind of the rows of each batch, which renewals were told, and what is under way.

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
#: Events that announce such a batch.
ANNOUNCES: Final[Mapping[str, str]] = {
    "exchange.intake.authorised": "{batch}",
    "quarantine.repair.authorised": "{batch}",
    "correction.change.authorised": "correction/{change}",
    "keys.rotation.authorised": "{rotation}",
    "erasure.subject.confirmed": "erasure/{index}",
}
#: By what an entry names the one that it settles.
_ENDS: Final = frozenset({"authorised", "erasure"})
_RENEWS: Final = ("keys.", "erasure.")


class Tellings:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], bytes] = {}
        self._renewals: dict[str, list[str]] = {}
        #: By entry: dataset and batch announced.
        self._announced: dict[int, tuple[str, str]] = {}

    def apply(self, entry: Entry) -> None:
        detail = entry.body["detail"]
        for ends in _ENDS.intersection(detail):
            self._announced.pop(int(detail[ends]), None)
        if (named := ANNOUNCES.get(entry.event)) is not None:
            name = named.format(**{**detail, "index": entry.index})
            self._announced[entry.index] = (str(entry.body["dataset"]), name)
        if (named := WRITES.get(entry.event)) is None:
            return
        dataset, name = str(entry.body["dataset"]), named.format(**detail)
        # An older version bound nothing.
        self._told[dataset, name] = bytes.fromhex(str(detail.get("written", {}).get("sha256", "")))
        if entry.event.startswith(_RENEWS):
            self._renewals.setdefault(dataset, []).append(name)

    def bound(self, dataset: str, batch: str) -> str | None:
        """The written digest (hex) that the entry of a batch binds; "" where it binds none, None before it is told."""
        found = self._told.get((dataset, batch))
        return None if found is None else found.hex()

    def told(self, dataset: str) -> Mapping[str, bytes]:
        """Every batch that was told, oldest first, with the digest that it binds; none where it binds none."""
        return {name: digest for (of, name), digest in self._told.items() if of == dataset}

    def under_way(self, dataset: str) -> bool:
        """Whether a batch is announced and not told. What was announced twice, after a crash, is told once."""
        return any(of == dataset and (of, name) not in self._told for of, name in self._announced.values())

    def renewals(self, dataset: str) -> list[str]:
        """Names of the renewals that were told, oldest first."""
        return list(self._renewals.get(dataset, ()))

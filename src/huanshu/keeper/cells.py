"""A sealed value as it lies in a store, with what it is bound to. No plaintext."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from huanshu.keeper import protocol


@dataclass(frozen=True, slots=True)
class StoredCell:
    """One cell of one record, for the keeper to open."""

    field: str
    sealed: bytes
    domain: str
    record: int
    version: int
    epoch: int
    rung: str

    def as_json(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "sealed": protocol.as_text(self.sealed),
            "domain": self.domain,
            "record": self.record,
            "version": self.version,
            "epoch": self.epoch,
            "rung": self.rung,
        }

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> StoredCell:
        return cls(**{**members, "sealed": protocol.as_bytes(members["sealed"])})

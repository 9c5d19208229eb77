"""Proposed values inside the keeper: sealed for a proposer, and put into a record for a steward — no one holds a key.

Rules
    - A proposed value is a cell of its field's data key, in a context of its own: the rung is ``propose/<correction>``
      (``evidence/<correction>`` for the words of its evidence), record and *base* version as bound row. It fits no
      other correction, no other record, and never where a record's value belongs.
    - Acceptance opens the record's cells, puts the one value in and seals all of them under the next version. The
      content mark of the record stays: it says what the *department* last sent (docs/decisions/0013).
    - When the field has changed between base and current version, nothing is sealed: the proposal conflicts.
Plaintext lives in these frames only. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from huanshu.catalog import Contract, Field, Rung
from huanshu.keeper import protocol
from huanshu.sealing import CellContext, KeyName, content_mark, open_column, seal_column
from huanshu.sealing.keys import content_key, data_key

#: Bytes that a proposed value of a plain field, and the words of an evidence, are padded to.
PLAIN_WIDTH: Final = 400
EVIDENCE_WIDTH: Final = 200


class Key(Protocol):
    """Asks the vault; with ``born`` False a key that is not there is an error and not made."""

    def __call__(self, name: KeyName, *, born: bool = True) -> bytes: ...


def proposal_rung(correction: str) -> str:
    """What stands for the rung in a proposed value's context."""
    return f"propose/{correction}"


def evidence_rung(correction: str) -> str:
    return f"evidence/{correction}"


def proposal_width(field: Field) -> int:
    """Bytes a proposed value of this field may have."""
    return field.width or PLAIN_WIDTH


@dataclass(frozen=True, slots=True)
class Proposed:
    """A value (or the evidence's words) to be sealed; it never prints."""

    correction: str
    field: str
    record: int
    base: int
    value: str | None
    is_evidence: bool = False

    def __repr__(self) -> str:
        return f"Proposed({self.correction})"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def seal_proposed(
    key: Key, contract: Contract, domain: str, epoch: int, given: Sequence[Proposed]
) -> list[bytes]:
    """Each item sealed for its own correction."""
    sealed = []
    for item in given:
        rung = evidence_rung(item.correction) if item.is_evidence else proposal_rung(item.correction)
        width = EVIDENCE_WIDTH if item.is_evidence else proposal_width(contract.field(item.field))
        context = CellContext(domain, contract.dataset, item.field, rung, epoch)
        of_field = key(data_key(domain, contract.dataset, item.field, epoch))
        sealed += seal_column(of_field, context, width, [item.record], [item.base], [item.value])
    return sealed


@dataclass(frozen=True, slots=True)
class Standing:
    """One version of one record as it lies in the district store: sealed cells, and the plain value of the field
    that changes when that field is plain."""

    version: int
    epoch: int
    cells: Mapping[str, bytes]
    plain: str | None = None

    def as_json(self) -> dict[str, Any]:
        cells = {name: protocol.as_text(cell) for name, cell in self.cells.items()}
        return {"version": self.version, "epoch": self.epoch, "cells": cells, "plain": self.plain}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Standing:
        cells = {str(name): protocol.as_bytes(cell) for name, cell in given["cells"].items()}
        return cls(int(given["version"]), int(given["epoch"]), cells, given["plain"])


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A proposal to be put into its record. ``base`` is the version it was made over (the field's cell alone);
    ``source_mark`` what an earlier, still standing correction of the field says of the department's own value."""

    correction: str
    field: str
    record: int
    sealed: bytes
    epoch: int
    base: Standing
    current: Standing
    source_mark: bytes | None

    def as_json(self) -> dict[str, Any]:
        return {
            "correction": self.correction,
            "field": self.field,
            "record": self.record,
            "sealed": protocol.as_text(self.sealed),
            "epoch": self.epoch,
            "base": self.base.as_json(),
            "current": self.current.as_json(),
            "source_mark": None if self.source_mark is None else protocol.as_text(self.source_mark),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Acceptance:
        mark = given["source_mark"]
        return cls(
            correction=str(given["correction"]),
            field=str(given["field"]),
            record=int(given["record"]),
            sealed=protocol.as_bytes(given["sealed"]),
            epoch=int(given["epoch"]),
            base=Standing.from_json(given["base"]),
            current=Standing.from_json(given["current"]),
            source_mark=None if mark is None else protocol.as_bytes(mark),
        )


@dataclass(frozen=True, slots=True)
class Resealed:
    """The record's cells under its next version, and the field's own value where it is plain."""

    version: int
    epoch: int
    cells: Mapping[str, bytes]
    plain: str | None
    source_mark: bytes

    def as_json(self) -> dict[str, Any]:
        cells = {name: protocol.as_text(cell) for name, cell in self.cells.items()}
        return {
            "version": self.version,
            "epoch": self.epoch,
            "cells": cells,
            "plain": self.plain,
            "source_mark": protocol.as_text(self.source_mark),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Resealed:
        cells = {str(name): protocol.as_bytes(cell) for name, cell in given["cells"].items()}
        mark = protocol.as_bytes(given["source_mark"])
        return cls(int(given["version"]), int(given["epoch"]), cells, given["plain"], mark)


def source_mark(key: bytes, field: str, value: str | None) -> bytes:
    """16 bytes that stand for the department's own value of a field: equal values, equal marks, nothing else."""
    return content_mark(key, ["source", field, value])


def accept(key: Key, contract: Contract, domain: str, epoch: int, given: Acceptance) -> Resealed | None:
    """The record under its next version with the proposed value in it; None when the field has changed since."""

    def opened(name: str, standing: Standing) -> str | None:
        if not contract.field(name).sealed:
            return standing.plain
        context = CellContext(domain, contract.dataset, name, Rung.REVEAL.word, standing.epoch)
        of_field = key(data_key(domain, contract.dataset, name, standing.epoch), born=False)
        cells = [standing.cells[name]]
        return open_column(of_field, context, [given.record], [standing.version], cells)[0]

    values = {field.name: opened(field.name, given.current) for field in contract.sealed_fields}
    theirs = opened(given.field, given.current)
    if given.base.version != given.current.version and opened(given.field, given.base) != theirs:
        return None
    context = CellContext(domain, contract.dataset, given.field, proposal_rung(given.correction), given.epoch)
    of_field = key(data_key(domain, contract.dataset, given.field, given.epoch), born=False)
    (proposed,) = open_column(of_field, context, [given.record], [given.base.version], [given.sealed])
    if contract.field(given.field).sealed:
        values[given.field] = proposed
    version = given.current.version + 1
    cells = {}
    for field in contract.sealed_fields:
        context = CellContext(domain, contract.dataset, field.name, Rung.REVEAL.word, epoch)
        of_field = key(data_key(domain, contract.dataset, field.name, epoch))
        assert field.width is not None  # checked when the contract was read
        (cells[field.name],) = seal_column(
            of_field, context, field.width, [given.record], [version], [values[field.name]]
        )
    mark = given.source_mark or source_mark(
        key(content_key(contract.dataset), born=False), given.field, theirs
    )
    plain = None if contract.field(given.field).sealed else proposed
    return Resealed(version, epoch, cells, plain, mark)

"""A slice opened for a workbook, and a workbook compared with what was given out. Against the ticket, in memory.

In the platform's process only (``keeper.corrections.PLATFORM_ONLY``). A value leaves here at the rung that the entry
names for its field: masked where the post sees a mask, whatever the slice holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from huanshu.catalog import Contract, Rung
from huanshu.keeper.client import Keeper
from huanshu.keeper.proposals import proposal_rung
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, mask, open_column
from huanshu.sealing.keys import data_key

Sealed = bytes | str | None


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows of one store in columns: ``cells[field][n]`` lies at ``record[n]``, ``version[n]``, ``epoch[n]``, sealed for
    ``domain`` at ``rungs[field]``."""

    domain: str
    record: Sequence[int]
    version: Sequence[int]
    epoch: Sequence[int]
    rungs: Mapping[str, Rung]
    cells: Mapping[str, Sequence[Sealed]] = field(repr=False)


def opened(
    keeper: Keeper, ticket: Ticket, chunk: int, contract: Contract, lines: Lines, asked: Mapping[str, Rung]
) -> dict[str, list[str | None]]:
    """The values of the fields asked, each at its rung: lower than the store's where it is masked here."""
    epochs = sorted(set(lines.epoch))
    needed = [
        data_key(lines.domain, contract.dataset, name, epoch)
        for name in asked
        if contract.field(name).sealed
        for epoch in epochs
    ]
    if needed:
        keys = keeper.lend(ticket, chunk, needed, existing=needed)
    found: dict[str, list[str | None]] = {}
    for name, rung in asked.items():
        column = lines.cells[name]
        values: list[str | None] = [cell if isinstance(cell, str) else None for cell in column]
        if contract.field(name).sealed:
            for epoch in epochs:
                places = [n for n, at in enumerate(lines.epoch) if at == epoch]
                context = CellContext(lines.domain, contract.dataset, name, lines.rungs[name].word, epoch)
                plain = open_column(
                    keys[data_key(lines.domain, contract.dataset, name, epoch)],
                    context,
                    [lines.record[n] for n in places],
                    [lines.version[n] for n in places],
                    [bytes(column[n] or b"") for n in places],  # type: ignore[arg-type]
                )
                for n, value in zip(places, plain, strict=True):
                    values[n] = value
        hides = rung is Rung.MASK and lines.rungs[name] is Rung.REVEAL
        found[name] = [mask(contract.field(name).mask or "all", v) for v in values] if hides else values
    return found


@dataclass(frozen=True, slots=True)
class Pending:
    """A proposal that waits already."""

    correction: str
    record: int
    name: str
    base: int
    epoch: int
    sealed: bytes


def proposed(
    keeper: Keeper, ticket: Ticket, chunk: int, contract: Contract, domain: str, pending: Sequence[Pending]
) -> dict[tuple[int, str], set[str | None]]:
    """(record, field) → the values that wait for an answer, so that nobody proposes them twice."""
    needed = sorted({data_key(domain, contract.dataset, p.name, p.epoch) for p in pending})
    found: dict[tuple[int, str], set[str | None]] = {}
    if not needed:
        return found
    keys = keeper.lend(ticket, chunk, needed, existing=needed)
    for p in pending:
        context = CellContext(domain, contract.dataset, p.name, proposal_rung(p.correction), p.epoch)
        key = keys[data_key(domain, contract.dataset, p.name, p.epoch)]
        (value,) = open_column(key, context, [p.record], [p.base], [p.sealed])
        found.setdefault((p.record, p.name), set()).add(value)
    return found

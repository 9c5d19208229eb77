"""Standing corrections put into what a department sends: opened against the intake's own ticket, in memory.

A correction stands while the department's own value of the field is still the one that was corrected; its mark
(``keeper.proposals.source_mark``) tells without keeping the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from huanshu.catalog import Contract, Rung
from huanshu.keeper.client import Keeper
from huanshu.keeper.proposals import source_mark
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, open_column
from huanshu.sealing.keys import content_key, data_key

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Corrected:
    """An accepted correction, and the field's cell in the version that accepted it (text when it is plain)."""

    correction: str
    record: int
    name: str
    source_mark: bytes
    home: str
    version: int
    epoch: int
    cell: bytes | str | None = field(repr=False)


def put_back(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    corrected: Sequence[Corrected],
    records: NDArray[np.int64],
    columns: Columns,
) -> tuple[dict[str, pa.Array], list[str]]:
    """The columns with every standing correction in place, and which corrections those are."""
    place = {int(record): row for row, record in enumerate(records.tolist())}
    here = [c for c in corrected if c.record in place]
    if not here:
        return dict(columns), []
    names = {content_key(contract.dataset)}
    names |= {
        data_key(c.home, contract.dataset, c.name, c.epoch) for c in here if contract.field(c.name).sealed
    }
    keys = keeper.lend(ticket, chunk, sorted(names), existing=names)
    changed: dict[str, dict[int, str | None]] = {}
    kept = []
    for c in here:
        row = place[c.record]
        theirs = columns[c.name][row].as_py()
        if source_mark(keys[content_key(contract.dataset)], c.name, theirs) != c.source_mark:
            continue
        value = c.cell
        if isinstance(value, bytes):
            context = CellContext(c.home, contract.dataset, c.name, Rung.REVEAL.word, c.epoch)
            key = keys[data_key(c.home, contract.dataset, c.name, c.epoch)]
            (value,) = open_column(key, context, [c.record], [c.version], [value])
        changed.setdefault(c.name, {})[row] = value
        kept.append(c.correction)
    return {**columns, **{name: _with(columns[name], values) for name, values in changed.items()}}, kept


def _with(column: pa.Array, values: Mapping[int, str | None]) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary.take(column.indices)  # which may not have the corrected value
    rows = sorted(values)
    mask = np.zeros(len(column), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array([values[row] for row in rows], column.type))

"""The gate's one bulk verb: open → mask or token → re-seal, chunk by chunk, against a ticket.

The exchange hands in sealed columns and gets sealed columns back; plaintext and borrowed keys live only
inside ``reseal`` and are gone when it returns. A value that does not open stops the chunk (fail closed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huanshu.catalog import Contract, Field, Flow, Rung
from huanshu.errors import ContentError, Text
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, KeyName, Keyring, mask, open_column, seal_column, token
from huanshu.sealing.keys import data_key, token_key

Cell = str | bytes | None


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk in columns. ``cells[field][i]`` belongs to ``record[i]`` at ``version[i]``, sealed under
    ``home[i]``'s keys at ``epoch[i]``; ``links[field]`` only for fields delivered as tokens."""

    record: Sequence[int]
    version: Sequence[int]
    home: Sequence[str]
    epoch: Sequence[int]
    cells: Mapping[str, Sequence[Cell]]
    links: Mapping[str, Sequence[bytes]]


def reseal(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    flow: Flow,
    receiver: str,
    epoch: int,
    rows: Rows,
) -> dict[str, list[Cell]]:
    """The delivered cells of one chunk, by field, each at the flow's rung and sealed for ``receiver``."""
    keys = _borrow(keeper, ticket, chunk, contract, flow, receiver, epoch, rows)
    return {
        name: _column(contract.field(name), rung, flow, receiver, epoch, rows, keys)
        for name, rung in flow.fields.items()
    }


def _borrow(
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    flow: Flow,
    receiver: str,
    epoch: int,
    rows: Rows,
) -> Keyring:
    names: set[KeyName] = set()
    places = set(zip(rows.home, rows.epoch, strict=True)) | {(receiver, epoch)}
    for name, rung in flow.fields.items():
        field = contract.field(name)
        if rung is Rung.MATCH and field.link_kind is not None:
            names.add(token_key(flow.purpose, field.link_kind))
        elif field.sealed:
            names |= {data_key(home, contract.dataset, name, age) for home, age in places}
    return keeper.lend(ticket, chunk, sorted(names))


def _column(
    field: Field, rung: Rung, flow: Flow, receiver: str, epoch: int, rows: Rows, keys: Keyring
) -> list[Cell]:
    if rung is Rung.MATCH:
        if field.link_kind is None:
            raise _not_offered(field, rung, flow)
        purpose_key = keys[token_key(flow.purpose, field.link_kind)]
        return [token(purpose_key, linked) for linked in rows.links[field.name]]
    if rung is Rung.COUNT or (rung is Rung.MASK and field.mask is None):
        raise _not_offered(field, rung, flow)
    values: list[str | None]
    if field.sealed:
        values = _opened(field, flow.dataset, rows, keys)
    else:
        values = [None if cell is None else str(cell) for cell in rows.cells[field.name]]
    if rung is Rung.MASK and field.mask is not None:
        values = [mask(field.mask, value) for value in values]
    if not field.sealed:
        return list(values)
    width = field.width
    assert width is not None  # a sealed field without a width is refused when the contract is read
    context = CellContext(receiver, flow.dataset, field.name, rung.word, epoch)
    key = keys[data_key(receiver, flow.dataset, field.name, epoch)]
    return list(seal_column(key, context, width, rows.record, rows.version, values))


def _opened(field: Field, dataset: str, rows: Rows, keys: Keyring) -> list[str | None]:
    """Plain values in row order, opened in groups of one key (home, epoch)."""
    groups: dict[tuple[str, int], list[int]] = {}
    for place, where in enumerate(zip(rows.home, rows.epoch, strict=True)):
        groups.setdefault(where, []).append(place)
    values: list[str | None] = [None] * len(rows.record)
    cells = rows.cells[field.name]
    for (home, age), places in groups.items():
        opened = open_column(
            keys[data_key(home, dataset, field.name, age)],
            CellContext(home, dataset, field.name, Rung.REVEAL.word, age),
            [rows.record[i] for i in places],
            [rows.version[i] for i in places],
            [_sealed(cells[i]) for i in places],
        )
        for place, value in zip(places, opened, strict=True):
            values[place] = value
    return values


def _sealed(cell: Cell) -> bytes:
    """A sealed field's cell is bytes, always; anything else does not open."""
    return cell if isinstance(cell, bytes) else b""


def _not_offered(field: Field, rung: Rung, flow: Flow) -> ContentError:
    return ContentError(
        "exchange.rung.not_offered",
        Text(
            f"{field.name} cannot be delivered at {rung.word} in bulk",
            f"字段 {field.name} 不能以 {rung.word} 级批量交付",
        ),
        remedy=Text("ask for a rung the contract offers", "请改用数据契约提供的可见级别"),
        where=flow.where,
    )

"""Counting people (``count``): how many distinct people, by zone, filter and breakdown; never of few.

Every field of every clause is asked of the rules at ``count``: what may not be counted can be neither filtered nor
grouped by. The sets of people go to the keeper, which judges them against all that this reader was told before
(``keeper.counting``) and keeps them; what comes back is numbers. A group whose number is withheld is not named either:
its label would say that somebody has this value, and with a narrow filter, who.

Only plain fields: a sealed one would have to be opened for everybody who is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.catalog import Contract, Home
from huanshu.errors import DeniedError, Text
from huanshu.keeper.client import Keeper
from huanshu.keeper.counting import homes_of


@dataclass(frozen=True, slots=True)
class AskedCount:
    """One question: how many in these zones (communities, or what lies above), where …, by …"""

    post: str
    dataset: str
    purpose: str
    zones: tuple[str, ...]
    by: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """Numbers of at least ``minimum`` people each. A total of None is withheld: fewer, or too close to another number;
    of ``cells`` those alone are there whose number is told."""

    entry: int
    minimum: int
    total: int | None
    cells: Mapping[str, int]


def count(
    home: Home, keeper: Keeper, district: Callable[[], psycopg.Connection], asked: AskedCount
) -> Counted:
    """Count. DeniedError, explained, when a zone or a field of any clause is not granted at ``count``."""
    contract = home.contracts.get(asked.dataset)
    if contract is None:
        raise DeniedError("access.dataset.unknown", Text("no such dataset is offered", "没有提供该数据集"))
    names = {*asked.where, *([asked.by] if asked.by else [])}
    cells: dict[str, BitMap] = {}
    if names <= {
        each.name for each in contract.plain_fields
    }:  # otherwise the keeper refuses, and says so in the log
        with district() as connection:
            cells = _cells(connection, contract, homes_of(home, asked.zones), asked)
    total = BitMap.union(*cells.values()) if cells else BitMap()
    values = sorted(cells) if asked.by is not None else []
    claim = {
        "post": asked.post,
        "dataset": asked.dataset,
        "purpose": asked.purpose,
        "fields": dict.fromkeys(sorted(names), "count"),
        "detail": {"zones": list(asked.zones)},
    }
    told = [(value, cells[value].serialize()) for value in values]
    ticket, figures = keeper.count(claim, asked.by, asked.where, total.serialize(), told)
    shown = {value: figure for value, figure in zip(values, figures[1:], strict=True) if figure is not None}
    return Counted(ticket.index, contract.minimum_group, figures[0], shown)


def _cells(
    connection: psycopg.Connection, contract: Contract, homes: list[str], asked: AskedCount
) -> dict[str, BitMap]:
    """Value of the breakdown ("" without one) → the people there; of a dataset about nobody, its records."""
    label = (
        sql.SQL("''")
        if asked.by is None
        else sql.SQL("coalesce({}::text, '')").format(sql.Identifier(asked.by))
    )
    whom = sql.SQL("unnest(subjects)") if contract.subjects else sql.SQL("record")
    conditions: list[sql.Composable] = [sql.SQL("batch_out IS NULL"), sql.SQL("home = ANY(%s)")]
    values: list[Any] = [homes]
    for name, value in sorted(asked.where.items()):
        conditions.append(sql.SQL("{}::text = %s").format(sql.Identifier(name)))
        values.append(value)
    query = sql.SQL(
        "SELECT label, array_agg(DISTINCT whom)"
        " FROM (SELECT {} AS label, {} AS whom FROM {} WHERE {}) each GROUP BY label"
    ).format(label, whom, sql.Identifier("district", contract.dataset), sql.SQL(" AND ").join(conditions))
    return {str(name): BitMap(found) for name, found in connection.execute(query, values)}

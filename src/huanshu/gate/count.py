"""Counting people (``count``): how many distinct people, by zone, filter and breakdown; never of few.

Every field of every clause is asked of the rules at ``count``: what may not be counted can be neither filtered nor
grouped by. The keeper judges the sets of people against all that this reader was told before (``keeper.counting``)
and keeps them; what comes back is numbers. A group whose number is withheld is not named either: its label would say
that somebody has this value, and with a narrow filter, who.

Of plain fields the sets are made here. Where one is sealed nothing is read here at all: the keeper reads the rows that
the log vouches for, opens that one column in its own process and counts there (``keeper.tallying``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.catalog import Contract, Home
from huanshu.errors import DeniedError, InputError, Text
from huanshu.keeper.client import Keeper
from huanshu.keeper.counting import homes_of


@dataclass(frozen=True, slots=True)
class AskedCount:
    """One question: how many in these zones (communities, or what lies above), where …, by …

    Of a sealed date a condition is a band of ages (``65+``, ``0-6``), and ``bands`` are those of a breakdown by it."""

    post: str
    dataset: str
    purpose: str
    zones: tuple[str, ...]
    by: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    bands: tuple[str, ...] = ()


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
    """Count. DeniedError, explained, when a zone or a field of any clause is not granted at ``count``, or a sealed one
    is not to be counted so."""
    contract = home.contracts.get(asked.dataset)
    if contract is None:
        raise DeniedError("access.dataset.unknown", Text("no such dataset is offered", "没有提供该数据集"))
    names = {*asked.where, *([asked.by] if asked.by else [])}
    sealed = {each.name for each in contract.sealed_fields} & names
    dates = {name for name in sealed if contract.field(name).logical_type == "date"}
    if bool(asked.bands) != (asked.by in dates):
        raise InputError(
            "access.count.bands",
            Text(
                "bands go with a breakdown by a sealed date, and it with them",
                "按密封日期分组时须给出年龄段，其他情形不得给出",
            ),
            remedy=Text("--by birth_date --bands 0-17,18-59,60+", "--by birth_date --bands 0-17,18-59,60+"),
        )
    claim = {
        "post": asked.post,
        "dataset": asked.dataset,
        "purpose": asked.purpose,
        "fields": dict.fromkeys(sorted(names), "count"),
        "detail": {"zones": list(asked.zones)},
    }
    if sealed:
        ticket, labelled = keeper.tally(claim, asked.by, asked.where, asked.bands)
        (_, total), *told = labelled
        shown = {label: figure for label, figure in told if figure is not None}
        return Counted(ticket.index, contract.minimum_group, total, shown)
    cells: dict[str, BitMap] = {}
    if names <= contract.by_name.keys():  # otherwise the keeper refuses, and says so in the log
        with district() as connection:
            cells = _cells(connection, contract, homes_of(home, asked.zones), asked)
    everyone = BitMap.union(*cells.values()) if cells else BitMap()
    values = sorted(cells) if asked.by is not None else []
    sets = [(value, cells[value].serialize()) for value in values]
    ticket, figures = keeper.count(claim, asked.by, asked.where, everyone.serialize(), sets)
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

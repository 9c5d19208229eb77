"""Planting: which rows of an extract are spoilt, how, and which rules of the suite must say so.

A kind of defect names what it breaks (``kinds``); the rules are looked up in the home's own suite and contract, so
the truth is known before any engine has seen a row. A kind that a home's rules would not catch is not planted there.
Each kind gets rows of its own. Rows are picked and spoilt one by one: there are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from huanshu.catalog import Contract, Suite
from huanshu.errors import InputError, Text
from huanshu.simulator.breaches import Broken, broken_rules
from huanshu.simulator.columns import Numbers
from huanshu.simulator.kinds import KINDS, Hand, Kind, Row
from huanshu.simulator.places import Places

_POOL: Final = 512
_CANARY: Final = "canary"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to plant into which extract. ``render(rows)`` gives the clean text of some rows."""

    contract: Contract
    suite: Suite | None
    places: Places
    day: date
    rows: int
    render: Callable[[Any], pa.Table]
    #: Not the first period: then only kinds that leave the identifier as it is, or a known record would seem gone.
    later: bool
    untouched: Numbers
    count: int | None
    #: Only these kinds; empty for all that do not make the home refuse the whole extract.
    kinds: frozenset[str]
    canaries: tuple[str, ...]


@dataclass(slots=True)
class Planted:
    """What was planted: other cells by 0-based row, and rows behind the last."""

    rows: int
    cells: dict[int, dict[str, str | None]] = field(default_factory=dict)
    more: list[Row] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    canaries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def appended(self) -> int:
        return len(self.more)

    @property
    def lost(self) -> Numbers:
        """Rows of the register that fail an error rule."""
        rows = [d["row"] - 1 for d in self.told if d["rules"]]
        return np.array([row for row in rows if row < self.rows], dtype=np.int64)

    def applied(self, clean: pa.Table | None, start: int, stop: int, fields: Sequence[str]) -> pa.Table:
        """Rows ``start`` to ``stop`` of the extract; ``clean`` are those of them that the register has."""
        parts = [] if clean is None else [self._spoilt(clean, start)]
        more = self.more[max(0, start - self.rows) : max(0, stop - self.rows)]
        if more:
            parts.append(
                pa.table({name: pa.array([row[name] for row in more], pa.string()) for name in fields})
            )
        return pa.concat_tables(parts).combine_chunks()

    def _spoilt(self, clean: pa.Table, start: int) -> pa.Table:
        here = {
            row - start: cells for row, cells in self.cells.items() if start <= row < start + clean.num_rows
        }
        for name in {name for cells in here.values() for name in cells}:
            changed = sorted(row for row, cells in here.items() if name in cells)
            mask = np.zeros(clean.num_rows, dtype=np.bool_)
            mask[changed] = True
            values = pa.array([here[row][name] for row in changed], pa.string())
            column = pc.replace_with_mask(clean.column(name).combine_chunks(), pa.array(mask), values)
            clean = clean.set_column(clean.schema.get_field_index(name), name, column)
        return clean


def plant(plan: Plan, rng: np.random.Generator) -> Planted:
    """Canaries first, then ``count`` defects, going round the kinds. Raises InputError when rows do not suffice."""
    planted = Planted(plan.rows)
    hand = Hand(rng, plan.places, plan.contract, plan.day)
    pool = _Pool(plan, rng)
    for place, text in enumerate(plan.canaries):
        _canary(planted, pool, hand, plan, place, text)
    kinds = [
        (kind, broken)
        for kind in KINDS.get(plan.contract.dataset, ())
        if (kind.name in plan.kinds if plan.kinds else kind.keeps_key or not plan.later)
        and (broken := broken_rules(kind.breaks, plan.contract, plan.suite)) is not None
        and (plan.kinds or not broken.refusals)
    ]
    count = len(kinds) if plan.count is None else plan.count
    for number in range(count if kinds else 0):
        kind, broken = kinds[number % len(kinds)]
        taken = pool.take(kind)
        if taken is None:
            if plan.count is None:
                continue  # a small register may have nobody of that sort
            raise InputError(
                "simulator.defects.many",
                Text(
                    f"{plan.contract.dataset}: too few rows for {plan.count} defects ({kind.name})",
                    f"{plan.contract.dataset}：行数不足以植入 {plan.count} 处错误（{kind.name}）",
                ),
                remedy=Text("plant fewer, or make a larger register", "请减少错误数或扩大规模"),
            )
        _spoil(planted, hand, kind, broken, *taken)
    planted.told.sort(key=lambda defect: int(defect["row"]))
    return planted


def _spoil(planted: Planted, hand: Hand, kind: Kind, broken: Broken, row: int, clean: Row) -> None:
    changed = kind.spoil(dict(clean), hand)
    if kind.repeats:
        planted.more.append({**clean, **changed})
        row = planted.rows + len(planted.more) - 1
    else:
        planted.cells.setdefault(row, {}).update(changed)
    planted.told.append(
        {
            "row": row + 1,
            "kind": kind.name,
            "rules": list(broken.errors),
            "warnings": list(broken.warnings),
            **({"refuses": list(broken.refusals)} if broken.refusals else {}),
        }
    )


def _canary(planted: Planted, pool: _Pool, hand: Hand, plan: Plan, place: int, text: str) -> None:
    telephone = len(text) == 11 and text.isascii() and text.isdigit()
    nameable = not any(c.isdigit() or c.isspace() for c in text)
    name = "phone" if telephone else "name" if nameable and place % 2 == 0 else "residence_address"
    spoilt = next(kind for kind in KINDS["resident"] if kind.name == "sex_unknown")
    broken = broken_rules(spoilt.breaks, plan.contract, plan.suite) or Broken()
    for good in (True, False):
        taken = pool.take(spoilt)
        if taken is None:
            raise InputError(
                "simulator.defects.many", Text("too few rows for canaries", "行数不足以植入标记")
            )
        row, clean = taken
        planted.cells[row] = {name: text}
        planted.canaries.append({"row": row + 1, "field": name, "text": text, "good": good})
        if not good:
            planted.cells[row].update(spoilt.spoil(dict(clean), hand))
            planted.told.append(
                {
                    "row": row + 1,
                    "kind": _CANARY,
                    "rules": list(broken.errors),
                    "warnings": list(broken.warnings),
                }
            )


class _Pool:
    """Rows of the extract in a random order, each given out once, rendered a few hundred at a time."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        order = rng.permutation(plan.rows)
        self.plan = plan
        self.order = order[~np.isin(order, plan.untouched)]
        self.free: list[tuple[int, Row]] = []
        self.rest = self._rendered()

    def _rendered(self) -> Iterator[list[tuple[int, Row]]]:
        for start in range(0, len(self.order), _POOL):
            rows = self.order[start : start + _POOL]
            yield list(zip(rows.tolist(), self.plan.render(rows).to_pylist(), strict=True))

    def take(self, kind: Kind) -> tuple[int, Row] | None:
        """The next free row that fits; it is then free no more."""
        tried = 0
        while True:
            for place in range(tried, len(self.free)):
                if kind.fits(self.free[place][1]):
                    return self.free.pop(place)
            tried = len(self.free)
            more = next(self.rest, None)
            if more is None:
                return None
            self.free.extend(more)

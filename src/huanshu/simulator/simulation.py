"""The registers of a fictional district, month by month, and the extracts that its departments make of them.

Everything follows from a home, a seed and a scale. The registers stay clean; what is wrong in an extract is planted
into a copy, so a defect of one period is put right in the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from huanshu.catalog import Contract, Home
from huanshu.errors import ContentError, InputError, Text
from huanshu.simulator import enterprises, events, months, residents, vaccinations
from huanshu.simulator.changes import Changes
from huanshu.simulator.columns import Numbers
from huanshu.simulator.defects import Plan, Planted, plant
from huanshu.simulator.matters import matters
from huanshu.simulator.places import Places
from huanshu.simulator.register import Register

RESIDENT, ENTERPRISE, GRID_EVENT, VACCINATION_DUE = "resident", "enterprise", "grid_event", "vaccination_due"
DATASETS: Final = (RESIDENT, ENTERPRISE, GRID_EVENT, VACCINATION_DUE)
#: Rows rendered at a time.
STRETCH: Final = 65_536
MIN_RESIDENTS: Final = 60


@dataclass(frozen=True, slots=True)
class Scale:
    """How many records the first period has; vaccinations follow from the children."""

    residents: int
    enterprises: int
    events: int

    @classmethod
    def of(cls, residents: int, enterprises: int | None = None, events: int | None = None) -> Scale:
        """What is not said is in the proportion of a real district: 1.3 M : 290 000 : 200 000. Raises InputError."""
        scale = cls(
            residents,
            max(1, residents * 290 // 1300) if enterprises is None else enterprises,
            max(1, residents * 200 // 1300) if events is None else events,
        )
        if residents < MIN_RESIDENTS or scale.enterprises < 1 or scale.events < 1:
            raise InputError(
                "simulator.scale.small",
                Text(
                    f"at least {MIN_RESIDENTS} residents, one enterprise and one event",
                    f"至少 {MIN_RESIDENTS} 名居民、一家企业、一件事件",
                ),
            )
        return scale


def first_day(period: int) -> date:
    """The day a period's extracts were made: the first of the month, from September 2026 on."""
    first = residents.FIRST_DAY
    month = first.month - 1 + period - 1
    return date(first.year + month // 12, month % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class _State:
    """All registers of one period, and how they differ from those before."""

    period: int
    registers: Mapping[str, Register]
    changes: Mapping[str, Changes]
    #: Keys of the registers before, in row order.
    before: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class Extract:
    """One dataset's extract of one period, rendered as it is read, and the truth about it (JSON-ready)."""

    dataset: str
    #: ``2026-09``.
    period: str
    sequence: int
    fields: tuple[str, ...]
    rows: int
    truth: Mapping[str, Any]
    _stretch: Callable[[int, int], pa.Table]

    def batches(self, size: int = STRETCH) -> Iterator[pa.Table]:
        """Text columns in the order of the contract; an absent cell is null."""
        for start in range(0, self.rows, size):
            yield self._stretch(start, min(start + size, self.rows))

    def table(self) -> pa.Table:
        """All of it at once: for registers of a few thousand rows."""
        return pa.concat_tables(self.batches()).combine_chunks()


class Simulation:
    """One district's story. ``swap``: two communities whose codes the departments confuse."""

    def __init__(
        self,
        home: Home,
        seed: int,
        scale: Scale,
        datasets: Sequence[str] = DATASETS,
        swap: tuple[str, str] | None = None,
    ) -> None:
        self.home, self.seed, self.scale = home, seed, scale
        self.datasets = tuple(name for name in DATASETS if name in datasets and name in home.contracts)
        self.places = Places.of(home.policies.domains)
        self.swap = swap
        #: Codes as the departments write them.
        self.shown = self.places.swapped(*swap) if swap else self.places
        self.shares = self.places.shares(self._rng(0))
        self.matters = matters(home.suites.get(GRID_EVENT))
        self._text: Mapping[str, Callable[[Places, Register], dict[str, pa.Array]]] = {
            RESIDENT: residents.text,
            ENTERPRISE: enterprises.text,
            GRID_EVENT: partial(events.text, matters=self.matters),
            VACCINATION_DUE: partial(
                vaccinations.text, codes=vaccinations.vaccines(home.suites.get(VACCINATION_DUE))
            ),
        }
        self._state: _State | None = None

    def extract(
        self,
        dataset: str,
        period: int = 1,
        *,
        defects: int | None = None,
        kinds: Sequence[str] = (),
        canaries: Sequence[str] = (),
    ) -> Extract:
        """The extract of one period (1, 2, …). ``defects``: how many rows to spoil; None is once every kind.

        ``kinds``: only these; a kind for which the home refuses a whole extract is planted only when it is named.

        ``canaries``: texts planted as a telephone number (when 11 digits), else as a name (without digits) or an
        address, each in one good row of residents and in one that is quarantined."""
        if period < 1:
            raise InputError("simulator.period.small", Text("periods count from 1", "期次从 1 起"))
        contract = self.home.contracts[dataset]
        state = self._at(period)
        register, day = state.registers[dataset], first_day(period)
        changes = state.changes.get(dataset)
        fields = tuple(field.name for field in contract.fields)

        def rendered(rows: Numbers | slice) -> pa.Table:
            return _fitted(
                self._text[dataset](self.shown, register.part(rows)),
                contract,
                rows_of=register.part(rows).rows,
            )

        planted = plant(
            Plan(
                contract=contract,
                suite=self.home.suites.get(dataset),
                places=self.shown,
                day=day,
                rows=register.rows,
                render=rendered,
                later=period > 1,
                untouched=_changed_rows(register, changes),
                count=defects,
                kinds=frozenset(kinds),
                canaries=tuple(canaries) if dataset == RESIDENT else (),
            ),
            self._rng(9, DATASETS.index(dataset), period),
        )

        def stretch(start: int, stop: int) -> pa.Table:
            clean = rendered(slice(start, min(stop, register.rows))) if start < register.rows else None
            return planted.applied(clean, start, stop, fields)

        return Extract(
            dataset,
            f"{day:%Y-%m}",
            period,
            fields,
            register.rows + planted.appended,
            self._truth(dataset, period, register, state, planted),
            stretch,
        )

    def _truth(
        self, dataset: str, period: int, register: Register, state: _State, planted: Planted
    ) -> dict[str, Any]:
        accepted = self.shown.counted(register["grid"]) - self.shown.counted(register["grid"][planted.lost])
        if any("refuses" in defect for defect in planted.told):
            accepted = accepted * 0
        changes = state.changes.get(dataset)
        return {
            "dataset": dataset,
            "seed": self.seed,
            "period": f"{first_day(period):%Y-%m}",
            "rows": register.rows + planted.appended,
            # Rows without an error, by community: what a first intake promotes.
            "accepted": dict(zip(self.places.communities, accepted.tolist(), strict=True)),
            "swapped": list(self.swap) if self.swap else [],
            "defects": [
                {"dataset": dataset, "period": f"{first_day(period):%Y-%m}", **d} for d in planted.told
            ],
            "canaries": planted.canaries,
            **(
                changes.told(state.before[dataset], register["key"], self.places.communities)
                if changes
                else {}
            ),
        }

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *stream])

    def _at(self, period: int) -> _State:
        if self._state is None or self._state.period > period:
            self._state = self._first()
        while self._state.period < period:
            self._state = self._next(self._state)
        return self._state

    def _first(self) -> _State:
        day = residents.day_number(first_day(1))
        people = residents.settle(self._rng(1, 1), self.places, self.shares, self.scale.residents)
        found = {RESIDENT: people}
        if ENTERPRISE in self.datasets:
            found[ENTERPRISE] = enterprises.settle(
                self._rng(2, 1), self.places, self.shares, people, self.scale.enterprises, day
            )
        if GRID_EVENT in self.datasets:
            found[GRID_EVENT] = events.settle(
                self._rng(3, 1), self.places, self.shares, people, self.matters, self.scale.events, day
            )
        if VACCINATION_DUE in self.datasets:
            found[VACCINATION_DUE] = vaccinations.due(people, self.seed, day)
        return _State(1, found, {}, {})

    def _next(self, state: _State) -> _State:
        period = state.period + 1
        day, before = (residents.day_number(first_day(number)) for number in (period, period - 1))
        registers: dict[str, Register] = {}
        changes: dict[str, Changes] = {}
        old = state.registers
        people, changes[RESIDENT] = months.month_later(
            self._rng(1, period), self.places, self.shares, old[RESIDENT], day, before
        )
        registers[RESIDENT] = people
        if ENTERPRISE in old:
            registers[ENTERPRISE], changes[ENTERPRISE] = enterprises.month_later(
                self._rng(2, period), self.places, self.shares, old[ENTERPRISE], people, day
            )
        if GRID_EVENT in old:
            registers[GRID_EVENT], changes[GRID_EVENT] = events.month_later(
                self._rng(3, period),
                self.places,
                self.shares,
                old[GRID_EVENT],
                people,
                self.matters,
                day,
                before,
            )
        if VACCINATION_DUE in old:
            due = vaccinations.due(people, self.seed, day)
            registers[VACCINATION_DUE] = due
            changes[VACCINATION_DUE] = vaccinations.since(old[VACCINATION_DUE], due, self.places.community_of)
        return _State(period, registers, changes, {name: old[name]["key"] for name in changes})


def _changed_rows(register: Register, changes: Changes | None) -> Numbers:
    """Rows that a month changed: spoiling them would hide what the truth says of the month."""
    if changes is None:
        return np.empty(0, dtype=np.int64)
    keys = np.concatenate([changes.moved, changes.added, *changes.changed.values()])
    return np.flatnonzero(np.isin(register["key"], keys))


def _fitted(found: Mapping[str, pa.Array], contract: Contract, *, rows_of: int) -> pa.Table:
    """The contract's fields in its order; an optional one that the simulator does not know is absent."""
    columns = {}
    for field in contract.fields:
        if field.name in found:
            columns[field.name] = found[field.name]
        elif field.required or field.primary_key:
            raise ContentError(
                "simulator.field.unknown",
                Text(
                    f"the simulator makes no {contract.dataset}.{field.name}, which is required",
                    f"模拟器不生成必填字段 {contract.dataset}.{field.name}",
                ),
                remedy=Text(
                    "make the field optional, or leave the dataset out: --dataset",
                    "请将字段改为选填，或用 --dataset 排除该数据集",
                ),
                where=field.where,
            )
        else:
            columns[field.name] = pa.nulls(rows_of, pa.string())
    return pa.table(columns)

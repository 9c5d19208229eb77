"""What one stolen data key is worth: one field of one domain of one epoch, measured over all cells of the field.

In a range the thief has the whole district store, and knows of each cell where it belongs; what he lacks is the other
keys. A range has one epoch: over many, the sealing engine is attacked alone, over made-up cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huanshu.drill.careless import OneKeyForAll
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.registers import Cell, cells, take_in_register, vault
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import Text
from huanshu.sealing import CellContext, KeyName, new_key, seal_column
from huanshu.sealing.keys import data_key

_DATASET: Final = "resident"
_WIDTH: Final = 20
#: Two residents of each domain in each epoch: one who has the value and one who has none.
_VALUES: Final = ("张三", None)
#: More than that no community of a range has of its district.
_SMALL: Final = 0.1


@dataclass(frozen=True, slots=True)
class Worth:
    """What a stolen key opens: the share of its own field's cells, and how many of the other fields'."""

    cells: int
    own: float
    others: int


class Hoard:
    """All cells of a district, and the keys that ``born`` gave each name."""

    def __init__(
        self,
        domains: int,
        epochs: int,
        fields: Sequence[str],
        born: Callable[[KeyName], bytes] = new_key,
    ) -> None:
        self._keys: dict[KeyName, bytes] = {}
        self.cells: dict[str, list[Cell]] = {field: [] for field in fields}
        record = 0
        for number in range(domains):
            for epoch in range(1, epochs + 1):
                record += len(_VALUES)
                for field in fields:
                    context = CellContext(f"9901010{number:05}", _DATASET, field, "reveal", epoch)
                    self._seal(context, record, born)

    def _seal(self, context: CellContext, first: int, born: Callable[[KeyName], bytes]) -> None:
        name = data_key(context.domain, context.dataset, context.field, context.epoch)
        key = self._keys[name] = born(name)
        rows = list(range(first, first + len(_VALUES)))
        sealed = seal_column(key, context, _WIDTH, rows, [1] * len(rows), _VALUES)
        self.cells[context.field] += [
            Cell(context, row, 1, cell) for row, cell in zip(rows, sealed, strict=True)
        ]

    def stolen(self, field: str, domain: int, epoch: int) -> Worth:
        """What the key of this field of this domain of this epoch is worth to a thief."""
        return _worth(self._keys[data_key(f"9901010{domain:05}", _DATASET, field, epoch)], self.cells, field)

    def all_open(self) -> bool:
        """Whether each cell opens with its own key."""
        return all(cell.opens(self._keys[cell.key]) for cells in self.cells.values() for cell in cells)


def _worth(key: bytes, cells: Mapping[str, Sequence[Cell]], field: str) -> Worth:
    own, others = cells[field], [each for name, found in cells.items() if name != field for each in found]
    return Worth(
        len(own), sum(each.opens(key) for each in own) / len(own), sum(each.opens(key) for each in others)
    )


def stolen_data_key(home: Path, drill: Drill) -> list[Arm]:
    """One key of the keeper's loan leaves with a worker; it is tried on every cell of the district."""
    actors = drill.actors
    domains, epochs = int(actors["domains"]), int(actors["epochs"])
    fields, at = (actors["field"], actors["other_field"]), (domains // 2, (epochs + 1) // 2)
    hoard = Hoard(domains, epochs, fields)
    worth, allowed = hoard.stolen(fields[0], *at), 1 / domains / epochs
    with Range(home) as range_:
        take_in_register(range_, actors)
        stolen = _sealed(range_, actors["dataset"])
        found, expected = _in_a_store(range_, actors["field"], stolen)
        readable = _all_open(range_, stolen)
    attack = Arm(
        ATTACK,
        worth.cells >= domains * epochs
        and (worth.own, worth.others) == (allowed, 0)
        and found.cells >= actors["residents"]
        and (found.own, found.others) == (expected, 0)
        and 0 < expected < _SMALL,
        Text(
            f"of a whole district store it opens {found.own:.2%} of the field's {found.cells} cells, one community's,"
            f" and {found.others} of all other fields'; over {epochs} epochs {worth.own:.3%}, one domain's of one",
            f"在整个区级库中可打开该字段 {found.cells} 个密文的 {found.own:.2%}（一个社区），"
            f"其他字段 {found.others} 个；跨 {epochs} 个密钥版本时为 {worth.own:.3%}（一个域、一个版本）",
        ),
    )
    shared = Hoard(domains, epochs, fields, OneKeyForAll()).stolen(fields[0], *at)
    control = Arm(
        CONTROL,
        shared.own == 1.0 and shared.others == shared.cells,
        Text(
            f"with one key for all, it opens {shared.own:.0%} of both fields",
            f"若共用一把密钥，可打开两个字段的 {shared.own:.0%}",
        ),
    )
    twin = Arm(
        TWIN,
        hoard.all_open() and readable,
        Text("each cell opens with its own key", "各密文以其自身密钥均可打开"),
    )
    return [attack, control, twin]


def _sealed(range_: Range, dataset: str) -> dict[str, list[Cell]]:
    fields = [field.name for field in range_.acting().home.contracts[dataset].sealed_fields]
    return {name: list(cells(range_, dataset, [name])) for name in fields}


def _in_a_store(range_: Range, field: str, stolen: Mapping[str, Sequence[Cell]]) -> tuple[Worth, float]:
    """What the key of the field's first cell is worth, and the share of the field that lies under that key."""
    own = stolen[field]
    with vault(range_) as keys:
        key = keys.key(own[0].key, born=False)
    return _worth(key, stolen, field), sum(each.key == own[0].key for each in own) / len(own)


def _all_open(range_: Range, stolen: Mapping[str, Sequence[Cell]]) -> bool:
    every = [each for found in stolen.values() for each in found]
    with vault(range_) as keys:
        return all(each.opens(keys.key(each.key, born=False)) for each in every)


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"stolen_data_key": stolen_data_key}

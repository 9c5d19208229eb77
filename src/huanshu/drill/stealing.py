"""What one stolen data key is worth: one field of one domain of one epoch, measured over all cells of the field.

No range: the sealing engine alone is attacked, over made-up cells of as many domains and epochs as the drill says. The
thief has every cell, and knows of each where it belongs; what he lacks is the other keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huanshu.drill.careless import OneKeyForAll
from huanshu.drill.definition import Drill
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import TamperedError, Text
from huanshu.sealing import CellContext, KeyName, new_key, open_column, seal_column
from huanshu.sealing.keys import data_key

_DATASET: Final = "resident"
_WIDTH: Final = 20
#: Two residents of each domain in each epoch: one who has the value and one who has none.
_VALUES: Final = ("张三", None)


@dataclass(frozen=True, slots=True)
class Cell:
    """A sealed value, and where it belongs."""

    context: CellContext
    record: int
    sealed: bytes

    @property
    def key(self) -> KeyName:
        where = self.context
        return data_key(where.domain, where.dataset, where.field, where.epoch)


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
            Cell(context, row, cell) for row, cell in zip(rows, sealed, strict=True)
        ]

    def stolen(self, field: str, domain: int, epoch: int) -> Worth:
        """What the key of this field of this domain of this epoch is worth to a thief."""
        key = self._keys[data_key(f"9901010{domain:05}", _DATASET, field, epoch)]
        own, others = self.cells[field], [c for name in self.cells if name != field for c in self.cells[name]]
        return Worth(len(own), sum(_opens(key, cell) for cell in own) / len(own),
                     sum(_opens(key, cell) for cell in others))  # fmt: skip

    def all_open(self) -> bool:
        """Whether each cell opens with its own key."""
        return all(_opens(self._keys[cell.key], cell) for cells in self.cells.values() for cell in cells)


def _opens(key: bytes, cell: Cell) -> bool:
    try:
        open_column(key, cell.context, [cell.record], [1], [cell.sealed])
    except TamperedError:
        return False
    return True


def stolen_data_key(home: Path, drill: Drill) -> list[Arm]:  # noqa: ARG001 - no range: sealing alone is attacked
    """One key of the keeper's loan leaves with a worker; it is tried on every cell of the district."""
    domains, epochs = int(drill.actors["domains"]), int(drill.actors["epochs"])
    fields, at = (drill.actors["field"], drill.actors["other_field"]), (domains // 2, (epochs + 1) // 2)
    hoard = Hoard(domains, epochs, fields)
    worth = hoard.stolen(fields[0], *at)
    allowed = 1 / domains / epochs
    attack = Arm(
        ATTACK,
        worth.cells >= domains * epochs and worth.own == allowed and worth.others == 0,
        Text(
            f"it opens {worth.own:.3%} of the field's {worth.cells} cells, one domain's of one epoch;"
            f" {worth.others} of the other field's",
            f"可打开该字段 {worth.cells} 个密文的 {worth.own:.3%}（一个域、一个版本），另一字段 {worth.others} 个",
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
    twin = Arm(TWIN, hoard.all_open(), Text("each cell opens with its own key", "各密文以其自身密钥均可打开"))
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"stolen_data_key": stolen_data_key}

"""A register in memory: columns of numbers of one length, row after row in file order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from huanshu.simulator.columns import Numbers


class Register:
    """Columns by name. Assigning to a column's rows changes a copy of that column only."""

    def __init__(self, columns: Mapping[str, Numbers]) -> None:
        self._columns = dict(columns)
        lengths = {len(column) for column in self._columns.values()}
        if len(lengths) != 1:
            raise ValueError(f"columns of lengths {sorted(lengths)}")
        self.rows = lengths.pop()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __getitem__(self, name: str) -> Numbers:
        return self._columns[name]

    def part(self, rows: Numbers | slice, names: Iterable[str] | None = None) -> Register:
        """Some rows (and columns)."""
        return Register({name: self._columns[name][rows] for name in names or self._columns})

    def with_columns(self, columns: Mapping[str, Numbers]) -> Register:
        """More columns, or others in their place."""
        return Register({**self._columns, **columns})

    def changed(self, rows: Numbers, columns: Mapping[str, Numbers | int]) -> Register:
        """These rows with other values. ``self`` stays as it is."""
        made = dict(self._columns)
        for name, values in columns.items():
            column = made[name].copy()
            column[rows] = values
            made[name] = column
        return Register(made)

    def without(self, rows: Numbers) -> Register:
        """All but these rows."""
        keep = np.ones(self.rows, dtype=np.bool_)
        keep[rows] = False
        return self.part(np.flatnonzero(keep))

    def followed_by(self, other: Register) -> Register:
        """The rows of both; ``other`` has the same columns, perhaps of wider types."""
        return Register(
            {
                name: np.concatenate([column, other[name].astype(column.dtype)])
                for name, column in self._columns.items()
            }
        )

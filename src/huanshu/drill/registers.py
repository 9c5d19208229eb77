"""A simulated register in a range, and what whoever measures a drill knows of it: its rows, and its keys.

No attack is here. Who attacks has the store; whether a guess was right is seen with the keeper's own root.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql

from huanshu.drill.range import Range
from huanshu.errors import TamperedError
from huanshu.keeper.vault import Vault, load_root
from huanshu.sealing import CellContext, KeyName, open_column
from huanshu.sealing.keys import data_key
from huanshu.simulator import Scale, Simulation, forms
from huanshu.store import connect

_SEED: Final = 11


@dataclass(frozen=True, slots=True)
class Cell:
    """A sealed value of a store, and where it belongs."""

    context: CellContext
    record: int
    version: int
    sealed: bytes = field(repr=False)

    @property
    def key(self) -> KeyName:
        where = self.context
        return data_key(where.domain, where.dataset, where.field, where.epoch)

    def open(self, key: bytes) -> str | None:
        """TamperedError when it does not open by this key."""
        (value,) = open_column(key, self.context, [self.record], [self.version], [self.sealed])
        return value

    def opens(self, key: bytes) -> bool:
        """Whether it opens by this key."""
        try:
            self.open(key)
        except TamperedError:
            return False
        return True


def take_in_register(range_: Range, actors: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Take in a register of so many simulated residents, none of them faulty: its rows as the department sent them."""
    story = Simulation(range_.acting().home, _SEED, Scale.of(actors["residents"]), [actors["dataset"]])
    extract = story.extract(actors["dataset"], defects=0)
    written = io.BytesIO()
    forms.csv(extract.fields, extract.batches(), written, "utf-8")
    range_.take_in(actors["intake"], content=written.getvalue())
    rows: list[dict[str, str | None]] = extract.table().to_pylist()
    return rows


def cells(range_: Range, dataset: str, fields: Sequence[str]) -> Iterator[Cell]:
    """The sealed cells of these fields of all current rows, as whoever stole the district store has them, in the order
    of the records."""
    running = range_.acting()
    for name in fields:
        query = sql.SQL(
            "SELECT home, epoch, record, version, {} FROM {} WHERE batch_out IS NULL ORDER BY record"
        ).format(sql.Identifier(name), sql.Identifier("district", dataset))
        with running.district() as store:
            for home, epoch, record, version, cell in store.execute(query):
                yield Cell(CellContext(home, dataset, name, "reveal", epoch), record, version, bytes(cell))


@contextmanager
def vault(range_: Range) -> Iterator[Vault]:
    """The range's keys, by the keeper's own root."""
    with connect(range_.deployment.roles["huanshu_keeper"]) as connection:
        yield Vault(load_root(range_.settings.keeper_folder / "root.key"), connection)

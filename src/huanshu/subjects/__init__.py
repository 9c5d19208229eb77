"""Subjects (主体) and records by link: ordinals that are never reused, record numbers that never change.

Works on links only; no identifier is ever seen here. What a link's number is, the district store says: known ones are
read, new ones come from its sequence, in the order of the links (keyed values: nobody's place in an extract shows in
a number). Two intakes that number the same kind wait for each other, from ``reserve`` to the end of its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from huanshu.store.copying import copy_in
from huanshu.store.packed import BIGINT, read_packed
from huanshu.subjects.links import Distinct, Links, Numbers, distinct, places

__all__ = ["RECORDS", "SUBJECTS", "Numbered", "Register", "distinct", "find_record", "number", "reserve"]

_FIND_RECORD = "SELECT record FROM district.record WHERE dataset = %s AND link = %s"
#: Up to so many links are asked for one by one; for more, all that are known are read.
_FEW: Final = 10_000


@dataclass(frozen=True, slots=True)
class Register:
    """Where numbers are kept: a table, the column that says of what, the numbers' column."""

    table: str
    of: str
    number: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier("district", self.table)


RECORDS: Final = Register("record", "dataset", "record")
SUBJECTS: Final = Register("subject", "kind", "ordinal")


@dataclass(frozen=True, slots=True)
class Numbered:
    """The numbers of some links, and which of them are new and not yet stored."""

    register: Register
    name: str
    given: Distinct
    #: Number of each distinct link; 0 where it has none and was not to get one.
    numbers: Numbers
    fresh: Numbers  # places of new ones among the distinct

    @property
    def by_row(self) -> Numbers:
        """Each row's number."""
        found: Numbers = self.numbers[self.given.codes]
        return found

    def store(self, connection: psycopg.Connection) -> None:
        """Write the new ones. In the transaction of ``reserve``, before anything that names them has effect."""
        if len(self.fresh):
            links = np.take(self.given.links, self.fresh, axis=0)
            cells = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(links.shape[1]), len(links), [None, pa.py_buffer(links)]
            )
            if len(links) > _FEW:  # an empty register gets its keys afterwards (migration 0008)
                connection.execute("SELECT district.index_after(%s)", (self.register.table,))
            copy_in(
                connection,
                self.register.identifier,
                {
                    self.register.of: pa.repeat(self.name, len(links)),
                    self.register.number: pa.array(self.numbers[self.fresh]),
                    "link": cells.cast(pa.large_binary()),
                },
            )
            connection.execute("SET CONSTRAINTS district.number_load_indexed IMMEDIATE")


def reserve(connection: psycopg.Connection, names: Iterable[tuple[Register, str]]) -> None:
    """Nobody else numbers these names until the transaction ends. All at once, so that no two wait crosswise."""
    for register, name in sorted(set(names), key=lambda pair: (pair[0].table, pair[1])):
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"number/{register.table}/{name}",)
        )


def number(
    connection: psycopg.Connection, register: Register, name: str, given: Distinct, wanted: Numbers
) -> Numbered:
    """Numbers of ``given``; those at the places ``wanted`` get a new one where they have none yet."""
    numbers = _known(connection, register, name, given.links)
    fresh = wanted[numbers[wanted] == 0]
    numbers[fresh] = _next(connection, register, len(fresh))
    return Numbered(register, name, given, numbers, fresh)


def find_record(connection: psycopg.Connection, dataset: str, linked: bytes) -> int | None:
    """The record number behind a link, or None."""
    row = connection.execute(_FIND_RECORD, (dataset, linked)).fetchone()
    return None if row is None else int(row[0])


def _known(connection: psycopg.Connection, register: Register, name: str, links: Links) -> Numbers:
    source = sql.SQL("{} WHERE {} = {}").format(
        register.identifier, sql.Identifier(register.of), sql.Literal(name)
    )
    parameters: list[object] = []
    if len(links) <= _FEW:
        source = sql.SQL("{} AND link = ANY(%s)").format(source)
        parameters.append([row.tobytes() for row in links])
    found = read_packed(
        connection, {register.number: BIGINT, "link": "V16"}, source, register.number, parameters
    )
    place = places(links, found["link"])
    numbers = np.append(found[register.number], 0)  # a place of -1 is the last: 0
    known: Numbers = numbers[place]
    return known


def _next(connection: psycopg.Connection, register: Register, count: int) -> Numbers:
    """As many numbers as asked for, ascending, never given out before or again."""
    if not count:
        return np.empty(0, np.int64)
    row = connection.execute("SELECT district.draw_numbers(%s, %s)", (register.table, count)).fetchone()
    assert row is not None
    return np.arange(row[0], row[0] + count, dtype=np.int64)

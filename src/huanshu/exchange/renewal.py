"""Rows of the district store written anew where they are, a home at a time, and the lists that say so.

A renewal (a rotation, a rotation of links, an erasure) changes rows that earlier batches wrote. Its lists take their
place: ``<batch>/<home>`` under the renewal's name is the list of that batch and home from then on (FORMAT.md, 18).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.errors import UnavailableError
from huanshu.exchange import written
from huanshu.exchange.bound import Bound
from huanshu.keeper.vouched import ROW, bound_columns
from huanshu.sealing.suites import Profile, growth_of
from huanshu.store.blocks import Block, Heads, Shape, read_blocks, write_blocks

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_COUNT: Final = 2  # bytes of a row's field count
_LENGTH: Final = 4
_MARK: Final = 16
_LINK: Final = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one home that one batch wrote, and one batch (or none) ended: as far as they go, all are alike."""

    home: str
    batch_in: str
    batch_out: str | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a group in the hand: what may be changed, by name ``uint8[n, w]``."""

    group: Group
    records: Numbers
    versions: NDArray[np.int32]
    cells: dict[str, Bytes]
    links: dict[str, Bytes]


Change = Callable[[Part], None]


class Renewal:
    """Of one dataset's rows, under one name. Every call is in the caller's transaction."""

    def __init__(self, contract: Contract, name: str, profile: Profile, bound: Bound) -> None:
        self._contract, self._name, self._bound = contract, name, bound
        #: Lists that were written here, by their digests: what is told later must be these.
        self.noted: dict[str, bytes] = {}
        self.table = sql.Identifier("district", contract.dataset)
        self._index = sql.Identifier("district", f"{contract.dataset}_renewed"[:63])
        self._columns = [*bound_columns(contract), "batch_out"]
        beside = 1 + growth_of(profile)  # a value's end (padding), and what sealing adds
        self._sealed = {f.name: (f.width or 0) + beside for f in contract.sealed_fields}
        self._links = [f"link_{f.name}" for f in contract.fields if f.link_kind]

    def index(self, connection: psycopg.Connection) -> None:
        """What makes finding a home's rows of one batch quick; without it each home reads the whole table."""
        connection.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (home, batch_in)").format(
                sql.Identifier(f"{self._contract.dataset}_renewed"[:63]), self.table
            )
        )

    def drop_index(self, connection: psycopg.Connection) -> None:
        connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(self._index))

    def homes(self, connection: psycopg.Connection, before: int | None = None) -> list[str]:
        """Homes with rows (sealed before an epoch), in order."""
        query = sql.SQL("SELECT DISTINCT home FROM {} WHERE epoch < {} ORDER BY home").format(
            self.table, before or np.iinfo(np.int32).max
        )
        return [str(row[0]) for row in connection.execute(query)]

    def groups(self, connection: psycopg.Connection, home: str, before: int | None = None) -> list[Group]:
        query = sql.SQL(
            "SELECT home, batch_in, batch_out, epoch FROM {} WHERE home = %s AND epoch < %s GROUP BY 1, 2, 3, 4"
            " ORDER BY 2, 3 NULLS FIRST, 4"
        ).format(self.table)
        rows = connection.execute(query, (home, before or int(np.iinfo(np.int32).max)))
        return [Group(*row) for row in rows]

    def rewrite(
        self, connection: psycopg.Connection, groups: list[Group], change: Change, epoch: int | None = None
    ) -> int:
        """Change the rows of some groups (all those of their batch and home) and write their lists. How many rows."""
        self._bound.refresh()
        before: dict[str, list[bytes]] = {}
        after: dict[str, list[bytes]] = {}
        for group in groups:
            old, blocks = self._changed(connection, group, change, epoch)
            self._replace(connection, group, blocks)
            name = f"{group.batch_in}/{group.home}"
            before.setdefault(name, []).append(old)
            after.setdefault(name, []).extend(_items(block, _tail(group)) for block in blocks)
        for group in groups:
            name = f"{group.batch_in}/{group.home}"
            if name in before:
                self._require_bound(group, b"".join(before.pop(name)))
        for name, parts in after.items():
            self.note(connection, name, b"".join(parts))
        return sum(map(len, (b"".join(parts) for parts in after.values()))) // ROW.itemsize

    def note(self, connection: psycopg.Connection, name: str, items: bytes) -> None:
        """The list that takes another's place: ``<batch>/<home>``."""
        rows = _in_order(items)
        connection.execute(
            "INSERT INTO district.written (batch, home, rows) VALUES (%s, %s, %s)",
            (self._name, name, rows),
        )
        self.noted[name] = hashlib.sha256(rows).digest()

    def begun(self, connection: psycopg.Connection) -> list[str]:
        """Homes that a killed run before this one has renewed, in order."""
        self._bound.refresh()
        homes = {place.rpartition("/")[2] for place in self._bound.mine}
        return [home for home in self.homes(connection) if home in homes]

    def require_renewed(
        self, connection: psycopg.Connection, home: str, epoch: int, undo: Callable[[int], Change]
    ) -> None:
        """What a killed run has renewed is what the log binds, and no more: ``undo`` an epoch turns its rows, in the
        hand alone, into what they were under that epoch. TamperedError."""
        groups: dict[str, list[Group]] = {}
        for group in self.groups(connection, home):
            if group.epoch == epoch and f"{group.batch_in}/{home}" in self._bound.mine:
                groups.setdefault(group.batch_in, []).append(group)
        for batch, these in groups.items():
            bound = self._bound.before(batch, home)
            if bound is not None and not any(
                self._turned(connection, these, undo(age), age) == bound for age in range(epoch - 1, 0, -1)
            ):
                raise self._bound.changed(batch)
            rows = self._turned(connection, these, lambda _: None, epoch)
            assert rows is not None  # no key is asked for
            self.noted[f"{batch}/{home}"] = hashlib.sha256(rows).digest()

    def _turned(
        self, connection: psycopg.Connection, groups: list[Group], change: Change, epoch: int
    ) -> bytes | None:
        """The list that rows would have after a change; None where it cannot be made, for want of a key."""
        try:
            made = [(group, self._changed(connection, group, change, epoch)[1]) for group in groups]
        except UnavailableError as away:
            if away.code != "keeper.key.missing":
                raise
            return None
        return _in_order(b"".join(_items(block, _tail(group)) for group, blocks in made for block in blocks))

    def told(self, connection: psycopg.Connection, *, whole: bool = True) -> dict[str, Any]:
        """What the entry of this renewal says of its lists. TamperedError when one of those written here, or found to
        be right, is another by now, or when others lie beside them: they would hide what somebody changed. ``whole``
        is False where a killed run wrote them, and nothing in the store tells any more what was there before."""
        lists = written.stored(connection, self._name)
        for name in sorted(lists.keys() - self.noted.keys()) if whole else ():
            raise self._bound.changed(name.rpartition("/")[0])
        for name, digest in self.noted.items():
            if hashlib.sha256(lists.get(name, b"")).digest() != digest:
                raise self._bound.changed(name.rpartition("/")[0])
        return written.told(lists)

    def _require_bound(self, group: Group, items: bytes) -> None:
        """Rows are renewed only as the log binds them: otherwise what somebody changed in the store, plain text say,
        would be bound anew and the change never found. TamperedError."""
        bound = self._bound.current(group.batch_in, group.home)
        if bound is not None and bound != _in_order(items):
            raise self._bound.changed(group.batch_in)

    def _changed(
        self, connection: psycopg.Connection, group: Group, change: Change, epoch: int | None
    ) -> tuple[bytes, list[Block]]:
        """The items of a group's rows as they were, and its rows as they are to be."""
        widths = [8, 4, len(group.batch_in.encode()), 4, _MARK]
        widths += [_LINK] * len(self._links) + list(self._sealed.values())
        shape = Shape(len(self._columns), widths)
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(map(sql.Identifier, self._columns)), self.table, _of(group)
        )
        old, blocks = [], []
        for block in read_blocks(connection, query):
            old.append(_items(block, _tail(group)))
            heads = block.heads(shape)
            first = 5 + len(self._links)
            change(
                Part(
                    group,
                    heads.numbers(0),
                    heads.numbers(1).astype(np.int32),
                    {name: heads.values(n) for n, name in enumerate(self._sealed, first)},
                    {name: heads.values(n) for n, name in enumerate(self._links, 5)},
                )
            )
            if epoch is not None:
                _number(heads, 3, epoch)
            block.put_heads(heads)
            blocks.append(block)
        return b"".join(old), blocks

    def _replace(self, connection: psycopg.Connection, group: Group, blocks: list[Block]) -> None:
        gone = connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(self.table, _of(group))).rowcount
        assert gone == sum(map(len, blocks))  # nobody else writes: the table is locked against it
        write_blocks(connection, self.table, self._columns, blocks)


def _of(group: Group) -> sql.Composed:
    return sql.SQL("home = {} AND batch_in = {} AND epoch = {} AND batch_out IS NOT DISTINCT FROM {}").format(
        group.home, group.batch_in, group.epoch, group.batch_out
    )


def _number(heads: Heads, field: int, value: int) -> None:
    heads.values(field)[:] = np.frombuffer(value.to_bytes(4, "big"), np.uint8)


def _tail(group: Group) -> int:
    """Bytes at the end of a row that its digest does not cover: by which batch it ended."""
    return _LENGTH + len((group.batch_out or "").encode())


def _in_order(items: bytes) -> bytes:
    rows = np.frombuffer(items, ROW)
    return rows[np.argsort(rows["record"].astype(np.int64), kind="stable")].tobytes()


def _items(block: Block, after: int) -> bytes:
    """A list's item of every row."""
    found = np.empty(len(block), ROW)
    hashed = hashlib.sha256
    digests = [hashed(image).digest() for image in block.images(_COUNT, after)]
    found["digest"] = np.frombuffer(b"".join(digests), "V32")
    place = block.starts + _COUNT + _LENGTH
    raw = np.lib.stride_tricks.sliding_window_view(block.data, 8)[place]
    found["record"] = np.ascontiguousarray(raw).view(">u8")[:, 0]
    raw = np.lib.stride_tricks.sliding_window_view(block.data, 4)[place + 8 + _LENGTH]
    found["version"] = np.ascontiguousarray(raw).view(">u4")[:, 0]
    return found.tobytes()

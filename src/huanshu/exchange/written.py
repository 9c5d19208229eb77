"""What a batch writes into the district store, as lists that its entry binds: so a row put back to last month's value,
taken away or added is found, and named.

One list a home, ascending by record: u64(record) ‖ u32(version) ‖ row digest, 44 bytes a row; and under the empty home
what the batch ended, with 32 zero bytes for the digest (docs/FORMAT.md, 14). The lists lie in ``district.written``, are
stored in the transaction that has the effect, and hold no value.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.keeper.vouched import ROW, bound_columns, written_digest
from huanshu.store.copying import Counts, raw_rows

Lists = Mapping[str, bytes]
_FIELD_COUNT: Final = 2  # bytes before a row's first field, in COPY's binary form


class RowDigests:
    """Takes the row images that go into a COPY, as they go, and keeps their digests."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def add(self, image: memoryview, starts: Counts, ends: Counts) -> None:
        hashed = hashlib.sha256
        self._digests += [
            hashed(image[start:end]).digest()
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def lists(
        self, homes: Sequence[str], starts: Sequence[int], records: NDArray[Any], versions: NDArray[Any]
    ) -> Lists:
        """The rows taken so far by home, not yet in order: ``homes[n]`` has those from ``starts[n]`` on."""
        rows = np.empty(len(records), ROW)
        rows["record"], rows["version"] = records, versions
        rows["digest"] = np.frombuffer(b"".join(self._digests), "V32")
        return {
            home: rows[start:end].tobytes()
            for home, start, end in zip(homes, starts[:-1], starts[1:], strict=True)
        }


def whole(parts: Iterable[Lists], ended: NDArray[Any], ended_versions: NDArray[Any]) -> Lists:
    """A batch's lists, each in order: what its parts wrote, and what it ended."""
    gathered: dict[str, list[bytes]] = {}
    for part in parts:
        for home, rows in part.items():
            gathered.setdefault(home, []).append(rows)
    left = np.zeros(len(ended), ROW)
    left["record"], left["version"] = ended, ended_versions
    made = {home: _in_order(np.frombuffer(b"".join(rows), ROW)) for home, rows in gathered.items()}
    return made | ({"": _in_order(left)} if len(left) else {})


def _in_order(rows: NDArray[Any]) -> bytes:
    return bytes(rows[np.argsort(rows["record"].astype(np.int64), kind="stable")].tobytes())


def of_record(
    connection: psycopg.Connection, contract: Contract, home: str, record: int, version: int, before: int
) -> Lists:
    """The lists of a batch that wrote this one version of a record, and ended the version ``before`` it."""
    query = sql.SQL("SELECT {} FROM {} WHERE record = {} AND version = {}").format(
        sql.SQL(", ").join(map(sql.Identifier, bound_columns(contract))),
        sql.Identifier("district", contract.dataset),
        sql.Literal(record),
        sql.Literal(version),
    )
    (row,) = raw_rows(connection, query)
    digest = hashlib.sha256(row[_FIELD_COUNT:]).digest()
    return {
        home: struct.pack(">QI", record, version) + digest,
        "": struct.pack(">QI32x", record, before),
    }


def store(connection: psycopg.Connection, batch: str, lists: Lists) -> dict[str, Any]:
    """Write a batch's lists, in the transaction of its effect. Returns what its entry says of them."""
    with connection.cursor().copy(
        "COPY district.written (batch, home, rows) FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.set_types(["text", "text", "bytea"])
        for home in sorted(lists):
            copy.write_row((batch, home, lists[home]))
    return told(lists)


def stored(connection: psycopg.Connection, batch: str) -> Lists:
    """The lists of a batch, as they lie in the store."""
    rows = connection.execute("SELECT home, rows FROM district.written WHERE batch = %s", (batch,))
    return {home: bytes(listed) for home, listed in rows}


def told(lists: Lists) -> dict[str, Any]:
    """What a batch's entry says: how many rows came and ended, and the digest over all its lists."""
    ended = len(lists.get("", b"")) // ROW.itemsize
    rows = sum(map(len, lists.values())) // ROW.itemsize - ended
    digests = {home: hashlib.sha256(listed).digest() for home, listed in lists.items()}
    return {"rows": rows, "ended": ended, "sha256": written_digest(digests)}

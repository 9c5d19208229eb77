"""The district's books: what a delivery was frozen to carry, and what each receiver holds.

They are committed without waiting for the disk (``Routes.effects``): what they say can be told again from what was
waited for, the log and the receiver's inbox. A crash of the server may lose a transaction on the books whole, never an
entry's and not this: a frozen delivery is on the disk before its entry is, since both go through one server's WAL.

A row is a chunk, or a receiver; its arrays are read and written whole, a column at a time. Two writers never meet here:
deliveries of one flow to one receiver exclude each other (``delivery``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql
from pyroaring import BitMap

from huanshu.store.copying import copy_in, copy_out

Numbers = NDArray[np.int64]

_NUMBERS = pa.list_(pa.int64())
_CHUNK = sql.Identifier("district", "delivery_chunk")
_DELIVERED = sql.Identifier("district", "delivered")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a frozen delivery: what is opened and staged at once."""

    number: int
    records: Numbers
    versions: Numbers
    withdrawn: Numbers
    subjects: BitMap


def freeze_chunks(connection: psycopg.Connection, delivery: str, chunks: Iterable[Chunk]) -> None:
    """Write a delivery's chunks; those of an earlier attempt at the same content are replaced."""
    connection.execute("DELETE FROM district.delivery_chunk WHERE delivery = %s", (delivery,))
    for chunk in chunks:
        copy_in(
            connection,
            _CHUNK,
            {
                "delivery": pa.array([delivery]),
                "chunk": pa.array([chunk.number], pa.int32()),
                "records": _row(chunk.records),
                "versions": _row(chunk.versions),
                "withdrawn": _row(chunk.withdrawn),
                "subjects": pa.array([chunk.subjects.serialize()], pa.binary()),
            },
        )


def subjects_of(connection: psycopg.Connection, delivery: str, chunks: list[int]) -> BitMap:
    """Ordinals of the subjects whose values these chunks of a frozen delivery carry."""
    rows = connection.execute(
        "SELECT subjects FROM district.delivery_chunk WHERE delivery = %s AND chunk = ANY(%s)",
        (delivery, chunks),
    )
    return BitMap.union(BitMap(), *(BitMap.deserialize(bytes(row[0])) for row in rows))


def reshaped(connection: psycopg.Connection, flow: str, receiver: str, shape: str) -> str | None:
    """The delivery that came last, when what it left at the receiver lies there in another shape; otherwise None."""
    row = connection.execute(
        "SELECT l.last, d.shape FROM district.delivered l LEFT JOIN district.delivery d ON d.delivery = l.last"
        " WHERE l.flow = %s AND l.receiver = %s",
        (flow, receiver),
    ).fetchone()
    return None if row is None or row[1] == shape else row[0] or ""


def received(connection: psycopg.Connection, flow: str, receiver: str) -> tuple[Numbers, Numbers]:
    """Records that a receiver holds by a flow, ascending, and the version of each."""
    types = {"records": _NUMBERS, "versions": _NUMBERS}
    query = sql.SQL("SELECT records, versions FROM {} WHERE flow = {} AND receiver = {}")
    for batch in copy_out(connection, query.format(_DELIVERED, flow, receiver), types):
        return _numbers(batch.column("records")), _numbers(batch.column("versions"))
    return np.empty(0, np.int64), np.empty(0, np.int64)


def book(connection: psycopg.Connection, flow: str, receiver: str, delivery: str) -> None:
    """The receiver now holds what the delivery brought, and no longer what it withdrew; the delivery has arrived."""
    types = dict.fromkeys(("records", "versions", "withdrawn"), _NUMBERS)
    query = sql.SQL("SELECT {} FROM {} WHERE delivery = {}").format(
        sql.SQL(", ").join(map(sql.Identifier, types)), _CHUNK, delivery
    )
    with connection.transaction():
        parts = pa.Table.from_batches(copy_out(connection, query, types), pa.schema(list(types.items())))
        records, versions, withdrawn = (_numbers(parts.column(name).combine_chunks()) for name in types)
        had = received(connection, flow, receiver)
        _write(connection, flow, receiver, delivery, holding(had, records, versions, withdrawn))


def book_holding(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, holds: tuple[Numbers, Numbers]
) -> None:
    """``book`` for who knows already what the receiver now holds: records and versions."""
    with connection.transaction():
        _write(connection, flow, receiver, delivery, holds)


def holding(
    had: tuple[Numbers, Numbers], records: Numbers, versions: Numbers, withdrawn: Numbers
) -> tuple[Numbers, Numbers]:
    """What a receiver holds after a delivery: records, ascending, and the version of each."""
    stays = ~np.isin(had[0], np.concatenate([records, withdrawn]))
    records = np.concatenate([had[0][stays], records])
    versions = np.concatenate([had[1][stays], versions])
    order = np.argsort(records, kind="stable")
    return records[order], versions[order]


def _write(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, holds: tuple[Numbers, Numbers]
) -> None:
    connection.execute("DELETE FROM district.delivered WHERE flow = %s AND receiver = %s", (flow, receiver))
    copy_in(
        connection,
        _DELIVERED,
        {
            "flow": pa.array([flow]),
            "receiver": pa.array([receiver]),
            "last": pa.array([delivery]),
            "records": _row(holds[0]),
            "versions": _row(holds[1]),
        },
    )
    connection.execute(
        "UPDATE district.delivery SET state = 'arrived', settled_at = now() WHERE delivery = %s", (delivery,)
    )


def still_from(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, *, arrived: bool
) -> Numbers:
    """Records that the receiver has as this delivery brought them; all it would bring, when it has not arrived."""
    types = dict.fromkeys(("records", "versions"), _NUMBERS)
    query = sql.SQL("SELECT records, versions FROM {} WHERE delivery = {}").format(_CHUNK, delivery)
    parts = pa.Table.from_batches(copy_out(connection, query, types), pa.schema(list(types.items())))
    records, versions = (_numbers(parts.column(name).combine_chunks()) for name in types)
    if not arrived:
        return records
    had, had_versions = received(connection, flow, receiver)
    if not len(had):
        return records[:0]
    place = np.searchsorted(had, records).clip(max=len(had) - 1)
    still: Numbers = records[(had[place] == records) & (had_versions[place] == versions)]
    return still


def replaced(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, carried: Numbers
) -> Numbers:
    """Records of a recalled delivery that the receiver no longer has as it brought them, once ``carried`` (what comes
    and what leaves) has arrived."""
    types = dict.fromkeys(("records", "versions"), _NUMBERS)
    query = sql.SQL("SELECT records, versions FROM {} WHERE delivery = {}").format(_CHUNK, delivery)
    parts = pa.Table.from_batches(copy_out(connection, query, types), pa.schema(list(types.items())))
    records, versions = (_numbers(parts.column(name).combine_chunks()) for name in types)
    had, had_versions = received(connection, flow, receiver)
    if not len(had):
        return records
    place = np.searchsorted(had, records).clip(max=len(had) - 1)
    # Version 0: forgotten, so that it is due again. It lies at the receiver still.
    still = (had[place] == records) & ((had_versions[place] == versions) | (had_versions[place] == 0))
    gone: Numbers = records[~still | np.isin(records, carried)]
    return gone


def forget(connection: psycopg.Connection, flow: str, receiver: str, delivery: str) -> None:
    """What the receiver still has from a delivery is due again: of it, the books know no version (0). Repeatable."""
    again = still_from(connection, flow, receiver, delivery, arrived=True)
    if not len(again):
        return
    had, versions = received(connection, flow, receiver)
    versions = np.where(np.isin(had, again), 0, versions)
    with connection.transaction():
        connection.execute(
            "UPDATE district.delivered SET versions = %s WHERE flow = %s AND receiver = %s",
            (versions.tolist(), flow, receiver),
        )


def _row(numbers: Numbers) -> pa.Array:
    """One array for one row."""
    return pa.ListArray.from_arrays(pa.array([0, len(numbers)], pa.int32()), pa.array(numbers, pa.int64()))


def _numbers(column: pa.Array) -> Numbers:
    found: Numbers = column.flatten().to_numpy(zero_copy_only=False)
    return found

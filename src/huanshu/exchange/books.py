"""The district's books: what a delivery was frozen to carry, and what each receiver holds.

They are committed without waiting for the disk (``Routes.effects``): what they say can be told again from what was
waited for, the log and the receiver's inbox. A crash of the server may lose a transaction on the books whole, never an
entry's and not this: a frozen delivery is on the disk before its entry is, since both go through one server's WAL.

A row is a chunk, or a receiver; its arrays are read and written whole, a column at a time. Two writers never meet here:
deliveries of one flow to one receiver exclude each other (``delivery``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray
from pyroaring import BitMap

from huanshu.store.arrays import arrays

Numbers = NDArray[np.int64]

_FREEZE = """
    WITH noted AS (
        INSERT INTO district.delivery (delivery, flow, receiver, state, upserts, withdrawals, shape)
        VALUES (%s, %s, %s, 'frozen', %s, %s, %s) ON CONFLICT (delivery) DO NOTHING RETURNING 1
    )
    INSERT INTO district.delivery_chunk (delivery, chunk, records, versions, withdrawn, subjects)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (delivery, chunk) DO UPDATE SET (records, versions, withdrawn, subjects)
        = (EXCLUDED.records, EXCLUDED.versions, EXCLUDED.withdrawn, EXCLUDED.subjects)
    RETURNING EXISTS (SELECT FROM noted)
"""
_FREEZE_CHUNK = """
    INSERT INTO district.delivery_chunk (delivery, chunk, records, versions, withdrawn, subjects)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (delivery, chunk) DO UPDATE SET (records, versions, withdrawn, subjects)
        = (EXCLUDED.records, EXCLUDED.versions, EXCLUDED.withdrawn, EXCLUDED.subjects)
"""
_BOOK = """
    WITH held AS (
        INSERT INTO district.delivered (flow, receiver, records, versions, last) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (flow, receiver) DO UPDATE
        SET (records, versions, last) = (EXCLUDED.records, EXCLUDED.versions, EXCLUDED.last)
    )
    UPDATE district.delivery SET state = 'arrived', settled_at = now() WHERE delivery = %s
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a frozen delivery: what is opened and staged at once."""

    number: int
    records: Numbers
    versions: Numbers
    withdrawn: Numbers
    subjects: BitMap


def freeze(
    connection: psycopg.Connection,
    delivery: str,
    flow: str,
    receiver: str,
    chunks: Sequence[Chunk],
    numbers: tuple[int, int],
    shape: str,
) -> bool:
    """Note a delivery and its chunks, in one commit; ``numbers`` are its upserts and withdrawals. Whether it is new:
    those of an earlier attempt at the same content are replaced."""
    with connection.transaction() if len(chunks) > 1 else nullcontext(), arrays(connection) as cursor:
        row = cursor.execute(
            _FREEZE, (delivery, flow, receiver, *numbers, shape, delivery, *_columns(chunks[0]))
        ).fetchone()
        for chunk in chunks[1:]:
            cursor.execute(_FREEZE_CHUNK, (delivery, *_columns(chunk)))
    assert row is not None  # RETURNING answers one row
    return bool(row[0])


def _columns(chunk: Chunk) -> tuple[int, Numbers, Numbers, Numbers, bytes]:
    return chunk.number, chunk.records, chunk.versions, chunk.withdrawn, chunk.subjects.serialize()


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
    with arrays(connection) as cursor:
        query = "SELECT records, versions FROM district.delivered WHERE flow = %s AND receiver = %s"
        row = cursor.execute(query, (flow, receiver)).fetchone()
    return (np.empty(0, np.int64), np.empty(0, np.int64)) if row is None else (row[0], row[1])


def _carried(connection: psycopg.Connection, delivery: str) -> tuple[Numbers, Numbers, Numbers]:
    """Records and versions that a frozen delivery brings, and the records it withdraws."""
    with arrays(connection) as cursor:
        query = "SELECT records, versions, withdrawn FROM district.delivery_chunk WHERE delivery = %s ORDER BY chunk"
        rows = cursor.execute(query, (delivery,)).fetchall()
    nothing = np.empty(0, np.int64)
    records, versions, withdrawn = (
        np.concatenate([nothing, *(row[column] for row in rows)]) for column in range(3)
    )
    return records, versions, withdrawn


def book(connection: psycopg.Connection, flow: str, receiver: str, delivery: str) -> None:
    """The receiver now holds what the delivery brought, and no longer what it withdrew; the delivery has arrived."""
    carried = _carried(connection, delivery)
    book_holding(
        connection, flow, receiver, delivery, holding(received(connection, flow, receiver), *carried)
    )


def book_holding(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, holds: tuple[Numbers, Numbers]
) -> None:
    """``book`` for who knows already what the receiver now holds: records and versions. One statement, one commit."""
    with arrays(connection) as cursor:
        cursor.execute(_BOOK, (flow, receiver, *holds, delivery, delivery))


def holding(
    had: tuple[Numbers, Numbers], records: Numbers, versions: Numbers, withdrawn: Numbers
) -> tuple[Numbers, Numbers]:
    """What a receiver holds after a delivery: records, ascending, and the version of each."""
    stays = ~np.isin(had[0], np.concatenate([records, withdrawn]))
    records = np.concatenate([had[0][stays], records])
    versions = np.concatenate([had[1][stays], versions])
    order = np.argsort(records, kind="stable")
    return records[order], versions[order]


def still_from(
    connection: psycopg.Connection, flow: str, receiver: str, delivery: str, *, arrived: bool
) -> Numbers:
    """Records that the receiver has as this delivery brought them; all it would bring, when it has not arrived."""
    records, versions, _ = _carried(connection, delivery)
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
    records, versions, _ = _carried(connection, delivery)
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
    with arrays(connection) as cursor:
        cursor.execute(
            "UPDATE district.delivered SET versions = %s WHERE flow = %s AND receiver = %s",
            (versions, flow, receiver),
        )

"""What is due to a receiver: the difference between its slice in the district and what it last received.

Step (a) of a delivery: one district transaction that freezes the difference as items in chunks, with the
subjects' bitmap and an id that names exactly this content. Nothing is opened, logged or sent here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.canonical import canonical
from huanshu.catalog import Contract, Flow, Home

_DIFFERENCE = sql.SQL("""
    WITH mine AS (
        SELECT record, version FROM {versions} WHERE batch_out IS NULL AND home = ANY(%(homes)s)
    ), theirs AS (
        SELECT record, version FROM district.delivered WHERE flow = %(flow)s AND receiver = %(receiver)s
    )
    SELECT coalesce(mine.record, theirs.record), coalesce(mine.version, theirs.version),
           CASE WHEN mine.record IS NULL THEN 'withdraw' ELSE 'upsert' END
    FROM mine FULL JOIN theirs USING (record)
    WHERE mine.version IS DISTINCT FROM theirs.version ORDER BY 1
""")
_SUBJECTS = sql.SQL("""
    SELECT DISTINCT unnest(v.subjects) FROM district.delivery_item i
    JOIN {versions} v USING (record, version)
    WHERE i.delivery = %s AND i.act = 'upsert' AND i.chunk = ANY(%s)
""")
_SLICE = sql.SQL("SELECT count(*) FROM {versions} WHERE batch_out IS NULL AND home = ANY(%s)")


@dataclass(frozen=True, slots=True)
class Due:
    """A frozen difference. ``delivery`` is its id; ``chunks`` counts its chunks (from 0)."""

    delivery: str
    upserts: int
    withdrawals: int
    chunks: int


def homes_of(home: Home, receiver: str) -> list[str]:
    """The home communities whose records a receiver is responsible for: itself and those below it."""
    return [receiver, *(domain.code for domain in home.policies.domains.below(receiver, "community"))]


def versions_table(contract: Contract) -> sql.Identifier:
    return sql.Identifier("district", contract.dataset)


def difference(
    connection: psycopg.Connection, home: Home, contract: Contract, flow: Flow, receiver: str
) -> list[tuple[int, int, str]]:
    """(record, version, ``upsert`` or ``withdraw``) in record order."""
    query = _DIFFERENCE.format(versions=versions_table(contract))
    given = {"homes": homes_of(home, receiver), "flow": flow.flow, "receiver": receiver}
    return connection.execute(query, given).fetchall()


def anything_due(
    connection: psycopg.Connection, home: Home, contract: Contract, flow: Flow, receiver: str
) -> bool:
    """Whether a delivery to this receiver would bring or withdraw a record now."""
    difference = _DIFFERENCE.format(versions=versions_table(contract))
    query = sql.SQL("SELECT EXISTS (SELECT 1 FROM ({}) AS due)").format(difference)
    given = {"homes": homes_of(home, receiver), "flow": flow.flow, "receiver": receiver}
    row = connection.execute(query, given).fetchone()
    return bool(row and row[0])


def slice_size(connection: psycopg.Connection, home: Home, contract: Contract, receiver: str) -> int:
    """Records in the receiver's slice of the district store now."""
    row = connection.execute(
        _SLICE.format(versions=versions_table(contract)), (homes_of(home, receiver),)
    ).fetchone()
    return int(row[0]) if row else 0


def freeze(
    connection: psycopg.Connection,
    home: Home,
    contract: Contract,
    flow: Flow,
    receiver: str,
    policy: str,
    chunk: int,
) -> Due | None:
    """Freeze what is due, or None when nothing is. Frozen again, the same content has the same id.

    A crash in here leaves nothing; after the commit it leaves a frozen delivery that the next run takes up."""
    with connection.transaction():
        items = difference(connection, home, contract, flow, receiver)
        if not items:
            return None
        digest = hashlib.sha256(
            canonical(
                {
                    "flow": flow.flow,
                    "receiver": receiver,
                    "flow_digest": flow.digest,
                    "policy": policy,
                    "contract": contract.digest,
                    "chunk": chunk,
                }
            )
        )
        for record, version, act in items:
            digest.update(b"%d %d %s\n" % (record, version, act.encode()))
        delivery = digest.hexdigest()
        upserts = sum(act == "upsert" for _, _, act in items)
        connection.execute(
            "INSERT INTO district.delivery (delivery, flow, receiver, state, upserts, withdrawals)"
            " VALUES (%s, %s, %s, 'frozen', %s, %s) ON CONFLICT (delivery) DO NOTHING",
            (delivery, flow.flow, receiver, upserts, len(items) - upserts),
        )
        connection.execute("DELETE FROM district.delivery_item WHERE delivery = %s", (delivery,))
        with connection.cursor().copy(
            "COPY district.delivery_item (delivery, chunk, record, version, act) FROM STDIN"
        ) as copy:
            for place, (record, version, act) in enumerate(items):
                copy.write_row((delivery, place // chunk, record, version, act))
    return Due(delivery, upserts, len(items) - upserts, -(-len(items) // chunk))


def subjects(connection: psycopg.Connection, contract: Contract, delivery: str, chunks: list[int]) -> BitMap:
    """Ordinals of the subjects whose values the upserts of these chunks carry."""
    query = _SUBJECTS.format(versions=versions_table(contract))
    return BitMap(row[0] for row in connection.execute(query, (delivery, chunks)))

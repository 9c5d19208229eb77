"""Subjects (主体) and records by link: ordinals that are never reused, record numbers that never change.

Works on links only; no identifier is ever seen here. Ordinals and record numbers are issued by the district
store in one statement per batch, so two runs over the same links get the same numbers.

A batch's links go into a table of the session's own and are joined there: nothing of it outlives the session.
"""

from __future__ import annotations

from typing import LiteralString

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from huanshu.store.copying import copy_in, copy_out

Links = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_GIVEN = "CREATE TEMPORARY TABLE IF NOT EXISTS given (place bigint PRIMARY KEY, link bytea NOT NULL)"

_ISSUE_SUBJECTS = """
    INSERT INTO district.subject (kind, link)
    SELECT %(name)s, link FROM given
    WHERE NOT EXISTS (SELECT 1 FROM district.subject s WHERE s.kind = %(name)s AND s.link = given.link)
    GROUP BY link ORDER BY min(place)
    ON CONFLICT DO NOTHING
"""
_READ_SUBJECTS = """
    SELECT place, s.ordinal FROM given JOIN district.subject s ON s.kind = {} AND s.link = given.link
    ORDER BY place
"""
_ISSUE_RECORDS = """
    INSERT INTO district.record (dataset, link)
    SELECT %(name)s, link FROM given
    WHERE NOT EXISTS (SELECT 1 FROM district.record r WHERE r.dataset = %(name)s AND r.link = given.link)
    GROUP BY link ORDER BY min(place)
    ON CONFLICT DO NOTHING
"""
_READ_RECORDS = """
    SELECT place, r.record FROM given JOIN district.record r ON r.dataset = {} AND r.link = given.link
    ORDER BY place
"""
_FIND_RECORD = "SELECT record FROM district.record WHERE dataset = %s AND link = %s"


def ordinals(connection: psycopg.Connection, kind: str, links: Links) -> Numbers:
    """One ordinal per row of ``links`` (``uint8[n, 16]``), in order; new links get new ordinals."""
    _give(connection, links)
    connection.execute(_ISSUE_SUBJECTS, {"name": kind})
    return _numbers(connection, _READ_SUBJECTS, kind)[1]


def records(connection: psycopg.Connection, dataset: str, links: Links) -> Numbers:
    """One record number per link of the dataset's primary key, in order; new links get new numbers."""
    _give(connection, links)
    connection.execute(_ISSUE_RECORDS, {"name": dataset})
    return _numbers(connection, _READ_RECORDS, dataset)[1]


def known_records(connection: psycopg.Connection, dataset: str, links: Links) -> tuple[Numbers, Numbers]:
    """(places, record numbers) of those links that have one, by place; issues none."""
    _give(connection, links)
    return _numbers(connection, _READ_RECORDS, dataset)


def find_record(connection: psycopg.Connection, dataset: str, linked: bytes) -> int | None:
    """The record number behind a link, or None."""
    row = connection.execute(_FIND_RECORD, (dataset, linked)).fetchone()
    return None if row is None else int(row[0])


def _give(connection: psycopg.Connection, links: Links) -> None:
    connection.execute(_GIVEN)
    connection.execute("TRUNCATE given")
    cells = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(links), [None, pa.py_buffer(np.ascontiguousarray(links))]
    )
    copy_in(
        connection,
        sql.Identifier("given"),
        {"place": pa.array(np.arange(len(links))), "link": cells.cast(pa.large_binary())},
    )
    connection.execute("ANALYZE given")


def _numbers(connection: psycopg.Connection, query: LiteralString, name: str) -> tuple[Numbers, Numbers]:
    types = {"place": pa.int64(), "number": pa.int64()}
    batches = list(copy_out(connection, sql.SQL(query).format(sql.Literal(name)), types))
    table = pa.Table.from_batches(batches, pa.schema(list(types.items())))
    places, numbers = (table.column(column).to_numpy() for column in types)
    return places, numbers

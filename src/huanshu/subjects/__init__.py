"""Subjects (主体) and records by link: ordinals that are never reused, record numbers that never change.

Works on links only; no identifier is ever seen here. Ordinals and record numbers are issued by the district
store in one statement per batch, so two runs over the same links get the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

_ISSUE_SUBJECTS = """
    INSERT INTO district.subject (kind, link)
    SELECT %(kind)s, link FROM unnest(%(links)s::bytea[]) WITH ORDINALITY AS given (link, place)
    WHERE NOT EXISTS (SELECT 1 FROM district.subject s WHERE s.kind = %(kind)s AND s.link = given.link)
    GROUP BY link ORDER BY min(place)
    ON CONFLICT DO NOTHING
"""
_READ_SUBJECTS = """
    SELECT s.ordinal FROM unnest(%(links)s::bytea[]) WITH ORDINALITY AS given (link, place)
    JOIN district.subject s ON s.kind = %(kind)s AND s.link = given.link ORDER BY place
"""
_ISSUE_RECORDS = """
    INSERT INTO district.record (dataset, link)
    SELECT %(dataset)s, link FROM unnest(%(links)s::bytea[]) WITH ORDINALITY AS given (link, place)
    WHERE NOT EXISTS (SELECT 1 FROM district.record r WHERE r.dataset = %(dataset)s AND r.link = given.link)
    GROUP BY link ORDER BY min(place)
    ON CONFLICT DO NOTHING
"""
_READ_RECORDS = """
    SELECT r.record FROM unnest(%(links)s::bytea[]) WITH ORDINALITY AS given (link, place)
    JOIN district.record r ON r.dataset = %(dataset)s AND r.link = given.link ORDER BY place
"""
_FIND_RECORD = "SELECT record FROM district.record WHERE dataset = %s AND link = %s"


def ordinals(connection: psycopg.Connection, kind: str, links: Sequence[bytes]) -> list[int]:
    """One ordinal per link, in order; new links get new ordinals."""
    given = {"kind": kind, "links": list(links)}
    connection.execute(_ISSUE_SUBJECTS, given)
    return [row[0] for row in connection.execute(_READ_SUBJECTS, given)]


def records(connection: psycopg.Connection, dataset: str, links: Sequence[bytes]) -> list[int]:
    """One record number per link of the dataset's primary key, in order; new links get new numbers."""
    given = {"dataset": dataset, "links": list(links)}
    connection.execute(_ISSUE_RECORDS, given)
    return [row[0] for row in connection.execute(_READ_RECORDS, given)]


def known_records(connection: psycopg.Connection, dataset: str, links: Sequence[bytes]) -> set[int]:
    """The record numbers behind those links that have one; issues none."""
    query = "SELECT record FROM district.record WHERE dataset = %s AND link = ANY(%s::bytea[])"
    return {row[0] for row in connection.execute(query, (dataset, list(links)))}


def find_record(connection: psycopg.Connection, dataset: str, linked: bytes) -> int | None:
    """The record number behind a link, or None."""
    row = connection.execute(_FIND_RECORD, (dataset, linked)).fetchone()
    return None if row is None else int(row[0])

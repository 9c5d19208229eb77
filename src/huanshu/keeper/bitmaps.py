"""Bitmaps beside the log, opened by the keeper alone: of subjects whose values an entry is about, of records recalled.

An entry binds its bitmap twice, sealed and plain. What is missing or differs is an error, never "not in it". Entries
are believed as they lie in the database: who needs certainty runs the verifier, which binds them to the signed tree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from pyroaring import BitMap

from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.errors import TamperedError, Text
from huanshu.sealing import KeyName
from huanshu.sealing.blobs import open_blob
from huanshu.sealing.cells import refused as cell_refused

Keys = Sequence[tuple[KeyName, bytes]]

_ENTRIES = """
    SELECT e.index, e.leaf, b.sealed FROM log.entry e LEFT JOIN log.bitmap b ON b.sealed_sha256
        = decode(convert_from(e.leaf, 'UTF8')::jsonb -> 'subjects' ->> 'sealed_sha256', 'hex')
    WHERE e.event = ANY(%s) AND e.index <= %s ORDER BY e.index
"""
_BATCH = 500


def open_bitmap(keys: Keys, member: Mapping[str, Any], sealed: bytes | None) -> bytes:
    """The plain bytes under a member of an entry. TamperedError when they are gone or are others."""
    if sealed is None or hashlib.sha256(sealed).hexdigest() != member["sealed_sha256"]:
        raise _changed()
    return open_aged(keys, str(member["sha256"]), sealed)


def open_aged(keys: Keys, place: str, sealed: bytes) -> bytes:
    """A blob that does not say under which epoch it was sealed. TamperedError when none of the keys opens it here."""
    for name, key in keys:
        with suppress(TamperedError):
            return open_blob(key, name, place, sealed)
    raise cell_refused()


def open_member(member: Mapping[str, Any], opened: bytes) -> BitMap:
    """The bitmap that ``member`` of an entry binds; TamperedError when these are other bytes."""
    if hashlib.sha256(opened).hexdigest() != member["sha256"]:
        raise _changed()
    return BitMap.deserialize(opened)


def sightings(connection: psycopg.Connection, keys: Keys, wanted: BitMap, before: int) -> Iterator[int]:
    """Indices below ``before`` of the entries whose bitmap shares a subject with ``wanted``, in order."""
    with connection.transaction(), connection.cursor(name="seen") as rows:
        rows.itersize = _BATCH
        rows.execute(_ENTRIES, (sorted(ABOUT_SUBJECTS), before - 1))
        for index, leaf, sealed in rows:
            member = json.loads(bytes(leaf)).get("subjects")
            if member is not None:
                there = open_member(member, open_bitmap(keys, member, sealed and bytes(sealed)))
                if there.intersect(wanted):
                    yield int(index)


def _changed() -> TamperedError:
    return TamperedError(
        "auditlog.bitmap.changed",
        Text("a bitmap beside the log is not the one its entry binds", "日志旁的位图与条目不符"),
        remedy=Text("run huanshu verify, tell security staff", "请运行 huanshu verify 并通知安全人员"),
    )

"""Bitmaps beside the log, opened by the keeper alone: of subjects whose values an entry is about, of records recalled.

An entry binds its bitmap twice, sealed and plain. What is missing or differs is an error, never "not in it". Entries
are believed as they lie in the database: who needs certainty runs the verifier, which binds them to the signed tree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg
from pyroaring import BitMap

from huanshu.errors import TamperedError, Text
from huanshu.sealing import KeyName
from huanshu.sealing.blobs import open_blob
from huanshu.sealing.cells import refused as cell_refused

Keys = Sequence[tuple[KeyName, bytes]]
#: Of no entry yet: where ``chained`` begins.
BEGIN: Final = bytes(32)

_ENTRIES = """
    SELECT leaf FROM log.entry WHERE event = ANY(%s) AND index > %s AND index < %s ORDER BY index LIMIT %s
"""
_SEALED = "SELECT sealed_sha256, sealed FROM log.bitmap WHERE sealed_sha256 = ANY(%s)"
_BATCH = 256


def open_bitmap(keys: Keys, member: Mapping[str, Any], sealed: bytes | None) -> bytes:
    """The plain bytes under a member of an entry. TamperedError when they are gone or are others."""
    if sealed is None or hashlib.sha256(sealed).hexdigest() != member["sealed_sha256"]:
        raise changed()
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
        raise changed()
    return BitMap.deserialize(opened)


def subjects_of(connection: psycopg.Connection, keys: Keys, index: int) -> BitMap:
    """The subjects of one entry."""
    row = connection.execute("SELECT leaf FROM log.entry WHERE index = %s", (index,)).fetchone()
    if row is None:
        raise changed()
    (there,) = subjects_among(connection, keys, [json.loads(bytes(row[0]))["subjects"]])
    return there


def subjects_among(
    connection: psycopg.Connection, keys: Keys, members: Sequence[Mapping[str, Any]]
) -> Iterator[BitMap]:
    """The bitmap of each member, in order; what is missing or differs is an error."""
    beside = _beside(connection, members)
    return (open_member(one, open_bitmap(keys, one, beside.get(_digest(one)))) for one in members)


def chained(chain: bytes, body: Mapping[str, Any]) -> bytes:
    """SHA-256 over what came before and over this entry's index and bitmap; the same when the entry binds none.

    The keeper folds every entry through it as it takes the entry in, so it knows what a reading of the log's rows must
    come to: rows may be hidden or changed while they are read, and put back afterwards."""
    member = body.get("subjects")
    if member is None:
        return chain
    digests = bytes.fromhex(str(member["sealed_sha256"])) + bytes.fromhex(str(member["sha256"]))
    return hashlib.sha256(chain + int(body["index"]).to_bytes(8, "big") + digests).digest()


def every_bitmap(
    connection: psycopg.Connection, keys: Keys, events: Collection[str], after: int, before: int
) -> Iterator[tuple[Mapping[str, Any], BitMap]]:
    """The body and the subjects of every entry of ``events`` between two that binds any, in order; a batch of them at
    a time. What an entry says of itself counts, not the columns beside it."""
    named = sorted(events)
    while rows := connection.execute(_ENTRIES, (named, after, before, _BATCH)).fetchall():
        found = [json.loads(bytes(leaf)) for (leaf,) in rows]
        binding = [body for body in found if "subjects" in body]
        opened = subjects_among(connection, keys, [body["subjects"] for body in binding])
        yield from zip(binding, opened, strict=True)
        after = max(after + 1, int(found[-1]["index"]))


def _beside(connection: psycopg.Connection, members: Sequence[Mapping[str, Any]]) -> dict[bytes, bytes]:
    """Sealed bytes by their digest; those that are gone are not in it."""
    rows = connection.execute(_SEALED, ([_digest(member) for member in members],), binary=True)
    return {bytes(digest): bytes(sealed) for digest, sealed in rows}


def _digest(member: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(str(member["sealed_sha256"]))


def sightings(
    connection: psycopg.Connection,
    keys: Keys,
    wanted: BitMap,
    events: Collection[str],
    after: int,
    before: int,
) -> Iterator[tuple[int, BitMap]]:
    """Entries of ``events`` between two, in order, whose bitmap shares subjects with ``wanted``; and which."""
    for body, there in every_bitmap(connection, keys, events, after, before):
        if there.intersect(wanted):
            yield int(body["index"]), there & wanted


def changed() -> TamperedError:
    """What lies beside the log, or was read of it, is not what an entry binds."""
    return TamperedError(
        "auditlog.bitmap.changed",
        Text("a bitmap beside the log is not the one its entry binds", "日志旁的位图与条目不符"),
        remedy=Text("run huanshu verify, tell security staff", "请运行 huanshu verify 并通知安全人员"),
    )

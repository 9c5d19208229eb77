"""Which entries are about somebody: the bitmaps beside the log, turned by subject and kept in sealed pages.

A *segment* covers the log's entries from ``first`` to before ``past``; in it every entry that binds subjects has a
place. A *page* of it is one Roaring bitmap of ``place << 12 | ordinal & 4095`` for 4 096 neighbouring ordinals: a
question about one subject reads one page a segment, whatever the number of deliveries. What is younger than the last
segment, the *tail*, is held open in memory, and becomes a segment when it is long enough.

Invariants
    The bitmaps are the truth, the pages a cache. A segment is bound to its range, its pages to the segment, the range
    to the log by the hash of its last entry. What does not fit is forgotten and made again: never believed, never
    skipped. So the answer is that of a scan over all bitmaps, which a test compares.
    A bitmap that is missing or differs when it is read is an error, never "not in it".
    What was read is what the keeper took in: a hash over (index, bitmap) of every entry that binds subjects, carried on
    from segment to segment, is compared with the keeper's own at each question. So a row that was hidden or changed
    while a segment was made, and put back, is not missing for ever.
Crash points
    A segment and its pages are one transaction; a crash before it leaves the tail longer, and nothing else.
"""

from __future__ import annotations

import json
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from pyroaring import BitMap

from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.errors import TamperedError
from huanshu.keeper.bitmaps import BEGIN, Keys, chained, changed, every_bitmap, open_aged
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.cells import refused as cell_refused
from huanshu.store.queries import load

_SQL = load(__package__, "seen.sql")
_BITS: Final = 12  # of an ordinal within its page, and of an entry's place within its segment
_LOW: Final = (1 << _BITS) - 1
#: A tail becomes a segment at so many entries or pairs (entry, subject): what a question may have to scan.
ENTRIES: Final = 1 << 9
PAIRS: Final = 1 << 21
#: Bytes of opened pages held for the next question.
_HELD: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class _Segment:
    first: int
    past: int
    entries: Sequence[int]
    pages: frozenset[int]
    #: ``bitmaps.chained`` over everything before ``past``.
    chain: bytes


class SeenIndex:
    """One for the keeper's life; safe to ask from several threads. ``connect`` as role huanshu_keeper."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], *, entries: int = ENTRIES, pairs: int = PAIRS
    ) -> None:
        self._connect = connect
        self._most, self._most_pairs = min(entries, 1 << _BITS), pairs
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._segments: list[_Segment] | None = None
        self._tail: list[tuple[int, BitMap]] = []
        self._read_to, self._chain = 0, BEGIN
        self._held: OrderedDict[tuple[int, int], BitMap] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Let go of the connection and of every opened page."""
        with self._lock:
            self._drop()

    def entries_about(self, keys: Keys, wanted: BitMap, before: int, chain: bytes) -> list[int]:
        """Indices below ``before`` of the entries whose bitmap holds one of ``wanted``, ascending. ``chain``: the
        keeper's own ``chained`` over the entries below ``before``."""
        with self._lock:
            try:
                connection = self._alive()
                try:
                    return self._answer(connection, keys, wanted, before, chain)
                except TamperedError:
                    # A page that does not open is no evidence: forget them all, ask the bitmaps. Those raise again
                    # when they are the ones that were changed.
                    self._forget(connection)
                    return self._answer(connection, keys, wanted, before, chain)
            except psycopg.Error:
                self._drop()
                raise

    # -- the answer -----------------------------------------------------------------------------

    def _answer(
        self, connection: psycopg.Connection, keys: Keys, wanted: BitMap, before: int, chain: bytes
    ) -> list[int]:
        if self._extend(connection, keys, before) and self._chain != chain:
            raise changed()
        assert self._segments is not None
        found: set[int] = set()
        by_page: dict[int, list[int]] = {}
        for ordinal in wanted:
            by_page.setdefault(ordinal >> _BITS, []).append(ordinal & _LOW)
        self._fetch(connection, keys, by_page)
        for segment in self._segments:
            end = len(segment.entries) << _BITS
            for number in segment.pages.intersection(by_page):
                page = self._held[segment.first, number]
                for low in by_page[number]:
                    hits = page & BitMap(range(low, end, 1 << _BITS))
                    found.update(segment.entries[hit >> _BITS] for hit in hits)
        self._trim()
        found.update(index for index, there in self._tail if there.intersect(wanted))
        return sorted(index for index in found if index < before)

    def _fetch(self, connection: psycopg.Connection, keys: Keys, numbers: Collection[int]) -> None:
        """Hold every page that the question needs. TamperedError when one is not what its segment says."""
        assert self._segments is not None
        needed = {
            (segment.first, number): segment
            for segment in self._segments
            for number in segment.pages.intersection(numbers)
        }
        missing = needed.keys() - self._held.keys()
        for place in needed.keys() & self._held.keys():
            self._held.move_to_end(place)
        if not missing:
            return
        rows = connection.execute(_SQL["pages"], (list(numbers), [first for first, _ in missing]))
        for first, number, sealed in rows:
            if (first, number) in missing:
                raw = open_aged(keys, _place(needed[first, number], number), bytes(sealed))
                self._held[first, number] = BitMap.deserialize(raw)
                self._bytes += len(raw)
        if not missing <= self._held.keys():
            raise cell_refused()

    def _trim(self) -> None:
        while self._bytes > _HELD and self._held:
            _, page = self._held.popitem(last=False)
            self._bytes -= len(page.serialize())

    # -- segments and tail ----------------------------------------------------------------------

    def _extend(self, connection: psycopg.Connection, keys: Keys, before: int) -> bool:
        """Take in the entries up to ``before``; what is long enough becomes a segment. False when a later question has
        taken them in already, and was compared then."""
        if self._segments is None:
            self._segments = list(_kept(connection, keys))
            last = self._segments[-1] if self._segments else None
            self._read_to, self._chain = (last.past, last.chain) if last else (0, BEGIN)
            self._tail = []
        if before <= self._read_to:
            return False
        pairs = sum(len(there) for _, there in self._tail)
        for body, there in every_bitmap(connection, keys, ABOUT_SUBJECTS, self._read_to - 1, before):
            index = int(body["index"])
            self._chain = chained(self._chain, body)
            self._tail.append((index, there))
            self._read_to = index + 1
            pairs += len(there)
            if len(self._tail) >= self._most or pairs >= self._most_pairs:
                self._segments.append(self._keep(keys, index + 1))
                self._tail, pairs = [], 0
        self._read_to = before
        return True

    def _keep(self, keys: Keys, past: int) -> _Segment:
        """The tail as a segment, durable on a connection of its own: the caller reads on with a cursor on the other."""
        assert self._segments is not None
        first = self._segments[-1].past if self._segments else 0
        pages = dict(_turned([there for _, there in self._tail]))
        segment = _Segment(first, past, [index for index, _ in self._tail], frozenset(pages), self._chain)
        name, key = keys[0]
        with self._connect() as connection, connection.transaction():
            (ends,) = connection.execute(_SQL["last_hash"], (past - 1,)).fetchone() or (b"",)
            head = {
                "entries": segment.entries,
                "pages": sorted(pages),
                "ends": bytes(ends).hex(),
                "chain": segment.chain.hex(),
            }
            _forget(connection, first)  # what is of another log, or beyond a gap
            sealed = seal_blob(key, name, _place(segment), json.dumps(head).encode())
            connection.execute(_SQL["keep_segment"], (first, past, sealed))
            numbers = sorted(pages)
            blobs = [
                seal_blob(key, name, _place(segment, number), pages[number].serialize()) for number in numbers
            ]
            connection.execute(_SQL["keep_pages"], (first, numbers, blobs))
        return segment

    # -- what lies around -----------------------------------------------------------------------

    def _alive(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._connection.autocommit = True
        return self._connection

    def _forget(self, connection: psycopg.Connection) -> None:
        with connection.transaction():
            _forget(connection, 0)
        self._segments, self._tail, self._read_to, self._chain = None, [], 0, BEGIN
        self._held.clear()
        self._bytes = 0

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection, self._segments, self._tail = None, None, []
        self._held.clear()
        self._bytes = 0


def _forget(connection: psycopg.Connection, first: int) -> None:
    for statement in ("forget_pages", "forget"):  # also pages whose segment somebody took away
        connection.execute(_SQL[statement], (first,))


def _kept(connection: psycopg.Connection, keys: Keys) -> Iterator[_Segment]:
    """Segments from the log's first entry on, as far as they follow each other and fit this log."""
    at = 0
    for first, past, sealed, leaf_hash in connection.execute(_SQL["segments"]).fetchall():
        if first != at:
            return
        bare = _Segment(first, past, (), frozenset(), b"")
        with suppress(TamperedError):
            head: dict[str, Any] = json.loads(open_aged(keys, _place(bare), bytes(sealed)))
            if head["ends"] == bytes(leaf_hash).hex() and "chain" in head:  # those of before have none
                chain = bytes.fromhex(head["chain"])
                yield _Segment(first, past, head["entries"], frozenset(head["pages"]), chain)
                at = past
                continue
        return


def _turned(bitmaps: Sequence[BitMap]) -> Iterator[tuple[int, BitMap]]:
    """Page number → its bitmap, for bitmaps in the order of their places."""
    ordinals = np.concatenate([np.asarray(each.to_array(), np.uint32) for each in bitmaps])
    places = np.repeat(np.arange(len(bitmaps), dtype=np.uint32), [len(each) for each in bitmaps])
    pages = ordinals >> _BITS
    order = np.argsort(
        pages, kind="stable"
    )  # keeps places ascending within a page, and ordinals within a place
    values = ((places << _BITS) | (ordinals & _LOW))[order]
    numbers, starts = np.unique(pages[order], return_index=True)
    for number, start, end in zip(numbers.tolist(), starts, [*starts[1:], len(values)], strict=True):
        page = BitMap(array("I", values[start:end].tobytes()))
        page.run_optimize()
        yield number, page


def _place(segment: _Segment, page: int | None = None) -> str:
    place = f"seen/{segment.first}/{segment.past}"
    return place if page is None else f"{place}/{page}"

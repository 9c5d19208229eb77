"""Step 10: who reads one record reads about the subjects of that record, as the district store has them.

The keeper binds the bitmap that the reading process hands it; so a process that lied would hide a look from who asks
later who has seen him. A bitmap is sealed, but its entry binds the SHA-256 of the plain one, and whom a record is about
stands in the store: any version of the record will do. Records that are gone are told, not judged.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from huanshu_verify.report import Entry, Log, Step

#: Events by which a person reads one record of the district store.
READS = frozenset({"access.record.authorised", "access.correction.authorised"})
_AT_ONCE = 5_000
#: RoaringFormatSpec: cookies, the largest array, and from how many containers on runs have offsets.
_WITHOUT_RUNS, _WITH_RUNS, _ARRAY, _OFFSETS_FROM = 12_346, 12_347, 4_096, 4


class Subjects(Step):
    """Every entry about one record binds the subjects of one of its versions. Bounded memory."""

    name = "10 subjects"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._waiting: dict[str, list[tuple[int, int, str]]] = {}
        self._count = self._gone = 0

    def entry(self, entry: Entry) -> None:
        body = entry.body
        if body is None or body["event"] not in READS or not self.log.options.data:
            return
        told = (entry.index, int(body["detail"]["record"]), str(body["subjects"]["sha256"]))
        self._waiting.setdefault(str(body["dataset"]), []).append(told)
        self._count += 1
        if self._count >= _AT_ONCE:
            self._look()

    def finish(self) -> None:
        self._look()
        if self._gone:
            self.log.report.steps.append(f"subjects: {self._gone} entries are about records that are gone")

    def _look(self) -> None:
        waiting, self._waiting, self._count = self._waiting, {}, 0
        connection = self.log.connection
        if connection is None:
            return
        for dataset, entries in waiting.items():
            table = sql.Identifier("district", dataset)
            if connection.execute("SELECT to_regclass(%s)", (f"district.{dataset}",)).fetchone() == (None,):
                self._gone += len(entries)
                continue
            found: dict[int, set[str]] = {}
            query = sql.SQL("SELECT DISTINCT record, subjects FROM {} WHERE record = ANY(%s)").format(table)
            for record, subjects in connection.execute(query, ([record for _, record, _ in entries],)):
                found.setdefault(int(record), set()).add(_digest(subjects))
            for index, record, said in entries:
                if record not in found:
                    self._gone += 1
                elif said not in found[record]:
                    self.find(index, f"is not about the subjects of {dataset} record {record}")


def _digest(subjects: Any) -> str:
    return hashlib.sha256(roaring(subjects)).hexdigest()


def roaring(numbers: Iterable[int]) -> bytes:
    """The portable Roaring form of a few numbers below 2^32, each container an array or runs, whichever is smaller.
    ValueError for more than one container's array can hold: no record is about so many."""
    containers: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        containers.setdefault(number >> 16, []).append(number & 0xFFFF)
    if any(len(values) > _ARRAY for values in containers.values()):
        raise ValueError("too many subjects")
    runs = [_runs(values) for values in containers.values()]
    as_runs = [2 + 4 * len(each) < 2 * len(v) for each, v in zip(runs, containers.values(), strict=True)]
    bodies = [
        struct.pack(f"<H{2 * len(each)}H", len(each), *(word for run in each for word in run))
        if short
        else struct.pack(f"<{len(values)}H", *values)
        for short, each, values in zip(as_runs, runs, containers.values(), strict=True)
    ]
    heads = b"".join(struct.pack("<HH", key, len(values) - 1) for key, values in containers.items())
    if any(as_runs):
        flags = sum(short << place for place, short in enumerate(as_runs))
        head = struct.pack("<I", _WITH_RUNS | (len(bodies) - 1) << 16) + flags.to_bytes(
            (len(bodies) + 7) // 8, "little"
        )
        offsets = len(bodies) >= _OFFSETS_FROM
    else:
        head, offsets = struct.pack("<II", _WITHOUT_RUNS, len(bodies)), True
    begin = len(head) + len(heads) + (4 * len(bodies) if offsets else 0)
    places = b""
    if offsets:
        for body in bodies:
            places += struct.pack("<I", begin)
            begin += len(body)
    return head + heads + places + b"".join(bodies)


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """(first, length − 1) of each unbroken run."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][0] + found[-1][1] + 1:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((value, 0))
    return found

"""Step 7: the rows of the district store are those that the log's batches wrote (docs/FORMAT.md, 14).

Every batch's entry binds its lists, and a list names each row by record, version and digest: so the lists are checked
first, against the entries, and then every row against the lists. A row that was changed, put back, taken away or added
is named by its record. Memory: 52 bytes for each row that the lists name; rows themselves are streamed, in no order.

What is announced and not told yet is under way: rows of such a batch cannot be judged, those of such a renewal are as
its own lists say. That holds for three days of the log's own time at most, after which what is there of it is found.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from huanshu_verify import tombstones
from huanshu_verify.report import Entry, Log, Step

#: Events that tell of rows written, and how their batch is called in the rows.
WRITES: Mapping[str, str] = {
    "exchange.intake.promoted": "{batch}",
    "quarantine.repair.promoted": "{batch}",
    "correction.change.accepted": "correction/{change}",
    "keys.rotation.completed": "{rotation}",
    "keys.rotation.stopped": "{rotation}",
    "erasure.subject.completed": "erasure/{erasure}",
}
#: Events that announce such a batch.
ANNOUNCES: Mapping[str, str] = {
    "exchange.intake.authorised": "{batch}",
    "quarantine.repair.authorised": "{batch}",
    "correction.change.authorised": "correction/{change}",
    "keys.rotation.authorised": "{rotation}",
    "erasure.subject.confirmed": "erasure/{index}",
}
#: How renewals are called: batches that write rows of earlier batches anew, or take them away (FORMAT.md, 18).
_ROTATION, _ERASURE = "rotation/", "erasure/"
#: How long something may be under way, unless its entry ends it before.
_UNDER_WAY = timedelta(days=3)
_ITEM = 44
_BYTEA, _COPY_HEAD = 17, 19
_FIRST = ("record", "version", "batch_in", "epoch")
Find = Callable[[str, str], None]
_NEVER_TOLD = "announced what is in the store, and no entry tells of it though its time has passed"


@dataclass(frozen=True, slots=True)
class Batch:
    """What an entry says about the rows of one batch. ``said`` is None where an older version told nothing."""

    index: int
    name: str
    dataset: str
    said: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Announced:
    """A batch that entry ``index`` announced and none tells of. ``until``: when that is no excuse any more."""

    index: int
    name: str
    dataset: str
    until: str


def announced_of(body: Mapping[str, Any]) -> Announced | None:
    """The batch that an entry announces, or None."""
    named = ANNOUNCES.get(str(body["event"]))
    if named is None:
        return None
    detail, index = body["detail"], int(body["index"])
    latest = _instant(str(body["at"])) + _UNDER_WAY
    until = min(latest, _instant(str(detail["until"]))) if "until" in detail else latest
    return Announced(
        index, named.format(**{"index": index, **detail}), str(body["dataset"]), until.isoformat()
    )


def batch_of(body: Mapping[str, Any]) -> Batch | None:
    """The batch that an entry tells of, or None."""
    named = WRITES.get(str(body["event"]))
    if named is None:
        return None
    detail = body["detail"]
    return Batch(int(body["index"]), named.format(**detail), str(body["dataset"]), detail.get("written"))


class _List:
    """One list: rows by record, each to be seen once."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.records = array("Q", b"".join(raw[at : at + 8] for at in range(0, len(raw), _ITEM)))
        if sys.byteorder == "little":
            self.records.byteswap()
        self.seen = bytearray(len(self.records))

    def ordered(self) -> bool:
        records = self.records
        return all(records[n] < records[n + 1] for n in range(len(records) - 1))

    def item(self, record: int) -> int:
        """Place of a record; -1 when it is not listed."""
        at = bisect_left(self.records, record)
        return at if at < len(self.records) and self.records[at] == record else -1

    def version(self, at: int) -> int:
        return int.from_bytes(self.raw[at * _ITEM + 8 : at * _ITEM + 12])

    def digest(self, at: int) -> bytes:
        return self.raw[at * _ITEM + 12 : (at + 1) * _ITEM]

    def rows(self) -> frozenset[bytes]:
        """Record and version of each."""
        return frozenset(self.raw[at : at + 12] for at in range(0, len(self.raw), _ITEM))

    def items(self) -> frozenset[bytes]:
        return frozenset(self.raw[at : at + _ITEM] for at in range(0, len(self.raw), _ITEM))

    def unseen(self) -> Iterator[tuple[int, int]]:
        at = self.seen.find(0)
        while at >= 0:
            yield self.records[at], self.version(at)
            at = self.seen.find(0, at + 1)


Lists = dict[tuple[str, str], _List]


def check(
    connection: psycopg.Connection,
    batches: Iterable[Batch],
    announced: Iterable[Announced],
    now: datetime,
    find: Find,
) -> tuple[int, list[str]]:
    """Compare the store with what the batches' entries bind. Returns the number of rows looked at, and what could not
    be judged: rows of batches under way, and of batches that an older version told without lists. ``now``: how far the
    log has come."""
    told = {batch.name: batch for batch in batches}
    # Some are announced twice, after a crash, and told once.
    under_way = {one.name: one for one in announced if one.name not in told}
    unbound = {name for name, batch in told.items() if batch.said is None}
    names = {row[0] for row in connection.execute("SELECT DISTINCT batch FROM district.written")}
    for name in sorted(names - told.keys() - under_way.keys()):
        find(f"batch {name[:19]}", "lists lie in the store, but no entry tells of this batch")
    for name in sorted(names & under_way.keys()):
        if datetime.fromisoformat(under_way[name].until) < now:
            find(f"entry {under_way[name].index}", _NEVER_TOLD)
    since = min((batch.index for batch in told.values() if batch.said is not None), default=0)
    for name in sorted(name for name in unbound if told[name].index > since):
        find(f"entry {told[name].index}", "does not bind what it wrote, though entries before it do")
    rows = 0
    notes: list[str] = []
    for dataset in sorted({batch.dataset for batch in told.values()}):
        unjudged = {*unbound, *under_way}
        ours = [batch for batch in told.values() if batch.dataset == dataset]
        begun = [one for one in under_way.values() if one.dataset == dataset and _renews(one.name)]
        lists, renewed = _listed(connection, ours, begun, unjudged, find)
        if connection.execute("SELECT to_regclass(%s)", (f"district.{dataset}",)).fetchone() == (None,):
            if lists:
                find(dataset, "the table of this dataset is gone")
            continue
        counted, left = _rows(connection, dataset, lists, unjudged, renewed, find)
        rows += counted
        for (name, home), listed in lists.items():
            for record, version in listed.unseen():
                batch = told[name]
                what = (
                    f"entry {batch.index} ended version {version}, the store does not"
                    if not home
                    else (f"version {version}, written by entry {batch.index}, is not in the store")
                )
                find(f"{dataset} record {record}", what)
        for name in sorted(left.keys() & under_way.keys() - names):
            if datetime.fromisoformat(under_way[name].until) < now:
                find(f"entry {under_way[name].index}", _NEVER_TOLD)
        if left:
            count = sum(left.values())
            notes.append(f"store: {count} rows of {dataset} are of batches under way, or told without lists")
        notes += [f"store: {one.name[:19]} of {dataset} is under way" for one in begun if one.name in names]
    return rows, notes


def _listed(
    connection: psycopg.Connection,
    batches: Iterable[Batch],
    begun: Iterable[Announced],
    unjudged: set[str],
    find: Find,
) -> tuple[Lists, set[tuple[str, str]]]:
    """The lists that hold for a dataset, and which batches and homes cannot be judged, because what renewed their rows
    was not told with the lists that lie there. A batch whose own lists are not the bound ones comes to ``unjudged``."""
    lists: Lists = {}
    for batch in batches:
        if batch.said is None:
            continue
        bound = _bound(connection, batch, find)
        if bound is None:  # found already; its rows would all be found again
            unjudged.add(batch.name)
        elif _renews(batch.name):
            _take_place(batch, bound, lists, unjudged, find)
        else:
            lists |= bound
    # Rows and their list are written in one transaction: where the list lies, the rows are as it says.
    pending = {one.name for one in begun}
    for one in begun:
        _take_place(one, _read(connection, one.name), lists, unjudged, find)
    renewed = {
        _replaced(home)
        for name in unjudged - pending
        if _renews(name)
        for (_, home) in _read(connection, name)
    }
    for place in renewed:
        lists.pop(place, None)
    return lists, renewed


def _renews(name: str) -> bool:
    return name.startswith((_ROTATION, _ERASURE))


def _replaced(home: str) -> tuple[str, str]:
    """Of which batch and home a renewal's list takes the place: it is called ``<batch>/<home>``."""
    batch, _, of = home.rpartition("/")
    return batch, of


def _read(connection: psycopg.Connection, name: str) -> Lists:
    found = connection.execute("SELECT home, rows FROM district.written WHERE batch = %s", (name,))
    return {(name, str(home)): _List(bytes(raw)) for home, raw in found}


def _take_place(batch: Batch | Announced, bound: Lists, lists: Lists, unjudged: set[str], find: Find) -> None:
    """A rotation's lists name the rows of those that they replace, every one; an erasure's are some of their items."""
    for (_, home), listed in bound.items():
        place = _replaced(home)
        before = lists.get(place)
        if before is None and place[0] in unjudged:
            continue  # told by an older version without lists, or found to be wrong already
        if before is None:
            find(f"entry {batch.index}", "writes rows anew that no entry before it wrote")
            continue
        same = (
            listed.rows() == before.rows()
            if batch.name.startswith(_ROTATION)
            else listed.items() <= before.items()
        )
        if not (same and listed.ordered()):
            find(f"entry {batch.index}", "writes other rows anew than there were")
        lists[place] = listed


def _bound(connection: psycopg.Connection, batch: Batch, find: Find) -> Lists | None:
    """The lists of a batch; None when they are not the ones that its entry binds."""
    assert batch.said is not None
    digest = hashlib.sha256()
    lists = _read(connection, batch.name)
    for (_, home), listed in sorted(lists.items(), key=lambda line: line[0][1].encode()):
        name = home.encode()
        digest.update(struct.pack(">I", len(name)) + name + hashlib.sha256(listed.raw).digest())
    ended = sum(len(listed.records) for (_, home), listed in lists.items() if not home)
    rows = sum(len(listed.records) for listed in lists.values()) - ended
    if (rows, ended, digest.hexdigest()) != (batch.said["rows"], batch.said["ended"], batch.said["sha256"]):
        find(f"entry {batch.index}", "the lists of what it wrote are not the ones that it binds")
    elif not all(listed.ordered() for listed in lists.values()):
        find(f"entry {batch.index}", "the lists of what it wrote are not in order")
    else:
        return lists
    return None


def _rows(
    connection: psycopg.Connection,
    dataset: str,
    lists: Lists,
    unjudged: set[str],
    renewed: set[tuple[str, str]],
    find: Find,
) -> tuple[int, Counter[str]]:
    """Every row of a dataset against the lists. Returns how many were looked at, and of which batches how many could
    not be judged."""
    counted, left = 0, Counter[str]()
    for home, batch_in, batch_out, row in _streamed(connection, dataset):
        counted += 1
        record, version = int.from_bytes(row[4:12]), int.from_bytes(row[16:20])
        if batch_in in unjudged or (batch_in, home) in renewed:
            left[batch_in] += 1
        elif (listed := lists.get((batch_in, home))) is None or (at := listed.item(record)) < 0:
            find(f"{dataset} record {record}", f"version {version} was written by no entry")
        elif listed.version(at) != version or listed.digest(at) != hashlib.sha256(row).digest():
            find(f"{dataset} record {record}", f"version {version} was changed since it was written")
            listed.seen[at] = 1
        elif listed.seen[at]:
            find(f"{dataset} record {record}", f"version {version} is there twice")
        else:
            listed.seen[at] = 1
        if batch_out is None:
            continue
        if batch_out in unjudged or (batch_out, "") in renewed:
            left[batch_out] += 1
            continue
        ended = lists.get((batch_out, ""))
        if ended is None or (at := ended.item(record)) < 0 or ended.version(at) != version:
            find(f"{dataset} record {record}", f"version {version} was ended by no entry")
        else:
            ended.seen[at] = 1
    return counted, left


def _streamed(connection: psycopg.Connection, dataset: str) -> Iterator[tuple[str, str, str | None, bytes]]:
    """(home, batch_in, batch_out, what the row's digest covers) of every row."""
    table = sql.Identifier("district", dataset)
    described = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(table)).description or ()
    there = [column.name for column in described]
    binary = [column.name for column in described if column.type_code == _BYTEA and column.name != "mark"]
    known = {*_FIRST, "mark", *binary, "home", "subjects", "batch_out"}
    if lacking := known - set(there):
        raise KeyError(*lacking)
    plain = [name for name in there if name not in known]
    names = ["batch_out", "home", *_FIRST, "mark", *binary, "home", *plain, "subjects"]
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), table
    )
    with connection.cursor().copy(query) as copy:
        for number, message in enumerate(copy):
            row = bytes(message)[_COPY_HEAD:] if number == 0 else bytes(message)
            if len(row) <= 2:  # the head alone; the end
                continue
            batch_out, place = _text(row, 2)
            home, place = _text(row, place)
            batch_in, _ = _text(row, place + 20)  # after record and version, each with its length
            yield home or "", batch_in or "", batch_out, row[place:]


def _text(row: bytes, place: int) -> tuple[str | None, int]:
    """The text of the column that begins at ``place``, and where the next one does."""
    length = int.from_bytes(row[place : place + 4], signed=True)
    if length < 0:
        return None, place + 4
    return row[place + 4 : place + 4 + length].decode(), place + 4 + length


class Written(Step):
    """Each batch's lists are those that its entry binds; each row of the store is as its list says, each listed row is
    there. Keeps a line for every batch."""

    name = "7 store"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._batches: list[Batch] = []
        self._announced: dict[int, Announced] = {}
        self._now = ""
        self._buried: list[tombstones.Buried] = []

    def entry(self, entry: Entry) -> None:
        body = entry.body
        if body is None:
            return
        self._now = str(body.get("at", self._now))
        if (announced := announced_of(body)) is not None:
            self._announced[entry.index] = announced
        elif body["event"] == "erasure.subject.completed":
            self._announced.pop(int(body["detail"]["erasure"]), None)
        elif "authorised" in body["detail"]:
            self._announced.pop(int(body["detail"]["authorised"]), None)
        if (batch := batch_of(body)) is not None:
            self._batches.append(batch)
        if (buried := tombstones.buried_by(body)) is not None:
            self._buried.append(buried)

    def finish(self) -> None:
        connection, report = self.log.connection, self.log.report
        if connection is None or not self.log.options.data:
            report.steps.append("store: not looked at (--data)")
            return
        report.stored, notes = check(
            connection, self._batches, self._announced.values(), _instant(self._now), self.find
        )
        report.steps += notes
        begun = (one.index for one in self._announced.values())
        tombstones.check(connection, self._buried, begun, self.find)

    def memory(self) -> Any:
        told = [[b.index, b.name, b.dataset, b.said] for b in self._batches]
        begun = [[a.index, a.name, a.dataset, a.until] for a in self._announced.values()]
        buried = [[b.index, b.erasure, b.count, b.sha256] for b in self._buried]
        return [told, begun, self._now, buried]

    def recall(self, memory: Any) -> None:
        """A state of an older version is of use where nothing was under way."""
        told, begun, *younger = memory
        self._batches = [Batch(*batch) for batch in told]
        self._announced = {one.index: one for one in (Announced(*each) for each in begun)}
        now, buried = younger or ("", [])
        self._now, self._buried = str(now), [tombstones.Buried(*each) for each in buried]


def _instant(at: str) -> datetime:
    found = datetime.fromisoformat(at) if at else datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

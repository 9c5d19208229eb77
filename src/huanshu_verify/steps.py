"""Steps 1 to 5: what the log alone must be. Each is shown every entry once, in order; none keeps more than it must."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from huanshu_verify import merkle
from huanshu_verify.notes import NoteError, open_any
from huanshu_verify.reading import read_first
from huanshu_verify.report import Entry, Log, Step

_BITMAPS_AT_ONCE = 100
_LENDABLE_AT_ONCE = 10_000
#: What each settling event settles.
SETTLES = {
    "exchange.intake.promoted": "exchange.intake.authorised",
    "exchange.intake.refused": "exchange.intake.authorised",
    "quarantine.repair.promoted": "quarantine.repair.authorised",
    "quarantine.repair.refused": "quarantine.repair.authorised",
    "exchange.delivery.arrived": "exchange.delivery.authorised",
    "exchange.delivery.stopped": "exchange.delivery.authorised",
    "correction.batch.judged": "correction.batch.authorised",
    "correction.change.accepted": "correction.change.authorised",
    "correction.change.conflicted": "correction.change.authorised",
    "keys.rotation.completed": "keys.rotation.authorised",
    "keys.rotation.stopped": "keys.rotation.authorised",
}
_SETTLED = frozenset(SETTLES.values())


class Indices(Step):
    """The entries' indices are 0, 1, 2 … without a gap."""

    name = "1 indices"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._next = 0

    def entry(self, entry: Entry) -> None:
        if entry.index != self._next:
            self.find(self._next, f"entry {self._next} is missing (next is {entry.index})")
        self._next = entry.index + 1

    def memory(self) -> Any:
        return self._next

    def recall(self, memory: Any) -> None:
        self._next = int(memory)


class Leaves(Step):
    """Each leaf is canonical JSON, says its own index, and what lies beside it in the database is its own."""

    name = "2 leaves"

    def entry(self, entry: Entry) -> None:
        if entry.stored is not None and entry.hashed != entry.stored:
            self.find(entry.index, "the leaf hash is not the leaf's")
        if entry.body is None:
            self.find(entry.index, entry.fault)
        elif entry.event is not None and entry.body["event"] != entry.event:
            self.find(entry.index, "the event beside the leaf is not the leaf's")


class Signed(Step):
    """Every checkpoint is signed by the log's key and is the root at its size; the last one covers every entry."""

    name = "3 tree"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.tree = merkle.Tree()
        self._covered = 0
        self._others: dict[int, list[tuple[str, bytes]]] = {}
        self._rows: Iterator[tuple[int, str]] = iter(())
        self._row: tuple[int, str] | None = None

    def begin(self, others: Mapping[str, str]) -> None:
        """``others`` are notes from elsewhere: name → note. Call before the first entry."""
        for name, note in others.items():
            if (read := self._read(name, note)) is not None:
                self._others.setdefault(read[0], []).append((name, read[1]))
        self._before()
        if self.log.connection is not None:
            self._rows = _checkpoints(self.log, self.tree.size)
            self._row = next(self._rows, None)
        self._compare()

    def entry(self, entry: Entry) -> None:
        self.tree.append(entry.hashed)
        size = self.tree.size
        if size in self._others or (self._row is not None and self._row[0] <= size):
            self._compare()

    def _before(self) -> None:
        """What an earlier run verified must still be there: neither log nor folder is put back."""
        since, connection = self.log.report.since, self.log.connection
        for size in [size for size in self._others if size < since]:
            for name, _ in self._others.pop(size):
                if not name.endswith("witnessed"):  # which may lag behind
                    self.find(name, f"covers {size} entries, {since} were verified before: it was put back")
        if since and connection is not None:
            row = connection.execute("SELECT note FROM log.checkpoint WHERE size = %s", (since,)).fetchone()
            read = None if row is None else self._read(f"checkpoint {since}", row[0])
            if read != (since, self.tree.root):
                self.find(f"checkpoint {since}", "the checkpoint that was verified before is gone or another")
            row = connection.execute("SELECT count(*) FROM log.entry").fetchone()
            if row is None or row[0] < since:
                self.find(
                    since, f"{since} entries were verified before, the log holds fewer: the tail is cut"
                )

    def finish(self) -> None:
        size = self.tree.size
        while self._row is not None:
            self._checkpoint(*self._row)
            self._row = next(self._rows, None)
        for beyond in sorted(self._others):
            for name, _ in self._others[beyond]:
                self._cut(name, beyond)
        if self._covered != size:
            self.find(self._covered, f"{size} entries, but the last checkpoint covers {self._covered}")
        self.log.report.size, self.log.report.root = size, self.tree.root.hex()

    def memory(self) -> Any:
        return [self.tree.size, [complete and complete.hex() for complete in self.tree.levels]]

    def recall(self, memory: Any) -> None:
        size, levels = memory
        self.tree = merkle.Tree(int(size), [complete and bytes.fromhex(complete) for complete in levels])
        self._covered = self.tree.size

    def _compare(self) -> None:
        """Whatever is said of the size that the tree has now."""
        size = self.tree.size
        for name, root in self._others.pop(size, ()):
            self.log.report.checkpoints += 1
            self._covers(name, size)
            if root != self.tree.root:
                self._other(name, size)
        while self._row is not None and self._row[0] <= size:
            self._checkpoint(*self._row)
            self._row = next(self._rows, None)

    def _checkpoint(self, lies: int, note: str) -> None:
        name = f"checkpoint {lies}"
        self.log.report.checkpoints += 1
        read = self._read(name, note)
        if read is None:
            return
        size, root = read
        self._covers(name, size)
        if size != lies:
            self.find(name, f"lies under another size than it says ({size})")
        elif size > self.tree.size:
            self._cut(name, size)
        elif root != self.tree.root:
            self._other(name, size)

    def _covers(self, name: str, size: int) -> None:
        # Of a published log there is one checkpoint; of a database it is its own rows that must cover everything.
        if self.log.connection is None or name.startswith("checkpoint "):
            self._covered = max(self._covered, size)

    def _read(self, name: str, note: str) -> tuple[int, bytes] | None:
        try:
            origin, size, root = open_any(note, self.log.key)
        except (NoteError, ValueError) as error:
            self.find(name, str(error))
            return None
        self.log.notes.append((name, size, origin))
        return size, root

    def _cut(self, name: str, size: int) -> None:
        self.find(name, f"covers {size} entries, the log holds {self.tree.size}: the tail is cut")

    def _other(self, name: str, size: int) -> None:
        self.find(name, f"the first {size} entries are not the ones that were signed")


def _checkpoints(log: Log, since: int) -> Iterator[tuple[int, str]]:
    assert log.connection is not None
    with log.connection.cursor(name="checkpoints") as rows:
        rows.itersize = 500
        rows.execute("SELECT size, note FROM log.checkpoint WHERE size > %s ORDER BY size", (since,))
        yield from rows


class Bitmaps(Step):
    """Every attachment that an entry binds is there and has that digest; in a database none lies there uncited.

    Keeps the digests that were cited, to find those that were not: about 100 bytes each."""

    name = "4 bitmaps"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._waiting: dict[bytes, int] = {}
        self._cited: set[bytes] = set()

    def entry(self, entry: Entry) -> None:
        if entry.body is None:
            return
        for member in ("subjects", "records"):
            if member in entry.body:
                digest = bytes.fromhex(entry.body[member]["sealed_sha256"])
                if digest not in self._cited:
                    self._cited.add(digest)
                    self._waiting[digest] = entry.index
        if len(self._waiting) >= _BITMAPS_AT_ONCE:
            self._look()

    def finish(self) -> None:
        self._look()
        self.log.report.bitmaps = len(self._cited)
        connection = self.log.connection
        if connection is None or self.log.report.since:
            return
        # Those without a citation may be any: of a later run that begins half-way it is not asked.
        for (digest,) in connection.execute("SELECT sealed_sha256 FROM log.bitmap"):
            if bytes(digest) not in self._cited:
                self.find(bytes(digest).hex()[:16], "no entry cites this bitmap")

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if self.log.options.published is not None:
            self._files(waiting)
        if self.log.connection is not None:
            found = self.log.connection.execute(
                "SELECT sealed_sha256, sealed FROM log.bitmap WHERE sealed_sha256 = ANY(%s)",
                (list(waiting),),
                binary=True,
            ).fetchall()
            self._compare("", waiting, {bytes(digest): sealed for digest, sealed in found})

    def _files(self, waiting: Mapping[bytes, int]) -> None:
        """Bitmaps of published entries are published with them."""
        covered = {digest: index for digest, index in waiting.items() if index < self.log.published}
        folders = self.log.folders
        found = {digest: sealed for digest in covered if (sealed := _file(folders, digest)) is not None}
        self._compare("published ", covered, found)

    def _compare(self, which: str, waiting: Mapping[bytes, int], there: Mapping[bytes, bytes]) -> None:
        for digest, index in waiting.items():
            short = digest.hex()[:16]
            if digest not in there:
                self.find(f"entry {index}", f"its {which}bitmap {short} is missing")
            elif hashlib.sha256(there[digest]).digest() != digest:
                self.find(f"entry {index}", f"{which}bitmap {short} has other bytes than its digest")


def _file(folders: Sequence[Path], digest: bytes) -> bytes | None:
    name = digest.hex()
    return read_first(folders, f"bitmap/{name[:2]}/{name}")


class Loans(Step):
    """Every loan cites an authorising entry and only its fields; what carried values has loans; every authorised
    delivery, intake and correction is settled once, in its own name, or told as under way.

    Loans come in order of the entries that they cite, and are joined to them as these pass. (The published log has no
    loans; there only settlements are looked at.)"""

    name = "5 loans"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._open: dict[int, dict[str, Any]] = {}
        #: Index → end of validity, fields.
        self._lendable: dict[int, tuple[str, list[str]]] = {}
        self._room = _LENDABLE_AT_ONCE
        self._last_loan = 0
        self._rows: Iterator[tuple[int, int, list[str]]] = iter(())
        self._row: tuple[int, int, list[str]] | None = None

    def begin(self) -> None:
        """Call before the first entry."""
        if self.log.connection is not None:
            self._rows = _loans(self.log, self._last_loan)
            row = self.log.connection.execute("SELECT coalesce(max(loan), 0) FROM log.loan").fetchone()
            self._last_loan = int(row[0]) if row else 0
            self._row = next(self._rows, None)
        while self._row is not None and self._row[1] < self.log.report.since:
            # Lent since the run that this one goes on from, against an entry that it has seen.
            index, earlier = self._row[1], self._lendable.get(self._row[1])
            self._loan(self._row, None if earlier is None else set(earlier[1]))
            if index in self._open:
                self._open[index]["lent"] = True

    def entry(self, entry: Entry) -> None:
        body, lent = entry.body, False
        authorises = body is not None and str(body["event"]).endswith(".authorised")
        while self._row is not None and self._row[1] <= entry.index:
            lent = self._row[1] == entry.index
            fields = set(body.get("fields", {})) if lent and authorises and body is not None else None
            self._loan(self._row, fields)
        if body is None:
            return
        event = body["event"]
        if authorises and self.log.connection is not None:
            self._lendable[entry.index] = (
                str(body["detail"].get("until", "")),
                sorted(body.get("fields", {})),
            )
            if len(self._lendable) >= self._room:
                self._expire(str(body["at"]))
        if event in _SETTLED:
            kept = {
                name: body[name]
                for name in ("event", "person", "domain", "dataset", "detail")
                if name in body
            }
            self._open[entry.index] = {**kept, "lent": lent}
        elif event in SETTLES:
            self._settle(entry.index, body)

    def finish(self) -> None:
        while self._row is not None:
            self._loan(self._row, None)
        self.log.report.under_way = [
            str(body["detail"]["delivery"])
            for body in self._open.values()
            if body.get("event") == "exchange.delivery.authorised"
        ]

    def memory(self) -> Any:
        return [list(self._open.items()), list(self._lendable.items()), self._last_loan]

    def recall(self, memory: Any) -> None:
        self._open, self._lendable, self._last_loan = dict(memory[0]), dict(memory[1]), int(memory[2])

    def _expire(self, at: str) -> None:
        """Nothing is lent against what has ended."""
        now = datetime.fromisoformat(at)
        for index, (until, _) in list(self._lendable.items()):
            try:
                over = datetime.fromisoformat(until) < now
            except (ValueError, TypeError):
                over = False
            if over:
                del self._lendable[index]
        self._room = 2 * len(self._lendable) + _LENDABLE_AT_ONCE

    def _loan(self, row: tuple[int, int, list[str]], fields: set[str] | None) -> None:
        loan, index, named = row
        self.log.report.loans += 1
        if fields is None:
            self.find(f"loan {loan}", f"entry {index} authorises nothing")
        elif not set(named) <= fields:
            self.find(f"loan {loan}", f"names fields that entry {index} does not")
        self._row = next(self._rows, None)

    def _settle(self, index: int, end: Mapping[str, Any]) -> None:
        about = int(end["detail"]["authorised"])
        opened = self._open.get(about, {})
        if opened.get("event") != SETTLES[end["event"]]:
            self.find(
                f"entry {index}",
                f"settles entry {about}, which authorises no such thing, or was settled before",
            )
            return
        del self._open[about]
        self._lendable.pop(about, None)
        lent = opened["lent"] or self.log.connection is None
        said, came = opened["detail"], end["detail"]
        if end["event"] == "exchange.delivery.arrived":
            if came["count"] and not lent:
                self.find(f"entry {about}", "its delivery carried values, but no key was lent for it")
            if (came["count"], came["withdrawn"]) != (said["upserts"], said["withdrawals"]):
                self.find(f"entry {index}", f"brought other numbers than entry {about} announced")
        elif end["event"].startswith("correction."):
            self._correction(index, about, opened, end, lent=lent)
        elif came.get("written", {}).get("rows") and not lent:
            self.find(f"entry {about}", "rows were written, but no key was lent for them")

    def _correction(
        self, index: int, about: int, opened: Mapping[str, Any], end: Mapping[str, Any], *, lent: bool
    ) -> None:
        """A correction is settled in its own name; a judgement or an acceptance cannot come about without a loan."""
        named = [name for name in ("batch", "change", "record") if name in end["detail"]]
        if any(end["detail"][name] != opened["detail"].get(name) for name in named) or any(
            end[name] != opened[name] for name in ("person", "domain", "dataset")
        ):
            self.find(f"entry {index}", f"tells of another correction than entry {about}")
        changed = end["event"] == "correction.change.accepted" or end["detail"].get("proposed", 0)
        if changed and not lent:
            self.find(f"entry {about}", "its correction was judged or accepted, but nothing was lent")


def _loans(log: Log, after: int) -> Iterator[tuple[int, int, list[str]]]:
    assert log.connection is not None
    with log.connection.cursor(name="loans") as rows:
        rows.execute(
            "SELECT loan, entry_index, fields FROM log.loan WHERE loan > %s OR entry_index >= %s"
            " ORDER BY entry_index, loan",
            (after, log.report.since),
        )
        yield from rows

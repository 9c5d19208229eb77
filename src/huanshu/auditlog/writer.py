"""The one writer of the log: dense indices, a signed checkpoint with every commit, never a fork.

Order of effects of an append
    0. staged: index, time and hash are given, in memory, in order; what was staged meanwhile is one group;
    1. the group's entries, bitmaps and checkpoint, in one transaction (the single durable effect);
    2. the head file, outside the database;
    3. only then the callers get tickets.
Crash points
    before 1      nothing happened; a checkpoint signed in memory was never shown to anyone.
    1 unclear     the connection broke during COMMIT: the writer is poisoned until ``start`` has read what
                  the database holds, so two checkpoints of one size can never be published. What was staged
                  behind it is lost with it, and its callers are told so.
    between 1, 2  the database is ahead of the head; adopted at the next start because its checkpoint is
                  signed by us at exactly that size. Rows without such a signature are never adopted.
Group commit: ``stage`` gives a mark, ``settle`` makes it durable. Of callers that settle at once the first commits for
all; the others find theirs done, or lead the next group. The log's session does nothing but commit groups; look-ups and
loans have a session of their own, so that they never stand between BEGIN and COMMIT of a group.
Single writer: an advisory lock held by the session; and, should two sessions ever believe they hold it,
the primary keys on index and checkpoint size let only one commit (compare-and-swap).
"""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import psycopg

from huanshu.auditlog import events
from huanshu.auditlog.entries import Draft, Entry
from huanshu.auditlog.head import HeadStore
from huanshu.auditlog.signing import Signer
from huanshu.auditlog.tampering import not_ours
from huanshu.canonical import written
from huanshu.errors import InputError, Text, UnavailableError
from huanshu.store import require_promises
from huanshu.tlog import Checkpoint, Frontier, leaf_hash


def create_head(signer: Signer, origin: str, head: HeadStore) -> None:
    """The head of an empty log, written once when a deployment is made; a log without a head does not start."""
    head.write(signer.checkpoint_note(Checkpoint(origin, 0, Frontier().root)))


#: Bytes of a trial append: more than one page, so that a full disk says so.
_PROBE = 16 * 1024
_COPY = "COPY log.entry (index, event, leaf, leaf_hash, once) FROM STDIN (FORMAT BINARY)"
_INDEX, _LENGTH, _ABSENT = struct.Struct(">hiq"), struct.Struct(">i"), struct.pack(">i", -1)
_UNLOGGED = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'log' AND c.relkind = 'r' AND c.relpersistence <> 'p'"""
#: One writer: held by its session.
_LOCK = "SELECT pg_try_advisory_lock(hashtext('huanshu.log.writer'))"


class Appended(NamedTuple):
    """An entry that is durably in the log. ``fresh`` is False when ``once`` found it there already."""

    entry: Entry
    leaf_hash: bytes
    fresh: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a caller has staged: what ``settle`` makes durable. Good until the writer had to start again."""

    generation: int
    size: int


class LogWriter:
    """Appends to ``log.*`` as role huanshu_keeper. ``settle`` may be called by any thread at any time; for everything
    else its owner serialises."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        signer: Signer,
        origin: str,
        head: HeadStore,
        clock: Callable[[], datetime],
        lock: Callable[[psycopg.Connection], bool] | None = None,
    ) -> None:
        """``lock`` takes the writer's lock for a session, and says whether it did (a drill's second writer asks for
        none)."""
        self._connect = connect
        self._signer = signer
        self._origin = origin
        self._head = head
        self._clock = clock
        self._lock = lock or take_lock
        self._connection: psycopg.Connection | None = None
        self._reading: psycopg.Connection | None = None
        #: Durable: what was acknowledged. Ahead: with what is staged. ``_staged`` changes under ``_mutex`` alone, and
        #: what is being committed is in ``_going`` from then on until it can be found in the database.
        self._tree, self._ahead = Frontier(), Frontier()
        self._last: datetime | None = None
        self._ahead_last: datetime | None = None
        self._staged: list[tuple[Appended, Draft]] = []
        self._going: list[tuple[Appended, Draft]] = []
        self._generation = 0
        self._mutex, self._committing = threading.Lock(), threading.Lock()

    @property
    def size(self) -> int:
        return self._tree.size

    @property
    def root(self) -> bytes:
        return self._tree.root

    @property
    def last(self) -> datetime | None:
        """The time of the last durable entry; None for an empty log."""
        return self._last

    @property
    def note(self) -> str:
        """The checkpoint that was acknowledged last. TamperedError when the head is gone."""
        note = self._head.read()
        if note is None:
            raise not_ours("the keeper's head is missing", "钥匙保管的日志头缺失")
        return note

    def now(self) -> datetime:
        """The clock's time, but never before the last entry's: the log's own time does not run backwards."""
        now = self._clock()
        return now if self._ahead_last is None else max(now, self._ahead_last)

    @property
    def origin(self) -> str:
        """The origin that checkpoints are signed under."""
        return self._origin

    @property
    def vkey(self) -> str:
        return self._signer.vkey(self._origin)

    # -- start and recovery ---------------------------------------------------------------------

    def start(self) -> Iterator[tuple[Entry, bytes]]:
        """Take the writer's lock, check the whole log against head and checkpoint, and yield every entry
        with its leaf hash; also after the database was away, to learn what became of an unclear append.
        Consume it whole before the first append. Raises TamperedError when the log is not the one that was
        acknowledged."""
        connection = self._open()
        try:
            tree, last = yield from self._read(connection)
            reading = self._connect()
        except BaseException:  # also when the caller stops half-way: the lock must not outlive the attempt
            connection.close()
            raise
        with self._mutex:
            self._connection, self._reading = connection, reading
            self._tree, self._last = tree, last
            self._ahead, self._ahead_last, self._staged = tree.copy(), last, []

    def _read(
        self, connection: psycopg.Connection
    ) -> Generator[tuple[Entry, bytes], None, tuple[Frontier, datetime | None]]:
        tree, acknowledged = Frontier(), self._acknowledged()
        known, last = acknowledged.size == 0, None
        for (leaf,) in connection.execute("SELECT leaf FROM log.entry ORDER BY index"):
            raw = bytes(leaf)
            hashed = leaf_hash(raw)
            try:
                entry = Entry.of(raw)
                last = datetime.fromisoformat(entry.body["at"])
            except (ValueError, KeyError, TypeError):
                raise not_ours(f"entry {tree.size} is none", f"序号 {tree.size} 不是条目") from None
            if entry.index != tree.size:
                raise not_ours(f"index {tree.size} is missing", f"缺少序号 {tree.size}")
            tree.append(hashed)
            if tree.size == acknowledged.size:
                if tree.root != acknowledged.root:
                    raise not_ours(
                        f"the first {tree.size} entries are not the acknowledged ones", "已确认条目被改动"
                    )
                known = True
            yield entry, hashed
        if not known:
            raise not_ours(
                f"the database holds {tree.size} entries, {acknowledged.size} were acknowledged",
                f"数据库只有 {tree.size} 条，已确认 {acknowledged.size} 条",
            )
        self._require_signed(connection, tree)
        return tree, last

    def answers(self) -> bool:
        """Whether the sessions (and with them the writer's lock) are still there; one round trip."""
        if self._connection is None or self._connection.closed or self._reading is None:
            return False
        try:
            self._reading.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Let go of the log, after the group that is being committed."""
        with self._committing:
            self._drop()

    def _drop(self) -> None:
        """Let go of the sessions and of everything staged: its callers learn that its fate is unknown."""
        with self._mutex:
            self._generation += 1
            self._staged, self._ahead, self._ahead_last = [], self._tree.copy(), self._last
            for connection in (self._connection, self._reading):
                if connection is not None:
                    connection.close()
            self._connection = self._reading = None

    # -- append ---------------------------------------------------------------------------------

    def find(self, once: str) -> Appended | None:
        """The entry appended under this idempotency key, if there is one; durable when this returns."""
        with self._mutex:
            pending = any(draft.once == once for _, draft in (*self._going, *self._staged))
        if pending:
            self.settle_all()
        connection = self._alive()
        row = connection.execute("SELECT leaf FROM log.entry WHERE once = %s", (once,)).fetchone()
        if row is None:
            return None
        raw = bytes(row[0])
        return Appended(Entry.of(raw), leaf_hash(raw), fresh=False)

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append in order, durably, in one commit. Raises InputError for a malformed draft (nothing is
        appended then) and UnavailableError when the log cannot be written."""
        made, mark = self.stage(drafts)
        self.settle(mark)
        return made

    def stage(self, drafts: Sequence[Draft]) -> tuple[list[Appended], Mark]:
        """Give drafts their indices, in order. Nothing is durable, and no ticket given out, before ``settle``."""
        self._alive()
        with self._mutex:
            tree, made = self._ahead.copy(), []
            at = self.now()
            stamp = at.isoformat(timespec="microseconds")
            for draft in drafts:
                body = {**draft.body, "v": 1, "index": tree.size, "at": stamp}
                text, same = written(body)
                events.check(body, text)
                leaf = text.encode()
                if len(leaf) > events.LEAF_LIMIT:
                    raise InputError(
                        "auditlog.entry.too_long",
                        Text("the entry is longer than 65 535 bytes", "条目超过 65535 字节"),
                    )
                hashed = leaf_hash(leaf)
                entry = Entry(tree.size, str(body["event"]), body, leaf) if same else Entry.of(leaf)
                tree.append(hashed)
                made.append((Appended(entry, hashed, fresh=True), draft))
            self._ahead, self._ahead_last = tree, at
            self._staged += made
            return [appended for appended, _ in made], Mark(self._generation, tree.size)

    def mark(self) -> Mark:
        """How far is staged now."""
        with self._mutex:
            return Mark(self._generation, self._ahead.size)

    def settle_all(self) -> None:
        """Make everything durable that is staged now."""
        if self._staged or self._tree.size != self._ahead.size:
            self.settle(self.mark())

    def settle(self, mark: Mark) -> None:
        """Returns when what was staged up to the mark is durable and acknowledged. UnavailableError when that is
        unknown: the log could not be written, for this group or for one before it."""
        with self._committing:
            if mark.generation != self._generation or self._connection is None:
                raise _unwritable(None)
            if self._tree.size >= mark.size:
                return
            with self._mutex:
                group, self._staged = self._staged, []
                self._going = group
                tree, last = self._ahead.copy(), self._ahead_last
            try:
                note = self._signer.checkpoint_note(Checkpoint(self._origin, tree.size, tree.root))
                self._commit(self._connection, group, tree.size, note)
                try:
                    self._head.write(note)
                except OSError as error:
                    # The commit stands but was not acknowledged: the next ``start`` adopts it.
                    raise self._lost(error) from None
                self._tree, self._last = tree, last
            finally:
                self._going = []

    def record_loan(self, index: int, kind: str, chunk: int, fields: Sequence[str], amount: int) -> None:
        """Commit a row that says what is about to be lent against entry ``index``."""
        connection = self._alive()
        try:
            with connection.transaction():
                connection.execute(
                    "INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (%s, %s, %s, %s, %s)",
                    (index, kind, chunk, list(fields), amount),
                )
        except psycopg.Error as error:
            raise self._lost(error) from None

    def values_opened(self, kind: str = "opened") -> dict[int, int]:
        """Entry index → values opened against it so far (or found unequal), as its loans say."""
        rows = self._alive().execute(
            "SELECT entry_index, sum(amount) FROM log.loan WHERE kind = %s GROUP BY entry_index", (kind,)
        )
        return {int(index): int(total) for index, total in rows}

    def bitmap(self, sealed_sha256: bytes) -> bytes:
        """The sealed bytes that lie beside the log under this digest. TamperedError when they are gone; an entry that
        is staged binds what is only staged, so that is made durable first."""
        self.settle_all()
        query = "SELECT sealed FROM log.bitmap WHERE sealed_sha256 = %s"
        row = self._alive().execute(query, (sealed_sha256,)).fetchone()
        if row is None:
            raise not_ours("a bitmap beside it is missing", "日志旁的位图缺失")
        return bytes(row[0])

    def _commit(
        self, connection: psycopg.Connection, group: Sequence[tuple[Appended, Draft]], size: int, note: str
    ) -> None:
        bitmaps = [
            (sha256(draft.bitmap).digest(), draft.bitmap) for _, draft in group if draft.bitmap is not None
        ]
        try:
            with connection.transaction(), connection.cursor() as cursor:
                if bitmaps:
                    cursor.executemany(
                        "INSERT INTO log.bitmap (sealed_sha256, sealed) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                        bitmaps,
                    )
                with cursor.copy(_COPY) as copy:
                    copy.write(_copied(group))
                cursor.execute("INSERT INTO log.checkpoint (size, note) VALUES (%s, %s)", (size, note))
        except psycopg.errors.UniqueViolation:
            # Another writer, or an idempotency key that the caller should have looked up first.
            self._drop()
            raise not_ours("another writer appended to this log", "另有写入者写入了本日志") from None
        except psycopg.Error as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception | None = None) -> UnavailableError:
        """Whether the commit happened is unknown now: nothing more is written before ``start``."""
        self._drop()
        return _unwritable(error)

    def probe(self) -> None:
        """Whether an append would be taken now: tries one and takes it back. Raises what an append would."""
        connection = self._alive()
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(
                    "INSERT INTO log.bitmap (sealed_sha256, sealed) VALUES (%s, %s)",
                    (bytes(32), bytes(_PROBE)),
                )
            with (
                self._committing
            ):  # or an older head could replace the one of a group that is being acknowledged
                self._head.write(self._head.read() or "")
        except (psycopg.Error, OSError) as error:
            raise _unwritable(error) from None

    # -- pieces ---------------------------------------------------------------------------------

    def _open(self) -> psycopg.Connection:
        self.close()
        connection = self._connect()
        try:
            require_promises(connection)
            _require_logged(connection)
            held = self._lock(connection)
        except BaseException:
            connection.close()
            raise
        if not held:
            connection.close()
            raise UnavailableError(
                "auditlog.log.has_writer",
                Text("another process writes this log", "已有其他进程在写本日志"),
                remedy=Text("stop the other keeper", "请停止另一个钥匙保管进程"),
            )
        return connection

    def _alive(self) -> psycopg.Connection:
        """The session for look-ups and loans."""
        if (
            self._connection is None
            or self._connection.closed
            or self._reading is None
            or self._reading.closed
        ):
            self._drop()
            raise _unwritable(None)
        return self._reading

    def _acknowledged(self) -> Checkpoint:
        return self._signer.read_checkpoint(self._origin, self.note)

    def _require_signed(self, connection: psycopg.Connection, tree: Frontier) -> None:
        """The last row is covered by a checkpoint of ours at exactly this size, and none lies beyond it."""
        row = connection.execute(
            "SELECT size, note FROM log.checkpoint ORDER BY size DESC LIMIT 1"
        ).fetchone()
        if row is None:
            if tree.size:
                raise not_ours("entries lie in the log without a signed checkpoint", "日志条目没有签名检查点")
            return
        checkpoint = self._signer.read_checkpoint(self._origin, row[1])
        if (checkpoint.size, checkpoint.root) != (tree.size, tree.root) or row[0] != tree.size:
            raise not_ours(
                f"the log holds {tree.size} entries, its last checkpoint covers {row[0]}",
                f"日志有 {tree.size} 条，最后检查点覆盖 {row[0]} 条",
            )
        self._head.write(row[1])


def take_lock(connection: psycopg.Connection) -> bool:
    """The advisory lock of this log's one writer, for as long as the session lives; False when another has it."""
    row = connection.execute(_LOCK).fetchone()
    return row is not None and bool(row[0])


def _require_logged(connection: psycopg.Connection) -> None:
    """Refuse tables that a crash would empty."""
    row = connection.execute(_UNLOGGED).fetchone()
    if row is None or row[0]:
        raise UnavailableError(
            "store.server.promises_nothing",
            Text(
                "a table of the log is unlogged: a crash would empty it", "日志表为 UNLOGGED，崩溃后会被清空"
            ),
            remedy=Text("ALTER TABLE … SET LOGGED", "请执行 ALTER TABLE … SET LOGGED"),
        )


def _copied(group: Sequence[tuple[Appended, Draft]]) -> bytes:
    """The rows in PostgreSQL's binary COPY format."""
    parts = [b"PGCOPY\n\xff\r\n\0", bytes(8)]
    for appended, draft in group:
        entry = appended.entry
        event = entry.event.encode()
        parts += (
            _INDEX.pack(5, 8, entry.index), _LENGTH.pack(len(event)), event, _LENGTH.pack(len(entry.leaf)), entry.leaf,
            _LENGTH.pack(32), appended.leaf_hash,
        )  # fmt: skip
        once = draft.once.encode() if draft.once is not None else None
        parts += (_ABSENT,) if once is None else (_LENGTH.pack(len(once)), once)
    parts.append(b"\xff\xff")
    return b"".join(parts)


def _unwritable(error: Exception | None) -> UnavailableError:
    if isinstance(error, psycopg.errors.DiskFull) or getattr(error, "errno", None) == errno.ENOSPC:
        return UnavailableError(
            "auditlog.log.full",
            Text("the log's disk is full, so nothing is opened", "日志所在磁盘已满，因此不开启任何值"),
            remedy=Text("free space, then run again", "请释放空间后重试"),
        )
    return UnavailableError(
        "auditlog.log.unwritable",
        Text("the log cannot be written, so nothing is opened", "日志无法写入，因此不开启任何值"),
        remedy=Text(
            "is the database up and its disk not full? then run again", "请检查数据库与磁盘空间后重试"
        ),
    )

"""What the keeper knows, and how it stays true: folded from the log's entries, written one after the other.

Invariants
    One lock serialises everything but the commit: the log has one writer. What is known is what the entries say; after
    the database was away it is read anew. A log that is not ours stops the keeper until it is started on a good one.
    ``_read`` is the home as its files are now; ``_home`` has the bundle in force in it.

Who may ask, and what is admitted: ``admitting``. What is asked: the classes that ``service`` puts together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from pyroaring import BitMap

from huanshu import telemetry
from huanshu.access import Enforcer
from huanshu.auditlog import Draft, Entry, LogWriter, Register
from huanshu.auditlog.rotations import Rotations
from huanshu.catalog import Home
from huanshu.errors import ContentError, TamperedError, Text, UnavailableError
from huanshu.keeper import bundles, counting, custody, emergency
from huanshu.keeper.bitmaps import BEGIN, chained, open_bitmap
from huanshu.keeper.budgets import Budgets
from huanshu.keeper.counted import Counted
from huanshu.keeper.endings import Endings
from huanshu.keeper.erased import ErasedSubjects
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.seen import SeenIndex
from huanshu.keeper.tending import Tending, speaking
from huanshu.keeper.tickets import OpenTickets, Ticket
from huanshu.keeper.vault import Vault
from huanshu.keeper.vouched import Rows
from huanshu.sealing import KeyName
from huanshu.sealing.keys import bitmap_key

BEFORE_ADOPTION = {"log.origin.created", "policy.bundle.adopted"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of. ``read_home`` answers the home as its files are now, and is asked often;
    ``enforcer`` makes the decider of a home (a drill's control arm puts another one here)."""

    read_home: Callable[[], Home]
    enforcer: Callable[[Home], Enforcer]
    writer: LogWriter
    vault: Vault
    connect: Callable[[], psycopg.Connection]
    keeper_uid: int
    tending: Tending
    #: What refuses records of a recalled delivery (a drill's control arm puts something careless here).
    recalled: Callable[[Register, OpenBitmap], RecalledRecords] = RecalledRecords
    #: What refuses those who were erased.
    erased: Callable[[Register, OpenBitmap], ErasedSubjects] = ErasedSubjects
    #: What counts how much a person has seen (a control arm puts one here that never says enough).
    budgets: Callable[[OpenBitmap], Budgets] = Budgets
    #: What judges whether a number may be told (a control arm puts one here that tells every number).
    reader: type[counting.Reader] = counting.Reader
    #: What reads rows to count over, and believes the log alone (a control arm puts one here that believes the store).
    rows: type[Rows] = Rows
    second: SecondPerson = field(default_factory=SecondPerson)
    #: What refuses who confirms his own proposal.
    another: Callable[[str, str], None] = custody.require_another
    #: What refuses a rotation when nothing can be behind.
    due: Callable[[Rotations, str, str, int], bool] = Rotations.due


class LogKeeping:
    """State, entries, and the keeper's own rounds."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._register = Register()
        self._tickets = OpenTickets()
        #: Over the bitmaps of all entries so far, and what it was at each question who saw whom.
        self._chain, self._at_question = BEGIN, dict[int, bytes]()
        self._stopped: TamperedError | None = None
        self._seen = SeenIndex(parts.connect)
        self._counted = Counted(parts.connect, parts.reader)
        self._tallying = threading.Lock()
        self._endings = Endings(parts.tending.monotonic)
        try:
            self._read = self._home = parts.read_home()
            self._enforcer = parts.enforcer(self._home)
            self._ruled_by: str | None = None
            self._read_log()
            self._refresh()
            if self._register.policy_digest == self._read.policies.digest:
                bundles.keep(parts.connect, self._read)
            if self._register.custody.destroyed:
                parts.vault.purge()
            with suppress(UnavailableError, ContentError):  # then nothing is opened until a round has done it
                parts.tending.begin(self._home)
        except BaseException:  # a keeper that does not start holds no lock and no key
            self.close()
            raise

    def close(self) -> None:
        """Let go of the log and the vault."""
        with self._lock:
            self._seen.close()
            self._parts.writer.close()
            self._parts.vault.close()
        self._parts.tending.close()

    @property
    def size(self) -> int:
        """Entries that are durable."""
        return self._parts.writer.size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, and none after tampering was found: so the keeper says until it is started on a good log."""
        with self._lock:
            if self._stopped is not None:
                raise self._stopped
            yield

    def _write(
        self,
        body: Mapping[str, Any],
        once: str | None,
        sealed: bytes | None,
        seen: BitMap | None = None,
        *,
        durable: bool = True,
    ) -> Ticket:
        adopted = self._register.policy_digest
        current = adopted if adopted and body["event"] not in BEFORE_ADOPTION else self._read.policies.digest
        stamped: dict[str, Any] = {**body, "policy": current}
        purpose = self._home.policies.purposes.get(str(body.get("purpose")))
        if purpose is not None:
            stamped["basis"] = purpose.legal_basis
        trace = telemetry.trace_id()
        if trace is not None:
            stamped["trace"] = trace
        (appended,), mark = self._parts.writer.stage([Draft(stamped, once, sealed)])
        if durable:
            self._parts.writer.settle(mark)
        self._apply(appended.entry, appended.leaf_hash, seen)
        return Ticket(appended.entry.index, appended.leaf_hash.hex())

    def _apply(self, entry: Entry, hashed: bytes, seen: BitMap | None = None) -> None:
        if entry.event == "access.seen.authorised":
            self._at_question[entry.index] = self._chain
        self._chain = chained(self._chain, entry.body)
        self._register.apply(entry)
        self._budgets.apply(entry, seen)
        self._tickets.apply(Ticket(entry.index, hashed.hex()), entry)

    def _recover(self) -> None:
        """After the database was away: reconnect, and read anew what the log is. What was staged and not acknowledged
        is in it under our signature, or it is nowhere."""
        try:
            away = not self._parts.writer.answers()
            if away:
                self._read_log()
            if away or self._parts.vault.closed:
                self._parts.vault.use(self._parts.connect())
        except psycopg.Error:
            raise UnavailableError(
                "keeper.database.away",
                Text("the keeper's database cannot be reached", "钥匙保管无法连接数据库"),
                remedy=Text("start the database, then run again", "请启动数据库后重试"),
            ) from None

    def _read_log(self) -> None:
        """What the log's entries establish, from the first one on."""
        writer = self._parts.writer
        self._register, self._tickets = Register(), OpenTickets()
        self._chain, self._at_question = BEGIN, {}
        self._budgets = self._parts.budgets(self._opened_bitmap)
        self._counted.forget()
        for entry, hashed in writer.start():
            self._apply(entry, hashed)
        if self._register.origin not in ("", writer.origin):
            # Or whoever has the log's key could begin a later origin without saying what was given up for it.
            raise TamperedError(
                "auditlog.origin.unopened",
                Text("no entry opens the origin that the head names", "没有条目开启日志头所载的起点"),
                remedy=Text(
                    "run huanshu-verify, tell security staff", "请运行 huanshu-verify 并通知安全人员"
                ),
            )
        self._recalled = self._parts.recalled(self._register, self._opened_bitmap)
        self._erased = self._parts.erased(self._register, self._opened_bitmap)
        # What was destroyed is gone again before anything is lent, should a backup have brought it back.
        self._parts.vault.obey(self._register.custody.is_destroyed)
        for index, values in writer.values_opened().items():
            self._tickets.opened_before(index, values)
        for index, fields in writer.values_opened("unequal").items():
            self._budgets.missed(index, fields)

    def _opened_bitmap(self, member: Mapping[str, Any]) -> bytes:
        sealed = self._parts.writer.bitmap(bytes.fromhex(str(member["sealed_sha256"])))
        return open_bitmap(self._bitmap_keys(), member, sealed)

    def _bitmap_keys(self) -> list[tuple[KeyName, bytes]]:
        """Keys of the bitmaps beside the log, newest epoch first: an entry does not say its own."""
        names = [bitmap_key(epoch) for epoch in range(self._home.policies.keys.epoch, 0, -1)]
        return [(name, self._parts.vault.key(name)) for name in names]

    def _require_fresh(self) -> None:
        """Nothing sensitive on old evidence. It is renewed here and now, if only nobody came to it."""
        tending = self._parts.tending
        try:
            tending.require_fresh(self._home)
        except UnavailableError:
            with suppress(UnavailableError):
                self._pay_due()
                self._publish()
            tending.require_fresh(self._home)

    def _pay_due(self) -> None:
        for body in self._parts.tending.due(self._home, self._register):
            self._write(body, None, None)
        self._pay_emergencies()

    def _pay_emergencies(self) -> None:
        """The data owner told, a review's finding settled, what nobody reviewed escalated."""
        if self._register.answerable is None or not self._is_ruled:
            return
        at, spoken = self._parts.writer.now(), speaking(self._register)
        for body in emergency.owed(self._register, self._home, at, spoken):
            self._write(body, None, None)

    def _end_purposes(self) -> None:
        """Destroy the token keys of purposes that have ended, by rules that are adopted."""
        if self._register.policy_digest != self._read.policies.digest:
            return
        try:
            for purpose, names in self._endings.due(
                self._home, self._parts.vault, self._parts.writer.now().date()
            ):
                told = {"event": "key.purpose.ended", "purpose": purpose, "detail": {"keys": len(names)}}
                self._write({**speaking(self._register), **told}, None, None)
                self._parts.vault.destroy(names)
        except (UnavailableError, psycopg.Error):
            return  # the next round looks again

    def _publish(self) -> None:
        try:
            self._parts.tending.publish()
        except TamperedError as error:
            self._stopped = error
            raise

    def _refresh(self) -> None:
        """``_read`` is the home as its files are now; ``_home`` has the bundle in force in it, and is ``_read`` itself
        while the two are the same: only then is anything opened. Before the first adoption there are only the files."""
        read, adopted = self._parts.read_home(), self._register.policy_digest
        if read is self._read and adopted == self._ruled_by:
            return
        home = read
        if adopted not in (None, read.policies.digest):
            kept = bundles.in_force(self._parts.connect, adopted)
            home = read if kept is None else replace(read, policies=kept.policies, contracts=kept.contracts)
        if home is not self._home:
            self._enforcer = self._parts.enforcer(home)
            self._counted.forget()  # who is counted together, and from how many on, is said by contracts
        self._read, self._home, self._ruled_by = read, home, adopted

    @property
    def _is_ruled(self) -> bool:
        """Whether ``_home`` has the bundle in force; otherwise that was not kept, and nobody can be established."""
        return self._register.policy_digest in (None, self._home.policies.digest)

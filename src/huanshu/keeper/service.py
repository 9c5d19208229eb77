"""The keeper's service: admission → append → ticket → loan, in that order and no other.

One lock serialises everything but the commit: the log has one writer, and a loan must see every entry before it as
durable. Appends of concurrent callers are admitted one after the other, each seeing those before, and share a commit.
Crash points: before the append returns, nothing was lent; after it, a ticket may exist that nobody used —
the log then names an access that did not happen, never the other way round (invariant 1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psycopg
from pyroaring import BitMap

from huanshu import telemetry
from huanshu.access import Enforcer
from huanshu.auditlog import Draft, Entry, LogWriter, Register
from huanshu.auditlog.custody import Selector
from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.auditlog.rotations import Rotations
from huanshu.catalog import Home, Rung
from huanshu.catalog.lockout import locked_out
from huanshu.catalog.narrowing import Widened
from huanshu.errors import ContentError, DeniedError, TamperedError, Text, UnavailableError
from huanshu.keeper import (
    alerts,
    bundles,
    comparing,
    counting,
    custody,
    emergency,
    large,
    proposals,
    tallying,
    tracing,
)
from huanshu.keeper.admission import Admission
from huanshu.keeper.bitmaps import (
    BEGIN,
    chained,
    open_aged,
    open_bitmap,
    open_member,
    sightings,
    subjects_of,
)
from huanshu.keeper.budgets import Budgets, require_subjects
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.corrections import PLATFORM_ONLY
from huanshu.keeper.counted import Counted
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.endings import Endings
from huanshu.keeper.erased import ErasedSubjects
from huanshu.keeper.establish import Asker, Peer, establish, unkept
from huanshu.keeper.exposure import exposed
from huanshu.keeper.quarantine import ORDERED
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.seen import SeenIndex
from huanshu.keeper.tending import Tending, own_account, speaking
from huanshu.keeper.tickets import SETTLING, OpenTickets, Ticket, refused, require_lendable, still_valid
from huanshu.keeper.vault import Vault, linked_through
from huanshu.keeper.vouched import Listed, Rows
from huanshu.sealing import CellContext, KeyName, content_mark, mask, open_column
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import bitmap_key, data_key, quarantine_key, workbook_key
from huanshu.store.sessions import available

#: What says whom it is about, though it be nobody: otherwise the question who saw whom would pass it over.
_ABOUT_MANY = {"exchange.delivery.authorised", "exchange.delivery.stopped"}
_BEFORE_ADOPTION = {"log.origin.created", "policy.bundle.adopted"}
#: What is said of the files as they are read now, though others are in force.
_OF_BUNDLES = frozenset({"policy.bundle.proposed", "policy.bundle.adopted"})
#: Whose values are opened for the person of the entry.
_OPENED = frozenset({"access.record.authorised", "access.correction.authorised"})
#: What shows a record that was looked up by its identifier.
_FOUND = frozenset({"access.record.authorised", comparing.COMPARED})
#: What the keeper alone says in an entry's detail, whatever a client claims.
_OWN_WORDS = frozenset({"raised", "emergency", "sought"})


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


class Service:
    """What the keeper does. Every request takes the kernel's word for the peer first."""

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

    def tend(self) -> None:
        """One of the keeper's own rounds: what it owes the log, then publication. A log that is not ours stops it."""
        with self._alone():
            self._recover()
            self._refresh()
            self._pay_due()
            if self._register.custody.destroyed:
                self._parts.vault.purge()
        self._publish()
        with self._alone():
            self._end_purposes()
        try:
            self._parts.tending.ask_witnesses(self._home)
        except TamperedError as error:
            self._stopped = error
            raise

    @property
    def size(self) -> int:
        """Entries that are durable."""
        return self._parts.writer.size

    def open_finding(self, claim: Mapping[str, Any]) -> Ticket:
        """A finding that the watch in this process has raised: no request, so in nobody's name but its owner post's."""
        with self._alone():
            self._recover()
            self._parts.writer.settle_all()
            self._refresh()
            return self._append(Asker(None, alerts.ITSELF, "os", own_account()), claim, None)

    # -- requests -------------------------------------------------------------------------------

    def status(self, peer: Peer, acting_as: str | None) -> dict[str, Any]:
        """Head, digests, and who the keeper takes the asker for."""
        with self._asked(peer, acting_as) as asker:
            return {
                "origin": self._parts.writer.origin,
                "vkey": self._parts.writer.vkey,
                "size": self._parts.writer.size,
                "root": self._parts.writer.root.hex(),
                "policy": self._read.policies.digest,
                "adopted": self._register.policy_digest,
                "sandbox": self._register.sandbox,
                "person": asker.person,
                "system": asker.system,
                "by": asker.by,
                "evidence": self._parts.tending.ages(self._home),
            }

    def changes(self, peer: Peer, acting_as: str | None) -> list[list[str]]:
        """What may widen when the bundle read now is put in force, by file and line: for whoever may read the log."""
        with self._asked(peer, acting_as) as asker:
            tracing.reading_post(self._admission(), asker)
            return [list(each) for each in self._widened()]

    def emergencies(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Broken glasses, oldest first: one's own, and all of them for who may read the log or answers for the data."""
        with self._asked(peer, acting_as) as asker:
            admission, mine = self._admission(), []
            for each in self._register.emergencies:
                with suppress(DeniedError):
                    if each.person != asker.person:
                        emergency.require_reader(admission, asker, each)
                    mine.append(emergency.told(each))
            return mine

    def append(
        self, peer: Peer, acting_as: str | None, claim: Mapping[str, Any], bitmap: bytes | None = None
    ) -> Ticket:
        """Admit and append one entry. A refusal is itself appended for the person established."""
        with (
            telemetry.span("huanshu.keeper.append", event=str(claim.get("event"))),
            self._asked(peer, acting_as, settled=False) as asker,
        ):
            ticket = self._append(asker, claim, bitmap, durable=False)
            mark = self._parts.writer.mark()
        # Outside the lock: who comes meanwhile is admitted, and shares the next commit.
        self._parts.writer.settle(mark)
        return ticket

    def open_ticket(self, peer: Peer, acting_as: str | None, event: str, about: str) -> Ticket | None:
        """The unsettled ticket of a delivery or batch: how a run finds its way back after a crash."""
        with self._asked(peer, acting_as):
            return self._tickets.about(event, about)

    def lend(
        self,
        peer: Peer,
        acting_as: str | None,
        ticket: Ticket,
        chunk: int,
        names: Sequence[KeyName],
        existing: Collection[KeyName] = (),
    ) -> dict[KeyName, bytes]:
        """Exactly the keys that the ticket's entry names, for one chunk; none of ``existing`` is made anew."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_party(asker, body)
            require_lendable(names, body, self._home)
            fields = sorted({name.split("/")[3] for name in names if name.startswith("data/")})
            lent = self._parts.vault.keys(names, existing)
            # Committed before the keys leave: a crash here leaves a loan that nobody received.
            self._parts.writer.record_loan(ticket.index, "keys", chunk, fields, len(names))
            return lent

    def open(
        self, peer: Peer, acting_as: str | None, ticket: Ticket, cells: Sequence[StoredCell]
    ) -> list[str | None]:
        """Open cells of the one record that the entry names, each at the rung the entry names."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            self._require_named(body, cells)
            self._tickets.count_opening(ticket, len(cells), self._home.policies.keys.open_max_values)
            fields = sorted({cell.field for cell in cells})
            self._parts.writer.record_loan(ticket.index, "opened", 0, fields, len(cells))
            return [self._open_cell(body, cell) for cell in cells]

    def compare(
        self,
        peer: Peer,
        acting_as: str | None,
        claim: Mapping[str, Any],
        bitmap: bytes,
        cells: Sequence[StoredCell],
        asked: Mapping[str, tuple[str, str | None]],
    ) -> tuple[Ticket, dict[str, bool]]:
        """Whether what somebody typed is what one record holds, by field: an entry first; no value leaves.

        ``asked``: field → (typed, the stored value where it is stored plain). What does not agree is told beside the
        entry before the answer leaves: a crash in between leaves a miss counted that nobody saw."""
        with self._asked(peer, acting_as) as asker:
            self._require_fresh()
            fields = dict.fromkeys(asked, "match")
            ticket = self._append(
                asker, {**claim, "event": comparing.COMPARED, "once": None, "fields": fields}, bitmap
            )
            body = self._tickets.entry(ticket)
            self._require_named(body, cells, frozenset({comparing.COMPARED}))
            contract = self._home.contracts[str(body["dataset"])]
            if {cell.field for cell in cells} != {n for n in body["fields"] if contract.field(n).sealed}:
                raise refused("keeper.open.not_named", "a field has no value", "字段缺少密封值")
            self._tickets.count_opening(ticket, len(cells), self._home.policies.keys.open_max_values)
            self._parts.writer.record_loan(ticket.index, "opened", 0, sorted(body["fields"]), len(asked))
            stored = {name: plain for name, (_, plain) in asked.items()}
            stored |= {cell.field: self._stored(body, cell) for cell in cells}
            found = comparing.agree(contract, stored, {name: typed for name, (typed, _) in asked.items()})
            unequal = sorted(name for name, same in found.items() if not same)
            if unequal:
                self._parts.writer.record_loan(ticket.index, "unequal", 0, unequal, len(unequal))
                self._budgets.missed(ticket.index, len(unequal))
            return ticket, found

    def count(
        self, peer: Peer, acting_as: str | None, claim: Mapping[str, Any], question: counting.Question
    ) -> tuple[Ticket, list[int | None]]:
        """The figures of a question, its total first, None for what is withheld: judged, kept, appended, told."""
        with self._asked(peer, acting_as) as asker:
            self._require_fresh()
            contract, zones = self._home.contracts[str(claim["dataset"])], claim["detail"]["zones"]
            with self._refusing(asker, {**claim, "event": counting.COUNTED}):
                homes = counting.homes_of(self._home, zones)
                fields = counting.fields_of(contract, question.by, question.where)
                counting.require_few_cells(len(question.cells))
            said = {name: rung.word for name, rung in fields.items()}
            about = question.total.serialize() if contract.subjects else None
            sets = question.sets(contract.dataset, homes)
            return self._told(asker, {**claim, "fields": said}, sets, about)

    def tally(
        self,
        peer: Peer,
        acting_as: str | None,
        claim: Mapping[str, Any],
        by: str | None,
        where: Mapping[str, str],
        words: Sequence[str],
    ) -> tuple[Ticket, list[tuple[str, int | None]]]:
        """As ``count``, over a sealed field, label by label: whom a question is about is read here, and here its values
        are opened (``tallying``). The lock is not held while rows are read or opened."""
        claim = {**claim, "once": None}
        with self._tallying:
            with self._asked(peer, acting_as) as asker:
                self._require_fresh()
                looking = {**claim, "event": counting.COLUMN}
                with self._refusing(asker, looking):
                    self._require_current(looking)
                    tally = tallying.Tally.of(
                        self._home, claim, by, where, words, self._parts.writer.now().date()
                    )
                    looking["fields"] = tally.fields
                    looking["detail"] = {"zones": claim["detail"]["zones"], "values": 0}
                    self._admission().admit(asker, looking)
                listed = Listed.of(self._register.tellings, tally.contract.dataset)
            try:
                with self._parts.connect() as connection, available():
                    column = tallying.gathered(connection, listed, tally, self._parts.rows)
            except DeniedError:
                with self._asked(peer, acting_as) as asker, self._refusing(asker, looking):
                    raise
            with self._asked(peer, acting_as) as asker:
                looking["detail"] = {**looking["detail"], "values": len(column)}
                about = column.everyone.serialize() if tally.contract.subjects else None
                ticket = self._append(asker, looking, about)
                keys = self._parts.vault.keys(column.keys, column.keys)
                self._parts.writer.record_loan(ticket.index, "opened", 0, [tally.form.name], len(column))
            asked = column.sets(keys)
            with self._asked(peer, acting_as) as asker:
                self._require_same(asker, self._good(ticket))
                detail = {"zones": claim["detail"]["zones"], "opened": ticket.index}
                telling = {**claim, "fields": tally.fields, "detail": detail}
                told, figures = self._told(asker, telling, [each for _, each in asked], None)
                return told, [(label, figure) for (label, _), figure in zip(asked, figures, strict=True)]

    def _told(
        self,
        asker: Asker,
        claim: Mapping[str, Any],
        sets: Sequence[counting.Asked],
        about: bytes | None,
    ) -> tuple[Ticket, list[int | None]]:
        """What of these sets this reader is told: judged, kept, appended."""
        person = self._admission().in_person(asker)["person"]
        contract, keys = self._home.contracts[str(claim["dataset"])], self._bitmap_keys()
        try:
            reader = self._counted.reader(keys, person, contract, self._home)
            figures, fresh = reader.ask(contract.minimum_group, sets)
            told = sum(figure is not None for figure in figures)
            detail = {
                **claim["detail"], "minimum": contract.minimum_group,
                "told": told, "withheld": len(figures) - told, "kept": self._counted.keep(keys, fresh),
            }  # fmt: skip
            asked = {**claim, "event": counting.COUNTED, "once": None, "detail": detail}
            return self._append(asker, asked, about), figures
        except BaseException:
            self._counted.forget()
            raise

    def spent(self, peer: Peer, acting_as: str | None, person: str | None) -> dict[str, int]:
        """What a person has used up of the budgets: one's own, or anybody's for who may read the log."""
        with self._asked(peer, acting_as) as asker:
            whom = person or asker.person
            if whom is None or whom != asker.person:
                tracing.reading_post(self._admission(), asker)
            return asdict(self._budgets.spent(str(whom), self._parts.writer.now()))

    def seal(
        self, peer: Peer, acting_as: str | None, ticket: Ticket, given: Sequence[proposals.Proposed]
    ) -> list[bytes]:
        """Proposed values sealed for the person whom the entry names: the proposer never holds a key."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            for item in given:
                if (
                    body["event"] != "correction.batch.authorised"
                    or body["fields"].get(item.field) != "propose"
                    or not item.correction.startswith(f"{body['detail']['batch'][:12]}.")
                ):
                    raise refused(
                        "keeper.seal.not_named", "the entry does not name this field", "条目未载明该字段"
                    )
            contract = self._home.contracts[body["dataset"]]
            epoch = self._home.policies.keys.epoch
            return proposals.seal_proposed(self._parts.vault.key, contract, body["domain"], epoch, given)

    def mark(self, peer: Peer, acting_as: str | None, ticket: Ticket, text: str) -> bytes:
        """The mark of a workbook whose making the entry names: what it is and which rows it shows, bound together."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_party(asker, body)
            if body["event"] != "access.workbook.authorised":
                raise refused("keeper.mark.not_named", "the entry names no workbook", "条目未载明工作簿")
            return content_mark(self._parts.vault.key(workbook_key(body["domain"], body["dataset"])), [text])

    def marked(
        self, peer: Peer, acting_as: str | None, domain: str, dataset: str, text: str, mark_: bytes
    ) -> bool:
        """Whether a workbook is as it was given out to this domain: for who holds a post there, without a ticket, as
        it tells nothing else. Makes no key: where there is none, none was ever given out."""
        with self._asked(peer, acting_as) as asker:
            self._admission().post_in(asker, domain)
            key = self._parts.vault.key(workbook_key(domain, dataset), born=False)
            return hmac.compare_digest(content_mark(key, [text]), mark_)

    def accept(
        self, peer: Peer, acting_as: str | None, ticket: Ticket, given: proposals.Acceptance
    ) -> proposals.Resealed | None:
        """The one record that the entry names, re-sealed with the proposed value; None when the field has changed."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            if (
                body["event"] != "correction.change.authorised"
                or (given.correction, given.record) != (body["detail"]["change"], body["detail"]["record"])
                or body["fields"].get(given.field) != "approve"
            ):
                raise refused(
                    "keeper.accept.not_named", "the entry names another correction", "条目载明的是另一更正"
                )
            contract = self._home.contracts[body["dataset"]]
            sealed = [field.name for field in contract.sealed_fields]
            amount = len(sealed) + 2  # and the field's base value, and the proposed one
            self._tickets.count_opening(ticket, amount, self._home.policies.keys.open_max_values)
            self._parts.writer.record_loan(ticket.index, "opened", 0, sorted({*sealed, given.field}), amount)
            epoch = self._home.policies.keys.epoch
            return proposals.accept(self._parts.vault.key, contract, body["domain"], epoch, given)

    def link(
        self, peer: Peer, acting_as: str | None, claim: Mapping[str, Any], kind: str, value: str
    ) -> bytes:
        """The link of an identifier, against an ``access.record.sought`` (or ``access.seen.asked``) entry first. Sought
        is missed until a look shows the record: a crash in between leaves a miss counted that nobody saw."""
        with self._asked(peer, acting_as) as asker:
            # Every look-up is an entry of its own: a key that finds an older one would be a look-up unlogged.
            event = (
                "access.seen.asked" if claim.get("event") == "access.seen.asked" else "access.record.sought"
            )
            self._require_fresh()
            ticket = self._append(asker, {**claim, "event": event, "once": None, "kind": kind}, None)
            linked = linked_through(self._parts.vault, kind, value)
            self._budgets.linked(str(asker.person), ticket.index, linked)
            return linked

    def open_quarantined(
        self, peer: Peer, acting_as: str | None, ticket: Ticket, sealed: bytes
    ) -> dict[str, str | None]:
        """The fields of one quarantined row that the entry names, each at its rung; nothing else of it leaves."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            if body["event"] != "access.quarantine.authorised":
                raise refused("keeper.open.not_named", "the entry does not name this value", "条目未载明该值")
            fields = sorted(body["fields"])
            self._tickets.count_opening(ticket, len(fields), self._home.policies.keys.open_max_values)
            self._parts.writer.record_loan(ticket.index, "opened", 0, fields, len(fields))
            dataset, place = str(body["dataset"]), f"{body['detail']['batch']}/{body['detail']['row']}"
            row = json.loads(open_aged(self._quarantine_keys(dataset), place, sealed))
            return {name: self._at_rung(body, name, row.get(name)) for name in fields}

    def order_repair(
        self, peer: Peer, acting_as: str | None, claim: Mapping[str, Any], values: Mapping[str, str | None]
    ) -> tuple[Ticket, bytes]:
        """A steward's order, appended first; then its new values, sealed for the run that carries it out."""
        with self._asked(peer, acting_as) as asker:
            self._require_fresh()
            ordered = {**claim, "event": ORDERED, "once": None, "fields": sorted(values)}
            ticket = self._append(asker, ordered, None)
            name = quarantine_key(str(claim["dataset"]), self._home.policies.keys.epoch)
            place = f"repair/{claim['detail']['batch']}/{claim['detail']['row']}/{ticket.index}"
            new = json.dumps(dict(values), ensure_ascii=False).encode()
            return ticket, seal_blob(self._parts.vault.key(name), name, place, new)

    # -- custody --------------------------------------------------------------------------------

    def custody(self, peer: Peer, acting_as: str | None) -> dict[str, Any]:
        """What waits for a second person, what is destroyed, who is erased (by entry, not by name); no key."""
        with self._asked(peer, acting_as):
            return custody.told(self._register.custody, self._parts.vault.names(), self._parts.writer.now())

    def covered(self, peer: Peer, acting_as: str | None, selector: Mapping[str, Any]) -> int:
        """How many stored keys a selector covers."""
        with self._asked(peer, acting_as):
            covers = Selector.of(selector).covers
            return sum(map(covers, self._parts.vault.names()))

    def destroy(self, peer: Peer, acting_as: str | None, proposed: int) -> tuple[Ticket, int]:
        """Confirm a destruction, in the log first; then the keys are gone. A crash in between: they go at the next
        round, and are lent no more from the entry on."""
        with self._asked(peer, acting_as) as asker:
            keys = custody.covered(self._register.custody, proposed, self._parts.vault.names())
            claim = {
                "event": "keys.destruction.confirmed",
                "detail": {"proposed": proposed, "keys": keys},
            }
            ticket = self._append(asker, claim, None)
            return ticket, self._parts.vault.purge()

    def escrow(
        self, peer: Peer, acting_as: str | None, proposed: int, passphrases: Sequence[str]
    ) -> tuple[Ticket, bytes]:
        """Confirm a copy of the root key for another office; sealed so that two of the three custodians open it."""
        with self._asked(peer, acting_as) as asker:
            claim: dict[str, Any] = {"event": "keys.escrow.sealed", "detail": {"proposed": proposed}}
            try:
                self._admission().require_seconded(asker, claim, "keys.escrow.proposed")
            except DeniedError as denied:
                self._tell_refusal(self._admission(), asker, claim, denied)
                raise
            copy = self._parts.vault.sealed_root(passphrases, self._home.log_origin.encode())
            claim["detail"]["copy"] = hashlib.sha256(copy).hexdigest()
            return self._append(asker, claim, None), copy

    def erasures(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Confirmed erasures with the subjects' numbers, for who carries them out: the platform, or who may confirm."""
        with self._asked(peer, acting_as) as asker:
            self._admission().require_carrying_out(asker)
            found = self._register.custody
            return [
                {
                    "index": each.index,
                    "dataset": each.dataset,
                    "subjects": list(self._erased.of(each)),
                    "backups_until": each.backups_until,
                    "carried_out": found.carried_out(each.index, each.dataset),
                }
                for each in found.erasures
            ]

    def seen(self, peer: Peer, acting_as: str | None, ticket: Ticket) -> list[int]:
        """Indices of the entries whose bitmaps hold a subject that the ticket's entry asks about.

        Looked up beside other requests, up to the entry itself."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            if body["event"] != "access.seen.authorised":
                raise refused("keeper.seen.not_asked", "its entry asks no such thing", "条目并非追查申请")
            wanted = open_member(body["subjects"], self._opened_bitmap(body["subjects"]))
            keys, chain = self._bitmap_keys(), self._at_question[ticket.index]
        return self._seen.entries_about(keys, wanted, ticket.index, chain)

    def exposed(
        self, peer: Peer, acting_as: str | None, ticket: Ticket, organisations: bytes
    ) -> dict[str, Any]:
        """Numbers of those exposed by what the ticket's entry (``access.exposure.authorised``) selects."""
        with self._asked(peer, acting_as) as asker:
            body = self._good(ticket)
            self._require_same(asker, body)
            if body["event"] != "access.exposure.authorised":
                raise refused("keeper.seen.not_asked", "its entry asks no such thing", "条目并非追查申请")
            keys = self._bitmap_keys()
        with self._parts.connect() as connection:
            firms = BitMap.deserialize(organisations)
            return exposed(connection, keys, body["detail"], firms, ticket.index)

    def withheld(self, peer: Peer, acting_as: str | None) -> dict[str, str]:
        """Entries that residents are not told of now, with the end of each withholding; for who may read the log."""
        with self._asked(peer, acting_as) as asker:
            tracing.reading_post(self._admission(), asker)
            found = self._register.withheld(self._parts.writer.now())
            return {str(entry): each.until.isoformat() for entry, each in found.items()}

    def opened_of(self, peer: Peer, acting_as: str | None, index: int) -> list[tuple[int, list[int]]]:
        """What was opened for somebody of a delivery's subjects between its authorisation and its recall, entry
        ``index``: each entry with the subjects' places in the delivery. For the person who recalled it."""
        with self._asked(peer, acting_as) as asker:
            recall = self._register.holds.recall(index)
            if recall is None or recall.person != asker.person:
                raise refused("keeper.ticket.not_yours", "it is another person's", "凭据属于他人")
            keys = self._bitmap_keys()
        with self._parts.connect() as connection:
            subjects = subjects_of(connection, keys, recall.authorised)
            opened = {
                event
                for event in ABOUT_SUBJECTS
                if event.startswith("access.")
                and event.endswith("authorised")
                and event not in (counting.COLUMN, counting.COUNTED)
            }
            found = sightings(connection, keys, subjects, opened, recall.authorised, index)
            return [(entry, [subjects.rank(ordinal) for ordinal in whom]) for entry, whom in found]

    def sender_key(self, peer: Peer, acting_as: str | None, sender: str) -> str | None:
        """Hex public key (Ed25519) enrolled for a sender."""
        with self._asked(peer, acting_as):
            return self._register.sender_key(sender)

    def bound(self, peer: Peer, acting_as: str | None, dataset: str, batch: str) -> str | None:
        """The digest that the entry of a batch binds of what it wrote; "" where it binds none, None before it."""
        with self._asked(peer, acting_as):
            return self._register.tellings.bound(dataset, batch)

    def renewals(self, peer: Peer, acting_as: str | None, dataset: str) -> list[str]:
        """Names of a dataset's rotations and erasures that were told, oldest first."""
        with self._asked(peer, acting_as):
            return self._register.tellings.renewals(dataset)

    def approval(self, peer: Peer, acting_as: str | None, flow: str, digest: str) -> dict[str, Any] | None:
        """The standing approval of a flow's digest, unless it has ended."""
        with self._asked(peer, acting_as):
            found = self._register.approval(flow, digest)
            if found is None or found.until <= self._parts.writer.now():
                return None
            return {"person": found.person, "until": found.until.isoformat(), "index": found.index}

    def findings(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Open findings, oldest first."""
        with self._asked(peer, acting_as):
            return [dict(finding) for finding in self._register.findings]

    def probe(self, peer: Peer, acting_as: str | None) -> None:
        """Whether the log would take an entry now, and what it allows would be opened. Raises what those would."""
        with self._asked(peer, acting_as):
            self._parts.writer.probe()
            self._require_fresh()

    def holds(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Holds that stand, oldest first, with their reasons; nothing in them is a value."""
        with self._asked(peer, acting_as):
            return [asdict(hold) for hold in self._register.holds.standing()]

    def recalls(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Recalls that no later delivery has superseded, oldest first."""
        with self._asked(peer, acting_as):
            return [asdict(recall) for recall in self._register.holds.recalls()]

    def slice_of(self, peer: Peer, acting_as: str | None, flow: str, receiver: str) -> str | None:
        """Digest of what a receiver held when a delivery of the flow last arrived: what it must still hold."""
        with self._asked(peer, acting_as):
            return self._register.holds.slice_of(flow, receiver)

    def expectations(self, peer: Peer, acting_as: str | None, flow: str) -> dict[str, Any]:
        """What the keeper knows of a flow: fields its receivers have never had, the content last released, and the
        entry that had held it (-1 when nothing is released)."""
        with self._asked(peer, acting_as):
            declared, holds = self._home.flows[flow], self._register.holds
            unseen = {r: holds.unseen(declared.dataset, r, declared.fields) for r in declared.receivers}
            released = holds.released(flow)
            return {
                "unseen": {receiver: fields for receiver, fields in unseen.items() if fields},
                "released": dict(released.deliveries or {}) if released else {},
                "since": released.index if released else -1,
            }

    # -- order of effects -----------------------------------------------------------------------

    @contextmanager
    def _asked(self, peer: Peer, acting_as: str | None, *, settled: bool = True) -> Iterator[Asker]:
        """One request: alone, on a live log, under the home as it is now, from an asker established by the bundle in
        force: who can write the files is nobody by them. ``settled``: what it sees of the log is durable; only an
        append may build on what is staged, because it is durable after it."""
        with self._alone():
            self._recover()
            if settled:
                self._parts.writer.settle_all()
            self._refresh()
            if not self._is_ruled:
                raise unkept()
            yield establish(
                peer,
                acting_as,
                self._home.policies,
                sandbox=self._register.sandbox or self._parts.writer.size == 0,
                keeper_uid=self._parts.keeper_uid,
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, and none after tampering was found: so the keeper says until it is started on a good log."""
        with self._lock:
            if self._stopped is not None:
                raise self._stopped
            yield

    def _append(
        self, asker: Asker, claim: Mapping[str, Any], bitmap: bytes | None, *, durable: bool = True
    ) -> Ticket:
        once = claim.get("once")
        if once is not None and not _is_of(str(once), str(claim["event"])):
            # Or whoever may log anything at all could take the key of what somebody else is about to tell.
            raise refused("keeper.once.other", "its key names another event", "其幂等键属于另一事件")
        if once is not None and (found := self._parts.writer.find(str(once))) is not None:
            if found.entry.event != claim["event"]:
                raise refused("keeper.once.other", "its key names another event", "其幂等键属于另一事件")
            if found.entry.event.startswith("access."):
                self._require_same(asker, found.entry.body)
            return Ticket(found.entry.index, found.leaf_hash.hex())
        if claim["event"] == "log.origin.created":
            named = {"origin": self._parts.writer.origin, "vkey": self._parts.writer.vkey}
            claim = {**claim, "detail": {**claim["detail"], **named}}
        elif self._parts.writer.mark().size == 0:
            # Not even a refusal may be entry 0: what kind of log this is must be said first, for ever.
            raise UnavailableError(
                "auditlog.log.not_begun",
                Text("the log has not been begun", "日志尚未创建"),
                remedy=Text("huanshu up (or huanshu up --sandbox)", "huanshu up（或 huanshu up --sandbox）"),
            )
        admission = self._admission(self._read if claim["event"] in _OF_BUNDLES else self._home)
        told = {name: said for name, said in claim["detail"].items() if name not in _OWN_WORDS}
        claim = {**claim, "detail": told}
        try:
            body, seen = self._admitted(admission, asker, claim, bitmap)
        except DeniedError as denied:
            self._tell_refusal(admission, asker, claim, denied)
            raise
        if claim["event"] == "policy.bundle.adopted":
            bundles.keep(self._parts.connect, self._read)
        sealed = None
        if bitmap is None and body["event"] in _ABOUT_MANY:
            raise ValueError("a delivery names its subjects")
        if bitmap is not None:
            member = "records" if claim["event"] == "exchange.delivery.recalled" else "subjects"
            body[member], sealed = self._sealed(bitmap)
        ticket = self._write(body, once, sealed, seen, durable=durable)
        if body["event"].startswith("access.emergency."):
            self._pay_emergencies()
        return ticket

    def _admitted(
        self, admission: Admission, asker: Asker, claim: Mapping[str, Any], bitmap: bytes | None
    ) -> tuple[dict[str, Any], BitMap | None]:
        """The entry's body, and whom it is about: after everything that may refuse it."""
        self._require_current(claim)
        body = admission.admit(asker, claim)
        self._recalled.require_readable(body, self._home)
        seen = None if bitmap is None else _bitmap(bitmap)
        require_subjects(self._home.contracts.get(str(body.get("dataset"))), body, seen)
        self._erased.require_none(body, bitmap)
        if (sought := self._sought(body, claim)) is not None:
            body["detail"] = {**body["detail"], "sought": sought}
        self._require_within(body, seen)
        large.require_seconded(self._register, self._home.policies.limits, body, seen)
        if body["event"] == "exchange.delivery.authorised":
            replaced = {str(k): base64.b64decode(v) for k, v in claim.get("replaced", {}).items()}
            if replaces := self._recalled.replaced_by(body, replaced):
                body["detail"] = {**body["detail"], "replaces": replaces}
        return body, seen

    @contextmanager
    def _refusing(self, asker: Asker, claim: Mapping[str, Any]) -> Iterator[None]:
        """A refusal inside is told for the person established."""
        try:
            yield
        except DeniedError as denied:
            self._tell_refusal(self._admission(), asker, claim, denied)
            raise

    def _tell_refusal(
        self, admission: Admission, asker: Asker, claim: Mapping[str, Any], denied: DeniedError
    ) -> None:
        told = admission.denial(asker, claim, denied)
        if told is not None:
            self._write(told, None, None)

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
        current = adopted if adopted and body["event"] not in _BEFORE_ADOPTION else self._read.policies.digest
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

    # -- conditions -----------------------------------------------------------------------------

    def _good(self, ticket: Ticket) -> Mapping[str, Any]:
        body = self._tickets.entry(ticket)
        self._require_fresh()
        still_valid(body, self._read, self._register, self._parts.writer.now())
        self._recalled.require_readable(body, self._home)
        return body

    def _require_within(self, body: dict[str, Any], seen: BitMap | None) -> None:
        """Within the person's budgets, or by a second person's consent, which the entry then names."""
        limits, now = self._home.policies.limits, self._parts.writer.now()
        consent = self._budgets.require_within(body, seen, limits, now)
        if consent is not None:
            body["detail"] = {**body["detail"], "raised": consent}

    def _sought(self, body: Mapping[str, Any], claim: Mapping[str, Any]) -> int | None:
        """The look-up by identifier that this look settles: the record holds what was sought. ``found_by``: the
        record's own identifier, as it lies in the store; it is opened here, and nothing of it leaves."""
        contract, found_by = self._home.contracts.get(str(body.get("dataset"))), claim.get("found_by")
        if found_by is None or contract is None or body["event"] not in _FOUND:
            return None
        own = contract.primary_key
        if not own.sealed:
            value: str | None = str(found_by)  # whoever could say it wrongly reads it in the store
        else:
            cell = StoredCell.from_json(found_by)
            if (cell.field, cell.record) != (own.name, body["detail"]["record"]) or not self._within(
                cell.domain, body["domain"]
            ):
                raise refused("keeper.open.not_named", "the entry does not name this value", "条目未载明该值")
            value = self._stored(body, cell)
        if value is None or own.link_kind is None:
            return None
        linked = linked_through(self._parts.vault, own.link_kind, value)
        return self._budgets.sought(str(body["person"]), contract.dataset, linked)

    def _require_same(self, asker: Asker, body: Mapping[str, Any]) -> None:
        """A single read is opened for the person its entry names: whoever reads the log can read tickets."""
        if asker.person is None or asker.person != body["person"]:
            raise refused("keeper.ticket.not_yours", "it is another person's", "凭据属于他人")

    def _require_party(self, asker: Asker, body: Mapping[str, Any]) -> None:
        """A run's keys go to a system that runs flows, or to a person who holds the flow's post now."""
        if body["event"] == ROTATION:
            self._admission().require_scheduler(asker)
            return
        if body["event"] in PLATFORM_ONLY and asker.person is not None:
            raise refused("keeper.ticket.platform_only", "its keys are the platform's", "其密钥只借给平台")
        try:
            self._admission().require_runner(asker, str(body["post"]))
        except DeniedError:
            raise refused("keeper.ticket.not_yours", "it is another post's", "凭据属于其他岗位") from None

    def _admission(self, home: Home | None = None) -> Admission:
        return Admission(
            home or self._home,
            self._enforcer,
            self._register,
            self._tickets,
            self._parts.writer.now(),
            self._home.policies if self._is_ruled else None,
            lambda: bool(self._widened()),
            self._parts.second,
            self._parts.another,
            self._parts.due,
        )

    def _widened(self) -> list[Widened]:
        """What in the bundle read now may widen the one in force; asked only where one is put in the other's place."""
        before, now = self._register.policy_digest, self._parts.writer.now()
        found = bundles.widened(self._parts.connect, before, self._read)
        return [*found, *locked_out(self._home.policies, self._read.policies, now)]

    def _require_current(self, claim: Mapping[str, Any]) -> None:
        """Compare-and-append: no entry under rules that are not the adopted ones, or not those decided under."""
        digest = self._read.policies.digest
        proposes = claim["event"] == "policy.bundle.proposed"
        if proposes or claim["event"] in _BEFORE_ADOPTION or claim["event"] in SETTLING:
            return  # what has happened is told even while the rules are in doubt
        if self._register.policy_digest != digest:
            raise DeniedError(
                "policy.bundle.unadopted",
                Text(
                    f"the policies read now ({digest[:12]}) are not the adopted ones",
                    f"当前策略（{digest[:12]}）尚未生效",
                ),
                remedy=Text(
                    "security staff review the change and run: huanshu policy adopt",
                    "请安全人员复核后运行：huanshu policy adopt",
                ),
            )
        if claim.get("policy", digest) != digest:
            raise DeniedError(
                "keeper.append.stale_policy",
                Text("decided under a policy that is no longer current", "作出判定所依据的策略已失效"),
                remedy=Text("ask again under the rules of now", "请按现行规则重新申请"),
            )

    def _require_named(
        self, body: Mapping[str, Any], cells: Sequence[StoredCell], events: Collection[str] = _OPENED
    ) -> None:
        contract = self._home.contracts[body["dataset"]]
        for cell in cells:
            proposed = _proposed_by(body, cell)
            named = (
                body["event"] in events
                and cell.field in body["fields"]
                and (contract.field(cell.field).sealed or proposed)
                and (proposed or "/" not in cell.rung)
                and cell.record == body["detail"]["record"]
                and self._within(cell.domain, body["domain"])
            )
            if not named:
                raise refused("keeper.open.not_named", "the entry does not name this value", "条目未载明该值")

    def _within(self, code: str, above: str) -> bool:
        domains = self._home.policies.domains
        return code == above or (code in domains and domains.is_below(code, above))

    def _open_cell(self, body: Mapping[str, Any], cell: StoredCell) -> str | None:
        value = self._stored(body, cell)
        return value if cell.rung.startswith("evidence/") else self._at_rung(body, cell.field, value)

    def _stored(self, body: Mapping[str, Any], cell: StoredCell) -> str | None:
        """The value as it is; who calls says what of it leaves."""
        dataset = str(body["dataset"])
        key = self._parts.vault.key(data_key(cell.domain, dataset, cell.field, cell.epoch), born=False)
        context = CellContext(cell.domain, dataset, cell.field, cell.rung, cell.epoch)
        (value,) = open_column(key, context, [cell.record], [cell.version], [cell.sealed])
        return value

    def _at_rung(self, body: Mapping[str, Any], field: str, value: str | None) -> str | None:
        if Rung.of(body["fields"][field]) is Rung.REVEAL:
            return value
        return mask(self._home.contracts[str(body["dataset"])].field(field).mask or "all", value)

    def _quarantine_keys(self, dataset: str) -> list[tuple[KeyName, bytes]]:
        """Newest epoch first: a row does not say its own. There is one for every epoch that had a bad row."""
        found = []
        for epoch in range(self._home.policies.keys.epoch, 0, -1):
            with suppress(UnavailableError):
                name = quarantine_key(dataset, epoch)
                found.append((name, self._parts.vault.key(name, born=False)))
        return found

    def _sealed(self, bitmap: bytes) -> tuple[dict[str, Any], bytes]:
        """The bitmap sealed for the log, and the member that binds it to its entry. Counted here: alerts go by the
        number; and what is no bitmap would lie there for ever, in the way of every question who saw whom."""
        count = len(_bitmap(bitmap))
        plain = hashlib.sha256(bitmap)
        name = bitmap_key(self._home.policies.keys.epoch)
        sealed = seal_blob(self._parts.vault.key(name), name, plain.hexdigest(), bitmap)
        member = {
            "count": count,
            "sha256": plain.hexdigest(),
            "sealed_sha256": hashlib.sha256(sealed).hexdigest(),
        }
        return member, sealed

    def _opened_bitmap(self, member: Mapping[str, Any]) -> bytes:
        sealed = self._parts.writer.bitmap(bytes.fromhex(str(member["sealed_sha256"])))
        return open_bitmap(self._bitmap_keys(), member, sealed)

    def _bitmap_keys(self) -> list[tuple[KeyName, bytes]]:
        """Keys of the bitmaps beside the log, newest epoch first: an entry does not say its own."""
        names = [bitmap_key(epoch) for epoch in range(self._home.policies.keys.epoch, 0, -1)]
        return [(name, self._parts.vault.key(name)) for name in names]

    # -- the world around -----------------------------------------------------------------------

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


def _bitmap(raw: bytes) -> BitMap:
    try:
        return BitMap.deserialize(raw)
    except (ValueError, IndexError):
        raise ValueError("this is no bitmap") from None


def _is_of(once: str, event: str) -> bool:
    """Whether an idempotency key is of this event, or of a kind of events that it belongs to."""
    kind = once.partition("/")[0]
    return event == kind or event.startswith(f"{kind}.")


def _proposed_by(body: Mapping[str, Any], cell: StoredCell) -> bool:
    """Whether the cell is the proposed value, or the evidence, of the correction that the entry names."""
    change = str(body["detail"].get("change"))
    return cell.rung in (proposals.proposal_rung(change), proposals.evidence_rung(change))

"""A delivery: one run of a flow for one receiver, with its effect exactly once (invariant 7).

Order of effects (DESIGN §6), with what a crash leaves behind:
    (a) freeze      one district transaction.                 Before: nothing. After: a frozen delivery, taken up.
    (b) authorised  the log entry; its ticket.                After: the log names an access that may not happen.
    (c) chunks      open → transform → re-seal → staging.     After: whole chunks stay staged, are not reopened.
                    (A chunk that is alone is staged by (d)'s transaction: opened again, or in effect.)
    (d) promoted    one receiver transaction and inbox line.  After: the effect is there; the inbox says so.
    (e) arrived     the log entry, then the district's books. After: the next run reads the inbox, reopens nothing.

A delivery whose content is no longer what is due (new data, new policy, changed flow) is stopped: its staging is
dropped and ``.stopped`` names the subjects that were really opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import psycopg

from huanshu import telemetry
from huanshu.catalog import Contract, Flow
from huanshu.errors import DeniedError, HuanshuError
from huanshu.exchange import books, holds
from huanshu.exchange import due as dues
from huanshu.exchange.due import Due
from huanshu.exchange.ground import Ground
from huanshu.exchange.passage import Passage
from huanshu.exchange.receiving import Inbox
from huanshu.exchange.replacing import replaced
from huanshu.exchange.routes import Routes
from huanshu.keeper.tickets import Ticket
from huanshu.store import available

State = Literal["arrived", "unchanged"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did for one receiver. ``opened`` counts records opened in *this* run."""

    receiver: str
    state: State
    delivery: str | None = None
    upserts: int = 0
    withdrawals: int = 0
    opened: int = 0


def deliver(ground: Ground, routes: Routes, flow: Flow, receiver: str, run: str) -> Outcome:
    """Bring the receiver up to date. Raises HuanshuError when it could not; nothing is half promoted then."""
    with (
        telemetry.span("huanshu.exchange.delivery", flow=flow.flow, receiver=receiver),
        available(),
        alone(routes.effects(), flow, receiver),
    ):
        return _Delivery(ground, routes, flow, receiver, run).run()


@contextmanager
def alone(district: psycopg.Connection, flow: Flow, receiver: str, *, wait: bool = True) -> Iterator[bool]:
    """Two runs for one receiver wait for each other; a lock of a connection that ends, however it ends, is gone.
    Without ``wait`` it yields False when another has it."""
    name = (f"{flow.flow}/{receiver}",)
    verb = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    row = district.execute(f"SELECT {verb}(hashtextextended(%s, 0))".encode(), name).fetchone()
    mine = wait or bool(row and row[0])
    try:
        yield mine
    finally:
        if mine and not district.closed:
            district.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)


class _Delivery:
    def __init__(self, ground: Ground, routes: Routes, flow: Flow, receiver: str, run: str) -> None:
        self._ground = ground
        self._flow = flow
        self._receiver = receiver
        self._run = run
        self._district = routes.effects()
        self._reading = routes.reading()
        self._contract: Contract = ground.contract(flow)
        self._receiving = ground.receiving(routes.store(receiver), self._contract, flow, receiver)
        self._passage = Passage(ground, self._contract, flow, receiver)
        self._policy = str(ground.keeper.status()["policy"])

    def run(self) -> Outcome:
        finished, open_ = self._finish_promoted()
        while (outcome := self._sent(finished, open_)) is None:
            holds.require_expected(self._ground, self._flow, self._run)
        return outcome

    def _sent(self, finished: Outcome | None, unsettled: list[str]) -> Outcome | None:
        """(a) to (e); None when the run was judged over other data than the snapshot holds: nothing is frozen then."""
        with self._reading.transaction():  # the snapshot
            if holds.is_overtaken(self._reading, self._flow, self._run):
                return None
            due = dues.freeze(
                self._district,
                self._reading,
                self._ground.home,
                self._contract,
                self._flow,
                self._receiver,
                self._policy,
                self._ground.chunk,
            )
            self._stop_superseded(due, unsettled)
            self._ground.pause("a:frozen")
            if due is None:
                return finished or Outcome(self._receiver, "unchanged")
            still = self._still(due)
            self._receiving.require(
                still
            )  # before anything is said or opened; once more where it counts, in (d)
            ticket = self._authorise(due)
            self._ground.pause("b:authorised")
            try:
                # A chunk that is alone has nothing to resume: it is staged and promoted in one receiver transaction.
                with self._receiving.at_once() if len(due.chunks) == 1 else nullcontext():
                    opened = self._stage(due, ticket)
                    self._ground.pause("c:staged")
                    line = self._receiving.promote(due.delivery, due.upserts, due.withdrawals, still)
            except DeniedError as denied:
                self._stop(due.delivery, ticket, denied.code)
                raise
        self._ground.pause("d:promoted")
        self._arrive(line, ticket, due)
        return Outcome(self._receiver, "arrived", due.delivery, due.upserts, due.withdrawals, opened)

    def _still(self, due: Due) -> str | None:
        """What the receiver must hold until the promotion, as the log has it; None when all of it is replaced."""
        if due.upserts == len(due.found.slice):
            return None
        return self._ground.keeper.slice_of(self._flow.flow, self._receiver)

    # -- (b) ------------------------------------------------------------------------------------

    def _authorise(self, due: Due) -> Ticket:
        event = "exchange.delivery.authorised"
        ticket = None if due.fresh else self._ground.keeper.open_ticket(event, due.delivery)
        if ticket is None:
            subjects = due.subjects
            ticket = self._ground.keeper.append(
                {
                    "event": event,
                    "policy": self._policy,
                    "flow": self._named(),
                    "subjects": len(subjects),
                    "replaced": replaced(
                        self._ground.keeper, self._district, self._flow, self._receiver, due
                    ),
                    "detail": {
                        "delivery": due.delivery,
                        "content": due.content,
                        "receiver": self._receiver,
                        "upserts": due.upserts,
                        "withdrawals": due.withdrawals,
                    },
                },
                subjects.serialize(),
            )
        self._district.execute(
            "UPDATE district.delivery SET state = 'authorised', entry_index = %s WHERE delivery = %s",
            (ticket.index, due.delivery),
        )
        return ticket

    # -- (c) ------------------------------------------------------------------------------------

    def _stage(self, due: Due, ticket: Ticket) -> int:
        there = self._receiving.staged_chunks(due.delivery)
        opened = 0
        for chunk in due.chunks:
            if chunk.number not in there:
                count = len(chunk.records)
                # Closed here, whatever happens: a fault would keep the copy open, and its connection waits for itself.
                with closing(self._passage.blocks(self._reading, due, chunk, ticket)) as blocks:
                    self._receiving.stage(due.delivery, chunk.number, blocks, count, chunk.withdrawn)
                opened += count
                self._ground.pause(f"c:chunk:{chunk.number}")
            self._ground.progress(self._receiver, chunk.number + 1, len(due.chunks))
        return opened

    # -- (e) ------------------------------------------------------------------------------------

    def _arrive(self, line: Inbox, ticket: Ticket, due: Due | None = None) -> None:
        self._ground.keeper.append(
            {
                "event": "exchange.delivery.arrived",
                "once": f"exchange.delivery.arrived/{line.delivery}",
                "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                "detail": {
                    "receiver": self._receiver,
                    "count": line.count,
                    "withdrawn": line.withdrawn,
                    "holds": line.holds,
                    "digest": line.digest.hex(),
                    "slice_digest": line.slice_digest.hex(),
                },
            }
        )
        self._ground.pause("e:arrived")
        if due is None:
            books.book(self._district, self._flow.flow, self._receiver, line.delivery)
        else:
            found = due.found
            holds = books.holding(found.had, found.record, found.version, found.withdrawn)
            books.book_holding(self._district, self._flow.flow, self._receiver, line.delivery, holds)
        self._ground.pause("e:booked")

    # -- after a crash --------------------------------------------------------------------------

    def _finish_promoted(self) -> tuple[Outcome | None, list[str]]:
        """A delivery whose inbox line exists has happened: tell the log and the books, open nothing. And the others
        that were begun and have neither arrived nor been stopped."""
        finished, others = None, []
        for (delivery,) in self._district.execute(
            "SELECT delivery FROM district.delivery"
            " WHERE flow = %s AND receiver = %s AND state IN ('frozen', 'authorised') ORDER BY frozen_at",
            (self._flow.flow, self._receiver),
        ).fetchall():
            line = self._receiving.inbox(delivery)
            if line is None:
                others.append(delivery)
                continue
            ticket = self._ground.keeper.open_ticket("exchange.delivery.authorised", delivery)
            if ticket is not None:
                self._arrive(line, ticket)
            else:
                # The entry was written; only the books were missing.
                books.book(self._district, self._flow.flow, self._receiver, delivery)
            finished = Outcome(self._receiver, "arrived", delivery, line.count, line.withdrawn, 0)
        return finished, others

    def _stop_superseded(self, due: Due | None, unsettled: list[str]) -> None:
        for delivery in unsettled:
            if due is not None and delivery == due.delivery:
                continue
            ticket = self._ground.keeper.open_ticket("exchange.delivery.authorised", delivery)
            self._stop(delivery, ticket, "exchange.delivery.superseded")

    def _stop(self, delivery: str, ticket: Ticket | None, reason: str) -> None:
        """Drop the staging and say which subjects were really opened (those of the chunks that were lent)."""
        self._receiving.drop(delivery)
        if ticket is not None:
            lent = self._district.execute(
                "SELECT DISTINCT chunk FROM log.loan WHERE entry_index = %s ORDER BY chunk", (ticket.index,)
            ).fetchall()
            chunks = [row[0] for row in lent]
            opened = books.subjects_of(self._district, delivery, chunks)
            self._ground.keeper.append(
                {
                    "event": "exchange.delivery.stopped",
                    "once": f"exchange.delivery.stopped/{ticket.index}",
                    "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                    "subjects": len(opened),
                    "detail": {"receiver": self._receiver, "reason": reason, "chunks": len(chunks)},
                },
                opened.serialize(),
            )
        self._district.execute(
            "UPDATE district.delivery SET state = 'stopped', settled_at = now() WHERE delivery = %s",
            (delivery,),
        )

    def _named(self) -> dict[str, str]:
        return {"id": self._flow.flow, "run": self._run}


def failed(error: HuanshuError) -> str:
    """The reason a receiver did not get its delivery, as it goes into the log: a code, never a sentence."""
    return error.code

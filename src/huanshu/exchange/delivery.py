"""A delivery: one run of a flow for one receiver, with its effect exactly once (invariant 7).

Order of effects (DESIGN §6), with what a crash leaves behind:
    (a) freeze      one district transaction.                 Before: nothing. After: a frozen delivery, taken up.
    (b) authorised  the log entry; its ticket.                After: the log names an access that may not happen.
    (c) chunks      open → transform → re-seal → staging.     After: whole chunks stay staged, are not reopened.
    (d) promoted    one receiver transaction and inbox line.  After: the effect is there; the inbox says so.
    (e) arrived     the log entry, then the district's books. After: the next run reads the inbox, reopens nothing.

A delivery whose content is no longer what is due (new data, new policy, changed flow) is stopped: its staging is
dropped and ``.stopped`` names the subjects that were really opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import psycopg
import pyarrow as pa
from psycopg import sql

from huanshu import telemetry
from huanshu.catalog import Contract, Flow, Rung
from huanshu.errors import DeniedError, HuanshuError
from huanshu.exchange import due as dues
from huanshu.exchange.due import Due
from huanshu.exchange.ground import Ground
from huanshu.exchange.receiving import Inbox, Upserts, Withdrawn
from huanshu.exchange.tables import create, delivered_fields, district_tables
from huanshu.gate.bulk import Rows, reseal
from huanshu.keeper.tickets import Ticket
from huanshu.store import available
from huanshu.store.copying import copy_out

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


def deliver(ground: Ground, flow: Flow, receiver: str, run: str) -> Outcome:
    """Bring the receiver up to date. Raises HuanshuError when it could not; nothing is half promoted then."""
    with (
        telemetry.span("huanshu.exchange.delivery", flow=flow.flow, receiver=receiver),
        available(),
        ground.district() as district,
        ground.receiver(receiver) as store,
    ):
        _alone(district, flow, receiver)
        return _Delivery(ground, flow, receiver, run, district, store).run()


def _alone(district: psycopg.Connection, flow: Flow, receiver: str) -> None:
    """Two runs for one receiver wait for each other; the lock ends with the connection, however it ends."""
    with district.transaction():
        district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"{flow.flow}/{receiver}",))


class _Delivery:
    def __init__(
        self,
        ground: Ground,
        flow: Flow,
        receiver: str,
        run: str,
        district: psycopg.Connection,
        store: psycopg.Connection,
    ) -> None:
        self._ground = ground
        self._flow = flow
        self._receiver = receiver
        self._run = run
        self._district = district
        self._contract: Contract = ground.contract(flow)
        self._receiving = ground.receiving(store, self._contract, flow, receiver)
        self._policy = str(ground.keeper.status()["policy"])

    def run(self) -> Outcome:
        create(self._district, *district_tables(self._contract))
        finished = self._finish_promoted()
        due = dues.freeze(
            self._district,
            self._ground.home,
            self._contract,
            self._flow,
            self._receiver,
            self._policy,
            self._ground.chunk,
        )
        self._stop_superseded(due)
        self._ground.pause("a:frozen")
        if due is None:
            return finished or Outcome(self._receiver, "unchanged")
        ticket = self._authorise(due)
        self._ground.pause("b:authorised")
        try:
            opened = self._stage(due, ticket)
        except DeniedError as denied:
            self._stop(due.delivery, ticket, denied.code)
            raise
        self._ground.pause("c:staged")
        line = self._receiving.promote(due.delivery, due.upserts, due.withdrawals)
        self._ground.pause("d:promoted")
        self._arrive(line, ticket)
        return Outcome(self._receiver, "arrived", due.delivery, due.upserts, due.withdrawals, opened)

    # -- (b) ------------------------------------------------------------------------------------

    def _authorise(self, due: Due) -> Ticket:
        ticket = self._ground.keeper.open_ticket("exchange.delivery.authorised", due.delivery)
        if ticket is None:
            chunks = list(range(due.chunks))
            subjects = dues.subjects(self._district, self._contract, due.delivery, chunks)
            ticket = self._ground.keeper.append(
                {
                    "event": "exchange.delivery.authorised",
                    "policy": self._policy,
                    "flow": self._named(),
                    "subjects": len(subjects),
                    "detail": {
                        "delivery": due.delivery,
                        "receiver": self._receiver,
                        "upserts": due.upserts,
                        "withdrawals": due.withdrawals,
                    },
                },
                subjects.serialize(),
            )
        with self._district.transaction():
            self._district.execute(
                "UPDATE district.delivery SET state = 'authorised', entry_index = %s WHERE delivery = %s",
                (ticket.index, due.delivery),
            )
        return ticket

    # -- (c) ------------------------------------------------------------------------------------

    def _stage(self, due: Due, ticket: Ticket) -> int:
        there = self._receiving.staged_chunks(due.delivery)
        opened = 0
        for chunk in range(due.chunks):
            if chunk not in there:
                rows = self._read(due.delivery, chunk)
                upserts = self._resealed(ticket, chunk, rows)
                self._ground.pause(f"c:opened:{chunk}")
                self._receiving.stage(due.delivery, chunk, upserts, self._withdrawn(due.delivery, chunk))
                opened += len(rows.record)
                self._ground.pause(f"c:chunk:{chunk}")
            self._ground.progress(self._receiver, chunk + 1, due.chunks)
        return opened

    def _resealed(self, ticket: Ticket, chunk: int, rows: Rows) -> Upserts:
        epoch = self._ground.home.policies.keys.epoch
        cells: Mapping[str, pa.Array] = {}
        if len(rows.record):
            cells = reseal(
                self._ground.keeper, ticket, chunk, self._contract, self._flow, self._receiver, epoch, rows
            )
        return Upserts(rows.record, rows.version, epoch, cells)

    def _read(self, delivery: str, chunk: int) -> Rows:
        names = [field.name for field in delivered_fields(self._contract, self._flow)]
        linked = [n for n in names if self._flow.fields[n] is Rung.MATCH]
        types: dict[str, pa.DataType] = {
            "record": pa.int64(),
            "version": pa.int32(),
            "home": pa.large_string(),
            "epoch": pa.int32(),
        }
        for name in names:
            types[name] = pa.large_binary() if self._contract.field(name).sealed else pa.large_string()
        types |= {f"link_{name}": pa.large_binary() for name in linked}
        query = sql.SQL(
            "SELECT {} FROM district.delivery_item i JOIN {} v USING (record, version)"
            " WHERE i.delivery = {} AND i.chunk = {} AND i.act = 'upsert' ORDER BY record"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, types)),
            dues.versions_table(self._contract),
            delivery,
            chunk,
        )
        with self._district.transaction():
            found = pa.Table.from_batches(
                copy_out(self._district, query, types),
                pa.schema([pa.field(name, type_) for name, type_ in types.items()]),
            ).combine_chunks()
        columns = {name: _whole(found.column(name)) for name in types}
        return Rows(
            record=columns["record"],
            version=columns["version"],
            home=columns["home"],
            epoch=columns["epoch"],
            cells={name: columns[name] for name in names},
            links={name: columns[f"link_{name}"] for name in linked},
        )

    def _withdrawn(self, delivery: str, chunk: int) -> Withdrawn:
        with self._district.transaction():
            found = self._district.execute(
                "SELECT record, version FROM district.delivery_item"
                " WHERE delivery = %s AND chunk = %s AND act = 'withdraw' ORDER BY record",
                (delivery, chunk),
            ).fetchall()
        return (
            pa.array([record for record, _ in found], pa.int64()),
            pa.array([version for _, version in found], pa.int32()),
        )

    # -- (e) ------------------------------------------------------------------------------------

    def _arrive(self, line: Inbox, ticket: Ticket) -> None:
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
        self._book(line.delivery)
        self._ground.pause("e:booked")

    def _book(self, delivery: str) -> None:
        """The district's books follow the log: what the receiver now holds."""
        given = {"delivery": delivery, "flow": self._flow.flow, "receiver": self._receiver}
        with self._district.transaction():
            self._district.execute(
                "DELETE FROM district.delivered d USING district.delivery_item i WHERE i.delivery = %(delivery)s"
                " AND d.flow = %(flow)s AND d.receiver = %(receiver)s AND d.record = i.record",
                given,
            )
            self._district.execute(
                "INSERT INTO district.delivered (flow, receiver, record, version)"
                " SELECT %(flow)s, %(receiver)s, record, version FROM district.delivery_item"
                " WHERE delivery = %(delivery)s AND act = 'upsert'",
                given,
            )
            self._district.execute(
                "UPDATE district.delivery SET state = 'arrived', settled_at = now() WHERE delivery = %(delivery)s",
                given,
            )

    # -- after a crash --------------------------------------------------------------------------

    def _unsettled(self) -> list[tuple[str, int | None]]:
        with self._district.transaction():
            return self._district.execute(
                "SELECT delivery, entry_index FROM district.delivery"
                " WHERE flow = %s AND receiver = %s AND state IN ('frozen', 'authorised') ORDER BY frozen_at",
                (self._flow.flow, self._receiver),
            ).fetchall()

    def _finish_promoted(self) -> Outcome | None:
        """A delivery whose inbox line exists has happened: tell the log and the books, open nothing."""
        finished = None
        for delivery, _ in self._unsettled():
            line = self._receiving.inbox(delivery)
            if line is None:
                continue
            ticket = self._ground.keeper.open_ticket("exchange.delivery.authorised", delivery)
            if ticket is not None:
                self._arrive(line, ticket)
            else:
                self._book(delivery)  # the entry was written; only the books were missing
            finished = Outcome(self._receiver, "arrived", delivery, line.count, line.withdrawn, 0)
        return finished

    def _stop_superseded(self, due: Due | None) -> None:
        for delivery, _ in self._unsettled():
            if due is not None and delivery == due.delivery:
                continue
            ticket = self._ground.keeper.open_ticket("exchange.delivery.authorised", delivery)
            self._stop(delivery, ticket, "exchange.delivery.superseded")

    def _stop(self, delivery: str, ticket: Ticket | None, reason: str) -> None:
        """Drop the staging and say which subjects were really opened (those of the chunks that were lent)."""
        self._receiving.drop(delivery)
        if ticket is not None:
            with self._district.transaction():
                lent = self._district.execute(
                    "SELECT DISTINCT chunk FROM log.loan WHERE entry_index = %s ORDER BY chunk",
                    (ticket.index,),
                ).fetchall()
            chunks = [row[0] for row in lent]
            opened = dues.subjects(self._district, self._contract, delivery, chunks)
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
        with self._district.transaction():
            self._district.execute(
                "UPDATE district.delivery SET state = 'stopped', settled_at = now() WHERE delivery = %s",
                (delivery,),
            )

    def _named(self) -> dict[str, str]:
        return {"id": self._flow.flow, "run": self._run}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def failed(error: HuanshuError) -> str:
    """The reason a receiver did not get its delivery, as it goes into the log: a code, never a sentence."""
    return error.code

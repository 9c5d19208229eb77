"""Repairs: a quarantined row with the values its steward ordered, judged by the same suite, in memory, by the platform.

Order of effects, with what a crash leaves behind:
    (a) ordered     the steward's entry; his values, sealed.      The row waits for the next run of the intake.
    (b) authorised  the log entry; its ticket.                    The log names a repair that may not happen.
    (c) staging     opened, judged, sealed anew.                  Staging that the next run forgets.
    (d) promoted    one district transaction: the record's next version, a batch line of its own, the row's state.
    (e) promoted    the log entry.                                (written by the next run when it is missing)

Whoever ordered it never holds a key, and learns of a row that fails again which rules it fails, no more. Rules over a
whole batch say nothing about one row and are not asked.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import psycopg
import pyarrow as pa
from psycopg import sql

from huanshu.catalog import Contract, Flow
from huanshu.errors import Text, UnavailableError
from huanshu.exchange import batches, quarantine, written
from huanshu.exchange.corrections import standing
from huanshu.exchange.deciding import Parts, decide, judge_whole
from huanshu.exchange.erasure import ERASED_RULE, turned_away
from huanshu.exchange.extract import Batch
from huanshu.exchange.ground import Ground
from huanshu.exchange.staging import Judged, Staging, Task
from huanshu.exchange.tables import create, district_tables, generation
from huanshu.exchange.versions import Versions
from huanshu.exchange.workers import Workers
from huanshu.gate.quarantine import opened_for_repair
from huanshu.keeper.tickets import Ticket
from huanshu.quality import dataset_rules, unique_field
from huanshu.store import available

_ORDERED = """
    SELECT q.batch, q.row, q.rules, q.sealed, q.link, q.ordered, q.repair FROM district.quarantine q
    JOIN district.batch b USING (batch) WHERE b.dataset = %s AND q.state = 'ordered' ORDER BY q.ordered
"""
_UNTOLD = """
    SELECT q.settled_by, r.verdict, r.entry_index FROM district.quarantine q JOIN district.batch b USING (batch)
    JOIN district.batch r ON r.batch = q.settled_by
    WHERE b.dataset = %s AND q.state = 'repaired' AND q.entry_index IS NULL
"""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of one order. ``rules`` are those that the row still fails."""

    batch: str
    row: int
    state: Literal["repaired", "refused"]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _One:
    """The repaired row, as a part of an extract."""

    table: pa.Table

    def batches(self, size: int) -> Any:  # noqa: ARG002
        yield Batch(1, self.table)

    def release(self) -> None:
        """A row has no file's bytes beside it."""


def run_repairs(ground: Ground, name: str, run: str = "") -> list[Repaired]:
    """Carry out what stewards have ordered for the dataset of an intake flow, as a run of it."""
    flow = ground.flow(name, "intake")
    run = run or f"repair-{uuid.uuid4()}"
    ground.begin(flow, run)
    with available(), ground.district() as district:
        with district.transaction():
            district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"intake/{flow.dataset}",))
            create(district, *district_tables(ground.contract(flow)))
        done = apply(ground, flow, run, district)
        quarantine.reconcile(ground, flow, run, district)
    return done


def ordered(ground: Ground, name: str) -> list[tuple[str, int]]:
    """Batch and row of what a run would carry out now. Changes nothing."""
    flow = ground.flow(name, "intake")
    with available(), ground.district() as district:
        return [(row[0], row[1]) for row in district.execute(_ORDERED, (flow.dataset,))]


def apply(ground: Ground, flow: Flow, run: str, district: psycopg.Connection) -> list[Repaired]:
    """The same, by whoever holds the lock of the dataset's intake."""
    _tell_untold(ground, flow, district)
    rows = district.execute(_ORDERED, (flow.dataset,)).fetchall()
    return [_Repair(ground, flow, run, district, *row).run() for row in rows]


def _tell_untold(ground: Ground, flow: Flow, district: psycopg.Connection) -> None:
    for batch, told, authorised in district.execute(_UNTOLD, (flow.dataset,)).fetchall():
        ticket = ground.keeper.open_ticket("quarantine.repair.authorised", batch)
        entry = authorised if ticket is None else _settle(ground, ticket, "promoted", told["log"]).index
        district.execute(
            "UPDATE district.quarantine SET entry_index = %s WHERE settled_by = %s", (entry, batch)
        )


def _settle(ground: Ground, ticket: Ticket, how: str, detail: dict[str, Any]) -> Ticket:
    return ground.keeper.append(
        {
            "event": f"quarantine.repair.{how}",
            "once": f"quarantine.repair/{ticket.index}",
            "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
            "detail": detail,
        }
    )


class _Repair:
    def __init__(
        self,
        ground: Ground,
        flow: Flow,
        run: str,
        district: psycopg.Connection,
        of: str,
        row: int,
        rules: list[str],
        sealed: bytes,
        link: bytes | None,
        ordered: int,
        repair: bytes,
    ) -> None:
        self._ground, self._flow, self._run, self._district = ground, flow, run, district
        self._of, self._row, self._rules, self._ordered = of, row, rules, ordered
        self._sealed, self._link, self._new = bytes(sealed), link and bytes(link), bytes(repair)
        self._contract: Contract = ground.contract(flow)
        self._suite = ground.home.suites[flow.dataset]
        self._versions = Versions(self._contract)
        self._batch = hashlib.sha256(f"repair/{of}/{row}/{ordered}".encode()).hexdigest()

    def run(self) -> Repaired:
        ticket = self._authorise()
        # One worker lives here, unforked; what it fails with may quote the row, and is told by its class alone.
        made = partial(Staging, self._task(ticket), _One(self._table(ticket)), 0)
        with Workers([made], lambda _: None) as workers:
            (judged,) = workers.ask("judge", [()])
            failed = self._failed(judged)
            if failed:
                return self._refuse(ticket, failed)
            with self._district.transaction():
                self._versions.prepare(self._district)
            with self._district.transaction():
                decided = decide(
                    self._district, self._contract, self._versions, Parts([judged]), {}, full=False
                )
                decided.store(self._district)
            ((order,),) = decided.orders
            (staged,) = workers.ask("stage", [(order,)])
        lists = written.whole([staged.written], decided.ended, decided.ended_versions)
        told: dict[str, Any] = {
            "record": int(order.records[0]) if len(order.records) else 0,
            "version": int(order.versions[0]) if len(order.versions) else 0,
        }
        self._ground.pause("repair:staged")
        with self._district.transaction():
            if len(order.records):
                self._versions.promote(self._district, self._batch, decided.ended)
                standing.end(self._district, self._contract, self._batch)
            told["written"] = written.store(self._district, self._batch, lists)
            self._book(ticket, told)
        self._ground.pause("repair:promoted")
        entry = _settle(self._ground, ticket, "promoted", told)
        self._district.execute(
            "UPDATE district.quarantine SET entry_index = %s WHERE batch = %s AND row = %s",
            (entry.index, self._of, self._row),
        )
        return Repaired(self._of, self._row, "repaired")

    def _authorise(self) -> Ticket:
        found = self._ground.keeper.open_ticket("quarantine.repair.authorised", self._batch)
        return found or self._ground.keeper.append(
            {
                "event": "quarantine.repair.authorised",
                "policy": self._ground.home.policies.digest,
                "flow": {"id": self._flow.flow, "run": self._run},
                "detail": {"batch": self._batch, "ordered": self._ordered},
            }
        )

    def _task(self, ticket: Ticket) -> Task:
        epoch = self._ground.home.policies.keys.epoch
        links = generation(self._district)
        return Task(self._ground, self._contract, self._suite, ticket, self._batch, epoch, 1, links)

    def _table(self, ticket: Ticket) -> pa.Table:
        """The row with its new values, as an extract would have brought it."""
        epoch = self._ground.home.policies.keys.epoch
        row, new = opened_for_repair(
            self._ground.keeper, ticket, self._contract.dataset, epoch,
            (f"{self._of}/{self._row}", self._sealed), (f"repair/{self._of}/{self._row}/{self._ordered}", self._new),
        )  # fmt: skip
        cells = {**row, **new}
        return pa.table(
            {f.name: pa.array([cells.get(f.name) or None], pa.large_string()) for f in self._contract.fields}
        )

    def _failed(self, judged: Judged) -> tuple[str, ...]:
        """The rules that the row fails now. One that repeated another record still does while its identifier is the
        same; a new identifier may be nobody else's: a repair never writes over another record."""
        _, bad = judge_whole(self._contract, self._suite, Parts([judged]))
        failed = list(bad.get(0, ()))
        key = self._contract.primary_key.name
        mine = judged.links[key][0].tobytes()
        for rule in dataset_rules(self._suite, self._contract):
            same = mine == self._link
            if unique_field(rule) == key and (rule.rule in self._rules if same else self._taken(mine)):
                failed.append(rule.rule)
        if turned_away(self._district, self._contract, judged.links[key]):
            failed.append(ERASED_RULE)
        return tuple(dict.fromkeys(failed))

    def _taken(self, link: bytes) -> bool:
        """Whether a record with this key is in the register now."""
        query = sql.SQL(
            "SELECT EXISTS (SELECT FROM district.record r JOIN {} v USING (record)"
            " WHERE r.dataset = %s AND r.link = %s AND v.batch_out IS NULL)"
        ).format(sql.Identifier("district", self._contract.dataset))
        row = self._district.execute(query, (self._contract.dataset, link)).fetchone()
        return bool(row and row[0])

    def _refuse(self, ticket: Ticket, failed: tuple[str, ...]) -> Repaired:
        self._district.execute(
            "UPDATE district.quarantine SET state = 'open', repair = NULL, failed = %s WHERE batch = %s AND row = %s",
            (list(failed), self._of, self._row),
        )
        _settle(self._ground, ticket, "refused", {"rules": dict.fromkeys(failed, 1)})
        return Repaired(self._of, self._row, "refused", failed)

    def _book(self, ticket: Ticket, told: dict[str, Any]) -> None:
        """The batch line of one row. Its sender is the steward, so that no extract's turn is touched."""
        dataset, steward = self._contract.dataset, self._contract.steward_post
        batches.begin(self._district, self._batch, dataset, steward, ticket.index + 1, ticket.index)
        batches.settle(self._district, self._batch, "promoted", {"log": told})
        changed = self._district.execute(
            "UPDATE district.quarantine SET state = 'repaired', settled_by = %s, settled_at = now(), repair = NULL"
            " WHERE batch = %s AND row = %s AND state = 'ordered'",
            (self._batch, self._of, self._row),
        ).rowcount
        if changed != 1:
            raise UnavailableError(
                "quarantine.row.disturbed", Text("the row was settled meanwhile", "该行已另行处理")
            )

"""Rotation: what is sealed under past epochs is sealed under the one in force, and links go through one more key.

Order of effects, with what a crash leaves behind:
    (a) a line       district.rotation names the rotation.                A line that the next run takes up; one that
                                                                          the keeper refuses is closed at once.
    (b) authorised   the log entry; its ticket.                           The log names a rotation that did nothing.
    (c) home by home one transaction each: rows opened, sealed, written, and the lists that replace theirs.
                     Every row is readable before it and after it: it says its own epoch. The next run goes on with
                     the homes that still have an older row.
    (d) completed    the entry binds all lists.                           (written by the next run when missing)
Links are made anew after the cells, all at once (``relinking``).

Reads go on: rows are replaced under PostgreSQL's snapshots, never locked against readers. Intakes and acceptances
wait for a home, or for the links. What communities hold stays as it is and readable; it becomes due again in another
shape, and their next delivery brings it under the new epoch. A value that does not open ends the run, fail closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from huanshu.auditlog.rotations import CELLS
from huanshu.catalog import Contract
from huanshu.errors import ContentError, DeniedError, InputError, TamperedError, Text, UnavailableError
from huanshu.exchange.ground import Ground
from huanshu.exchange.relinking import Links
from huanshu.exchange.renewal import Change, Part
from huanshu.exchange.rotating import OUTDATED, QUERIES, Rotated, Rotation, flows_of, new_name
from huanshu.exchange.tables import district_tables, exists, generation
from huanshu.gate import renewing as gate
from huanshu.keeper.proposals import EVIDENCE_WIDTH, evidence_rung, proposal_rung, proposal_width
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, Keyring
from huanshu.store import available

_DESTROYED: Final = "keeper.key.destroyed"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a dataset stands. ``rows``: epoch → rows of the store; ``behind``: what else waits under past epochs."""

    dataset: str
    epoch: int
    rows: dict[int, int]
    behind: dict[str, int]
    under_way: str | None

    @property
    def outstanding(self) -> int:
        """Rows that a rotation would seal anew."""
        return sum(count for age, count in self.rows.items() if age < self.epoch)


def look(ground: Ground, datasets: Iterable[str] = ()) -> tuple[list[Standing], int]:
    """Where each dataset stands, and the links' generation. Changes nothing, opens nothing."""
    keys = ground.home.policies.keys
    found = []
    with available(), ground.district() as district:
        for contract in _stored(ground, district, datasets):
            rows = _by_epoch(district, contract)
            given = {"dataset": contract.dataset, "epoch": keys.epoch, "flows": flows_of(ground, contract)}
            line = district.execute(QUERIES["under_way"], given).fetchone()
            behind = {
                what: _count(district, query, given)
                for what, query in (*_BESIDE.items(), ("slices", "slices_due_again"))
            }
            found.append(Standing(contract.dataset, keys.epoch, rows, behind, line[0] if line else None))
        return found, generation(district)


def rotate(ground: Ground, datasets: Iterable[str] = (), *, links: bool = True) -> list[Rotated]:
    """Bring cells to the epoch in force, then links to the generation in force. Repeatable: goes on where an earlier
    run was interrupted, and does nothing where nothing is behind. DeniedError for a person: the platform alone is
    lent the keys."""
    wanted = ground.home.policies.keys.link_generation
    with available(), ground.district() as district, _alone(district):
        if generation(district) > wanted:
            raise _set_back()
        cells = [_Cells(ground, district, contract) for contract in _stored(ground, district, datasets)]
        done = [each for each in (one.run() for one in cells) if each is not None]
        if links:
            done += Links(ground, district, _stored(ground, district, ())).run()
        return done


class _Cells(Rotation):
    """The cells of one dataset."""

    what = CELLS

    def run(self) -> Rotated | None:
        line = self.left()
        ticket = None if line is None else self.take_up(line[0])
        if line is not None and ticket is not None:
            # Rows that are all new say nothing of quarantine and slices: only what was told is done.
            if line[1:] == (self.keys.epoch, self.keys.link_generation):
                return self._rotate(ticket)
            return self._rotate(self._anew(ticket, line[1], "other rules"))
        return self._rotate(self.begin()) if self._behind() else None

    def _behind(self) -> bool:
        row = self.district.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE epoch < {})").format(
                sql.Identifier("district", self.contract.dataset), self.keys.epoch
            )
        ).fetchone()
        given = {"dataset": self.contract.dataset, "epoch": self.keys.epoch}
        beside = any(_count(self.district, query, given) for query in _BESIDE.values())
        return bool((row and row[0]) or beside)

    def _rotate(self, ticket: Ticket) -> Rotated:
        epoch = self.keys.epoch
        try:
            rows = self._homes(ticket)
            self._quarantine(ticket)
            self._corrections(ticket)
        except DeniedError as denied:
            if denied.code not in OUTDATED:
                raise
            return self._rotate(self._anew(ticket, epoch, denied.code))
        with self.district.transaction():
            flows = flows_of(self.ground, self.contract)
            self.district.execute(QUERIES["slices_again"], {"flows": flows})
        entry = self.tell(ticket)
        return Rotated(self.contract.dataset, self.what, self.name, rows, entry)

    def _anew(self, outdated: Ticket, epoch: int, reason: str) -> Ticket:
        """Tell what an outdated ticket has brought to ``epoch``, and begin again. What is told is compared before,
        under keys of the next ticket, for the outdated one is lent none. A crash leaves a ticket without a line."""
        name = new_name()
        ticket = self.announce(name)
        for home in self.renewal.begun(self.district):
            self._require_renewed(ticket, home, epoch)
        self.tell(outdated, reason)
        return self.begin(name)

    def _homes(self, ticket: Ticket) -> int:
        renewal, epoch = self.renewal, self.keys.epoch
        renewal.index(self.district)
        for home in renewal.begun(self.district):
            self._require_renewed(ticket, home, epoch)
        homes, rows = renewal.homes(self.district, epoch), 0
        for number, home in enumerate(homes):
            groups = renewal.groups(self.district, home, epoch)
            keys = gate.borrow_epochs(
                self.ground.keeper,
                ticket,
                self.next_loan(),
                self.contract,
                home,
                {g.epoch for g in groups},
                epoch,
            )

            def change(part: Part, keys: Keyring = keys) -> None:
                ages = (part.group.epoch, epoch)
                gate.reseal_cells(
                    keys, self.contract, part.group.home, ages, part.records, part.versions, part.cells
                )

            with self.district.transaction():
                self.district.execute(
                    sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(renewal.table)
                )
                # Again, now that nobody else writes: an acceptance may have come in between.
                rows += renewal.rewrite(
                    self.district, renewal.groups(self.district, home, epoch), change, epoch
                )
                self.ground.pause(f"rotation:home:{number}")
            self.ground.pause(f"rotation:committed:{number}")
            self.ground.progress(self.contract.dataset, number + 1, len(homes))
        renewal.drop_index(self.district)
        return rows

    def _require_renewed(self, ticket: Ticket, home: str, epoch: int) -> None:
        """Before a home that a killed run has brought to ``epoch`` is told in its name: its rows, opened and sealed
        again under their past keys, are byte for byte what the log binds. Sealing is deterministic."""
        contract = self.contract
        lent: dict[int, Keyring] = {}

        def undo(age: int) -> Change:
            def change(part: Part) -> None:
                if age not in lent:
                    loan = self.next_loan()
                    lent[age] = gate.borrow_epochs(
                        self.ground.keeper, ticket, loan, contract, home, {age}, epoch
                    )
                ages = (epoch, age)
                gate.reseal_cells(lent[age], contract, home, ages, part.records, part.versions, part.cells)

            return change

        with self.district.transaction():
            self.district.execute(
                sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(self.renewal.table)
            )
            self.renewal.require_renewed(self.district, home, epoch, undo)

    def _quarantine(self, ticket: Ticket) -> None:
        """Rows that failed a rule, and the values of repairs that wait."""
        given = {"dataset": self.contract.dataset, "epoch": self.keys.epoch}
        with self.district.transaction():
            rows = self.district.execute(QUERIES["quarantined"], given).fetchall()
            if not rows:
                return
            rings = self._rings(ticket)
            for batch, row, ordered, sealed, repair in rows:
                told = {
                    "batch": batch,
                    "row": row,
                    "sealed": self._renewed(rings, f"{batch}/{row}", sealed),
                    "repair": self._renewed(rings, f"repair/{batch}/{row}/{ordered}", repair),
                    "epoch": self.keys.epoch,
                }
                self.district.execute(QUERIES["requarantine"], told)
        self.ground.pause("rotation:quarantine")

    def _rings(self, ticket: Ticket) -> dict[int, Keyring | None]:
        """The keys of all epochs that have one; None is that of an epoch whose key is destroyed."""
        rings: dict[int, Keyring | None] = {}
        for age in range(1, self.keys.epoch + 1):
            born = age == self.keys.epoch
            loan = self.next_loan()
            try:
                rings[age] = gate.borrow_quarantine(
                    self.ground.keeper, ticket, loan, self.contract.dataset, age, born=born
                )
            except DeniedError as denied:
                if denied.code != _DESTROYED or born:
                    raise
                rings[age] = None
            except UnavailableError as away:
                if away.code != "keeper.key.missing":
                    raise  # no row failed in that epoch
        return rings

    def _renewed(self, rings: dict[int, Keyring | None], place: str, sealed: bytes | None) -> bytes | None:
        """None where it stays as it is: under the new key already, or for ever under one that is destroyed."""
        if sealed is None:
            return None
        there = {age: ring for age, ring in rings.items() if ring is not None}
        try:
            return gate.reseal_row(there, self.contract.dataset, self.keys.epoch, place, bytes(sealed))
        except TamperedError:
            if len(there) == len(rings):
                raise
            return None

    def _corrections(self, ticket: Ticket) -> None:
        """Values and evidence that communities proposed."""
        given = {"dataset": self.contract.dataset, "epoch": self.keys.epoch}
        with self.district.transaction():
            for row in self.district.execute(QUERIES["corrections"], given).fetchall():
                try:
                    self._correction(ticket, *row)
                except DeniedError as denied:
                    if denied.code != _DESTROYED:
                        raise
                    self.district.execute(QUERIES["forsake"], {"correction": row[0]})
        self.ground.pause("rotation:corrections")

    def _correction(
        self, ticket: Ticket, name: str, home: str, field: str, record: int, base: int, epoch: int,
        value: bytes | None, reference: bytes | None,
    ) -> None:  # fmt: skip
        keys = gate.borrow_field(
            self.ground.keeper,
            ticket,
            self.next_loan(),
            self.contract.dataset,
            home,
            field,
            (epoch, self.keys.epoch),
        )
        width = proposal_width(self.contract.field(field))
        made: list[bytes | None] = []
        for sealed, rung, size in (
            (value, proposal_rung(name), width),
            (reference, evidence_rung(name), EVIDENCE_WIDTH),
        ):
            context = CellContext(home, self.contract.dataset, field, rung, epoch)
            made.append(
                None
                if sealed is None
                else gate.reseal_proposed(keys, context, self.keys.epoch, size, record, base, bytes(sealed))
            )
        given = {"correction": name, "epoch": self.keys.epoch, "value": made[0], "reference": made[1]}
        self.district.execute(QUERIES["recorrect"], given)


# -- pieces -----------------------------------------------------------------------------------------

#: What lies beside the rows under the epoch of its own → the query that counts what is behind.
_BESIDE: Final = {"corrections": "corrections_behind", "quarantined": "quarantined_behind"}


def _count(district: psycopg.Connection, query: str, given: dict[str, Any]) -> int:
    (count,) = district.execute(QUERIES[query], given).fetchone() or (0,)
    return int(count)


@contextmanager
def _alone(district: psycopg.Connection) -> Iterator[None]:
    """One rotation at a time; its connection's end lets the next one in."""
    row = district.execute("SELECT pg_try_advisory_lock(hashtextextended('keys/rotate', 0))").fetchone()
    if row is None or not row[0]:
        raise UnavailableError(
            "keys.rotation.running",
            Text("a rotation is running", "正在轮换密钥"),
            remedy=Text("wait for it; see: huanshu keys status", "请等待其结束；参见：huanshu keys status"),
        )
    yield


def _stored(ground: Ground, district: psycopg.Connection, datasets: Iterable[str]) -> Iterator[Contract]:
    """Contracts (of these names) whose dataset has been taken in."""
    wanted = list(datasets)
    for name in wanted:
        if name not in ground.home.contracts:
            raise InputError(
                "keys.dataset.unknown",
                Text(f"no dataset is named {name}", f"没有名为 {name} 的数据集"),
                remedy=Text("see: huanshu keys status", "参见：huanshu keys status"),
            )
    for name, contract in sorted(ground.home.contracts.items()):
        (table,) = district_tables(contract)
        if name in (wanted or (name,)) and exists(district, sql.SQL(f"district.{table.name}")):
            yield contract


def _by_epoch(district: psycopg.Connection, contract: Contract) -> dict[int, int]:
    query = sql.SQL("SELECT epoch, count(*) FROM {} GROUP BY epoch ORDER BY epoch")
    return dict(district.execute(query.format(sql.Identifier("district", contract.dataset))).fetchall())


def _set_back() -> ContentError:
    return ContentError(
        "keys.generation.set_back",
        Text(
            "the links have gone through more keys than policies/keys.yaml says",
            "关联值所经密钥的代数多于 policies/keys.yaml 所载",
        ),
        remedy=Text("put link_generation back to what it was", "请恢复 link_generation 原值"),
    )

"""Rotation: what is sealed under past epochs is sealed under the one in force, and links go through one more key.

Order of effects, with what a crash leaves behind:
    (a) a line       district.rotation names the rotation.                A line that the next run takes up.
    (b) authorised   the log entry; its ticket.                           The log names a rotation that did nothing.
    (c) home by home one transaction each: rows opened, sealed, written, and the lists that replace theirs.
                     Every row is readable before it and after it: it says its own epoch. The next run goes on with
                     the homes that still have an older row.
    (d) completed    the entry binds all lists.                           (written by the next run when missing)
Links are one transaction over all datasets, for a look-up must find either all of them old or all of them new: a
crash in it leaves nothing.

Reads go on: rows are replaced under PostgreSQL's snapshots, never locked against readers. Intakes and acceptances
wait for a home, or for the links. What communities hold stays as it is and readable; it becomes due again in another
shape, and their next delivery brings it under the new epoch. A value that does not open ends the run, fail closed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.errors import ContentError, DeniedError, InputError, Text, UnavailableError
from huanshu.exchange import written
from huanshu.exchange.ground import Ground
from huanshu.exchange.renewal import Part, Renewal
from huanshu.exchange.tables import district_tables, exists, generation
from huanshu.gate import renewing as gate
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.proposals import EVIDENCE_WIDTH, evidence_rung, proposal_rung, proposal_width
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import CellContext, Keyring
from huanshu.store import available
from huanshu.store.copying import copy_in
from huanshu.store.packed import read_packed
from huanshu.store.queries import load

_QUERIES = load(__package__, "rotation.sql")
#: Refusals that a new entry answers: the rules have changed or time has passed since the old one.
_OUTDATED: Final = frozenset(
    {"keeper.ticket.policy_changed", "keeper.ticket.expired", "keeper.ticket.unknown"}
)


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


@dataclass(frozen=True, slots=True)
class Rotated:
    """What one run did for one dataset. ``what``: cells or links."""

    dataset: str
    what: str
    rotation: str
    rows: int
    entry: int


def look(ground: Ground, datasets: Iterable[str] = ()) -> tuple[list[Standing], int]:
    """Where each dataset stands, and the links' generation. Changes nothing, opens nothing."""
    keys = ground.home.policies.keys
    found = []
    with available(), ground.district() as district:
        for contract in _stored(ground, district, datasets):
            rows = _by_epoch(district, contract)
            given = {"dataset": contract.dataset, "epoch": keys.epoch, "flows": _flows(ground, contract)}
            corrections = district.execute(_QUERIES["corrections_behind"], given).fetchone() or (0,)
            slices = district.execute(_QUERIES["slices_due_again"], given).fetchone() or (0,)
            line = district.execute(_QUERIES["line"], given).fetchone()
            behind = {"corrections": int(corrections[0]), "slices": int(slices[0])}
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
        if links and generation(district) < wanted:
            done += _Links(ground, district).run()
        return done


class _Rotation:
    """What both kinds share: the line, the entry, the telling."""

    def __init__(self, ground: Ground, district: psycopg.Connection, contract: Contract) -> None:
        self.ground, self.district, self.contract = ground, district, contract
        self.keys = ground.home.policies.keys
        self.name = ""
        self.loan = 0

    def begin(self, name: str | None = None) -> Ticket:
        """(a) and (b): the line of this name, or a new one; then its entry."""
        self.name = name or f"rotation/{secrets.token_hex(8)}"
        given = {
            "rotation": self.name,
            "dataset": self.contract.dataset,
            "epoch": self.keys.epoch,
            "generation": self.keys.link_generation,
        }
        self.district.execute(_QUERIES["begin"], given)
        self.ground.pause("rotation:line")
        claim = {
            "event": ROTATION,
            "once": f"{ROTATION}/{self.name}",
            "dataset": self.contract.dataset,
            "detail": {"rotation": self.name},
        }
        ticket = self.ground.keeper.append(claim)
        self.ground.pause("rotation:authorised")
        return ticket

    def tell(self, ticket: Ticket, stopped: str | None = None) -> int:
        """(d): the entry that binds what was written."""
        event = "keys.rotation.completed" if stopped is None else "keys.rotation.stopped"
        told: dict[str, Any] = {"written": written.told(written.stored(self.district, self.name))}
        if stopped is not None:
            told["reason"] = stopped
        entry = self.ground.keeper.append(
            {
                "event": event,
                "once": f"{event}/{self.name}",
                "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                "detail": told,
            }
        )
        self.ground.pause("rotation:told")
        self.district.execute(_QUERIES["told"], {"rotation": self.name})
        return entry.index

    def next_loan(self) -> int:
        self.loan += 1
        return self.loan


class _Cells(_Rotation):
    """The cells of one dataset."""

    def run(self) -> Rotated | None:
        line = self.district.execute(_QUERIES["line"], {"dataset": self.contract.dataset}).fetchone()
        if line is not None:
            return self._go_on(*line)
        if not self._behind():
            return None
        return self._rotate(self.begin())

    def _go_on(self, name: str, epoch: int, links: int) -> Rotated | None:
        """What a killed run left: its entry may be settled already, or outdated, or not there at all."""
        now = (self.keys.epoch, self.keys.link_generation)
        ticket = self.ground.keeper.open_ticket(ROTATION, name)
        told = ticket is None  # or killed before its entry, with everything still to do
        if ticket is None or (epoch, links) == now:
            ticket = self.begin(name)  # once: the entry that is there is found
        else:
            self.name = name
        # Rows that are all new say nothing of quarantine and slices: only what was told is done.
        if (epoch, links) != now or (told and not self._behind()):
            entry = self.tell(ticket, None if (epoch, links) == now else "other rules")
            if not self._behind():
                return Rotated(self.contract.dataset, "cells", name, 0, entry)
            return self._rotate(self.begin())
        return self._rotate(ticket)

    def _behind(self) -> bool:
        row = self.district.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE epoch < {})").format(
                sql.Identifier("district", self.contract.dataset), self.keys.epoch
            )
        ).fetchone()
        given = {"dataset": self.contract.dataset, "epoch": self.keys.epoch}
        waiting = self.district.execute(_QUERIES["corrections_behind"], given).fetchone()
        return bool((row and row[0]) or (waiting and waiting[0]))

    def _rotate(self, ticket: Ticket) -> Rotated:
        try:
            rows = self._homes(ticket)
            self._quarantine(ticket)
            self._corrections(ticket)
        except DeniedError as denied:
            if denied.code not in _OUTDATED or denied.code == "keeper.ticket.unknown":
                raise
            self.tell(ticket, denied.code)
            return self._rotate(self.begin())
        with self.district.transaction():
            flows = _flows(self.ground, self.contract)
            self.district.execute(_QUERIES["slices_again"], {"flows": flows})
        entry = self.tell(ticket)
        return Rotated(self.contract.dataset, "cells", self.name, rows, entry)

    def _homes(self, ticket: Ticket) -> int:
        renewal, epoch = Renewal(self.contract, self.name, self.keys.profile), self.keys.epoch
        renewal.index(self.district)
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

    def _quarantine(self, ticket: Ticket) -> None:
        """Rows that failed a rule, and the values of repairs that wait."""
        given = {"dataset": self.contract.dataset}
        with self.district.transaction():
            rows = self.district.execute(_QUERIES["quarantined"], given).fetchall()
            if not rows:
                return
            rings = dict(self._rings(ticket))
            for batch, row, ordered, sealed, repair in rows:
                new = self._renewed(rings, f"{batch}/{row}", sealed)
                fix = self._renewed(rings, f"repair/{batch}/{row}/{ordered}", repair)
                if new is not None or fix is not None:
                    told = {"batch": batch, "row": row, "sealed": new, "repair": fix}
                    self.district.execute(_QUERIES["requarantine"], told)
        self.ground.pause("rotation:quarantine")

    def _rings(self, ticket: Ticket) -> Iterator[tuple[int, Keyring]]:
        for age in range(1, self.keys.epoch + 1):
            try:
                yield (
                    age,
                    gate.borrow_quarantine(
                        self.ground.keeper, ticket, self.next_loan(), self.contract.dataset, age
                    ),
                )
            except DeniedError as denied:  # rows of that epoch stay as they are: nobody can open them
                if denied.code != "keeper.key.destroyed":
                    raise

    def _renewed(self, rings: dict[int, Keyring], place: str, sealed: bytes | None) -> bytes | None:
        if sealed is None:
            return None
        return gate.reseal_row(rings, self.contract.dataset, self.keys.epoch, place, bytes(sealed))

    def _corrections(self, ticket: Ticket) -> None:
        """Values and evidence that communities proposed."""
        given = {"dataset": self.contract.dataset, "epoch": self.keys.epoch}
        with self.district.transaction():
            for row in self.district.execute(_QUERIES["corrections"], given).fetchall():
                self._correction(ticket, *row)
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
        self.district.execute(_QUERIES["recorrect"], given)


class _Links:
    """The links of all datasets, in one transaction; an entry for each dataset. What a crash left between the two, the
    lines say: ``_Cells`` takes up any line of its dataset."""

    def __init__(self, ground: Ground, district: psycopg.Connection) -> None:
        self._ground, self._district = ground, district
        self._rotations = [_Rotation(ground, district, each) for each in _stored(ground, district, ())]
        self._wanted = ground.home.policies.keys.link_generation
        self._later = list(range(generation(district) + 1, self._wanted + 1))

    def run(self) -> list[Rotated]:
        if not self._rotations:
            with self._district.transaction():
                self._district.execute(_QUERIES["relinked"], {"generation": self._wanted})
            return []
        for each in self._rotations:  # an intake under way has links of now in its hand
            lock = f"intake/{each.contract.dataset}"
            self._district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (lock,))
        tickets = [each.begin() for each in self._rotations]
        keys: dict[str, Keyring] = {}
        for each, ticket in zip(self._rotations, tickets, strict=True):
            kinds = {field.link_kind for field in each.contract.fields if field.link_kind}
            lent = gate.borrow_links(self._ground.keeper, ticket, each.next_loan(), kinds, self._later)
            keys |= dict.fromkeys(kinds, lent)
        with self._district.transaction():
            self._registers(keys)
            rows = [self._dataset(each, keys) for each in self._rotations]
            flows = [name for each in self._rotations for name in _flows(self._ground, each.contract)]
            self._district.execute(_QUERIES["slices_again"], {"flows": flows})  # their tokens are over links
            self._district.execute(_QUERIES["relinked"], {"generation": self._wanted})
            self._ground.pause("rotation:links")
        self._ground.pause("rotation:relinked")
        return [
            Rotated(each.contract.dataset, "links", each.name, count, each.tell(ticket))
            for each, ticket, count in zip(self._rotations, tickets, rows, strict=True)
        ]

    def _dataset(self, rotation: _Rotation, keys: dict[str, Keyring]) -> int:
        contract = rotation.contract
        renewal = Renewal(contract, rotation.name, rotation.keys.profile)
        kinds = {f"link_{f.name}": f.link_kind for f in contract.fields if f.link_kind}

        def change(part: Part) -> None:
            for name, links in part.links.items():
                kind = kinds[name]
                links[:] = gate.relinked(keys[kind], kind, self._later, np.ascontiguousarray(links))

        self._district.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(renewal.table))
        renewal.index(self._district)
        homes, rows = renewal.homes(self._district), 0
        for number, home in enumerate(homes):
            rows += renewal.rewrite(self._district, renewal.groups(self._district, home), change)
            self._ground.progress(contract.dataset, number + 1, len(homes))
        renewal.drop_index(self._district)
        return rows

    def _registers(self, keys: dict[str, Keyring]) -> None:
        """Numbers of records and subjects by link; quarantined rows, and those who were erased."""
        record = {each.contract.dataset: str(each.contract.primary_key.link_kind) for each in self._rotations}
        subject = {
            of.kind: str(each.contract.field(of.field).link_kind)
            for each in self._rotations
            for of in each.contract.subjects
        }
        for table, of, kinds in (
            ("record", "dataset", record),
            ("subject", "kind", subject),
            ("tombstone", "kind", subject),
            ("quarantine_link", "dataset", record),
        ):
            for name, kind in sorted(kinds.items()):
                self._register(table, of, name, kind, keys[kind])

    def _register(self, table: str, of: str, name: str, kind: str, ring: Keyring) -> None:
        view = table == "quarantine_link"  # which has its dataset in another table
        source = (
            sql.SQL(
                "(SELECT DISTINCT q.link FROM district.quarantine q JOIN district.batch b USING (batch)"
                " WHERE b.dataset = {} AND q.link IS NOT NULL) s"
            ).format(name)
            if view
            else sql.SQL("{} WHERE {} = {}").format(
                sql.Identifier("district", table), sql.Identifier(of), name
            )
        )
        old = read_packed(self._district, {"link": "V16"}, source, "0")["link"]
        if not len(old):
            return
        new = gate.relinked(ring, kind, self._later, old)
        self._district.execute("CREATE TEMPORARY TABLE relinking (old bytea, new bytea) ON COMMIT DROP")
        pairs = {"old": _binary(old), "new": _binary(new)}
        copy_in(self._district, sql.Identifier("relinking"), pairs)
        self._district.execute("ANALYZE relinking")
        if view:
            self._district.execute(_QUERIES["relink_quarantine"], {"dataset": name})
        else:
            self._district.execute(
                sql.SQL(
                    "UPDATE {} t SET link = r.new FROM relinking r WHERE t.link = r.old AND t.{} = {}"
                ).format(sql.Identifier("district", table), sql.Identifier(of), name)
            )
        self._district.execute("DROP TABLE relinking")


def _binary(links: Any) -> pa.Array:
    rows = len(links)
    flat = np.ascontiguousarray(links).reshape(-1)
    offsets = np.arange(rows + 1, dtype=np.int64) * 16
    return pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(flat)])


# -- pieces -----------------------------------------------------------------------------------------


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


def _flows(ground: Ground, contract: Contract) -> list[str]:
    """Deliveries of a dataset."""
    return [
        f.flow for f in ground.home.flows.values() if f.kind == "delivery" and f.dataset == contract.dataset
    ]


def _set_back() -> ContentError:
    return ContentError(
        "keys.generation.set_back",
        Text(
            "the links have gone through more keys than policies/keys.yaml says",
            "关联值所经密钥的代数多于 policies/keys.yaml 所载",
        ),
        remedy=Text("put link_generation back to what it was", "请恢复 link_generation 原值"),
    )

"""Links of the whole district store made anew, each through one more key; no identifier is opened for it.

One transaction over all datasets, for a look-up must find either all of them old or all of them new: a crash in it
leaves nothing. An entry for each dataset; what a crash leaves between the transaction and their telling, the lines say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from huanshu.auditlog.rotations import LINKS
from huanshu.catalog import Contract
from huanshu.errors import DeniedError
from huanshu.exchange.ground import Ground
from huanshu.exchange.renewal import Part
from huanshu.exchange.rotating import OUTDATED, QUERIES, Rotated, Rotation, flows_of
from huanshu.exchange.tables import generation
from huanshu.gate import renewing as gate
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import Keyring
from huanshu.store.copying import copy_in
from huanshu.store.packed import read_packed

#: Where a link lies without its dataset beside it, which the batch tells.
_BY_BATCH: Final = ("quarantine", "quarantine_looked")


class _LinksOf(Rotation):
    """What the log says of the links of one dataset."""

    what = LINKS

    def go_on(self) -> Rotated | None:
        """What a killed run left: told, where the links were made; otherwise ``begin`` goes on with the same entry."""
        line = self.left()
        ticket = None if line is None else self.take_up(line[0])
        if line is None or ticket is None:
            self.name = ""
            return None
        if line[2] <= generation(self.district):
            return Rotated(self.contract.dataset, self.what, self.name, 0, self.tell(ticket, whole=False))
        if line[1:] != (self.keys.epoch, self.keys.link_generation):
            self.tell(ticket, "other rules")
            self.name = ""
        return None


class Links:
    """The links of all datasets that are stored."""

    def __init__(self, ground: Ground, district: psycopg.Connection, stored: Iterable[Contract]) -> None:
        self._ground, self._district = ground, district
        self._rotations = [_LinksOf(ground, district, each) for each in stored]
        self._wanted = ground.home.policies.keys.link_generation
        self._later = list(range(generation(district) + 1, self._wanted + 1))

    def run(self) -> list[Rotated]:
        told = [each for each in (one.go_on() for one in self._rotations) if each is not None]
        if not self._later:
            return told
        if not self._rotations:
            with self._district.transaction():
                self._district.execute(QUERIES["relinked"], {"generation": self._wanted})
            return []
        for each in self._rotations:  # an intake under way has links of now in its hand
            lock = f"intake/{each.contract.dataset}"
            self._district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (lock,))
        tickets, keys = self._begin()
        with self._district.transaction():
            self._registers(keys)
            rows = [self._dataset(each, keys) for each in self._rotations]
            flows = [name for each in self._rotations for name in flows_of(self._ground, each.contract)]
            self._district.execute(QUERIES["slices_again"], {"flows": flows})  # their tokens are over links
            self._district.execute(QUERIES["relinked"], {"generation": self._wanted})
            self._ground.pause("rotation:links")
        self._ground.pause("rotation:relinked")
        return told + [
            Rotated(each.contract.dataset, each.what, each.name, count, each.tell(ticket))
            for each, ticket, count in zip(self._rotations, tickets, rows, strict=True)
        ]

    def _begin(self) -> tuple[list[Ticket], dict[str, Keyring]]:
        """The tickets of all datasets, and the new keys by kind of link."""
        tickets = [each.begin(each.name) for each in self._rotations]
        keys: dict[str, Keyring] = {}
        try:
            for each, ticket in zip(self._rotations, tickets, strict=True):
                kinds = {field.link_kind for field in each.contract.fields if field.link_kind}
                lent = gate.borrow_links(self._ground.keeper, ticket, each.next_loan(), kinds, self._later)
                keys |= dict.fromkeys(kinds, lent)
        except DeniedError as denied:
            if denied.code not in OUTDATED:
                raise
            for each, ticket in zip(self._rotations, tickets, strict=True):
                each.tell(ticket, denied.code)
                each.name = ""
            return self._begin()
        return tickets, keys

    def _dataset(self, rotation: Rotation, keys: dict[str, Keyring]) -> int:
        contract, renewal = rotation.contract, rotation.renewal
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
        for dataset, kind in sorted(record.items()):
            for table in ("record", "tombstone"):
                place = sql.Identifier("district", table)
                these = sql.SQL("t.dataset = {}").format(dataset)
                self._register(place, these, kind, keys[kind])
            for table in _BY_BATCH:
                place = sql.Identifier("district", table)
                these = sql.SQL(
                    "t.link IS NOT NULL AND t.batch IN (SELECT batch FROM district.batch WHERE dataset = {})"
                ).format(dataset)
                self._register(place, these, kind, keys[kind])
        for kind, columns in sorted(self._subject_links().items()):
            found = sql.SQL(" UNION ALL ").join(columns)
            these = sql.SQL("t.link IN ({})").format(found)
            self._register(sql.Identifier("district", "subject"), these, kind, keys[kind])

    def _subject_links(self) -> dict[str, list[sql.Composed]]:
        """Kind of link → where the links of that kind lie by which rows name their subjects. Persons are known by
        several kinds, a citizen's number here and a telephone there; their register does not say which."""
        found: dict[str, list[sql.Composed]] = {}
        for each in self._rotations:
            for of in each.contract.subjects:
                column = sql.SQL("SELECT {} FROM {}").format(
                    sql.Identifier(f"link_{of.field}"), sql.Identifier("district", each.contract.dataset)
                )
                found.setdefault(str(each.contract.field(of.field).link_kind), []).append(column)
        return found

    def _register(self, place: sql.Identifier, these: sql.Composed, kind: str, ring: Keyring) -> None:
        source = sql.SQL("(SELECT DISTINCT t.link FROM {} t WHERE {}) s").format(place, these)
        old = read_packed(self._district, {"link": "V16"}, source, "0")["link"]
        if not len(old):
            return
        new = gate.relinked(ring, kind, self._later, old)
        self._district.execute("CREATE TEMPORARY TABLE relinking (old bytea, new bytea) ON COMMIT DROP")
        pairs = {"old": _binary(old), "new": _binary(new)}
        copy_in(self._district, sql.Identifier("relinking"), pairs)
        self._district.execute("ANALYZE relinking")
        update = sql.SQL("UPDATE {} t SET link = r.new FROM relinking r WHERE t.link = r.old AND {}")
        self._district.execute(update.format(place, these))
        self._district.execute("DROP TABLE relinking")


def _binary(links: Any) -> pa.Array:
    rows = len(links)
    flat = np.ascontiguousarray(links).reshape(-1)
    offsets = np.arange(rows + 1, dtype=np.int64) * 16
    return pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(flat)])

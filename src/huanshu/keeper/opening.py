"""Values against tickets: keys lent for one chunk, cells of one record opened here, quarantined rows and their repair.

The loan is committed before anything leaves: a crash in between leaves a loan that nobody received.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from huanshu.catalog import Rung
from huanshu.errors import UnavailableError
from huanshu.keeper import proposals
from huanshu.keeper.admitting import Admitting
from huanshu.keeper.bitmaps import open_aged
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.establish import Peer
from huanshu.keeper.quarantine import ORDERED
from huanshu.keeper.tickets import Ticket, refused, require_lendable
from huanshu.keeper.vault import linked_through
from huanshu.sealing import KeyName, mask
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import quarantine_key

#: Whose values are opened for the person of the entry.
_OPENED = frozenset({"access.record.authorised", "access.correction.authorised"})


class Opening(Admitting):
    """Requests that end in a key or a value."""

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

    def _open_cell(self, body: Mapping[str, Any], cell: StoredCell) -> str | None:
        value = self._stored(body, cell)
        return value if cell.rung.startswith("evidence/") else self._at_rung(body, cell.field, value)

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


def _proposed_by(body: Mapping[str, Any], cell: StoredCell) -> bool:
    """Whether the cell is the proposed value, or the evidence, of the correction that the entry names."""
    change = str(body["detail"].get("change"))
    return cell.rung in (proposals.proposal_rung(change), proposals.evidence_rung(change))

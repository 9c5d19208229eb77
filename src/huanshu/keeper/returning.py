"""The communities' way back, where keys would let somebody see what he may not: sealed, marked, accepted in here."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from huanshu.keeper import proposals
from huanshu.keeper.admitting import Admitting
from huanshu.keeper.establish import Peer
from huanshu.keeper.tickets import Ticket, refused
from huanshu.sealing import content_mark
from huanshu.sealing.keys import workbook_key


class Returning(Admitting):
    """Requests around corrections and workbooks."""

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

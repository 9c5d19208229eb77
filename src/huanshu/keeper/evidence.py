"""What has happened, for those who look into the log: who saw whom, what is exposed, what may widen, broken glasses."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyroaring import BitMap

from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.errors import DeniedError
from huanshu.keeper import counting, emergency, tracing
from huanshu.keeper.admitting import Admitting
from huanshu.keeper.bitmaps import open_member, sightings, subjects_of
from huanshu.keeper.establish import Peer
from huanshu.keeper.exposure import exposed
from huanshu.keeper.tickets import Ticket, refused


class Evidence(Admitting):
    """Requests about entries and whom they are about; nothing is opened."""

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

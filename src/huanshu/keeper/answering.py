"""Answers without a value: whether something agrees, how many there are, what a person has used up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from huanshu.errors import DeniedError
from huanshu.keeper import comparing, counting, tallying, tracing
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.establish import Asker, Peer
from huanshu.keeper.opening import Opening
from huanshu.keeper.tickets import Ticket, refused
from huanshu.keeper.vouched import Listed
from huanshu.store.sessions import available


class Answering(Opening):
    """Requests that end in a yes, a no or a number."""

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
            asking = {**claim, "event": counting.COUNTED, "once": None}
            with self._refusing(asker, asking):
                self._require_current(asking)
                homes = counting.homes_of(self._home, zones)
                fields = counting.fields_of(contract, question.by, question.where)
                counting.require_few_cells(len(question.cells))
                said = {name: rung.word for name, rung in fields.items()}
                # Before it is judged: who may not count makes the keeper neither reckon nor keep anything.
                detail = {"zones": zones, "told": 0, "withheld": 0, "minimum": 0, "kept": ""}
                self._admission().admit(asker, {**asking, "fields": said, "detail": detail})
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

    def spent(self, peer: Peer, acting_as: str | None, person: str | None) -> dict[str, int]:
        """What a person has used up of the budgets: one's own, or anybody's for who may read the log."""
        with self._asked(peer, acting_as) as asker:
            whom = person or asker.person
            if whom is None or whom != asker.person:
                tracing.reading_post(self._admission(), asker)
            return asdict(self._budgets.spent(str(whom), self._parts.writer.now()))

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

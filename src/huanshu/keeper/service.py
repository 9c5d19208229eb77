"""The keeper's service: admission → append → ticket → loan, in that order and no other.

    logkeeping   what is known, from the log, and the keeper's rounds       admitting   from a request to a ticket
    opening      keys and values        answering   yes, no and numbers     returning   corrections and workbooks
    evidence     who saw whom           destroying  custody                 telling     what anybody may know

A loan must see every entry before it as durable. Appends of concurrent callers are admitted one after the other, each
seeing those before, and share a commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from huanshu import telemetry
from huanshu.errors import TamperedError
from huanshu.keeper import alerts, counting
from huanshu.keeper.answering import Answering
from huanshu.keeper.destroying import Destroying
from huanshu.keeper.establish import Asker, Peer
from huanshu.keeper.evidence import Evidence
from huanshu.keeper.logkeeping import Parts
from huanshu.keeper.returning import Returning
from huanshu.keeper.telling import Telling
from huanshu.keeper.tending import own_account
from huanshu.keeper.tickets import Ticket, refused

__all__ = ["Parts", "Service"]

#: Told by the keeper where it does what they say, and taken from no client.
_OWN: Final = frozenset({*counting.RULES, "keys.destruction.confirmed", "keys.escrow.sealed"})


class Service(Answering, Returning, Evidence, Destroying, Telling):
    """What the keeper does. Every request takes the kernel's word for the peer first."""

    def tend(self) -> None:
        """One of the keeper's own rounds: what it owes the log, then publication. A log that is not ours stops it."""
        with self._alone():
            self._recover()
            self._refresh()
            self._pay_due()
            if self._register.custody.destroyed:
                self._parts.vault.purge()
        self._publish()
        with self._alone():
            self._end_purposes()
        try:
            self._parts.tending.ask_witnesses(self._home)
        except TamperedError as error:
            self._stopped = error
            raise

    def open_finding(self, claim: Mapping[str, Any]) -> Ticket:
        """A finding that the watch in this process has raised: no request, so in nobody's name but its owner post's."""
        with self._alone():
            self._recover()
            self._parts.writer.settle_all()
            self._refresh()
            return self._append(Asker(None, alerts.ITSELF, "os", own_account()), claim, None)

    def append(
        self, peer: Peer, acting_as: str | None, claim: Mapping[str, Any], bitmap: bytes | None = None
    ) -> Ticket:
        """Admit and append one entry. A refusal is itself appended for the person established."""
        with (
            telemetry.span("huanshu.keeper.append", event=str(claim.get("event"))),
            self._asked(peer, acting_as, settled=False) as asker,
        ):
            if claim.get("event") in _OWN:
                # Or a taken-over account could name what was never kept, and end its person's counting for ever; or a
                # second person could tell another number of keys than there are.
                raise refused("keeper.append.own", "the keeper says this itself", "该条目由钥匙保管自行写入")
            ticket = self._append(asker, claim, bitmap, durable=False)
            mark = self._parts.writer.mark()
        # Outside the lock: who comes meanwhile is admitted, and shares the next commit.
        self._parts.writer.settle(mark)
        return ticket

"""Keys destroyed, the root key copied, people erased: on two persons' word."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from huanshu.auditlog.custody import Selector
from huanshu.errors import DeniedError
from huanshu.keeper import custody
from huanshu.keeper.admitting import Admitting
from huanshu.keeper.establish import Peer
from huanshu.keeper.tickets import Ticket


class Destroying(Admitting):
    """Requests of custody."""

    def custody(self, peer: Peer, acting_as: str | None) -> dict[str, Any]:
        """What waits for a second person, what is destroyed, who is erased (by entry, not by name); no key."""
        with self._asked(peer, acting_as):
            return custody.told(self._register.custody, self._parts.vault.names(), self._parts.writer.now())

    def covered(self, peer: Peer, acting_as: str | None, selector: Mapping[str, Any]) -> int:
        """How many stored keys a selector covers."""
        with self._asked(peer, acting_as):
            covers = Selector.of(selector).covers
            return sum(map(covers, self._parts.vault.names()))

    def destroy(self, peer: Peer, acting_as: str | None, proposed: int) -> tuple[Ticket, int]:
        """Confirm a destruction, in the log first; then the keys are gone. A crash in between: they go at the next
        round, and are lent no more from the entry on."""
        with self._asked(peer, acting_as) as asker:
            keys = custody.covered(self._register.custody, proposed, self._parts.vault.names())
            claim = {
                "event": "keys.destruction.confirmed",
                "detail": {"proposed": proposed, "keys": keys},
            }
            ticket = self._append(asker, claim, None)
            return ticket, self._parts.vault.purge()

    def escrow(
        self, peer: Peer, acting_as: str | None, proposed: int, passphrases: Sequence[str]
    ) -> tuple[Ticket, bytes]:
        """Confirm a copy of the root key for another office; sealed so that two of the three custodians open it."""
        with self._asked(peer, acting_as) as asker:
            claim: dict[str, Any] = {"event": "keys.escrow.sealed", "detail": {"proposed": proposed}}
            try:
                self._admission().require_seconded(asker, claim, "keys.escrow.proposed")
            except DeniedError as denied:
                self._tell_refusal(self._admission(), asker, claim, denied)
                raise
            copy = self._parts.vault.sealed_root(passphrases, self._home.log_origin.encode())
            claim["detail"]["copy"] = hashlib.sha256(copy).hexdigest()
            return self._append(asker, claim, None), copy

    def erasures(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Confirmed erasures with the subjects' numbers, for who carries them out: the platform, or who may confirm."""
        with self._asked(peer, acting_as) as asker:
            self._admission().require_carrying_out(asker)
            found = self._register.custody
            return [
                {
                    "index": each.index,
                    "dataset": each.dataset,
                    "subjects": list(self._erased.of(each)),
                    "backups_until": each.backups_until,
                    "carried_out": found.carried_out(each.index, each.dataset),
                }
                for each in found.erasures
            ]

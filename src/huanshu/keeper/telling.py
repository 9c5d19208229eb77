"""What any established person may know of the log: heads, digests, approvals, findings, holds. No value, no subject."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from huanshu.keeper.admitting import Admitting
from huanshu.keeper.establish import Peer
from huanshu.keeper.tickets import Ticket


class Telling(Admitting):
    """Requests that only look up."""

    def status(self, peer: Peer, acting_as: str | None) -> dict[str, Any]:
        """Head, digests, and who the keeper takes the asker for."""
        with self._asked(peer, acting_as) as asker:
            return {
                "origin": self._parts.writer.origin,
                "vkey": self._parts.writer.vkey,
                "size": self._parts.writer.size,
                "root": self._parts.writer.root.hex(),
                "policy": self._read.policies.digest,
                "adopted": self._register.policy_digest,
                "sandbox": self._register.sandbox,
                "person": asker.person,
                "system": asker.system,
                "by": asker.by,
                "evidence": self._parts.tending.ages(self._home),
            }

    def open_ticket(self, peer: Peer, acting_as: str | None, event: str, about: str) -> Ticket | None:
        """The unsettled ticket of a delivery or batch: how a run finds its way back after a crash."""
        with self._asked(peer, acting_as):
            return self._tickets.about(event, about)

    def sender_key(self, peer: Peer, acting_as: str | None, sender: str) -> str | None:
        """Hex public key (Ed25519) enrolled for a sender."""
        with self._asked(peer, acting_as):
            return self._register.sender_key(sender)

    def bound(self, peer: Peer, acting_as: str | None, dataset: str, batch: str) -> str | None:
        """The digest that the entry of a batch binds of what it wrote; "" where it binds none, None before it."""
        with self._asked(peer, acting_as):
            return self._register.tellings.bound(dataset, batch)

    def renewals(self, peer: Peer, acting_as: str | None, dataset: str) -> list[str]:
        """Names of a dataset's rotations and erasures that were told, oldest first."""
        with self._asked(peer, acting_as):
            return self._register.tellings.renewals(dataset)

    def approval(self, peer: Peer, acting_as: str | None, flow: str, digest: str) -> dict[str, Any] | None:
        """The standing approval of a flow's digest, unless it has ended."""
        with self._asked(peer, acting_as):
            found = self._register.approval(flow, digest)
            if found is None or found.until <= self._parts.writer.now():
                return None
            return {"person": found.person, "until": found.until.isoformat(), "index": found.index}

    def findings(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Open findings, oldest first."""
        with self._asked(peer, acting_as):
            return [dict(finding) for finding in self._register.findings]

    def probe(self, peer: Peer, acting_as: str | None) -> None:
        """Whether the log would take an entry now, and what it allows would be opened. Raises what those would."""
        with self._asked(peer, acting_as):
            self._parts.writer.probe()
            self._require_fresh()

    def holds(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Holds that stand, oldest first, with their reasons; nothing in them is a value."""
        with self._asked(peer, acting_as):
            return [asdict(hold) for hold in self._register.holds.standing()]

    def recalls(self, peer: Peer, acting_as: str | None) -> list[dict[str, Any]]:
        """Recalls that no later delivery has superseded, oldest first."""
        with self._asked(peer, acting_as):
            return [asdict(recall) for recall in self._register.holds.recalls()]

    def slice_of(self, peer: Peer, acting_as: str | None, flow: str, receiver: str) -> str | None:
        """Digest of what a receiver held when a delivery of the flow last arrived: what it must still hold."""
        with self._asked(peer, acting_as):
            return self._register.holds.slice_of(flow, receiver)

    def expectations(self, peer: Peer, acting_as: str | None, flow: str) -> dict[str, Any]:
        """What the keeper knows of a flow: fields its receivers have never had, the content last released, and the
        entry that had held it (-1 when nothing is released)."""
        with self._asked(peer, acting_as):
            declared, holds = self._home.flows[flow], self._register.holds
            unseen = {r: holds.unseen(declared.dataset, r, declared.fields) for r in declared.receivers}
            released = holds.released(flow)
            return {
                "unseen": {receiver: fields for receiver, fields in unseen.items() if fields},
                "released": dict(released.deliveries or {}) if released else {},
                "since": released.index if released else -1,
            }

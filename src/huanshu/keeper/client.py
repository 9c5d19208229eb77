"""The client: how everyone else asks the keeper. One connection per instance, re-made when it breaks.

A request that broke while under way is sent again once; every append that may not happen twice carries
``once``. ``acting_as`` is for sandboxes only and refused by the keeper elsewhere.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from huanshu import telemetry
from huanshu.auditlog import Hold, Recall
from huanshu.errors import Text, UnavailableError
from huanshu.keeper import protocol
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.proposals import Acceptance, Proposed, Resealed
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import KeyName, Keyring

_SECONDS = 120.0
#: A district is read and opened, one question after the other.
_TALLYING_SECONDS = 1800.0


class Keeper:
    """The keeper behind a Unix socket. Raises what the keeper raised; UnavailableError when it is down."""

    def __init__(self, path: Path, acting_as: str | None = None, *, triggered_by: str | None = None) -> None:
        """``triggered_by``: the Airflow user who started this run by hand; every claim about a flow then says so."""
        self._path = path
        self._acting_as = acting_as
        self._triggered_by = triggered_by
        self._link: socket.socket | None = None

    def acting_as(self, person: str | None) -> Keeper:
        """A client of the same keeper that asks to act as a fictional person (sandbox only)."""
        return Keeper(self._path, person)

    def another(self) -> Keeper:
        """A client that asks the same for the same person, with a connection of its own (another process needs one)."""
        return Keeper(self._path, self._acting_as, triggered_by=self._triggered_by)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def __del__(self) -> None:
        self.close()

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask("status")
        return answer

    def changes(self) -> list[tuple[str, str]]:
        """(file, line that came or went) of whatever may widen when the policies read now are put in force."""
        return [(str(file), str(change)) for file, change in self._ask("changes")]

    def emergencies(self) -> list[dict[str, Any]]:
        """Broken glasses that the asker may know of, oldest first."""
        answer: list[dict[str, Any]] = self._ask("emergencies")
        return answer

    def append(self, claim: Mapping[str, Any], bitmap: bytes | None = None) -> Ticket:
        """Have an entry appended; returns when it is durable."""
        extra = {} if bitmap is None else {"bitmap": protocol.as_text(bitmap)}
        told = dict(claim)
        if self._triggered_by is not None and "flow" in told:
            told["flow"] = {**told["flow"], "triggered_by": self._triggered_by}
        answer = self._ask("append", claim=told, **extra)
        return Ticket(answer["index"], answer["leaf_hash"])

    def open_ticket(self, event: str, about: str) -> Ticket | None:
        """The ticket, not yet settled, of the entry of ``event`` whose delivery or batch is ``about``."""
        answer = self._ask("open_ticket", event=event, about=about)
        return None if answer is None else Ticket(answer["index"], answer["leaf_hash"])

    def lend(
        self, ticket: Ticket, chunk: int, names: Sequence[KeyName], existing: Collection[KeyName] = ()
    ) -> Keyring:
        """Keys for one chunk. ``existing``: those under which something is sealed already; they are never made."""
        answer = self._ask(
            "lend", ticket=_named(ticket), chunk=chunk, names=list(names), existing=sorted(existing)
        )
        return Keyring({KeyName(name): protocol.as_bytes(key) for name, key in answer.items()})

    def open(self, ticket: Ticket, cells: Sequence[StoredCell]) -> list[str | None]:
        answer: list[str | None] = self._ask(
            "open", ticket=_named(ticket), cells=[cell.as_json() for cell in cells]
        )
        return answer

    def compare(
        self,
        claim: Mapping[str, Any],
        bitmap: bytes,
        cells: Sequence[StoredCell],
        asked: Mapping[str, tuple[str, str | None]],
    ) -> tuple[Ticket, dict[str, bool]]:
        """Field → whether what was typed is what the record holds. ``asked``: field → (typed, plain stored value)."""
        answer = self._ask(
            "compare",
            claim=dict(claim),
            bitmap=protocol.as_text(bitmap),
            cells=[cell.as_json() for cell in cells],
            asked={name: list(pair) for name, pair in asked.items()},
        )
        return Ticket(answer["index"], answer["leaf_hash"]), dict(answer["found"])

    def count(
        self,
        claim: Mapping[str, Any],
        by: str | None,
        where: Mapping[str, str],
        total: bytes,
        cells: Sequence[tuple[str, bytes]],
    ) -> tuple[Ticket, list[int | None]]:
        """The figures of a question: its total, then each cell; None for what is withheld. Serialised bitmaps."""
        answer = self._ask(
            "count",
            claim=dict(claim),
            by=by,
            where=dict(where),
            total=protocol.as_text(total),
            cells=[[value, protocol.as_text(members)] for value, members in cells],
        )
        return Ticket(answer["index"], answer["leaf_hash"]), list(answer["figures"])

    def tally(
        self, claim: Mapping[str, Any], by: str | None, where: Mapping[str, str], words: Sequence[str]
    ) -> tuple[Ticket, list[tuple[str, int | None]]]:
        """As ``count``, over a sealed field: whom it is about, the keeper reads. ``words``: what a breakdown by a date
        is to say. Label by label, the total first, under no label."""
        answer = self._ask("tally", claim=dict(claim), by=by, where=dict(where), words=list(words))
        figures = [(str(label), figure) for label, figure in answer["figures"]]
        return Ticket(answer["index"], answer["leaf_hash"]), figures

    def spent(self, person: str | None = None) -> dict[str, int]:
        """What a person has used up: ``day``, ``month``, ``exported``, ``misses``."""
        answer: dict[str, int] = self._ask("spent", person=person)
        return answer

    def seal(self, ticket: Ticket, given: Sequence[Proposed]) -> list[bytes]:
        """Proposed values, each sealed for its own correction."""
        answer = self._ask("seal", ticket=_named(ticket), given=[item.as_json() for item in given])
        return [protocol.as_bytes(cell) for cell in answer]

    def accept(self, ticket: Ticket, given: Acceptance) -> Resealed | None:
        """The entry's record re-sealed with the proposed value; None when the field has changed since."""
        answer = self._ask("accept", ticket=_named(ticket), given=given.as_json())
        return None if answer is None else Resealed.from_json(answer)

    def mark(self, ticket: Ticket, text: str) -> bytes:
        """The mark of a workbook that the ticket's entry names."""
        return protocol.as_bytes(self._ask("mark", ticket=_named(ticket), text=text))

    def marked(self, domain: str, dataset: str, text: str, mark: bytes) -> bool:
        """Whether this mark is the one made for the text and the domain."""
        answer: bool = self._ask(
            "marked", domain=domain, dataset=dataset, text=text, mark=protocol.as_text(mark)
        )
        return answer

    def link(self, claim: Mapping[str, Any], kind: str, value: str) -> bytes:
        return protocol.as_bytes(self._ask("link", claim=dict(claim), kind=kind, value=value))

    def sender_key(self, sender: str) -> str | None:
        answer: str | None = self._ask("sender_key", sender=sender)
        return answer

    def bound(self, dataset: str, batch: str) -> str | None:
        """The written digest (hex) that the entry of a batch binds; "" where it binds none, None before it is told."""
        answer: str | None = self._ask("bound", dataset=dataset, batch=batch)
        return answer

    def renewals(self, dataset: str) -> list[str]:
        """Names of a dataset's rotations and erasures that were told, oldest first."""
        answer: list[str] = self._ask("renewals", dataset=dataset)
        return answer

    def approval(self, flow: str, digest: str) -> dict[str, Any] | None:
        answer: dict[str, Any] | None = self._ask("approval", flow=flow, digest=digest)
        return answer

    def slice_of(self, flow: str, receiver: str) -> str | None:
        """Digest (hex) of a receiver's slice when a delivery of the flow last arrived; None before the first."""
        answer: str | None = self._ask("slice_of", flow=flow, receiver=receiver)
        return answer

    def missing(self) -> dict[str, Any]:
        """What a closed keeper's log lacks, and who has signed. InputError ``auditlog.reopening.none`` otherwise."""
        answer: dict[str, Any] = self._ask("missing")
        return answer

    def give_up(self, digest: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Sign that what is missing is given up; ``digest`` is that of the statement, as ``missing`` says it."""
        answer: dict[str, Any] = self._ask("give_up", digest=digest, reason=reason, dry_run=dry_run)
        return answer

    def findings(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._ask("findings")
        return answer

    def probe(self) -> None:
        """Whether the log would take an entry now, and what it allows would be opened. Raises what those would."""
        self._ask("probe")

    def seen(self, ticket: Ticket) -> list[int]:
        """Indices of the entries that are about a subject of the ticket's entry (``access.seen.authorised``)."""
        answer: list[int] = self._ask("seen", ticket=_named(ticket))
        return answer

    def exposed(self, ticket: Ticket, organisations: bytes) -> dict[str, Any]:
        """Numbers of those exposed by what the ticket's entry selects (``access.exposure.authorised``);
        ``organisations``: the serialised bitmap of numbers that are no natural person's."""
        told = protocol.as_text(organisations)
        answer: dict[str, Any] = self._ask("exposed", ticket=_named(ticket), organisations=told)
        return answer

    def withheld(self) -> dict[int, str]:
        """Entries that residents are not told of now → the end of the withholding."""
        return {int(entry): str(until) for entry, until in self._ask("withheld").items()}

    def opened_of(self, entry: int) -> list[tuple[int, list[int]]]:
        """Entries that opened somebody of a delivery's subjects before its recall, ``entry``; and whom, by place."""
        return [(int(index), list(whom)) for index, whom in self._ask("opened_of", entry=entry)]

    def open_quarantined(self, ticket: Ticket, sealed: bytes) -> dict[str, str | None]:
        """Fields of one quarantined row, at the rungs of the ticket's entry (``access.quarantine.authorised``)."""
        answer: dict[str, str | None] = self._ask(
            "open_quarantined", ticket=_named(ticket), sealed=protocol.as_text(sealed)
        )
        return answer

    def order_repair(
        self, claim: Mapping[str, Any], values: Mapping[str, str | None]
    ) -> tuple[Ticket, bytes]:
        """Order new values for a quarantined row: the order's ticket, and the values sealed."""
        answer = self._ask("order_repair", claim=dict(claim), values=dict(values))
        return Ticket(answer["index"], answer["leaf_hash"]), protocol.as_bytes(answer["sealed"])

    def custody(self) -> dict[str, Any]:
        """What waits for a second person, what is destroyed, who is erased; counts of keys by use."""
        answer: dict[str, Any] = self._ask("custody")
        return answer

    def covered(self, selector: Mapping[str, Any]) -> int:
        """How many stored keys a selector (domain, dataset, field, epoch) covers."""
        return int(self._ask("covered", selector=dict(selector)))

    def destroy(self, proposed: int) -> tuple[Ticket, int]:
        """Confirm a destruction that somebody else proposed; how many stored keys are gone."""
        answer = self._ask("destroy", proposed=proposed)
        return Ticket(answer["index"], answer["leaf_hash"]), int(answer["gone"])

    def escrow(self, proposed: int, passphrases: Sequence[str]) -> tuple[Ticket, bytes]:
        """Confirm a copy of the root key that somebody else proposed; sealed among three custodians."""
        answer = self._ask("escrow", proposed=proposed, passphrases=list(passphrases))
        return Ticket(answer["index"], answer["leaf_hash"]), protocol.as_bytes(answer["copy"])

    def erasures(self) -> list[dict[str, Any]]:
        """Confirmed erasures, with the numbers of their subjects, for who carries them out."""
        answer: list[dict[str, Any]] = self._ask("erasures")
        return answer

    def holds(self, flow: str | None = None) -> list[Hold]:
        """Holds that stand (of one flow), oldest first."""
        return [Hold(**told) for told in self._ask("holds") if flow in (None, told["flow"])]

    def recalls(self, flow: str | None = None) -> list[Recall]:
        """Recalls (of one flow) that no later delivery has superseded, oldest first."""
        return [Recall(**told) for told in self._ask("recalls") if flow in (None, told["flow"])]

    def expectations(self, flow: str) -> dict[str, Any]:
        """``unseen``: receiver → fields it has never had; ``released``: receiver → delivery, as last released."""
        answer: dict[str, Any] = self._ask("expectations", flow=flow)
        return answer

    def _ask(self, op: str, **members: Any) -> Any:
        request = {"op": op, "acting_as": self._acting_as, "traceparent": telemetry.traceparent(), **members}
        try:
            answer = self._exchange(request)
        except OSError:
            self.close()
            try:
                answer = self._exchange(request)
            except OSError:
                self.close()
                raise UnavailableError(
                    "keeper.socket.unreachable",
                    Text("the keeper does not answer", "钥匙保管进程无应答"),
                    remedy=Text("start it: huanshu up", "请启动：huanshu up"),
                ) from None
        if "error" in answer:
            protocol.raise_error(answer["error"])
        return answer["ok"]

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._link is None:
            self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._link.settimeout(_SECONDS)
            self._link.connect(str(self._path))
        self._link.settimeout(_TALLYING_SECONDS if request["op"] == "tally" else _SECONDS)
        protocol.send(self._link, request)
        answer = protocol.receive(self._link)
        if answer is None:
            raise ConnectionResetError("the keeper closed the connection")
        return answer


def _named(ticket: Ticket) -> dict[str, Any]:
    return {"index": ticket.index, "leaf_hash": ticket.leaf_hash}

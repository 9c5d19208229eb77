"""A community proposes: origin, then one entry in the proposer's name, then sealed rows — nothing in plain at rest.

Order of effects, with what a crash leaves behind:
    (a) read        origin, sequence, rights, places.              Nothing; or a held batch's entry and finding.
    (b) authorised  the log entry; its ticket.                     The log names a batch that may not come.
    (c) received    one district transaction: sealed proposals.    They are there, to be judged.
    (d) judged      by the platform (``judging``), now or later.

The same batch again changes nothing and says what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import psycopg
from pyroaring import BitMap

from huanshu.catalog import Contract, steward_of
from huanshu.errors import DeniedError, InputError
from huanshu.exchange.corrections import books
from huanshu.exchange.corrections.books import Correction, Now
from huanshu.exchange.corrections.judging import judge_batch
from huanshu.exchange.corrections.message import Wanted, parse_message
from huanshu.exchange.corrections.origin import Held, Origin, close_gap, hold
from huanshu.exchange.corrections.rights import Rights, contract_of, domain_of, require_held
from huanshu.exchange.formulas import is_formula
from huanshu.exchange.ground import Ground
from huanshu.keeper.corrections import HOLDS, correctable
from huanshu.keeper.proposals import Proposed, proposal_width
from huanshu.keeper.tickets import Ticket

_FRAME = 2_000  # values per request to the keeper


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch. ``known``: it had come before, nothing was changed by this call.
    ``judged``: False when the platform has still to judge it."""

    batch: str
    known: bool
    judged: bool
    corrections: tuple[Correction, ...]

    def count(self, state: str) -> int:
        return sum(correction.state == state for correction in self.corrections)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch whose origin is in order, about to be let in."""

    batch: str
    channel: str
    sequence: int
    post: str
    domain: str
    contract: Contract

    @property
    def held(self) -> Held:
        return Held(self.batch, self.channel, self.sequence, self.post, self.domain, self.contract.dataset)


def propose(ground: Ground, raw: bytes, post: str, origin: Callable[[Ground], Origin] = Origin) -> Receipt:
    """Let in a signed batch, in the person and post that propose. InputError when it is malformed or held,
    DeniedError when none of its fields may be proposed. (``origin``: a drill's control arm puts another one here.)"""
    message = parse_message(raw)
    contract = contract_of(ground, message.dataset)
    batch = Batch(message.batch, "signed", message.sequence, post, domain_of(ground, post), contract)
    with books.opened(ground) as district:
        known = receipt(district, batch.batch, batch.domain)
        try:
            if known is not None:
                origin(ground).require_author(message, batch.domain)
                require_held(ground, post)
                return known
            with district.transaction():
                origin(ground).require(district, message, batch.domain)
        except InputError as error:
            if error.code in HOLDS:
                hold(ground, batch.held, error)
            raise
        fields, records = {w.field for w in message.changes}, {w.record for w in message.changes}
        let_in(ground, district, batch, Source(fields, records, lambda _: message.changes))
        close_gap(ground, batch.held)
    return judged_now(ground, batch.batch, batch.domain)


def judged_now(ground: Ground, batch: str, domain: str) -> Receipt:
    """Judge at once where this process is the platform's; otherwise the platform's next ``judge`` does."""
    try:
        judge_batch(ground, batch)
    except DeniedError as denied:
        if denied.code not in ("correction.judge.in_person", "keeper.ticket.platform_only"):
            raise
    with books.opened(ground) as district:
        found = receipt(district, batch, domain)
    assert found is not None  # it was let in above
    return replace(found, known=False)


def receipt(district: psycopg.Connection, batch: str, domain: str) -> Receipt | None:
    """What became of a batch of this domain that was let in; None for any other."""
    row = district.execute(
        "SELECT state FROM district.correction_batch WHERE batch = %s AND sender = %s", (batch, domain)
    ).fetchone()
    if row is None:
        return None
    return Receipt(batch, True, row[0] == "judged", tuple(books.find(district, batch=batch)))


@dataclass(frozen=True, slots=True)
class Source:
    """What a batch concerns, and its changes: those of a workbook are found only against the ticket."""

    fields: Collection[str]
    records: Collection[int]
    changes: Callable[[Ticket], Sequence[Wanted]]
    #: Fields that are compared besides, to find what was changed where nothing may be.
    compared: Collection[str] = ()


def let_in(ground: Ground, district: psycopg.Connection, batch: Batch, source: Source) -> None:
    """(b) and (c). Changes that cannot be proposed are refused here, unread."""
    contract = batch.contract
    rights = Rights(ground, contract, batch.post, batch.domain)
    names = {f.name for f in contract.fields}
    asked = sorted({f for f in source.fields if f in names and correctable(contract, f)})
    purpose = rights.purpose(asked, "propose") or next(iter(ground.home.policies.purposes))
    with district.transaction():
        books.alone(district, contract.dataset, batch.domain)
        now = books.places(district, contract, set(source.records))
        subjects = BitMap(s for here in now.values() if here.home == batch.domain for s in here.subjects)
        # None that may be proposed: asked as they came, for an answer that explains itself.
        fields = [f for f in asked if rights.allows(f, "propose", purpose)] or sorted(source.fields)
        ticket = ground.keeper.append(
            {
                "event": "correction.batch.authorised",
                "policy": ground.home.policies.digest,
                "post": batch.post,
                "domain": batch.domain,
                "dataset": contract.dataset,
                "purpose": purpose,
                "fields": dict.fromkeys(fields, "propose"),
                "compared": sorted(source.compared),
                "subjects": len(subjects),
                "detail": {
                    "batch": batch.batch,
                    "channel": batch.channel,
                    "sequence": batch.sequence,
                    "records": len(source.records),
                },
            },
            subjects.serialize(),
        )
        ground.pause("correction:authorised")
        wanted = source.changes(ticket)
        seen = books.versions(district, contract, batch.domain, {(w.record, w.base) for w in wanted}, [])
        screened = [_screened(w, batch, rights, purpose, now, (w.record, w.base) in seen) for w in wanted]
        _store(ground, district, batch, ticket, screened)
    ground.pause("correction:received")


def _screened(
    wanted: Wanted, batch: Batch, rights: Rights, purpose: str, now: dict[int, Now], seen: bool
) -> Wanted:  # fmt: skip
    """The change, or why it is refused without being read. A record elsewhere answers like one that is nowhere."""
    contract = batch.contract
    reason = wanted.refused
    if reason is None and wanted.field not in {f.name for f in contract.fields}:
        reason = "correction.field.denied"
    elif reason is None and not correctable(contract, wanted.field):
        reason = "correction.field.fixed"
    elif reason is None and not rights.allows(wanted.field, "propose", purpose):
        reason = "correction.field.denied"
    elif reason is None and (wanted.record not in now or not seen):
        reason = "correction.record.missing"
    elif reason is None and wanted.value is not None:
        if is_formula(wanted.value):
            reason = "correction.value.formula"
        elif len(wanted.value.encode()) > proposal_width(contract.field(wanted.field)):
            reason = "correction.value.too_long"
    return wanted if reason is None else replace(wanted, refused=reason, value=None, reference="")


def _store(
    ground: Ground, district: psycopg.Connection, batch: Batch, ticket: Ticket, screened: Sequence[Wanted]
) -> None:
    home, contract = ground.home, batch.contract
    epoch = home.policies.keys.epoch
    named = [f"{batch.batch[:12]}.{row}" for row in range(1, len(screened) + 1)]
    sealing: list[Proposed] = []
    for correction, w in zip(named, screened, strict=True):
        if w.refused is None:
            sealing.append(Proposed(correction, w.field, w.record, w.base, w.value))
            sealing.append(Proposed(correction, w.field, w.record, w.base, w.reference, is_evidence=True))
    sealed: list[bytes] = []
    for first in range(0, len(sealing), _FRAME):
        sealed += ground.keeper.seal(ticket, sealing[first : first + _FRAME])
    cells = iter(sealed)
    names = {f.name for f in contract.fields}
    district.execute(
        "INSERT INTO district.correction_batch (batch, dataset, sender, channel, sequence, state, person, post,"
        " entry_index) VALUES (%s, %s, %s, %s, %s, 'received', %s, %s, %s)",
        (
            batch.batch, contract.dataset, batch.domain, batch.channel, batch.sequence,
            str(ground.keeper.status()["person"]), batch.post, ticket.index,
        ),
    )  # fmt: skip
    rows = []
    for row, (correction, w) in enumerate(zip(named, screened, strict=True), 1):
        value, reference = (next(cells), next(cells)) if w.refused is None else (None, None)
        steward = (
            steward_of(home, contract, contract.field(w.field)) if w.field in names else contract.steward_post
        )
        # A name that is no field of the contract may be anything: it is not kept.
        named_field = w.field if w.field in names else "-"
        rows.append(
            (
                correction, batch.batch, row, contract.dataset, batch.domain, w.record, named_field, w.base, epoch,
                value, w.evidence, reference, "received" if w.refused is None else "refused", w.refused, steward,
            )
        )  # fmt: skip
    with district.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO district.correction (correction, batch, row, dataset, home, record, field, base, epoch,"
            " value, evidence, reference, state, reason, steward)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )

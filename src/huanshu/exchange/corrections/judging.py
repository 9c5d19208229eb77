"""The platform judges what was received: base version and rules, in memory, against the proposer's own entry.

Order of effects, with what a crash leaves behind:
    (a) judged      in memory, keys on loan.                   Nothing.
    (b) written     one district transaction.                  Written, not yet told: the next run tells it.
    (c) findings    one per steward who has to answer, dated.  As (b).
    (d) judged      the log entry; its ticket is closed.

Runs as a system (or a sandbox's owner), never as a person: the keeper lends these keys to nobody else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from huanshu.catalog import Contract, due
from huanshu.errors import DeniedError
from huanshu.exchange.corrections import books
from huanshu.exchange.corrections.books import Correction
from huanshu.exchange.corrections.origin import ANSWER_DUE
from huanshu.exchange.corrections.rights import Rights
from huanshu.exchange.formulas import is_formula
from huanshu.exchange.ground import Ground
from huanshu.gate import corrections as gate
from huanshu.gate.corrections import Judgement, Proposal
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.quality import touching

_CHUNK = 4_096
#: So often a proposer is told that a field of a record does not agree with data that it may not see; then no more.
_ATTEMPTS = 3
_ATTEMPTS_WITHIN = timedelta(days=30)
_TOO_LATE = ("keeper.ticket.expired", "keeper.ticket.policy_changed")


def judge(ground: Ground) -> list[str]:
    """Judge every batch that waits; returns their ids."""
    with books.opened(ground) as district:
        rows = district.execute(
            "SELECT batch FROM district.correction_batch WHERE judged_at IS NULL ORDER BY received_at"
        ).fetchall()
    for (batch,) in rows:
        judge_batch(ground, batch)
    return [batch for (batch,) in rows]


def judge_batch(ground: Ground, batch: str) -> None:
    """Judge one batch; nothing happens when that has been done and told."""
    platform = ground.keeper.acting_as(None)
    try:
        with books.opened(ground) as district:
            _judge(ground, platform, district, batch)
    finally:
        platform.close()


def finding_of(batch: str, steward: str) -> str:
    """The finding that a steward owes answers to a batch."""
    return f"correction/answer/{batch[:16]}/{steward}"


def ticket_of(district: psycopg.Connection, index: int) -> Ticket:
    """The ticket of an entry, from the log itself."""
    row = district.execute("SELECT leaf_hash FROM log.entry WHERE index = %s", (index,)).fetchone()
    return Ticket(index, "" if row is None else bytes(row[0]).hex())


def _judge(ground: Ground, platform: Keeper, district: psycopg.Connection, batch: str) -> None:
    row = district.execute(
        "SELECT b.dataset, b.sender, b.post, b.entry_index, b.state FROM district.correction_batch b"
        " WHERE b.batch = %s AND b.judged_at IS NULL",
        (batch,),
    ).fetchone()
    if row is None:
        return
    dataset, home, post, index, state = row
    ticket = ticket_of(district, index)
    contract = ground.home.contracts[dataset]
    if state == "received":
        waiting = books.find(district, batch=batch, states=("received",))
        try:
            judged = _judgements(
                ground, platform, district, ticket, contract, Rights(ground, contract, post, home), waiting
            )
        except DeniedError as denied:
            if denied.code not in _TOO_LATE:
                raise
            judged = [Judgement("refused", "correction.batch.expired")] * len(waiting)
        ground.pause("correction:judged")
        _write(ground, district, batch, waiting, judged)
    ground.pause("correction:written")
    _tell(ground, platform, district, batch, ticket)


def _judgements(
    ground: Ground,
    platform: Keeper,
    district: psycopg.Connection,
    ticket: Ticket,
    contract: Contract,
    rights: Rights,
    waiting: Sequence[Correction],
) -> list[Judgement]:
    stand = gate.Ground(
        contract=contract,
        suite=ground.home.suites[contract.dataset],
        domains=ground.home.policies.domains,
        home=rights.domain,
        sees=rights.sees,
        formula=is_formula,
    )
    found: dict[str, Judgement] = {}
    for chunk, first in enumerate(range(0, len(waiting), _CHUNK)):
        here = waiting[first : first + _CHUNK]
        now = books.places(district, contract, {c.record for c in here})
        tried = _disagreed(ground, district, contract, rights.domain, {c.record for c in here})
        asked = []
        for field in sorted({c.field for c in here}):
            mine = [c for c in here if c.field == field]
            looked_at = sorted(touching(field, stand.suite, contract))
            current = books.versions(
                district,
                contract,
                rights.domain,
                {(c.record, now[c.record].version) for c in mine},
                looked_at,
            )
            base = books.versions(
                district, contract, rights.domain, {(c.record, c.base) for c in mine}, [field]
            )
            for c in mine:
                if tried.get((c.record, field), 0) >= _ATTEMPTS:
                    # Not opened: the answers of a rule over hidden data are no oracle to be asked for ever.
                    found[c.correction] = Judgement("refused", "correction.attempts.spent")
                    continue
                at = (c.record, now[c.record].version)
                if now[c.record].home != rights.domain or at not in current or c.value is None:
                    found[c.correction] = Judgement("conflict", "correction.record.left")
                    continue
                asked.append(
                    Proposal(
                        c.correction, field, c.record, c.epoch, c.value, current[at], base[c.record, c.base]
                    )
                )
        answers = gate.judge(platform, ticket, chunk, stand, asked)
        found |= {p.correction: answer for p, answer in zip(asked, answers, strict=True)}
    return [found[c.correction] for c in waiting]


def _disagreed(
    ground: Ground, district: psycopg.Connection, contract: Contract, home: str, records: Collection[int]
) -> dict[tuple[int, str], int]:
    """(record, field) → how often lately a proposal was found to disagree with data that its proposer may not see."""
    rows = district.execute(
        "SELECT record, field, count(*) FROM district.correction JOIN district.correction_batch USING (batch)"
        " WHERE correction.dataset = %s AND home = %s AND record = ANY(%s) AND reason = %s AND received_at > %s"
        " GROUP BY record, field",
        (contract.dataset, home, list(records), gate.DISAGREES, ground.clock() - _ATTEMPTS_WITHIN),
    )
    return {(record, field): int(count) for record, field, count in rows}


def _write(
    ground: Ground,
    district: psycopg.Connection,
    batch: str,
    waiting: Sequence[Correction],
    judged: Sequence[Judgement],
) -> None:
    until = _due(ground)
    with district.transaction(), district.cursor() as cursor:
        cursor.executemany(
            "UPDATE district.correction SET state = %s, reason = %s, rules = %s, due = %s"
            " WHERE correction = %s AND state = 'received'",  # withdrawn meanwhile: it stays withdrawn
            [
                (j.state, j.reason, list(j.rules), until if j.state == "proposed" else None, c.correction)
                for c, j in zip(waiting, judged, strict=True)
            ],
        )
        cursor.execute("UPDATE district.correction_batch SET state = 'judged' WHERE batch = %s", (batch,))


def _due(ground: Ground) -> datetime:
    return due(ground.clock(), ground.home.obligations[ANSWER_DUE], ground.home.calendar)


def _tell(ground: Ground, platform: Keeper, district: psycopg.Connection, batch: str, ticket: Ticket) -> None:
    all_of_it = books.find(district, batch=batch)
    known = {finding["finding"] for finding in platform.findings()}
    named: dict[str, Any] = {"ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash}}
    unsettled = platform.open_ticket("correction.batch.authorised", batch) is not None
    for steward in sorted({c.steward for c in all_of_it if c.state == "proposed"}):
        finding = finding_of(batch, steward)
        if finding in known or not unsettled:
            continue
        until = min(c.due for c in all_of_it if c.due is not None)
        detail = {
            "finding": finding,
            "kind": "correction.answer.due",
            "due": until.astimezone(ground.clock().tzinfo).isoformat(),
            "owner_post": steward,
            "about": all_of_it[0].home,
        }
        platform.append({"event": "finding.case.opened", **named, "detail": detail})
    counts = books.counts(all_of_it)
    if unsettled:
        platform.append(
            {
                "event": "correction.batch.judged",
                "once": f"correction.batch.judged/{ticket.index}",
                **named,
                "detail": {state: counts.get(state, 0) for state in ("proposed", "refused", "conflict")},
            }
        )
    ground.pause("correction:told")
    with district.transaction():
        district.execute("UPDATE district.correction_batch SET judged_at = now() WHERE batch = %s", (batch,))

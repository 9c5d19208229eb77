"""The steward answers, in person: look, accept, refuse with a reason; and the proposer may withdraw.

Order of effects of an acceptance, with what a crash leaves behind:
    (a) authorised  the log entry; its ticket.                    The log names a change that may not come.
    (b) re-sealed   by the keeper, unseen by anyone.              As (a).
    (c) accepted    one district transaction: the record's next version in, the old one out, the correction's line.
                                                                  The effect is there; the same call again tells it.
    (d) accepted    the log entry; its ticket is closed.

The next version goes out with the ordinary delivery. What the department's next extract makes of it: ``standing``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.catalog import Contract, Rung
from huanshu.errors import InputError, TamperedError, Text, UnavailableError
from huanshu.exchange import written
from huanshu.exchange.corrections import books
from huanshu.exchange.corrections.books import Correction
from huanshu.exchange.corrections.judging import finding_of, ticket_of
from huanshu.exchange.corrections.origin import settle
from huanshu.exchange.corrections.reasons import STEWARD
from huanshu.exchange.corrections.rights import Rights, contract_of, domain_of
from huanshu.exchange.ground import Ground
from huanshu.exchange.tables import district_tables
from huanshu.gate.corrections import Version
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.proposals import Acceptance, Resealed, Standing, evidence_rung, proposal_rung
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import mask


@dataclass(frozen=True, slots=True)
class Shown:
    """A correction beside the record, each value at the rung that the post may see. Values never print."""

    correction: Correction
    entry_index: int | None
    rung: Rung | None
    proposed: str | None = field(default=None, repr=False)
    current: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)


def show(ground: Ground, correction: str, post: str) -> Shown:
    """The proposed and the present value at the highest rung the post has; the access is in the log first."""
    with books.opened(ground) as district:
        found = one(district, correction)
        contract = contract_of(ground, found.dataset)
        rights = Rights(ground, contract, post, found.home)
        purpose = next((p for p in ground.home.policies.purposes if rights.rung(found.field, p)), None)
        if found.value is None or purpose is None:
            return Shown(found, None, None)
        rung = rights.rung(found.field, purpose)
        assert rung is not None
        now = books.places(district, contract, [found.record])[found.record]
        at = (found.record, now.version)
        version = books.versions(district, contract, found.home, [at], [found.field]).get(at)
        cells = _cells(found, version)
        subjects = BitMap(now.subjects)
        ticket = ground.keeper.append(
            {
                "event": "access.correction.authorised",
                "policy": ground.home.policies.digest,
                **_named(found, post, purpose),
                "fields": {found.field: rung.word},
                "subjects": len(subjects),
                "detail": {"change": found.correction, "record": found.record, "values": len(cells)},
            },
            subjects.serialize(),
        )
    opened = dict(zip(cells, ground.keeper.open(ticket, list(cells.values())), strict=True))
    plain = None if version is None else version.cells[found.field]
    masked = contract.field(found.field).mask if rung is Rung.MASK else None
    current = opened.get("current")
    if isinstance(plain, str):
        current = mask(masked, plain) if masked else plain
    return Shown(found, ticket.index, rung, opened["proposed"], current, opened["reference"])


def _cells(found: Correction, version: Version | None) -> dict[str, StoredCell]:
    def of(sealed: bytes, rung: str) -> StoredCell:
        return StoredCell(found.field, sealed, found.home, found.record, found.base, found.epoch, rung)

    assert found.value is not None
    assert found.reference is not None  # sealed together
    cells = {
        "proposed": of(found.value, proposal_rung(found.correction)),
        "reference": of(found.reference, evidence_rung(found.correction)),
    }
    sealed = None if version is None else version.cells[found.field]
    if version is not None and isinstance(sealed, bytes):
        cells["current"] = StoredCell(
            found.field, sealed, found.home, found.record, version.version, version.epoch, Rung.REVEAL.word
        )
    return cells


def accept(ground: Ground, correction: str, post: str) -> Correction:
    """Put the proposed value into the record's next version; answers with state ``accepted``, or ``conflict`` when
    the field has changed since. Safe to repeat."""
    with books.opened(ground) as district:
        found = one(district, correction)
        contract = contract_of(ground, found.dataset)
        if found.state == "accepted" or (found.state == "conflict" and found.entry_index is not None):
            _tell(ground, district, found)
        elif found.state != "proposed":
            raise _answered(found)
        else:
            _without_intake(district, found.dataset)
            ticket = _authorise(ground, district, contract, found, post)
            ground.pause("correction:accept:authorised")
            _write(ground, district, contract, found, ticket)
            ground.pause("correction:accept:written")
            _tell(ground, district, one(district, correction))
        _settle(ground, district, found, post)
        return one(district, correction)


def refuse(ground: Ground, correction: str, post: str, reason: str) -> Correction:
    """Refuse with a reason of the closed list (``reasons.STEWARD``)."""
    if reason not in STEWARD:
        raise InputError(
            "correction.reason.unknown",
            Text("this reason is not in the list", "理由不在列表之内"),
            remedy=Text(f"choose: {', '.join(STEWARD)}", f"可选：{'、'.join(STEWARD)}"),
        )
    return _end(ground, correction, post, "refused", "approve", reason)


def withdraw(ground: Ground, correction: str, post: str) -> Correction:
    """Take back what has not been answered, as the community that proposed it."""
    return _end(ground, correction, post, "withdrawn", "propose", None)


def _end(
    ground: Ground, correction: str, post: str, state: str, action: str, reason: str | None
) -> Correction:
    """Entry first, then the line: a crash between leaves an entry that the same call finds again."""
    with books.opened(ground) as district:
        found = one(district, correction)
        if found.state == state and found.reason == reason:
            return found
        if not found.is_open or (state == "refused" and found.state != "proposed"):
            raise _answered(found)
        contract = contract_of(ground, found.dataset)
        purpose = Rights(ground, contract, post, found.home).purpose([found.field], action)
        detail = {"change": found.correction, "batch": found.batch, "record": found.record}
        ticket = ground.keeper.append(
            {
                "event": f"correction.change.{state}",
                "once": f"correction.change.{state}/{found.correction}",
                "policy": ground.home.policies.digest,
                **_named(found, post, purpose or _any_purpose(ground)),
                "fields": {found.field: action},
                "detail": detail if reason is None else {**detail, "reason": reason},
            }
        )
        with district.transaction():
            district.execute(
                "UPDATE district.correction SET state = %s, reason = %s, entry_index = %s, answered_at = now()"
                " WHERE correction = %s AND state IN ('received', 'proposed')",
                (state, reason, ticket.index, found.correction),
            )
        _settle(ground, district, found, post)
        return one(district, correction)


def one(district: psycopg.Connection, correction: str) -> Correction:
    """The correction of that id. InputError when there is none."""
    found = books.find(district, correction=correction)
    if not found:
        raise InputError(
            "correction.change.unknown",
            Text("there is no such correction", "没有该更正"),
            remedy=Text("see: huanshu correction list", "参见：huanshu correction list"),
        )
    return found[0]


def _named(found: Correction, post: str, purpose: str) -> dict[str, str]:
    return {"post": post, "domain": found.home, "dataset": found.dataset, "purpose": purpose}


def _any_purpose(ground: Ground) -> str:
    """Nothing is allowed for any purpose: the keeper is asked for the first, and its answer explains itself."""
    return next(iter(ground.home.policies.purposes))


def _without_intake(district: psycopg.Connection, dataset: str) -> None:
    """An intake under way has numbered the next versions already; it is not raced. The lock ends with the session."""
    row = district.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"intake/{dataset}",)
    ).fetchone()
    if row is None or not row[0]:
        raise UnavailableError(
            "correction.store.busy",
            Text("an intake of this dataset is under way", "该数据集正在接收报送"),
            remedy=Text("answer again when it has ended", "请在接收结束后再答复"),
        )


def _authorise(
    ground: Ground, district: psycopg.Connection, contract: Contract, found: Correction, post: str
) -> Ticket:
    purpose = Rights(ground, contract, post, found.home).purpose([found.field], "approve")
    now = books.places(district, contract, [found.record])[found.record]
    subjects = BitMap(now.subjects)
    return ground.keeper.append(
        {
            "event": "correction.change.authorised",
            "policy": ground.home.policies.digest,
            **_named(found, post, purpose or _any_purpose(ground)),
            "fields": {found.field: "approve"},
            "subjects": len(subjects),
            "detail": {"change": found.correction, "batch": found.batch, "record": found.record},
        },
        subjects.serialize(),
    )


def _write(
    ground: Ground, district: psycopg.Connection, contract: Contract, found: Correction, ticket: Ticket
) -> None:
    """(b) and (c)."""
    with district.transaction():
        now = books.places(district, contract, [found.record])[found.record]
        if now.home != found.home:
            _conflict(district, found, ticket, "correction.record.left")
            return
        made = ground.keeper.accept(ticket, _acceptance(district, contract, found, now.version))
        ground.pause("correction:accept:resealed")
        if made is None:
            _conflict(district, found, ticket, "correction.field.changed")
            return
        _next_version(district, contract, found, now.version, made)
        district.execute(
            "UPDATE district.correction SET standing = false WHERE dataset = %s AND record = %s AND field = %s"
            " AND standing",
            (found.dataset, found.record, found.field),
        )
        district.execute(
            "UPDATE district.correction SET state = 'accepted', version = %s, source_mark = %s, standing = true,"
            " entry_index = %s, answered_at = now() WHERE correction = %s",
            (made.version, made.source_mark, ticket.index, found.correction),
        )


def _acceptance(
    district: psycopg.Connection, contract: Contract, found: Correction, current: int
) -> Acceptance:
    names = sorted({*(f.name for f in contract.sealed_fields), found.field})
    wanted = {(found.record, current), (found.record, found.base)}
    rows = books.versions(district, contract, found.home, wanted, names)
    earlier = district.execute(
        "SELECT source_mark FROM district.correction WHERE dataset = %s AND record = %s AND field = %s AND standing",
        (found.dataset, found.record, found.field),
    ).fetchone()

    def standing(version: Version, fields: list[str]) -> Standing:
        cells = {name: cell for name in fields if isinstance(cell := version.cells[name], bytes)}
        plain = version.cells[found.field]
        return Standing(version.version, version.epoch, cells, plain if isinstance(plain, str) else None)

    assert found.value is not None  # a proposed one is sealed
    base = rows.get((found.record, found.base))
    if base is None:
        raise TamperedError(
            "correction.version.gone",
            Text("the version that was corrected is not in the store", "所更正的版本已不在库中"),
            remedy=Text("run huanshu verify and tell security staff", "运行 huanshu verify 并通知安全人员"),
        )
    return Acceptance(
        correction=found.correction,
        field=found.field,
        record=found.record,
        sealed=found.value,
        epoch=found.epoch,
        base=standing(base, [found.field]),
        current=standing(rows[found.record, current], names),
        source_mark=None if earlier is None else bytes(earlier[0]),
    )


def _next_version(
    district: psycopg.Connection, contract: Contract, found: Correction, current: int, made: Resealed
) -> None:
    """The old version out, the new one in: the same but for version, epoch, cells and where it comes from."""
    table = sql.Identifier("district", contract.dataset)
    batch = _batch(found)
    district.execute(
        sql.SQL(
            "UPDATE {} SET batch_out = %s WHERE record = %s AND version = %s AND batch_out IS NULL"
        ).format(table),
        (batch, found.record, current),
    )
    changed: dict[str, Any] = {
        "version": made.version, "epoch": made.epoch, "batch_in": batch, "batch_out": None, **made.cells
    }  # fmt: skip
    if not contract.field(found.field).sealed:
        changed[found.field] = made.plain
    names = [column.name for column in district_tables(contract)[0].columns]
    picked = [sql.Literal(changed[n]) if n in changed else sql.Identifier(n) for n in names]
    district.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE record = %s AND version = %s").format(
            table, sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(picked), table
        ),
        (found.record, current),
    )
    lists = written.of_record(district, contract, found.home, found.record, made.version, current)
    written.store(district, batch, lists)


def _batch(found: Correction) -> str:
    """What the rows of its acceptance say they came in with."""
    return f"correction/{found.correction}"


def _conflict(district: psycopg.Connection, found: Correction, ticket: Ticket, reason: str) -> None:
    district.execute(
        "UPDATE district.correction SET state = 'conflict', reason = %s, entry_index = %s, answered_at = now()"
        " WHERE correction = %s",
        (reason, ticket.index, found.correction),
    )


def _tell(ground: Ground, district: psycopg.Connection, found: Correction) -> None:
    """(d): the entry that closes the ticket, once."""
    assert found.entry_index is not None  # written with the state
    ticket = ticket_of(district, found.entry_index)
    event, detail = "correction.change.conflicted", {}
    if found.state == "accepted":
        event = "correction.change.accepted"
        detail = {"version": found.version, "written": written.told(written.stored(district, _batch(found)))}
    ground.keeper.append(
        {
            "event": event,
            "once": f"{event}/{ticket.index}",
            "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
            "detail": detail,
        }
    )


def _settle(ground: Ground, district: psycopg.Connection, found: Correction, post: str) -> None:
    """The finding that answers are due ends with the last answer."""
    finding = finding_of(found.batch, found.steward)
    left = [
        c for c in books.find(district, batch=found.batch, states=("proposed",)) if c.steward == found.steward
    ]
    if not left and any(known["finding"] == finding for known in ground.keeper.findings()):
        named = {"post": post, "domain": found.home, "dataset": found.dataset}
        settle(ground, finding, named, "withdrawn" if domain_of(ground, post) == found.home else "answered")


def _answered(found: Correction) -> InputError:
    return InputError(
        "correction.change.answered",
        Text(f"this correction is {found.state} already", f"该更正已处于 {found.state} 状态"),
        remedy=Text("see: huanshu correction list", "参见：huanshu correction list"),
    )

"""Quarantine (隔离): rows that failed a rule, sealed whole; what becomes of them, and who has to see to it until when.

A row is ``open`` until one of these:
    resubmitted   a later extract carries its record without fault
    superseded    a later full extract came without it, or with a row that is quarantined anew
    repaired      the steward ordered new values, they passed the same suite, and became the record's next version
    dismissed     the steward said why nothing is to be done
``ordered`` is between ``open`` and ``repaired``. Counts, row numbers and titles of rules are shown here, never a value.
One finding per batch, owned by the dataset's steward, is open while one of its rows is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from huanshu.catalog import Contract, Flow, Home
from huanshu.catalog.working_days import due as due_by
from huanshu.errors import InputError, Text
from huanshu.exchange.ground import Ground
from huanshu.keeper.quarantine import FINDINGS
from huanshu.keeper.tickets import Ticket

#: Which obligation dates the finding about a batch's rows (audit/obligations.yaml).
QUARANTINE_DUE: Final = "quarantine_due"
_SHORTEST: Final = 8

_SETTLE = """
    UPDATE district.quarantine q SET state = {state}, settled_by = %(batch)s, settled_at = now()
    FROM district.batch b WHERE b.batch = q.batch AND b.dataset = %(dataset)s AND q.batch <> %(batch)s
      AND b.sender = (SELECT sender FROM district.batch WHERE batch = %(batch)s) AND q.state IN ('open', 'ordered')
"""
#: A record that has a current version after a promotion was in the extract; quarantined again it is not mended.
_CARRIED = """
      AND EXISTS (SELECT FROM district.record r JOIN {versions} v USING (record)
                  WHERE r.dataset = %(dataset)s AND r.link = q.link AND v.batch_out IS NULL
                    AND (%(full)s OR v.batch_in = %(batch)s))
      AND NOT EXISTS (SELECT FROM district.quarantine n WHERE n.batch = %(batch)s AND n.link = q.link)
"""
_OPEN = """
    SELECT b.batch, b.state, count(*) FILTER (WHERE q.state IN ('open', 'ordered'))
    FROM district.batch b JOIN district.quarantine q USING (batch) WHERE b.dataset = %s AND b.state = 'promoted'
    GROUP BY b.batch, b.state
"""
_HEAPS = """
    SELECT b.dataset, b.batch, b.sequence, rule, q.state, count(*)
    FROM district.quarantine q JOIN district.batch b USING (batch) CROSS JOIN unnest(q.rules) rule
    WHERE b.state <> 'staging' AND (%(dataset)s::text IS NULL OR b.dataset = %(dataset)s)
      AND (%(batch)s::text IS NULL OR starts_with(b.batch, %(batch)s))
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 3, 2, 4, 5
"""


@dataclass(frozen=True, slots=True)
class Heap:
    """Rows of one batch that failed one rule; a row that failed two is in two heaps. ``states``: state → rows."""

    dataset: str
    batch: str
    sequence: int
    rule: str
    title: Text
    states: Mapping[str, int]
    due: str

    @property
    def open(self) -> int:
        return self.states.get("open", 0) + self.states.get("ordered", 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One quarantined row: where it stood in its extract, why it is here, and what became of it."""

    dataset: str
    batch: str
    row: int
    rules: tuple[str, ...]
    state: str
    failed: tuple[str, ...]
    settled_by: str | None
    sealed: bytes
    #: Whom it is about, where its identifier belongs to somebody who is numbered.
    subjects: tuple[int, ...]


def heaps(ground: Ground, dataset: str | None = None, batch: str | None = None) -> list[Heap]:
    """What lies in quarantine, by dataset, batch and rule."""
    due = {str(f["finding"]): str(f["due"]) for f in ground.keeper.findings()}
    with ground.district() as district:
        rows = district.execute(_HEAPS, {"dataset": dataset, "batch": batch}).fetchall()
    found: dict[tuple[str, str, int, str], dict[str, int]] = {}
    for name, of, sequence, rule, state, count in rows:
        found.setdefault((name, of, sequence, rule), {})[state] = count
    return [
        Heap(
            name, of, sequence, rule, _title(ground.home, name, rule), states, due.get(_finding(name, of), "")
        )
        for (name, of, sequence, rule), states in found.items()
    ]


def rows_of(ground: Ground, batch: str, rule: str | None = None) -> list[Row]:
    """The rows of one batch that are open (that failed one rule), in their order."""
    with ground.district() as district:
        whole = _batch(district, batch)
        return [
            row
            for row in _rows(district, whole)
            if row.state in ("open", "ordered") and (rule is None or rule in row.rules)
        ]


def one(ground: Ground, batch: str, number: int) -> Row:
    """One row, whatever became of it. InputError when there is none."""
    with ground.district() as district:
        whole = _batch(district, batch)
        found = [row for row in _rows(district, whole) if row.row == number]
    if not found:
        raise InputError(
            "quarantine.row.unknown",
            Text(f"row {number} of this batch is not in quarantine", f"该批次第 {number} 行不在隔离区"),
            remedy=Text(
                "see: huanshu quarantine list --batch BATCH", "参见：huanshu quarantine list --batch 批次"
            ),
        )
    return found[0]


# -- what the steward does --------------------------------------------------------------------------


def dismiss(
    ground: Ground, batch: str, reason: str, *, row: int | None, rule: str | None
) -> tuple[Ticket, int]:
    """Say why nothing is to be done about a row, or about a batch's open rows that failed a rule. The entry first."""
    chosen = [one(ground, batch, row)] if row is not None else rows_of(ground, batch, rule)
    chosen = [each for each in chosen if each.state == "open"]
    if not chosen:
        raise _nothing_open()
    detail: dict[str, Any] = {"batch": chosen[0].batch, "rows": len(chosen), "reason": reason}
    detail |= {"row": row} if row is not None else {}
    detail |= {"rule": rule} if rule is not None else {}
    dataset = chosen[0].dataset
    ticket = ground.keeper.append({"event": "quarantine.row.dismissed", "dataset": dataset, "detail": detail})
    with ground.district() as district:
        district.execute(
            "UPDATE district.quarantine SET state = 'dismissed', entry_index = %s, settled_at = now()"
            " WHERE batch = %s AND row = ANY(%s) AND state = 'open'",
            (ticket.index, chosen[0].batch, [each.row for each in chosen]),
        )
        _settle_by_steward(ground, district, dataset)
    return ticket, len(chosen)


def order_repair(
    ground: Ground, batch: str, number: int, purpose: str, values: Mapping[str, str | None]
) -> Ticket:
    """Order new values for an open row. The keeper seals them; the next run of the intake judges and carries it out."""
    row = one(ground, batch, number)
    if row.state != "open":
        raise _nothing_open()
    contract = ground.home.contracts[row.dataset]
    unknown = set(values) - {field.name for field in contract.fields}
    if unknown or not values:
        raise InputError(
            "quarantine.field.unknown",
            Text("name fields of the contract, one field=value a line", "请逐行给出契约字段：字段=新值"),
        )
    claim = {
        "dataset": row.dataset,
        "purpose": purpose,
        "detail": {"batch": row.batch, "row": row.row},
    }
    ticket, sealed = ground.keeper.order_repair(claim, values)
    with ground.district() as district:
        district.execute(
            "UPDATE district.quarantine SET state = 'ordered', ordered = %s, repair = %s, failed = '{}'"
            " WHERE batch = %s AND row = %s AND state = 'open'",
            (ticket.index, sealed, row.batch, row.row),
        )
    return ticket


# -- what an intake does ----------------------------------------------------------------------------


def settle(district: psycopg.Connection, contract: Contract, batch: str, *, full: bool) -> dict[str, int]:
    """In the transaction that promotes ``batch``: rows of the same sender's earlier extracts that it settles."""
    given = {"batch": batch, "dataset": contract.dataset, "full": full}
    versions = sql.Identifier("district", contract.dataset)
    carried = sql.SQL(_SETTLE + _CARRIED).format(state="resubmitted", versions=versions)
    told = {"resubmitted": district.execute(carried, given).rowcount}
    if full:  # the whole register came again: what was wrong in it before is right, wrong anew, or gone
        told["superseded"] = district.execute(sql.SQL(_SETTLE).format(state="superseded"), given).rowcount
    return {state: count for state, count in told.items() if count}


def reconcile(ground: Ground, flow: Flow, run: str, district: psycopg.Connection) -> None:
    """Findings as the rows are now: one for every batch that has an open row, none for any other. Repeatable."""
    known = {str(f["finding"]) for f in ground.keeper.findings()}
    contract = ground.contract(flow)
    for batch, _, waiting in district.execute(_OPEN, (flow.dataset,)).fetchall():
        finding = _finding(flow.dataset, batch)
        if waiting and finding not in known:
            obligation = ground.home.obligations[QUARANTINE_DUE]
            detail = {
                "finding": finding,
                "kind": "quality.rows.quarantined",
                "due": due_by(ground.clock(), obligation, ground.home.calendar).isoformat(),
                "owner_post": contract.steward_post,
                "about": flow.dataset,
            }
            _tell(ground, flow, run, "opened", detail)
        elif not waiting and finding in known:
            _tell(ground, flow, run, "settled", {"finding": finding, "disposition": "no row is open"})


def _tell(ground: Ground, flow: Flow, run: str, what: str, detail: dict[str, Any]) -> None:
    ground.keeper.append(
        {
            "event": f"finding.case.{what}",
            "flow": {"id": flow.flow, "run": run},
            "domain": flow.receivers[0],
            "detail": detail,
        }
    )


def _settle_by_steward(ground: Ground, district: psycopg.Connection, dataset: str) -> None:
    known = {str(f["finding"]) for f in ground.keeper.findings()}
    for batch, _, waiting in district.execute(_OPEN, (dataset,)).fetchall():
        if not waiting and _finding(dataset, batch) in known:
            detail = {"finding": _finding(dataset, batch), "disposition": "no row is open"}
            ground.keeper.append({"event": "finding.case.settled", "dataset": dataset, "detail": detail})


# -- pieces -----------------------------------------------------------------------------------------


def _finding(dataset: str, batch: str) -> str:
    return f"{FINDINGS}{dataset}/{batch[:16]}"


def _rows(district: psycopg.Connection, batch: str) -> list[Row]:
    rows = district.execute(
        "SELECT b.dataset, q.batch, q.row, q.rules, q.state, q.failed, q.settled_by, q.sealed, ARRAY(SELECT s.ordinal"
        " FROM district.subject s WHERE s.kind IN ('person', 'organisation') AND s.link = q.link)"
        " FROM district.quarantine q JOIN district.batch b USING (batch) WHERE q.batch = %s ORDER BY q.row",
        (batch,),
    )
    return [
        Row(d, b, n, tuple(rules), state, tuple(failed), by, bytes(sealed), tuple(subjects))
        for d, b, n, rules, state, failed, by, sealed, subjects in rows
    ]


def _batch(district: psycopg.Connection, named: str) -> str:
    """A batch by its id, or by the beginning of it."""
    rows = district.execute(
        "SELECT batch FROM district.batch WHERE starts_with(batch, %s) AND state <> 'staging'", (named,)
    ).fetchall()
    if len(named) < _SHORTEST or len(rows) != 1:
        raise InputError(
            "quarantine.batch.unknown",
            Text("no batch, or more than one, begins like this", "没有或不止一个批次以此开头"),
            remedy=Text(
                f"give at least {_SHORTEST} characters; see: huanshu quarantine list",
                f"至少给出 {_SHORTEST} 位；参见：huanshu quarantine list",
            ),
        )
    return str(rows[0][0])


def _title(home: Home, dataset: str, rule: str) -> Text:
    suite = home.suites.get(dataset)
    known = {e.rule: e.title for e in suite.expectations} if suite else {}
    return known.get(rule, Text(rule, rule))


def _nothing_open() -> InputError:
    return InputError(
        "quarantine.row.settled",
        Text("nothing of this is open", "没有待处理的隔离行"),
        remedy=Text("see: huanshu quarantine list", "参见：huanshu quarantine list"),
    )

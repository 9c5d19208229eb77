"""The district's books of corrections: rows in and out. Ciphertext, codes and numbers; nothing is opened here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as member
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from huanshu.catalog import Contract
from huanshu.errors import Text, UnavailableError
from huanshu.exchange.ground import Ground
from huanshu.gate.corrections import Version
from huanshu.store import available

_MEMBERS = (
    "correction, batch, row, dataset, home, record, field, base, epoch, value, evidence, reference, state, reason,"
    " rules, steward, due, version, source_mark, standing, entry_index, answered_at"
)


@dataclass(frozen=True, slots=True)
class Correction:
    """回流更正: one proposed change of one field of one record, as it lies in the district store."""

    correction: str
    batch: str
    row: int
    dataset: str
    home: str
    record: int
    field: str
    base: int
    epoch: int
    value: bytes | None = member(repr=False)
    evidence: str
    reference: bytes | None = member(repr=False)
    state: str
    reason: str | None
    rules: list[str]
    steward: str
    due: datetime | None
    version: int | None
    source_mark: bytes | None
    standing: bool
    entry_index: int | None
    answered_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in ("received", "proposed")

    def overdue(self, now: datetime) -> bool:
        """Whether its answer is late."""
        return self.is_open and self.due is not None and self.due < now


@contextmanager
def opened(ground: Ground) -> Iterator[psycopg.Connection]:
    """The district store for one act. A store that is away, full or read-only is one UnavailableError, and so is a
    batch that came at the same instant under the same number: the table keeps the first."""
    raced = False
    with available(), ground.district() as district:
        try:
            yield district
        except psycopg.errors.UniqueViolation:
            raced = True
    if raced:
        raise UnavailableError(
            "correction.store.busy",
            Text("another batch came at the same moment", "同一时刻另有批次报送"),
            remedy=Text("send it again", "请重新报送"),
        )


def find(
    district: psycopg.Connection,
    *,
    correction: str | None = None,
    batch: str | None = None,
    dataset: str | None = None,
    home: str | None = None,
    states: Collection[str] = (),
) -> list[Correction]:
    """Corrections by what is given, in the order in which they came."""
    given: dict[str, Any] = {"correction": correction, "batch": batch, "dataset": dataset, "home": home}
    wheres = [sql.SQL("{} = {}").format(sql.Identifier(k), v) for k, v in given.items() if v is not None]
    if states:
        wheres.append(sql.SQL("state = ANY({})").format(list(states)))
    query = sql.SQL("SELECT {} FROM district.correction JOIN (SELECT batch AS b, received_at FROM"
                    " district.correction_batch) x ON x.b = batch WHERE {} ORDER BY received_at, batch, row").format(
        sql.SQL(_MEMBERS), sql.SQL(" AND ").join(wheres) if wheres else sql.SQL("true")
    )  # fmt: skip
    with district.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(query).fetchall()


@dataclass(frozen=True, slots=True)
class Now:
    """Where a record is now. ``version`` is its last one, also when it has left the register."""

    home: str | None
    version: int
    subjects: Sequence[int]


def places(district: psycopg.Connection, contract: Contract, records: Collection[int]) -> dict[int, Now]:
    """Record → where it is now; records that were never there are absent."""
    query = sql.SQL(
        "SELECT DISTINCT ON (record) record, CASE WHEN batch_out IS NULL THEN home END, version, subjects"
        " FROM {} WHERE record = ANY(%s) ORDER BY record, version DESC"
    ).format(sql.Identifier("district", contract.dataset))
    rows = district.execute(query, (list(records),)).fetchall()
    return {record: Now(home, version, subjects) for record, home, version, subjects in rows}


def versions(
    district: psycopg.Connection,
    contract: Contract,
    home: str,
    wanted: Collection[tuple[int, int]],
    names: Sequence[str],
) -> dict[tuple[int, int], Version]:
    """(record, version) → its cells of the fields named, of versions at home in ``home`` alone."""
    query = sql.SQL(
        "SELECT {} FROM {} v JOIN unnest(%s::bigint[], %s::int[]) w (record, version)"
        " ON v.record = w.record AND v.version = w.version WHERE v.home = %s"
    ).format(
        sql.SQL(", ").join(sql.Identifier("v", name) for name in ("record", "version", "epoch", *names)),
        sql.Identifier("district", contract.dataset),
    )
    records, numbers = [r for r, _ in wanted], [min(v, 2**31 - 1) for _, v in wanted]
    found = {}
    for record, version, epoch, *cells in district.execute(query, (records, numbers, home)):
        found[record, version] = Version(version, epoch, dict(zip(names, cells, strict=True)))
    return found


def alone(district: psycopg.Connection, dataset: str, home: str) -> None:
    """Two batches of one community wait for each other; the lock ends with the transaction."""
    district.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"correction/{dataset}/{home}",)
    )


def counts(corrections: Collection[Correction]) -> Mapping[str, int]:
    """How many are in which state."""
    found: dict[str, int] = {}
    for correction in corrections:
        found[correction.state] = found.get(correction.state, 0) + 1
    return found

"""What the department's next extract makes of an accepted correction (docs/decisions/0013).

Rules
    - A record's content mark says what the *department* last sent; acceptance does not touch it. An extract that
      repeats itself changes nothing, and the correction stays.
    - When the department changes another field of the record, its row comes in with the corrected value in place of
      the old one, for as long as it still carries the old value of the corrected field.
    - As soon as the department's own value of that field is another one, its word counts and the correction has ended.
``keep`` runs while a batch is staged and may run in vain; ``end`` belongs to the promotion's transaction.
"""

from __future__ import annotations

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.gate.standing import Corrected, put_back
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket


def keep(
    district: psycopg.Connection,
    keeper: Keeper,
    ticket: Ticket,
    chunk: int,
    contract: Contract,
    batch: str,
    records: NDArray[np.int64],
    columns: dict[str, pa.Array],
) -> dict[str, pa.Array]:
    """The rows to be sealed, with standing corrections in place; what was kept is noted for ``end``."""
    corrected = _standing(district, contract)
    if not corrected:
        return columns
    columns, kept = put_back(keeper, ticket, chunk, contract, corrected, records, columns)
    district.execute("UPDATE district.correction SET kept_by = %s WHERE correction = ANY(%s)", (batch, kept))
    return columns


def end(district: psycopg.Connection, contract: Contract, batch: str) -> None:
    """Corrections of records that got a new version from this batch and were not kept stand no longer."""
    district.execute(
        sql.SQL(
            "UPDATE district.correction c SET standing = false WHERE c.dataset = %s AND c.standing"
            " AND c.kept_by IS DISTINCT FROM %s"
            " AND EXISTS (SELECT FROM {} v WHERE v.record = c.record AND v.batch_in = %s)"
        ).format(sql.Identifier("district", contract.dataset)),
        (contract.dataset, batch, batch),
    )


def _standing(district: psycopg.Connection, contract: Contract) -> list[Corrected]:
    found = []
    rows = district.execute(
        "SELECT correction, record, field, source_mark, home, version FROM district.correction"
        " WHERE dataset = %s AND standing ORDER BY correction",
        (contract.dataset,),
    ).fetchall()
    by_field: dict[str, list[tuple[str, int, bytes, str, int]]] = {}
    known = {field.name for field in contract.fields}
    for correction, record, name, mark, home, version in rows:
        if name in known:  # a contract may have lost the field since
            by_field.setdefault(name, []).append((correction, record, bytes(mark), home, version))
    for name, of_field in by_field.items():
        cells = {
            (record, version): (epoch, cell)
            for record, version, epoch, cell in district.execute(
                sql.SQL(
                    "SELECT v.record, v.version, v.epoch, v.{} FROM {} v"
                    " JOIN unnest(%s::bigint[], %s::int[]) w (record, version)"
                    " ON v.record = w.record AND v.version = w.version"
                ).format(sql.Identifier(name), sql.Identifier("district", contract.dataset)),
                ([c[1] for c in of_field], [c[4] for c in of_field]),
            )
        }
        for correction, record, mark, home, version in of_field:
            if (record, version) in cells:
                epoch, cell = cells[record, version]
                found.append(Corrected(correction, record, name, mark, home, version, epoch, cell))
    return found

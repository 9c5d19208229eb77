"""Reading one record: decide → append → open, for an established person (invariants 1, 3, 4, 5).

1. The keeper decides by rules and the person's own grants. Missing right: the answer explains itself.
2. By identifier, the keeper logs that it was sought before a link is computed; it counts as a miss until the keeper
   has been shown the identifier of the record that was found.
3. A record that is not in the asked domain's slice answers exactly like one that does not exist; which of
   the two it was stays in the log.
4. The entry names person, post, purpose, fields and record; against its ticket the keeper opens the
   values itself, at most ``open_max_values``; the reader never holds a key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu import subjects
from huanshu.catalog import Contract, Home, Rung
from huanshu.errors import DeniedError, InputError, Text
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.client import Keeper
from huanshu.sealing import mask

#: No record has this number: what is asked for when there is none, so that every question takes the same way.
_NOWHERE: Final = -1


@dataclass(frozen=True, slots=True)
class Asked:
    """One look-up. Exactly one of ``record`` and ``identifier`` is given; the identifier never prints."""

    post: str
    domain: str
    dataset: str
    purpose: str
    fields: Mapping[str, Rung]
    record: int | None = None
    identifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader gets: values by field at the rung asked, and the entry that says so."""

    entry_index: int
    record: int
    values: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the asked domain's slice, as it lies in the district store; and whom it is about."""

    record: int
    cells: Mapping[str, Any] = field(repr=False)

    @property
    def subjects(self) -> BitMap:
        return BitMap(self.cells["subjects"])

    def sealed(self, contract: Contract, names: Iterable[str]) -> list[StoredCell]:
        """The sealed ones among the fields, for the keeper."""
        row = self.cells
        return [
            StoredCell(
                name, row[name], row["home"], self.record, row["version"], row["epoch"], Rung.REVEAL.word
            )
            for name in names
            if contract.field(name).sealed
        ]


def read(home: Home, keeper: Keeper, district: Callable[[], psycopg.Connection], asked: Asked) -> Answer:
    """Read one record of the asked domain's slice. Raises DeniedError (explained), or
    InputError ``access.record.missing`` — the same for a record elsewhere and for none."""
    contract = contract_of(home, asked)
    claim = claim_of(asked)
    with district() as connection:
        found = find(home, keeper, connection, contract, asked, claim)
        ticket = keeper.append(
            {
                **claim,
                **found_by(contract, asked, found),
                "event": "access.record.authorised",
                "subjects": len(found.subjects),
                "detail": {"record": found.record, "values": len(asked.fields)},
            },
            found.subjects.serialize(),
        )
    cells = found.sealed(contract, asked.fields)
    opened = dict(zip((cell.field for cell in cells), keeper.open(ticket, cells), strict=True))
    return Answer(
        ticket.index,
        found.record,
        {
            name: opened[name] if name in opened else _plain(contract, name, rung, found.cells[name])
            for name, rung in asked.fields.items()
        },
    )


def find(
    home: Home,
    keeper: Keeper,
    connection: psycopg.Connection,
    contract: Contract,
    asked: Asked,
    claim: Mapping[str, Any],
) -> Found:
    """The record asked for. A foreign one takes the same steps as one that does not exist, to the same answer."""
    record = asked.record
    if asked.identifier is not None:
        kind = contract.primary_key.link_kind
        if kind is None:
            raise _no_such("identifier", "标识")
        linked = keeper.link(claim, kind, asked.identifier)
        record = subjects.find_record(connection, asked.dataset, linked)
    number = _NOWHERE if record is None else record
    row = _row(connection, contract, asked, number, _homes(home, asked.domain))
    if row is None:
        reason = "elsewhere" if _exists(connection, contract, number) else "absent"
        keeper.append({**claim, "event": "access.record.missed", "detail": {"reason": reason}})
        raise missing()
    return Found(number, row)


def found_by(contract: Contract, asked: Asked, found: Found) -> dict[str, Any]:
    """What shows the keeper that the record is the one sought: its own identifier, as it lies in the store."""
    if asked.identifier is None:
        return {}
    name = contract.primary_key.name
    sealed = found.sealed(contract, [name])
    return {"found_by": sealed[0].as_json() if sealed else found.cells[name]}


def claim_of(asked: Asked) -> dict[str, Any]:
    """What every entry about this look-up says."""
    return {
        "post": asked.post,
        "domain": asked.domain,
        "dataset": asked.dataset,
        "purpose": asked.purpose,
        "fields": {name: rung.word for name, rung in asked.fields.items()},
        "detail": {},
    }


def missing() -> InputError:
    """The one answer for a record that is not here, wherever else it may be."""
    return InputError(
        "access.record.missing",
        Text("no such record in this domain", "本域没有这条记录"),
        remedy=Text("check the number, or ask the domain responsible", "请核对编号，或联系责任域"),
    )


def _plain(contract: Contract, name: str, rung: Rung, value: str | None) -> str | None:
    mask_name = contract.field(name).mask
    if rung is Rung.REVEAL:
        return value
    return mask(mask_name, value) if rung is Rung.MASK and mask_name else None


def _row(
    connection: psycopg.Connection, contract: Contract, asked: Asked, record: int, homes: Collection[str]
) -> dict[str, Any] | None:
    """The record's row when one of ``homes`` is its home: another's cells never leave the database."""
    names = [
        *dict.fromkeys(["home", "version", "epoch", "subjects", contract.primary_key.name, *asked.fields])
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE record = %s AND batch_out IS NULL AND home = ANY(%s)").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier("district", contract.dataset)
    )
    row = connection.execute(query, (record, sorted(homes))).fetchone()
    return None if row is None else dict(zip(names, row, strict=True))


def _exists(connection: psycopg.Connection, contract: Contract, record: int) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE record = %s AND batch_out IS NULL)").format(
        sql.Identifier("district", contract.dataset)
    )
    row = connection.execute(query, (record,)).fetchone()
    return row is not None and bool(row[0])


def _homes(home: Home, domain: str) -> set[str]:
    return {domain, *(below.code for below in home.policies.domains.below(domain, "community"))}


def contract_of(home: Home, asked: Asked) -> Contract:
    """The dataset's contract. DeniedError for a dataset or field that is not offered."""
    contract = home.contracts.get(asked.dataset)
    if contract is None:
        raise _no_such("dataset", "数据集")
    known = {f.name for f in contract.fields}
    if not asked.fields or not known.issuperset(asked.fields):
        raise _no_such("field", "字段")
    return contract


def _no_such(en: str, zh: str) -> DeniedError:
    return DeniedError(
        f"access.{en}.unknown",
        Text(f"no such {en} is offered", f"没有提供该{zh}"),
        remedy=Text("see: huanshu access explain", "参见：huanshu access explain"),
    )

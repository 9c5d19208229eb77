"""Rows of the district store as the log says they are: whoever counts over sealed fields does not choose whom.

Rules
    The entry of every batch binds the lists of what it wrote (docs/FORMAT.md, 14): which rows, each with its digest,
    and which versions it ended. What is current in a home is therefore certain: all rows of the home's lists without
    those that were ended. The rows that the store has as current must be exactly these, byte for byte; one row changed,
    put back, left out, added or moved, and nothing of the home is counted.
Order
    ``Listed`` under the keeper's lock, from entries that are durable; then, beside other requests, ``Rows``. What is
    written in between is noticed as any other difference is: the question is asked again.

Reads the store as the keeper's own role, which may read rows and lists and change neither. Opens nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from huanshu.auditlog.tellings import Tellings
from huanshu.catalog.nouns import Contract
from huanshu.errors import HuanshuError, TamperedError, Text, UnavailableError
from huanshu.store.copying import copy_out

#: What is listed of a row.
ROW: Final = np.dtype([("record", ">u8"), ("version", ">u4"), ("digest", "V32")])
_KEYED: Final = np.dtype([("row", "S12"), ("digest", "V32")])
_FIELD_COUNT: Final = 2  # bytes before a row's first field, in COPY's binary form
_RENEWALS: Final = ("rotation/", "erasure/")
_HASHES = "SELECT batch, home, sha256(rows) FROM district.written WHERE batch = ANY(%s)"
_LISTS = """SELECT batch, home, rows FROM district.written
            WHERE (batch, home) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"""
Place = tuple[str, str]


def bound_columns(contract: Contract) -> list[str]:
    """The columns that a row digest covers, in its order: all but ``batch_out``, those of one width first."""
    sealed = [field.name for field in contract.fields if field.sealed]
    plain = [field.name for field in contract.fields if not field.sealed]
    links = [f"link_{field.name}" for field in contract.fields if field.link_kind]
    return ["record", "version", "batch_in", "epoch", "mark", *links, *sealed, "home", *plain, "subjects"]


def written_digest(lists: Mapping[str, bytes]) -> str:
    """The written digest (hex) over a batch's lists, each by its SHA-256."""
    made = hashlib.sha256()
    for home in sorted(lists, key=str.encode):
        name = home.encode()
        made.update(struct.pack(">I", len(name)) + name + lists[home])
    return made.hexdigest()


@dataclass(frozen=True, slots=True)
class Listed:
    """The batches of one dataset, in order, with the digests that their entries bind; and whether another is under
    way."""

    batches: Mapping[str, bytes]
    busy: bool

    @classmethod
    def of(cls, tellings: Tellings, dataset: str) -> Self:
        return cls(tellings.told(dataset), tellings.under_way(dataset))

    def differs(self) -> HuanshuError:
        """What it means that the store is not as the log says."""
        if self.busy:
            return UnavailableError(
                "keeper.count.under_way",
                Text("records of this dataset are being written", "该数据集正在写入"),
                remedy=Text("ask again when the run has ended", "请待写入结束后重试"),
            )
        return TamperedError(
            "keeper.count.unvouched",
            Text(
                "the district store is not as the log says: nothing is counted over it",
                "区级库与日志记载不符，不予统计",
            ),
            remedy=Text(
                "run huanshu verify --data, tell security staff", "运行 huanshu verify --data 并通知安全人员"
            ),
        )


class Rows:
    """Reads current rows that the log vouches for, home by home. One connection, used by one thread."""

    def __init__(self, connection: psycopg.Connection, listed: Listed, contract: Contract) -> None:
        self._connection, self._listed, self._contract = connection, listed, contract
        self._hashes = self._bound()
        self._holders = self._holding()
        self._ended = self._keyed("")["row"]

    def of(self, home: str, columns: Sequence[str]) -> pa.Table:
        """These columns of the home's current rows. Raises when they are not exactly the rows that the log says."""
        listed = self._keyed(home)
        listed = listed[~np.isin(listed["row"], self._ended)]
        names = bound_columns(self._contract)
        types = {name: self._type(name) for name in names}
        query = sql.SQL("SELECT {} FROM {} WHERE batch_out IS NULL AND home = %s").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier("district", self._contract.dataset),
        )
        digests: list[bytes] = []

        def seen(rows: Sequence[memoryview]) -> None:
            digests.extend(hashlib.sha256(row[_FIELD_COUNT:]).digest() for row in rows)

        wanted = ["record", "version", *columns]
        batches = list(copy_out(self._connection, query, types, (home,), wanted=wanted, seen=seen))
        schema = pa.schema([(name, types[name]) for name in wanted])
        table = pa.Table.from_batches(batches, schema)
        there = np.empty(len(digests), ROW)
        there["record"], there["version"] = table["record"].to_numpy(), table["version"].to_numpy()
        there["digest"] = np.frombuffer(b"".join(digests), "V32")
        self.require_same(listed, there.view(_KEYED))
        return table

    def require_same(self, listed: NDArray[Any], there: NDArray[Any]) -> None:
        """Whether what is there is what is listed, row by row and nothing else."""
        if _in_order(there) != _in_order(listed):
            raise self._listed.differs()

    def _type(self, name: str) -> pa.DataType:
        fixed = {
            "record": pa.int64(),
            "version": pa.int32(),
            "epoch": pa.int32(),
            "subjects": pa.list_(pa.int64()),
        }
        if name in fixed:
            return fixed[name]
        known = self._contract.by_name.get(name)
        sealed = known.sealed if known is not None else name not in ("batch_in", "home")
        return pa.binary() if sealed else pa.string()

    def _bound(self) -> dict[str, dict[str, bytes]]:
        """Batch → home → digest of its list, all of which their entries bind."""
        found: dict[str, dict[str, bytes]] = {name: {} for name in self._listed.batches}
        for batch, home, hashed in self._connection.execute(_HASHES, (list(found),)):
            found[batch][home] = bytes(hashed)
        for batch, said in self._listed.batches.items():
            if not said:
                raise _unlisted()
            if written_digest(found[batch]) != said.hex():
                raise self._listed.differs()
        return found

    def _holding(self) -> dict[str, list[Place]]:
        """Home → where its lists lie: each batch's own, or the renewal's that took its place last."""
        holders: dict[Place, Place] = {}
        for batch, lists in self._hashes.items():
            for home in lists:
                place = (batch, home)
                if batch.startswith(_RENEWALS):
                    replaced, _, of = home.rpartition("/")
                    place = (replaced, of)
                    if place not in holders:
                        raise self._listed.differs()
                holders[place] = (batch, home)
        found: dict[str, list[Place]] = {}
        for (_, home), holder in holders.items():
            found.setdefault(home, []).append(holder)
        return found

    def _keyed(self, home: str) -> NDArray[Any]:
        """What the lists of a home hold (of the empty one: what was ended), each list being the bound one."""
        places = self._holders.get(home, [])
        wanted = ([batch for batch, _ in places], [name for _, name in places])
        parts = []
        for batch, name, raw in self._connection.execute(_LISTS, wanted):
            if hashlib.sha256(raw).digest() != self._hashes[batch][name]:
                raise self._listed.differs()
            parts.append(bytes(raw))
        if len(parts) != len(places):
            raise self._listed.differs()
        return np.frombuffer(b"".join(parts), _KEYED)


def _in_order(rows: NDArray[Any]) -> bytes:
    return bytes(rows[np.argsort(rows["row"], kind="stable")].tobytes())


def _unlisted() -> UnavailableError:
    return UnavailableError(
        "keeper.count.unlisted",
        Text(
            "an older version wrote records of this dataset without lists that the log binds",
            "该数据集有旧版本写入、日志未载清单的记录",
        ),
        remedy=Text("count by plain fields", "请改用明文字段统计"),
    )

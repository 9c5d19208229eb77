"""What is due to a receiver: the difference between its slice in the district and what it last received.

Step (a) of a delivery: one district transaction freezes the difference, in chunks, each with its subjects' bitmap,
under an id that names exactly this content. Nothing is opened, logged or sent here.

The slice is read in a snapshot that the caller holds until every chunk was read (``Slice``): what a run sends is
what it froze, whatever is taken in meanwhile. Frozen again after a crash, the same content has the same id; other
content has another, and the delivery under way is stopped. So nothing frozen is ever read in another snapshot.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql
from pyroaring import BitMap

from huanshu.canonical import canonical
from huanshu.catalog import Contract, Flow, Home
from huanshu.exchange.books import Chunk, following, freeze_chunks, received
from huanshu.store.copying import copy_out

Numbers = NDArray[np.int64]

_SLICE = sql.SQL(
    "SELECT {columns} FROM {versions} WHERE batch_out IS NULL AND home = ANY({homes}) ORDER BY record {limit}"
)
_TYPES = {"record": pa.int64(), "version": pa.int32(), "subjects": pa.list_(pa.int64())}


@dataclass(frozen=True, slots=True)
class Difference:
    """What comes (``record`` at ``version``, about ``subjects``) and what leaves, each ascending by record.

    ``slice`` is every record of the receiver's slice in the district, ``held`` how many it holds already,
    ``withdrawn_version`` at which version it holds each that leaves. ``rows`` are the sealed rows, when a first
    delivery of one chunk had them read in the same pass."""

    record: Numbers
    version: Numbers
    subjects: pa.ListArray
    withdrawn: Numbers
    withdrawn_version: Numbers
    slice: Numbers
    held: int
    rows: pa.Table | None = None

    def __bool__(self) -> bool:
        return bool(self.upserts or self.withdrawals)

    @property
    def upserts(self) -> int:
        return len(self.record)

    @property
    def withdrawals(self) -> int:
        return len(self.withdrawn)


@dataclass(frozen=True, slots=True)
class Due:
    """A frozen difference. ``delivery`` is its id, ``content`` names what it brings; its chunks count from 0."""

    delivery: str
    content: str
    found: Difference
    chunks: tuple[Chunk, ...]

    @property
    def upserts(self) -> int:
        return self.found.upserts

    @property
    def withdrawals(self) -> int:
        return self.found.withdrawals

    @property
    def subjects(self) -> BitMap:
        """Ordinals of the subjects whose values the delivery carries."""
        return BitMap.union(BitMap(), *(chunk.subjects for chunk in self.chunks))

    def whole(self, chunk: Chunk) -> bool:
        """Whether the chunk carries every record of the slice from its first to its last: then a range names them."""
        if not len(chunk.records):
            return False
        first, last = np.searchsorted(self.found.slice, chunk.records[[0, -1]])
        return int(last - first + 1) == len(chunk.records)


def homes_of(home: Home, receiver: str) -> list[str]:
    """The home communities whose records a receiver is responsible for: itself and those below it."""
    return [receiver, *(domain.code for domain in home.policies.domains.below(receiver, "community"))]


def versions_table(contract: Contract) -> sql.Identifier:
    return sql.Identifier("district", contract.dataset)


def difference(
    connection: psycopg.Connection,
    home: Home,
    contract: Contract,
    flow: Flow,
    receiver: str,
    carried: Mapping[str, pa.DataType] | None = None,
    chunk: int = 0,
) -> Difference:
    """The slice as the connection sees it now, against the books. ``carried``: the columns that a delivery reads, for
    a receiver that holds nothing yet and whose slice is no more than ``chunk`` records."""

    def read(types: Mapping[str, pa.DataType], limit: int | None = None) -> pa.Table:
        query = _SLICE.format(
            columns=sql.SQL(", ").join(map(sql.Identifier, types)),
            versions=versions_table(contract),
            homes=homes_of(home, receiver),
            limit=sql.SQL("" if limit is None else f"LIMIT {limit:d}"),
        )
        return pa.Table.from_batches(copy_out(connection, query, types), pa.schema(list(types.items())))

    had, had_version = received(connection, flow.flow, receiver)
    rows = read({**carried, **_TYPES}, chunk + 1) if carried and not len(had) else None
    if rows is not None and rows.num_rows > chunk:
        rows = None
    mine = rows if rows is not None else read(_TYPES)
    record = mine.column("record").to_numpy()
    version = mine.column("version").to_numpy().astype(np.int64)
    place = np.searchsorted(had, record)
    known = np.zeros(len(record), np.bool_)
    inside = place < len(had)
    at = place[inside]
    known[inside] = (had[at] == record[inside]) & (had_version[at] == version[inside])
    subjects = mine.column("subjects").combine_chunks()
    leaves = ~np.isin(had, record, assume_unique=True)
    return Difference(
        record=record[~known],
        version=version[~known],
        subjects=subjects if not known.any() else subjects.filter(pa.array(~known)),
        withdrawn=had[leaves],
        withdrawn_version=had_version[leaves],
        slice=record,
        held=len(had),
        rows=rows,
    )


def anything_due(
    connection: psycopg.Connection, home: Home, contract: Contract, flow: Flow, receiver: str
) -> bool:
    """Whether a delivery to this receiver would bring or withdraw a record now."""
    return bool(difference(connection, home, contract, flow, receiver))


def freeze(
    effects: psycopg.Connection,
    reading: psycopg.Connection,
    home: Home,
    contract: Contract,
    flow: Flow,
    receiver: str,
    policy: str,
    chunk: int,
    carried: Mapping[str, pa.DataType],
) -> Due | None:
    """Freeze what is due in the snapshot of ``reading``, or None when nothing is.

    A crash in here leaves nothing; after the commit it leaves a frozen delivery that the next run takes up."""
    found = difference(reading, home, contract, flow, receiver, carried, chunk)
    if not found:
        return None
    delivery = named(found, contract, flow, receiver, policy, chunk)
    chunks = tuple(_chunks(found, chunk))
    with following(effects):
        effects.execute(
            "INSERT INTO district.delivery (delivery, flow, receiver, state, upserts, withdrawals)"
            " VALUES (%s, %s, %s, 'frozen', %s, %s) ON CONFLICT (delivery) DO NOTHING",
            (delivery, flow.flow, receiver, found.upserts, found.withdrawals),
        )
        freeze_chunks(effects, delivery, chunks)
    return Due(delivery, content(found, flow, receiver), found, chunks)


def named(found: Difference, contract: Contract, flow: Flow, receiver: str, policy: str, chunk: int) -> str:
    """The id of a delivery of exactly this: hex SHA-256 over the canonical header, then the upserts' records and
    versions, the withdrawn records and versions, each list after its length, as big-endian integers of 8 bytes.

    The versions that leave are in it because a record may leave more than once, and nothing else need differ then."""
    header = {
        "flow": flow.flow,
        "receiver": receiver,
        "flow_digest": flow.digest,
        "policy": policy,
        "contract": contract.digest,
        "chunk": chunk,
    }
    return _digest(header, found.record, found.version, found.withdrawn, found.withdrawn_version)


def content(found: Difference, flow: Flow, receiver: str) -> str:
    """What a recall forbids for ever: these versions of these records with these fields at these rungs, to this
    receiver. In the form of ``named``, without what may change while the content stays: policy, chunk, who leaves."""
    rungs = {name: rung.word for name, rung in flow.fields.items()}
    header = {"dataset": flow.dataset, "fields": rungs, "receiver": receiver}
    return _digest(header, found.record, found.version)


def _digest(header: Mapping[str, Any], *lists: Numbers) -> str:
    digest = hashlib.sha256(canonical(header))
    for numbers in lists:
        digest.update(len(numbers).to_bytes(8, "big"))
        digest.update(numbers.astype(">i8").tobytes())
    return digest.hexdigest()


def _chunks(found: Difference, size: int) -> list[Chunk]:
    nobody = np.empty(0, np.int64)
    chunks: list[Chunk] = []
    for first in range(0, max(1, found.upserts), size):
        here = slice(first, first + size)
        about = found.subjects[first : first + size].flatten().to_numpy(zero_copy_only=False)
        chunks.append(
            Chunk(
                number=len(chunks),
                records=found.record[here],
                versions=found.version[here],
                withdrawn=nobody if chunks else found.withdrawn,
                subjects=BitMap(array("I", about.astype(np.uint32).tobytes())),
            )
        )
    return chunks

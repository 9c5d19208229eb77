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
from numpy.typing import NDArray
from psycopg import sql
from pyroaring import BitMap

from huanshu.canonical import canonical
from huanshu.catalog import Contract, Flow, Home
from huanshu.exchange import books
from huanshu.exchange.books import Chunk, received, reshaped
from huanshu.exchange.tables import stored_fields
from huanshu.store.packed import BIGINT, INTEGER, read_packed

Numbers = NDArray[np.int64]

_CURRENT = sql.SQL("{versions} WHERE batch_out IS NULL AND {at_home}")
#: A slice comes in one piece (``read_packed``): of 30 million records, there would be a gigabyte.
_ALL = "0"
#: About how many subjects, and the first: nearly every record has one, so the others are asked for apart.
_COLUMNS = {
    "record": ("record", BIGINT),
    "version": ("version", INTEGER),
    "home": ("array_position({homes}::text[], home)", INTEGER),
    "epoch": ("epoch", INTEGER),
    "about": ("cardinality(subjects)", INTEGER),
    "subject": ("coalesce(subjects[1], 0)", BIGINT),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What comes and what leaves, each ascending by record.

    What comes is ``record`` at ``version``, sealed under the keys of ``homes[home]`` at ``epoch``; ``subjects[n]`` is a
    subject of the record at place ``about[n]``. ``slice`` is every record of the receiver's slice in the district,
    ``had`` the records it holds already and their versions, ``withdrawn_version`` at which version it holds each that
    leaves. ``after`` is the delivery that came last, when what it brought is due again in another shape, else ""."""

    record: Numbers
    version: Numbers
    homes: list[str]
    home: Numbers
    epoch: Numbers
    about: Numbers
    subjects: Numbers
    withdrawn: Numbers
    withdrawn_version: Numbers
    slice: Numbers
    had: tuple[Numbers, Numbers]
    after: str

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
    """A frozen difference. ``delivery`` is its id, ``content`` names what it brings; its chunks count from 0.
    ``fresh``: nobody had frozen it before, so no entry names it."""

    delivery: str
    content: str
    found: Difference
    chunks: tuple[Chunk, ...]
    fresh: bool

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


def at_home(homes: list[str]) -> sql.Composable:
    """Whose home is one of these, as SQL. Of one home the index answers in the order of records, without a sort."""
    return (
        sql.SQL("home = {}").format(homes[0]) if len(homes) == 1 else sql.SQL("home = ANY({})").format(homes)
    )


def versions_table(contract: Contract) -> sql.Identifier:
    return sql.Identifier("district", contract.dataset)


def difference(
    connection: psycopg.Connection, home: Home, contract: Contract, flow: Flow, receiver: str
) -> Difference:
    """The slice as the connection sees it now, against the books."""
    homes = homes_of(home, receiver)
    current = _CURRENT.format(versions=versions_table(contract), at_home=at_home(homes))
    mine = _read(connection, current, homes)
    had, had_version = received(connection, flow.flow, receiver)
    after = reshaped(connection, flow.flow, receiver, shape_of(contract, flow)) if len(had) else None
    if after is not None:
        had_version = np.zeros_like(had_version)  # held, but as no version of now: all of it is due
    record, version = mine["record"], mine["version"]
    place = np.searchsorted(had, record)
    known = np.zeros(len(record), np.bool_)
    inside = place < len(had)
    at = place[inside]
    known[inside] = (had[at] == record[inside]) & (had_version[at] == version[inside])
    comes = {name: column[~known] for name, column in mine.items()}
    about, subjects = _subjects(connection, current, comes)
    leaves = ~np.isin(had, record, assume_unique=True)
    return Difference(
        record=comes["record"],
        version=comes["version"],
        homes=homes,
        home=comes["home"] - 1,  # PostgreSQL counts from 1
        epoch=comes["epoch"],
        about=about,
        subjects=subjects,
        withdrawn=had[leaves],
        withdrawn_version=had_version[leaves],
        slice=record,
        had=(had, had_version),
        after=after or "",
    )


def _read(connection: psycopg.Connection, current: sql.Composable, homes: list[str]) -> dict[str, Numbers]:
    """The columns of the slice, ascending by record."""
    columns = _COLUMNS | ({"home": ("1", INTEGER)} if len(homes) == 1 else {})
    asked = {sql.SQL(text).format(homes=homes).as_string(): kind for text, kind in columns.values()}
    found = read_packed(connection, asked, current, _ALL)
    order = np.argsort(found["record"], kind="stable")
    return {
        name: column[order].astype(np.int64) for name, column in zip(_COLUMNS, found.values(), strict=True)
    }


def _subjects(
    connection: psycopg.Connection, current: sql.Composable, comes: dict[str, Numbers]
) -> tuple[Numbers, Numbers]:
    """Every subject of what comes, and the place of its record."""
    one = comes["about"] == 1
    about, subjects = np.flatnonzero(one), comes["subject"][one]
    several = comes["record"][comes["about"] > 1]
    if not len(several):
        return about, subjects
    source = sql.SQL(
        "(SELECT record, unnest(subjects) AS subject FROM {} AND cardinality(subjects) > 1) s"
    ).format(current)
    pairs = read_packed(connection, {"record": BIGINT, "subject": BIGINT}, source, _ALL)
    due = np.isin(pairs["record"], several)
    theirs = np.searchsorted(comes["record"], pairs["record"][due])
    about = np.concatenate([about, theirs])
    subjects = np.concatenate([subjects, pairs["subject"][due]])
    order = np.argsort(about, kind="stable")
    return about[order], subjects[order]


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
) -> Due | None:
    """Freeze what is due in the snapshot of ``reading``, or None when nothing is.

    A crash in here leaves nothing; after the commit it leaves a frozen delivery that the next run takes up."""
    found = difference(reading, home, contract, flow, receiver)
    if not found:
        return None
    delivery = named(found, contract, flow, receiver, policy, chunk)
    chunks = tuple(_chunks(found, chunk))
    numbers = (found.upserts, found.withdrawals)
    fresh = books.freeze(effects, delivery, flow.flow, receiver, chunks, numbers, shape_of(contract, flow))
    return Due(delivery, content(found, flow, receiver), found, chunks, fresh)


def named(found: Difference, contract: Contract, flow: Flow, receiver: str, policy: str, chunk: int) -> str:
    """The id of a delivery of exactly this: hex SHA-256 over the canonical header, then the upserts' records and
    versions, the withdrawn records and versions, each list after its length, as big-endian integers of 8 bytes.

    The versions that leave are in it because a record may leave more than once, and nothing else need differ then; and
    the delivery before, when a slice is given anew in another shape, because a flow may become again what it was."""
    header = {
        "flow": flow.flow,
        "receiver": receiver,
        "flow_digest": flow.digest,
        "policy": policy,
        "contract": contract.digest,
        "chunk": chunk,
        **({"after": found.after} if found.after else {}),
    }
    return _digest(header, found.record, found.version, found.withdrawn, found.withdrawn_version)


def shape_of(contract: Contract, flow: Flow) -> str:
    """What the cells of a slice are: the flow's fields as its rows hold them, each with rung and how it is stored."""
    fields = [
        [f.name, flow.fields[f.name].word, f.sealed, f.width or 0, f.mask or ""]
        for f in stored_fields(contract, flow)
    ]
    return hashlib.sha256(canonical({"fields": fields})).hexdigest()


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
        start, end = np.searchsorted(found.about, [first, first + size])
        chunks.append(
            Chunk(
                number=len(chunks),
                records=found.record[here],
                versions=found.version[here],
                withdrawn=nobody if chunks else found.withdrawn,
                subjects=BitMap(array("I", found.subjects[start:end].astype(np.uint32).tobytes())),
            )
        )
    return chunks

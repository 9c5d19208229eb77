"""Erasure of a subject: every version, link, quarantined row and proposed value of his, and a tombstone in their place.

Order of effects, with what a crash leaves behind:
    (a) proposed    the entry of one person; the subjects' bitmap, sealed.        Nothing is erased.
    (b) confirmed   the entry of another. From here on nothing of his is opened.  The next ``apply`` goes on.
    (c) erased      one transaction: rows, links, tombstone, lists.               The same, it tells.
    (d) completed   the entry that binds what is left.                            (written by the next run when missing)
Communities' copies leave with the next delivery, as everything does that left a slice, with a receipt. Who comes again
in an extract is quarantined for the tombstone's sake. Backups keep him, sealed, until the day that the tombstone names.

Only datasets whose records are about one person can be asked: others name him beside somebody else, and are corrected.
The subject's number stays in old bitmaps and entries: nobody can lead from it to a person any more.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.catalog import Contract
from huanshu.errors import InputError, TamperedError, Text, UnavailableError
from huanshu.exchange import written
from huanshu.exchange.ground import Ground
from huanshu.exchange.renewal import Renewal
from huanshu.exchange.tables import exists
from huanshu.keeper.tickets import Ticket
from huanshu.keeper.vouched import ROW
from huanshu.store import available
from huanshu.store.queries import load

_QUERIES = load(__package__, "erasure.sql")
#: Why a row of somebody who was erased is quarantined.
ERASED_RULE: Final = "subject_erased"
ERASED_TITLE: Final = Text("the person was erased", "该主体已依法删除")
#: Record, version, by which batch it came and (or none) ended, home.
_Row = tuple[int, int, str, str | None, str]
_COUNTS: Final = ("removed", "quarantined", "corrections", "tombstones")


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure took out of a dataset. ``held_by``: communities that still hold the records until their next
    delivery."""

    erasure: int
    dataset: str
    removed: int
    quarantined: int
    corrections: int
    tombstones: int
    backups_until: str
    held_by: tuple[str, ...]
    entry: int


@dataclass(frozen=True, slots=True)
class Reach:
    """What an erasure would take, in counts."""

    dataset: str
    records: int
    versions: int
    held_by: tuple[str, ...]


def reach(ground: Ground, dataset: str, record: int) -> tuple[Reach, list[int]]:
    """Whom a record is about, and what erasing him would take. Changes nothing. InputError when there is nobody."""
    contract = _contract(ground, dataset)
    with available(), ground.district() as district:
        query = sql.SQL("SELECT DISTINCT subjects[1] FROM {} WHERE record = {} AND subjects[1] IS NOT NULL")
        known = exists(district, sql.SQL(_table(contract).as_string()))
        found = district.execute(query.format(_table(contract), record)) if known else ()
        subjects = [int(row[0]) for row in found]
        if not subjects:
            raise InputError(
                "erasure.record.unknown",
                Text("nobody is known under this record number", "没有与该记录编号对应的主体"),
                remedy=Text("take the number from: huanshu record get", "请从 huanshu record get 取得编号"),
            )
        rows = _rows(district, contract, subjects)
        records = sorted({row[0] for row in rows})
        return Reach(
            dataset, len(records), len(rows), _held_by(district, ground, contract, records)
        ), subjects


def propose(ground: Ground, dataset: str, record: int, case: str) -> Ticket:
    """(a), as the person established."""
    _, subjects = reach(ground, dataset, record)
    claim = {
        "event": "erasure.subject.proposed",
        "dataset": dataset,
        "subjects": len(subjects),
        "detail": {"case": case},
    }
    return ground.keeper.append(claim, BitMap(subjects).serialize())


def confirm(ground: Ground, proposed: int) -> Ticket:
    """(b), as another person."""
    claim = {"event": "erasure.subject.confirmed", "detail": {"proposed": proposed}}
    ticket = ground.keeper.append(claim)
    ground.pause("erasure:confirmed")
    return ticket


def apply(ground: Ground) -> list[Erased]:
    """(c) and (d) of every confirmed erasure. Repeatable; what a store put back from a backup has again goes again."""
    done = []
    with available(), ground.district() as district:
        for told in ground.keeper.erasures():
            erasure = _Erasure(ground, district, told)
            if not told["carried_out"]:
                done.append(erasure.run())
            else:
                erasure.again()
    return done


class _Erasure:
    def __init__(self, ground: Ground, district: psycopg.Connection, told: dict[str, Any]) -> None:
        self._ground, self._district = ground, district
        self._index, self._subjects = int(told["index"]), [int(each) for each in told["subjects"]]
        self._until = str(told["backups_until"])
        self._contract = _contract(ground, str(told["dataset"]))
        name = f"erasure/{self._index}"
        self._bound = ground.bound(district, ground.keeper, self._contract.dataset, name)
        self._renewal = Renewal(self._contract, name, ground.home.policies.keys.profile, self._bound)

    def run(self) -> Erased:
        district = self._district
        with self._alone():
            found = district.execute(_QUERIES["done"], {"erasure": self._index}).fetchone()
            # Rows and line are of one transaction: who only wrote a line has erased nobody.
            if found is None or _rows(district, self._contract, self._subjects):
                with district.transaction():
                    counts = self._erase()
                    self._ground.pause("erasure:erased")
            else:
                self._compare()
                counts = dict(zip(_COUNTS, found, strict=True))
            held = self._held
            self._ground.pause("erasure:committed")
            entry = self._ground.keeper.append(
                {
                    "event": "erasure.subject.completed",
                    "once": f"erasure.subject.completed/{self._index}",
                    "detail": {
                        "erasure": self._index,
                        **counts,
                        "tombstones_sha256": self._buried(),
                        "written": self._renewal.told(district),
                    },
                }
            ).index
        dataset = self._contract.dataset
        return Erased(self._index, dataset, **counts, backups_until=self._until, held_by=held, entry=entry)

    def again(self) -> None:
        """What a store put back from a backup has again goes again, all of it. The log has told it already."""
        if not self._left():
            return
        with self._alone(), self._district.transaction():
            rows = self._locked()
            lists = self._lists_again(rows)
            self._take_out(rows)
            for name, left in lists.items():
                self._renewal.note(self._district, name, left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No intake of the dataset meanwhile: it has numbers and links of now in its hand."""
        lock = (f"intake/{self._contract.dataset}",)
        self._district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", lock)
        try:
            yield
        finally:
            if not self._district.broken:
                self._district.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", lock)

    @property
    def _held(self) -> tuple[str, ...]:
        return _held_by(self._district, self._ground, self._contract, self._records())

    def _records(self) -> list[int]:
        """Numbers of the records that were taken out."""
        rows = self._district.execute(_QUERIES["records_of"], {"erasure": self._index})
        return [int(row[0]) for row in rows]

    def _given(self, records: Iterable[int]) -> dict[str, Any]:
        return {
            "dataset": self._contract.dataset,
            "kind": self._contract.subjects[0].kind,
            "subjects": self._subjects,
            "records": sorted(set(records)),
            "erasure": self._index,
            "until": date.fromisoformat(self._until),
            "rule": ERASED_RULE,
        }

    def _left(self) -> bool:
        (found,) = self._district.execute(_QUERIES["left"], self._given(self._records())).fetchone() or (0,)
        return bool(found) or bool(_rows(self._district, self._contract, self._subjects))

    def _erase(self) -> dict[str, int]:
        """(c), in the caller's transaction."""
        rows = self._locked()
        for name, left in self._lists(rows).items():
            self._renewal.note(self._district, name, left)
        counts = self._take_out(rows)
        self._district.execute(_QUERIES["note"], {**self._given(row[0] for row in rows), **counts})
        return counts

    def _locked(self) -> list[_Row]:
        """The person's rows, and nobody else writes any."""
        self._district.execute(
            sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(_table(self._contract))
        )
        return _rows(self._district, self._contract, self._subjects)

    def _take_out(self, rows: Iterable[_Row]) -> dict[str, int]:
        """All that is the person's, and a tombstone in its place."""
        rows, district = list(rows), self._district
        given = self._given([*self._records(), *(row[0] for row in rows)])
        district.execute(
            sql.SQL("DELETE FROM {} WHERE record = ANY(%(records)s)").format(_table(self._contract)), given
        )
        counts = {
            "removed": len(rows),
            "tombstones": district.execute(_QUERIES["tombstones"], given).rowcount,
            "quarantined": district.execute(_QUERIES["quarantined"], given).rowcount,
            "corrections": district.execute(_QUERIES["corrections"], given).rowcount,
        }
        for name in ("workbooks", "records"):
            district.execute(_QUERIES[name], given)
        district.execute(_QUERIES["subjects"], {**given, "kept": self._named_elsewhere()})
        return counts

    def _named_elsewhere(self) -> list[int]:
        """Of the person's numbers those by which records of other datasets are about him too."""
        found: set[int] = set()
        for contract in self._ground.home.contracts.values():
            table = sql.SQL(_table(contract).as_string())
            if contract is self._contract or not contract.subjects or not exists(self._district, table):
                continue
            query = sql.SQL("SELECT DISTINCT s FROM {}, unnest(subjects) s WHERE s = ANY(%s)").format(table)
            found |= {int(row[0]) for row in self._district.execute(query, (self._subjects,))}
        return sorted(found)

    def _lists(self, rows: Iterable[_Row]) -> dict[str, bytes]:
        """The lists of what wrote or ended these rows, without them: what is left of those that the log binds."""
        gone: dict[tuple[str, str], set[bytes]] = {}
        for record, version, batch_in, batch_out, home in rows:
            row = struct.pack(">QI", record, version)
            gone.setdefault((batch_in, home), set()).add(row)
            if batch_out is not None:
                gone.setdefault((batch_out, ""), set()).add(row)
        head = struct.calcsize(">QI")
        made: dict[str, bytes] = {}
        self._bound.refresh()
        for place in sorted(self._bound.mine):  # nothing was written yet, by us
            raise self._bound.changed(place)
        for (batch, home), erased in gone.items():
            listed = self._bound.current(batch, home)
            if listed is None:
                continue  # an older version told no lists
            made[f"{batch}/{home}"] = b"".join(i for i in _items(listed) if i[:head] not in erased)
        return made

    def _compare(self) -> None:
        """Before lists of a killed run are told: each is the one that the log binds, without the records that the run's
        line names."""
        gone = {struct.pack(">Q", record) for record in self._records()}
        self._bound.refresh()
        if len(gone) > len(self._subjects):  # a number is of one identifier, and that of one record
            raise self._bound.changed(f"erasure/{self._index}")
        for place in sorted(self._bound.mine):
            batch, _, home = place.rpartition("/")
            listed = self._bound.before(batch, home) or b""
            left = b"".join(item for item in _items(listed) if item[:8] not in gone)
            self._renewal.noted[place] = hashlib.sha256(left).digest()

    def _lists_again(self, rows: Iterable[_Row]) -> dict[str, bytes]:
        """The lists of an erasure that was told, where a backup from before it was put back: only the very same."""
        if written.stored(self._district, f"erasure/{self._index}"):
            return {}
        try:
            made = self._lists(rows)
        except (TamperedError, UnavailableError):
            return {}  # the verifier names what is not as it was told
        bound = self._ground.keeper.bound(self._contract.dataset, f"erasure/{self._index}")
        return made if written.told(made)["sha256"] == bound else {}

    def _buried(self) -> str:
        """What the entry says of the tombstones, beside their count (FORMAT.md, 18)."""
        rows = self._district.execute(_QUERIES["buried"], {"erasure": self._index}).fetchall()
        return tombstones_digest((str(kind), int(ordinal)) for kind, ordinal in rows)


def tombstones_digest(tombstones: Iterable[tuple[str, int]]) -> str:
    """Hex digest over the kinds and ordinals of an erasure's tombstones."""
    digest = hashlib.sha256()
    for kind, ordinal in sorted((kind.encode(), ordinal) for kind, ordinal in tombstones):
        digest.update(struct.pack(">I", len(kind)) + kind + struct.pack(">Q", ordinal))
    return digest.hexdigest()


def turned_away(district: psycopg.Connection, contract: Contract, links: Any) -> list[int]:
    """Places of the rows (``uint8[n, 16]``, the primary key's links) that are about somebody who was erased."""
    if not contract.subjects:
        return []
    given = {"dataset": contract.dataset, "kind": contract.subjects[0].kind}
    gone = {bytes(row[0]) for row in district.execute(_QUERIES["gone"], given)}
    return [place for place, link in enumerate(links) if link.tobytes() in gone] if gone else []


# -- pieces -----------------------------------------------------------------------------------------


def _contract(ground: Ground, dataset: str) -> Contract:
    contract = ground.home.contracts.get(dataset)
    if contract is None or not contract.subjects or contract.subjects[0].field != contract.primary_key.name:
        raise InputError(
            "erasure.dataset.shared",
            Text(
                f"records of {dataset} are not about one person: they cannot be erased for one",
                f"{dataset} 的记录不是关于单一个人的，不能为某人整条删除",
            ),
            remedy=Text("have the field corrected: huanshu correction", "请更正相应字段：huanshu correction"),
        )
    return contract


def _items(listed: bytes) -> Iterator[bytes]:
    """The items of a list."""
    return (listed[at : at + ROW.itemsize] for at in range(0, len(listed), ROW.itemsize))


def _table(contract: Contract) -> sql.Identifier:
    return sql.Identifier("district", contract.dataset)


def _rows(district: psycopg.Connection, contract: Contract, subjects: Iterable[int]) -> list[_Row]:
    query = sql.SQL(
        "SELECT record, version, batch_in, batch_out, home FROM {} WHERE subjects[1] = ANY(%s) ORDER BY 1, 2"
    )
    return district.execute(query.format(_table(contract)), (list(subjects),)).fetchall()


def _held_by(
    district: psycopg.Connection, ground: Ground, contract: Contract, records: list[int]
) -> tuple[str, ...]:
    flows = [f.flow for f in ground.home.flows.values() if f.dataset == contract.dataset]
    rows = district.execute(_QUERIES["held_by"], {"flows": flows, "records": records})
    return tuple(str(row[0]) for row in rows)

"""What readers were told the numbers of, kept sealed beside the log and bound by the entries of their questions.

Order: kept, then the entry, then the answer. A crash in between leaves a row that nothing names, or a set counted as
told that nobody saw; never the other way round. A row that is gone or changed ends that reader's counting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

import psycopg

from huanshu.catalog.nouns import Contract, Home
from huanshu.keeper.bitmaps import Keys, open_aged
from huanshu.keeper.counting import COUNTED, Reader, Told
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.cells import refused as cell_refused

_KEEP = "INSERT INTO told.counted (kept, sealed) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_SEALED = "SELECT sealed FROM told.counted WHERE kept = %s"
_ENTRIES = "SELECT leaf FROM log.entry WHERE event = %s ORDER BY index"


class Counted:
    """One for the keeper's life, asked under its lock. ``reader`` judges; a control arm puts a careless one here."""

    def __init__(self, connect: Callable[[], psycopg.Connection], reader: type[Reader] = Reader) -> None:
        self._connect, self._judge = connect, reader
        self._readers: dict[tuple[str, str], Reader] = {}

    def reader(self, keys: Keys, person: str, contract: Contract, home: Home) -> Reader:
        """What one person was told, read from the log when first asked for: of subjects, whatever the dataset, because
        they have the same numbers everywhere; of a dataset about nobody, of its records."""
        about = _about(contract)
        known = self._readers.get((person, about))
        if known is None:
            known = self._judge()
            apart = {name for name, each in home.contracts.items() if _about(each) != about}
            with self._connect() as connection:
                for least, told in _told(connection, keys, person, apart):
                    known.remember(least, told)
            self._readers[person, about] = known
        return known

    def keep(self, keys: Keys, told: Iterable[Told]) -> str:
        """Keep what is about to be told, durably; its digest, for the entry."""
        raw = Told.pack(told)
        kept, (name, key) = hashlib.sha256(raw), keys[0]
        sealed = seal_blob(key, name, _place(kept.hexdigest()), raw)
        with self._connect() as connection, connection.transaction():
            connection.execute(_KEEP, (kept.digest(), sealed))
        return kept.hexdigest()

    def forget(self) -> None:
        """Read anew: the log may be another than it was, or a question was judged that was not answered."""
        self._readers.clear()


def _about(contract: Contract) -> str:
    """Whose numbers a count of this dataset is over."""
    return "" if contract.subjects else contract.dataset


def _told(
    connection: psycopg.Connection, keys: Keys, person: str, apart: set[str]
) -> Iterator[tuple[int, list[Told]]]:
    for (leaf,) in connection.execute(_ENTRIES, (COUNTED,)).fetchall():
        body = json.loads(bytes(leaf))
        if body["person"] == person and body["dataset"] not in apart:
            kept = str(body["detail"]["kept"])
            row = connection.execute(_SEALED, (bytes.fromhex(kept),)).fetchone()
            if row is None:
                raise cell_refused()
            told = Told.unpack(open_aged(keys, _place(kept), bytes(row[0])))
            yield int(body["detail"]["minimum"]), told


def _place(kept: str) -> str:
    return f"counted/{kept}"

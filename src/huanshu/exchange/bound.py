"""Which lists of the store hold: those that an entry of the log binds, as the keeper says, and no others.

Whoever renews rows binds them anew. So it must not believe the list that lies beside them: whoever can change a row can
change the list too. Here a list is given out only when it has the digest that the log's entry binds, of the batch or of
the last renewal that was told; what is not told yet, one's own lists of a killed run too, is never taken for what was
bound before. Keeps one digest for each list of the batches that are asked for; a list itself is read when it is needed.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

import psycopg

from huanshu.errors import TamperedError, Text, UnavailableError
from huanshu.keeper.client import Keeper
from huanshu.keeper.vouched import written_digest

#: An effect is told some milliseconds after it is there; after that it was killed in between.
_PATIENCE: Final = 3.0
_PAUSE: Final = 0.1
_UNDER_WAY: Final = (
    "SELECT rotation FROM district.rotation WHERE dataset = %(dataset)s AND NOT told"
    " UNION ALL SELECT 'erasure/' || erasure FROM district.erasure WHERE dataset = %(dataset)s"
)


class Bound:
    """The lists of one dataset. ``own``: under which name lists are about to be written."""

    def __init__(self, district: psycopg.Connection, keeper: Keeper, dataset: str, own: str) -> None:
        self._district, self._keeper = district, keeper
        self._dataset, self._own = dataset, own
        #: Batch → list of a home → its digest, as far as they were compared with what the log binds.
        self._lists: dict[str, dict[str, bytes]] = {}
        #: ``<batch>/<home>`` → the renewal by which it holds now; and what a renewal has that is not told.
        self._holds: dict[str, str] = {}
        self._untold: set[str] = set()
        #: Which lists lie there under one's own name: a killed run wrote them.
        self.mine: set[str] = set()

    def refresh(self) -> None:
        """Look again which renewals were told. In the transaction that keeps others from writing rows."""
        told = [name for name in self._keeper.renewals(self._dataset) if name != self._own]
        for name in told:
            if name not in self._lists:
                self._holds |= dict.fromkeys(self._compared(name), name)
        names = {str(row[0]) for row in self._district.execute(_UNDER_WAY, {"dataset": self._dataset})}
        self.mine = set(self._digests(self._own))
        self._untold = {
            place for name in names.difference(told, [self._own]) for place in self._digests(name)
        }

    def current(self, batch: str, home: str) -> bytes | None:
        """The list of a batch and home (the ended: "") as it holds now; None where an older version told none.
        TamperedError for one that the log does not bind, UnavailableError while it does not say."""
        if (
            f"{batch}/{home}" in self.mine
        ):  # whose rows are as they were before it, though it has changed them
            raise self.changed(batch)
        return self.before(batch, home)

    def before(self, batch: str, home: str) -> bytes | None:
        """The same, whatever lies there under one's own name."""
        place = f"{batch}/{home}"
        self._await_told(place)
        renewal = self._holds.get(place)
        if renewal is not None:
            return self._read(renewal, place, batch)
        if batch not in self._lists and not self._bound(batch):
            return None
        return self._read(batch, home, batch)

    def changed(self, batch: str) -> TamperedError:
        """Rows or lists are not what the log binds."""
        return TamperedError(
            "exchange.rows.changed",
            Text(
                f"rows of {self._dataset} are not those that batch {batch[:19]} wrote",
                f"{self._dataset} 的行与批次 {batch[:19]} 写入的不一致",
            ),
            remedy=Text(
                "huanshu verify names them; tell security staff",
                "huanshu verify 会逐条指出；请通知安全人员",
            ),
        )

    def _read(self, name: str, home: str, batch: str) -> bytes:
        if name not in self._lists:
            self._compared(name)
        row = self._district.execute(
            "SELECT rows FROM district.written WHERE batch = %s AND home = %s", (name, home)
        ).fetchone()
        wanted = self._lists[name].get(home)
        if row is None or wanted is None or hashlib.sha256(row[0]).digest() != wanted:
            raise self.changed(batch)
        return bytes(row[0])

    def _compared(self, name: str) -> dict[str, bytes]:
        """The lists of a batch by their digests, which are those that its entry binds."""
        found = self._digests(name)
        if written_digest(found) != self._bound(name):
            raise self.changed(name)
        self._lists[name] = found
        return found

    def _digests(self, name: str) -> dict[str, bytes]:
        # Reckoned by the server: a list that is used is read, and its digest made here.
        query = "SELECT home, sha256(rows) FROM district.written WHERE batch = %s"
        return {str(home): bytes(digest) for home, digest in self._district.execute(query, (name,))}

    def _bound(self, name: str) -> str:
        """What the entry of a batch binds; "" where an older version bound nothing."""
        began = time.monotonic()
        while (found := self._keeper.bound(self._dataset, name)) is None:
            self._wait(began, _untold(name))
        return found

    def _await_told(self, place: str) -> None:
        began = time.monotonic()
        while place in self._untold:
            self._wait(began, _unfinished())
            self.refresh()

    def _wait(self, began: float, error: UnavailableError) -> None:
        if time.monotonic() - began > _PATIENCE:
            raise error
        time.sleep(_PAUSE)


def _untold(batch: str) -> UnavailableError:
    return UnavailableError(
        "exchange.batch.untold",
        Text(
            f"rows of batch {batch[:19]} are there, and the log does not tell of them yet",
            f"批次 {batch[:19]} 的行已写入，但日志尚未记载",
        ),
        remedy=Text(
            "run its flow again, which tells it; huanshu verify says when nothing ever announced it",
            "请重新运行该流向以补记；若从未预告，huanshu verify 会指出",
        ),
    )


def _unfinished() -> UnavailableError:
    return UnavailableError(
        "exchange.renewal.unfinished",
        Text(
            "another rotation or erasure has changed these rows and is not told yet",
            "另一轮换或删除已改动这些行，但尚未入链",
        ),
        remedy=Text(
            "finish it first: huanshu keys rotate, huanshu keys apply",
            "请先完成：huanshu keys rotate、huanshu keys apply",
        ),
    )

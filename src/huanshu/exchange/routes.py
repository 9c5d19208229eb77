"""The connections of a run: two to the district, one to each store that receivers lie in, opened when first needed.

    effects    commits what a delivery does in the district, transaction by transaction
    reading    holds one snapshot a delivery, in which its slice is read
    store      the receiver's own; receivers of one store share it, one after the other

A connection that broke is left behind and opened anew for the next delivery.
"""

from __future__ import annotations

from types import TracebackType

import psycopg
from psycopg import IsolationLevel

from huanshu.exchange.ground import Ground


class Routes:
    """Used by one delivery at a time. Close it (or use it as a context manager)."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._open: dict[str, psycopg.Connection] = {}

    def __enter__(self) -> Routes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def effects(self) -> psycopg.Connection:
        """The connection of the books (``books``): its commits do not wait for the disk."""
        found = self._found("effects")
        if found is None:
            found = self._keep("effects", self._ground.district())
            found.execute("SET synchronous_commit = off")
        return found

    def reading(self) -> psycopg.Connection:
        found = self._found("reading")
        if found is None:
            found = self._keep("reading", self._ground.district())
            found.isolation_level = IsolationLevel.REPEATABLE_READ
            found.read_only = True
        return found

    def store(self, receiver: str) -> psycopg.Connection:
        name = f"store/{self._ground.home.policies.domains[receiver].store}"
        return self._found(name) or self._keep(name, self._ground.receiver(receiver))

    def _keep(self, name: str, connection: psycopg.Connection) -> psycopg.Connection:
        self._open[name] = connection
        return connection

    def _found(self, name: str) -> psycopg.Connection | None:
        found = self._open.get(name)
        if (
            found is None or found.closed or found.info.transaction_status
        ):  # broken, or left inside a transaction
            return None
        return found

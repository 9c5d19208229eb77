"""The process that loads: one COPY into the staging, of the rows of all workers (docs/decisions/0029).

Rows can be stored frozen only by the transaction that made their table, so one connection takes them all; ``versions``
says why it pays. It ends with every worker's last row, the staging indexed. Whoever is killed, here or in a worker: the
server rolls the transaction back, and the staging is as empty as it was.

It holds no key and sees no plaintext.
"""

from __future__ import annotations

from huanshu.exchange.chutes import Arrivals
from huanshu.exchange.staging import Task
from huanshu.exchange.versions import Versions
from huanshu.keeper.vouched import bound_columns


class Loading:
    """At the lower end of the workers' chutes."""

    def __init__(self, task: Task) -> None:
        self._ground, self._contract = task.ground, task.contract
        self._arrivals = Arrivals(task.chutes)

    def load(self) -> None:
        """Until the last worker has said the end."""
        versions, names = Versions(self._contract), bound_columns(self._contract)
        with (
            self._arrivals as arriving,
            self._ground.district() as district,
            versions.filling(district, names) as put,
        ):
            for rows in arriving:
                put(rows)

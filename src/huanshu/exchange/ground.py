"""What every exchange stands on: the home, the keeper, the district store, and the receivers' stores.

Wired once by ``assembly``. Connections are made per run and closed by it; ``receiver_url`` answers the store
that ``domains.csv`` and the deployment name for a domain.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import psycopg

from huanshu.catalog import Contract, Flow, Home
from huanshu.errors import ContentError, Text, Where
from huanshu.exchange.bound import Bound
from huanshu.exchange.receiving import Receiving
from huanshu.keeper.client import Keeper

#: Each holds its part of an extract in memory, so more of them are not a matter of processors alone.
MAX_WORKERS: Final = 4
WORTH_A_WORKER: Final = 40_000


class Progress(Protocol):
    """Told after every step; a face may draw it. Never given a value."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


def quiet(what: str, done: int, total: int) -> None:
    """Draws nothing."""


class Pause(Protocol):
    """Called by name between the steps of an exchange: where a drill or a fault test stops the world."""

    def __call__(self, point: str) -> None: ...


def no_pause(point: str) -> None:
    """Goes straight on."""


#: Records whose keys are borrowed at once, and after which a change of rules is noticed at the latest: about a
#: community's slice. What lies in the caches at a time is smaller; ``sealing`` sees to that.
CHUNK: Final = 16_384
#: Receivers that are worth a worker of their own.
WORTH_SERVING: Final = 12


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts an exchange works with. ``chunk`` is records per loan of keys."""

    home: Home
    keeper: Keeper
    district: Callable[[], psycopg.Connection]
    receiver: Callable[[str], psycopg.Connection]
    clock: Callable[[], datetime]
    chunk: int = CHUNK
    #: Records of an extract that one worker judges at once; a judgement costs seconds, whatever their number.
    batch: int = 700_000
    #: Processes that share the work on an extract or serve receivers side by side; None: as many as pay.
    workers: int | None = None
    progress: Progress = field(default=quiet)
    pause: Pause = field(default=no_pause)
    #: Makes the receiver's side of a delivery (a drill's control arm puts a careless one here).
    receiving: Callable[[psycopg.Connection, Contract, Flow, str], Receiving] = field(default=Receiving)
    #: Says which lists of the store the log binds (a drill's control arm puts one here that believes the store).
    bound: Callable[[psycopg.Connection, Keeper, str, str], Bound] = field(default=Bound)

    def workers_for(self, records: int) -> int:
        """How many workers an extract of that many records is worth."""
        return self.workers or max(1, min(os.cpu_count() or 1, MAX_WORKERS, records // WORTH_A_WORKER))

    def workers_serving(self, receivers: int) -> int:
        """How many workers that many receivers are worth. Who stops the world between two steps stops one world."""
        if self.workers is None and self.pause is not no_pause:
            return 1
        return self.workers or max(1, min(os.cpu_count() or 1, MAX_WORKERS, receivers // WORTH_SERVING))

    def flow(self, name: str, kind: str | None = None) -> Flow:
        """The declared flow of that name (and kind). ContentError when there is none."""
        flow = self.home.flows.get(name)
        if flow is None or (kind is not None and flow.kind != kind):
            raise ContentError(
                "exchange.flow.unknown",
                Text(f"no {kind or 'declared'} flow is named {name}", f"没有名为 {name} 的流向"),
                remedy=Text(
                    f"declared are: {', '.join(sorted(self.home.flows))}",
                    f"已声明：{'、'.join(sorted(self.home.flows))}",
                ),
                where=Where("dags/flows"),
            )
        return flow

    def begin(self, flow: Flow, run: str) -> None:
        """Log that a run begins, once per run id. DeniedError when nobody who may has approved the flow's digest:
        then nothing runs at all, not even a run with nothing due."""
        self.keeper.append(
            {
                "event": "exchange.run.started",
                "once": f"exchange.run.started/{flow.flow}/{run}",
                "flow": {"id": flow.flow, "run": run},
                "detail": {},
            }
        )

    def contract(self, flow: Flow) -> Contract:
        return self.home.contracts[flow.dataset]

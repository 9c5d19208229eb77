"""What the faces work with: a deployment that runs. Connects; starts nothing."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from huanshu.assembly.deployment import Deployment, open_deployment
from huanshu.assembly.fresh_home import home_now
from huanshu.assembly.keeper_process import clock_of
from huanshu.catalog import Home
from huanshu.exchange.ground import CHUNK, Ground, Pause, Progress, no_pause, quiet
from huanshu.keeper.client import Keeper
from huanshu.keeper.server import forbid_core_files
from huanshu.settings import Settings
from huanshu.store import connect as connect_to


@dataclass(frozen=True, slots=True)
class Running:
    """A running deployment, as one asker sees it."""

    deployment: Deployment
    home: Home
    keeper: Keeper

    def district(self) -> psycopg.Connection:
        """A connection to the district store as role huanshu_app."""
        return connect_to(self.deployment.roles["huanshu_app"])

    def receiver(self, code: str) -> psycopg.Connection:
        """A connection to the store that holds a receiver's slice."""
        return connect_to(self.deployment.stores[self.home.policies.domains[code].store])

    def ground(
        self,
        progress: Progress = quiet,
        pause: Pause = no_pause,
        chunk: int = CHUNK,
        workers: int | None = None,
    ) -> Ground:
        return Ground(
            home=self.home,
            keeper=self.keeper,
            district=self.district,
            receiver=self.receiver,
            clock=clock_of(self.home),
            chunk=chunk,
            workers=workers,
            progress=progress,
            pause=pause,
        )


def connect(settings: Settings, acting_as: str | None = None, *, triggered_by: str | None = None) -> Running:
    """Connect to the deployment in the state folder; its keeper must be up when it is first asked. ``triggered_by``:
    as the keeper's client has it.

    From here the process may hold keys and values: it, and what it forks, leaves no core file."""
    forbid_core_files()
    deployment = open_deployment(settings)
    keeper = Keeper(settings.keeper_socket, acting_as, triggered_by=triggered_by)
    return Running(deployment, home_now(settings.home), keeper)

"""A keeper's service over a test's ground: real log, real vault, no socket."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from huanshu.access import Enforcer
from huanshu.auditlog import HeadFile, LogWriter, PublishedLog, Publisher, Witnesses, require_signature
from huanshu.catalog import Home
from huanshu.keeper.establish import Peer
from huanshu.keeper.service import Parts, Service
from huanshu.keeper.tending import Tending
from huanshu.keeper.vault import Vault
from huanshu.store import connect

#: Who asks in these tests: the owner of the process, and so of a sandbox.
OWNER = Peer(os.geteuid(), "owner")


def service_over(
    ground: Any,
    home: Home,
    head: HeadFile,
    vault: Vault,
    origin: str = "",
    monotonic: Callable[[], float] | None = None,
    read_home: Callable[[], Home] | None = None,
) -> Service:
    """A service that has started: it has read the whole log. ``monotonic``: another clock than the ground's that nobody
    can set."""
    url, folder = ground.keeper_url, ground.folder
    origin = origin or home.log_origin

    def read(note: str) -> Any:
        return ground.signer.read_checkpoint(origin, note)

    writer = LogWriter(lambda: connect(url), ground.signer, origin, head, ground.clock)
    publisher = Publisher(PublishedLog(folder / "log"), lambda: connect(url), read)
    policy, state = folder / "witnesses.policy", folder / "witnesses"
    witnesses = Witnesses(policy, publisher.published, read, require_signature, state, ground.clock)
    return Service(
        Parts(
            read_home=read_home or (lambda: home),
            enforcer=lambda home: Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone)),
            writer=writer,
            vault=vault,
            connect=lambda: connect(url),
            keeper_uid=OWNER.uid,
            tending=Tending(writer, publisher, witnesses, ground.clock, monotonic or ground.clock.ticks),
        )
    )

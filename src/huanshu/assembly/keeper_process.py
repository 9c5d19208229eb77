"""The keeper's own assembly: from settings to a service behind a socket, in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from huanshu import telemetry
from huanshu.access import Enforcer
from huanshu.assembly.deployment import Deployment
from huanshu.assembly.fresh_home import FreshHome
from huanshu.auditlog import (
    HeadFile,
    LogWriter,
    PublishedLog,
    Publisher,
    Register,
    Signer,
    Witnesses,
    require_signature,
)
from huanshu.auditlog.witnesses import POLICY
from huanshu.catalog import Home
from huanshu.defects import silence
from huanshu.keeper.freshness import Freshness
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.server import Server, forbid_core_files
from huanshu.keeper.service import Parts, Service
from huanshu.keeper.tending import Tending
from huanshu.keeper.vault import Vault, load_root, require_profile
from huanshu.store import connect
from huanshu.tlog import Checkpoint


def clock_of(home: Home) -> Callable[[], datetime]:
    """The time now, in the district's zone."""
    zone = ZoneInfo(home.timezone)
    return lambda: datetime.now(zone)


def build_service(
    deployment: Deployment,
    *,
    enforcer: Callable[[Home], Enforcer] | None = None,
    clock: Callable[[], datetime] | None = None,
    recalled: Callable[[Register, OpenBitmap], RecalledRecords] = RecalledRecords,
    freshness: type[Freshness] = Freshness,
) -> Service:
    """The service over a deployment. All but the deployment is for a range's control arm and for tests."""
    settings = deployment.settings
    home = FreshHome(settings.home)
    now = clock or clock_of(home())
    url = deployment.roles["huanshu_keeper"]
    signer = Signer.load(settings.keeper_folder / "log.key")
    writer = LogWriter(
        lambda: connect(url), signer, home().log_origin, HeadFile(settings.keeper_folder / "head"), now
    )
    published = PublishedLog(settings.log_folder)
    origin = home().log_origin

    def read_checkpoint(note: str) -> Checkpoint:
        return signer.read_checkpoint(origin, note)

    publisher = Publisher(published, lambda: connect(url), read_checkpoint)
    witnesses = Witnesses(
        settings.home / POLICY,
        published,
        read_checkpoint,
        require_signature,
        settings.state / "witnesses",
        now,
    )
    root = load_root(settings.keeper_folder / "root.key")
    require_profile(root, home())
    vault = Vault(root, connect(url))
    return Service(
        Parts(
            read_home=home,
            enforcer=enforcer or enforcer_of,
            writer=writer,
            vault=vault,
            connect=lambda: connect(url),
            keeper_uid=os.geteuid(),
            tending=Tending(writer, publisher, witnesses, now, freshness=freshness),
            recalled=recalled,
        )
    )


def enforcer_of(home: Home) -> Enforcer:
    """Casbin over this home's rules, in its own time zone."""
    return Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))


def run_keeper(deployment: Deployment) -> None:
    """Serve until SIGTERM or SIGINT."""
    forbid_core_files()
    silence()
    if deployment.settings.otlp_endpoint:
        telemetry.export_to(deployment.settings.otlp_endpoint)
    server = Server(deployment.settings.keeper_socket, build_service(deployment))
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: _stop())
    try:
        server.serve_forever()
    except SystemExit:
        server.server_close()


def _stop() -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    from huanshu.assembly.deployment import open_deployment
    from huanshu.settings import read_settings

    run_keeper(open_deployment(read_settings()))

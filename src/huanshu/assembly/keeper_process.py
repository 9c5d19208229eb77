"""The keeper's own assembly: from settings to a service behind a socket, in a process of its own.

A log that lacks acknowledged entries (a restore from an older backup) is served by the closed keeper until two persons
give them up; every other log that is not ours is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from huanshu import telemetry
from huanshu.access import Enforcer
from huanshu.assembly.deployment import Deployment, root_place
from huanshu.assembly.fresh_home import home_at
from huanshu.assembly.watch import Watch
from huanshu.auditlog import (
    HeadFile,
    LogWriter,
    Origins,
    PublishedLog,
    Publisher,
    Register,
    Signer,
    Witnesses,
    require_signature,
)
from huanshu.auditlog.reopening import finish
from huanshu.auditlog.rotations import Rotations
from huanshu.auditlog.witnesses import POLICY
from huanshu.catalog import Home
from huanshu.defects import silence
from huanshu.errors import TamperedError
from huanshu.keeper.budgets import Budgets
from huanshu.keeper.closed import ClosedParts, ClosedServer, ClosedService
from huanshu.keeper.counting import Reader
from huanshu.keeper.custody import require_another
from huanshu.keeper.erased import ErasedSubjects
from huanshu.keeper.freshness import Freshness
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.reopening import TwoPersons
from huanshu.keeper.root import open_root
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.server import Listener, Server, forbid_core_files
from huanshu.keeper.service import Parts, Service
from huanshu.keeper.tending import Tending
from huanshu.keeper.vault import Vault, require_profile
from huanshu.keeper.vouched import Rows
from huanshu.store import connect


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
    erased: Callable[[Register, OpenBitmap], ErasedSubjects] = ErasedSubjects,
    budgets: Callable[[OpenBitmap], Budgets] = Budgets,
    reader: type[Reader] = Reader,
    rows: type[Rows] = Rows,
    second: SecondPerson | None = None,
    reread: Callable[[Callable[[], Home]], Callable[[], Home]] = lambda home: home,
    another: Callable[[str, str], None] = require_another,
    due: Callable[[Rotations, str, str, int], bool] = Rotations.due,
) -> Service:
    """The service over a deployment. All but the deployment is for a range's control arm and for tests."""
    settings = deployment.settings
    home = home_at(settings.home)
    now = clock or clock_of(home())
    url = deployment.roles["huanshu_keeper"]
    origins = complete_reopening(deployment, home())
    head, published = HeadFile(settings.keeper_folder / "head"), PublishedLog(settings.log_folder)
    writer = LogWriter(lambda: connect(url), origins.signer, origins.current, head, now)
    publisher = Publisher(published, lambda: connect(url), origins.read_any)
    witnesses = Witnesses(
        settings.home / POLICY,
        published,
        origins.read,
        require_signature,
        settings.state / "witnesses",
        now,
    )
    root = open_root(root_place(settings), home().policies.keys.root_provider)
    require_profile(root, home())
    vault = Vault(root, connect(url))
    return Service(
        Parts(
            read_home=reread(home),
            enforcer=enforcer or enforcer_of,
            writer=writer,
            vault=vault,
            connect=lambda: connect(url),
            keeper_uid=os.geteuid(),
            tending=Tending(writer, publisher, witnesses, now, freshness=freshness),
            recalled=recalled,
            erased=erased,
            budgets=budgets,
            reader=reader,
            rows=rows,
            second=second or SecondPerson(),
            another=another,
            due=due,
        )
    )


def watch_over(
    deployment: Deployment, service: Service, clock: Callable[[], datetime] | None = None
) -> Watch:
    """The alerts' watch over a service's log."""
    home, url = home_at(deployment.settings.home), deployment.roles["huanshu_keeper"]
    now = clock or clock_of(home())
    return Watch(home, lambda: connect(url), lambda: service.size, now, service.open_finding)


def complete_reopening(deployment: Deployment, home: Home) -> Origins:
    """The log's origins as its head says; completes first an opening that a crash has interrupted."""
    settings = deployment.settings
    signer, head = (
        Signer.load(settings.keeper_folder / "log.key"), HeadFile(settings.keeper_folder / "head"),
    )  # fmt: skip
    origins = Origins.of(signer, home.log_origin, head.read())
    with connect(deployment.roles["huanshu_keeper"]) as connection:
        if finish(connection, origins, head, PublishedLog(settings.log_folder)):
            return Origins.of(signer, home.log_origin, head.read())
    return origins


def closed_service(
    deployment: Deployment,
    refused: TamperedError,
    *,
    clock: Callable[[], datetime] | None = None,
    rule: TwoPersons | None = None,
) -> ClosedService:
    """What serves where the ordinary keeper refused to start: only when what the log lacks can be given up, otherwise
    TamperedError. ``clock`` and ``rule`` are for a range."""
    settings = deployment.settings
    home, url = home_at(settings.home), deployment.roles["huanshu_keeper"]
    head = HeadFile(settings.keeper_folder / "head")
    origins = Origins.of(Signer.load(settings.keeper_folder / "log.key"), home().log_origin, head.read())
    published, now = PublishedLog(settings.log_folder), clock or clock_of(home())
    witnesses = Witnesses(
        settings.home / POLICY,
        published,
        origins.read,
        require_signature,
        settings.state / "witnesses",
        now,
    )
    return ClosedService(
        ClosedParts(
            read_home=home,
            policy=lambda: witnesses.policy()[1],
            origins=origins,
            head=head,
            published=published,
            connect=lambda: connect(url),
            waiting=settings.keeper_folder / "reopening",
            clock=now,
            keeper_uid=os.geteuid(),
            rule=rule or TwoPersons(),
        ),
        refused,
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
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: _stop())
    while True:
        server = _listener(deployment)
        try:
            server.serve_forever()
        except SystemExit:
            server.server_close()
            return
        server.server_close()  # a closed log was opened: now the ordinary keeper


def _listener(deployment: Deployment) -> Listener:
    """The keeper; where its log lacks what was acknowledged, the closed one."""
    socket = deployment.settings.keeper_socket
    try:
        service = build_service(deployment)
        return Server(socket, service, watch_over(deployment, service).round)
    except TamperedError as refused:
        return ClosedServer(socket, closed_service(deployment, refused))


def _stop() -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    from huanshu.assembly.deployment import open_deployment
    from huanshu.settings import read_settings

    run_keeper(open_deployment(read_settings()))

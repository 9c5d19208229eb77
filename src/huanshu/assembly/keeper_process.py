"""The keeper's own assembly: from settings to a service behind a socket, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from huanshu import telemetry
from huanshu.access import Enforcer
from huanshu.assembly.deployment import Deployment
from huanshu.auditlog import HeadFile, LogWriter, Register, Signer
from huanshu.catalog import Home, read_home
from huanshu.errors import HuanshuError
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.server import Server, forbid_core_files
from huanshu.keeper.service import Parts, Service
from huanshu.keeper.vault import Vault, load_root
from huanshu.store import connect


class FreshHome:
    """The home as its files are now: read again when any file's size or time has changed.

    A home that cannot be read now raises, request after request: the keeper fails closed until it is mended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: frozenset[tuple[str, int, int]] = frozenset()
        self._home: Home | None = None
        self._fault: HuanshuError | None = None

    def __call__(self) -> Home:
        stamp = self._look()
        if stamp != self._stamp:
            self._home, self._fault, self._stamp = None, None, stamp
            try:
                self._home = read_home(self._path)
            except HuanshuError as fault:
                self._fault = fault
        if self._home is None:
            assert self._fault is not None  # one of the two is set whenever the stamp is
            raise self._fault
        return self._home

    def _look(self) -> frozenset[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for folder in ("policies", "expectations", "dags", "audit"):
            _stamp(os.path.join(self._path, folder), found, _DEEPEST)
        return frozenset(found)


#: Most files of a home lie here, and ``read_home`` reads none of them.
_UNREAD: Final = frozenset({"samples", "reports", "drills", "campaigns", "alerts", "__pycache__"})


#: ``expectations/<dataset>/codes``; links are followed, so a ring of them must end somewhere.
_DEEPEST: Final = 3


def _stamp(folder: str, found: list[tuple[str, int, int]], depth: int) -> None:
    """Adds path, size and time of every file below ``folder`` that a home is read from. What is gone when it is
    looked at is not there: the stamp differs, and ``read_home`` says what is missing."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".csv", ".yaml", ".conf")):
                with contextlib.suppress(OSError):
                    seen = entry.stat()
                    found.append((entry.path, seen.st_size, seen.st_mtime_ns))
            elif depth > 1 and entry.name not in _UNREAD and entry.is_dir():
                _stamp(entry.path, found, depth - 1)


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
    vault = Vault(load_root(settings.keeper_folder / "root.key"), connect(url))
    return Service(
        Parts(
            read_home=home,
            enforcer=enforcer or enforcer_of,
            writer=writer,
            vault=vault,
            connect=lambda: connect(url),
            clock=now,
            keeper_uid=os.geteuid(),
            recalled=recalled,
        )
    )


def enforcer_of(home: Home) -> Enforcer:
    """Casbin over this home's rules, in its own time zone."""
    return Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))


def run_keeper(deployment: Deployment) -> None:
    """Serve until SIGTERM or SIGINT."""
    forbid_core_files()
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

"""The processes of a deployment: embedded servers and the keeper, owned by one process at a time.

``running`` uses what is up already, or brings it up for the time of one command. Whoever started it stops it.
A lock file keeps two owners apart; it is a lock on an open file, so a killed owner leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from huanshu.assembly.deployment import Deployment, create, exists, open_deployment, upgrade
from huanshu.assembly.running import Running, connect
from huanshu.errors import HuanshuError, Text, UnavailableError
from huanshu.keeper.client import Keeper
from huanshu.settings import Settings

_PATIENCE_SECONDS = 30.0


class Stack:
    """Embedded servers and keeper of one deployment. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.deployment: Deployment
        self.keeper: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Stack:
        self._own()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the deployment when there is none; otherwise bring up what is down and apply new migrations."""
        if not exists(self.settings):
            self.deployment = create(self.settings)
        else:
            self.deployment = open_deployment(self.settings)
            for name in self.deployment.embedded:
                self.deployment.server(name).start()
            upgrade(self.deployment)
        self.start_keeper()

    def start_keeper(self) -> None:
        """Start the keeper and wait until it answers. Its own error is told when it does not come up."""
        told = self.settings.keeper_folder / "keeper.err"
        with told.open("wb") as errors:
            self.keeper = subprocess.Popen(
                [sys.executable, "-m", "huanshu.assembly.keeper_process"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=child_environment(self.settings),
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            if answers(self.settings):
                return
            if self.keeper.poll() is not None:
                break
            time.sleep(0.05)
        reason = told.read_text(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise UnavailableError(
            "assembly.keeper.down",
            Text(f"the keeper did not come up: {reason[0]}", f"钥匙保管未能启动：{reason[0]}"),
        )

    def mend(self) -> None:
        """Start again what has died since: a server, the keeper. Does nothing while all is well."""
        for name in self.deployment.embedded:
            server = self.deployment.server(name)
            if not server.running:
                server.start()
        if self.keeper is None or self.keeper.poll() is not None:
            self.start_keeper()

    def stop_keeper(self) -> None:
        if self.keeper is not None:
            self.keeper.terminate()
            try:
                self.keeper.wait(10)
            except subprocess.TimeoutExpired:
                self.keeper.kill()
                self.keeper.wait()
            self.keeper = None

    def stop(self) -> None:
        """Keeper first, then the servers, then the ownership."""
        self.stop_keeper()
        if exists(self.settings):
            deployment = open_deployment(self.settings)
            for name in reversed(deployment.embedded):
                deployment.server(name).stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own(self) -> None:
        self.settings.state.mkdir(parents=True, exist_ok=True)
        self._lock = (self.settings.state / "owner.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise UnavailableError(
                "assembly.stack.owned",
                Text(
                    "another huanshu process is starting or stopping this deployment",
                    "另一 huanshu 进程正在启停本部署",
                ),
                remedy=Text("wait a moment, then try again", "请稍候再试"),
            ) from None


def answers(settings: Settings) -> bool:
    """Whether a keeper answers on the socket (what it answers does not matter)."""
    keeper = Keeper(settings.keeper_socket)
    try:
        keeper.status()
    except UnavailableError as error:
        return error.code != "keeper.socket.unreachable"
    except HuanshuError:
        return True
    finally:
        keeper.close()
    return True


def owned(settings: Settings) -> bool:
    """Whether some process owns this deployment's processes now."""
    try:
        with (settings.state / "owner.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def mended(settings: Settings, acting_as: str | None = None) -> Iterator[Running]:
    """As ``running``, after starting what is down of this machine's own: embedded servers, and the keeper when nobody
    owns it. Where somebody does (``huanshu up`` looks after its own), waits for that."""
    deployment = open_deployment(settings)
    if not answers(settings) and not owned(settings):
        with Stack(settings):
            yield connect(settings, acting_as)
        return
    for name in deployment.embedded:
        deployment.server(name).start()
    end = time.monotonic() + _PATIENCE_SECONDS
    while not answers(settings) and time.monotonic() < end:
        time.sleep(0.1)
    yield connect(settings, acting_as)


@contextmanager
def evidence(settings: Settings, acting_as: str | None = None) -> Iterator[Running]:
    """As ``running``, but without a keeper where it refuses to start: a log that is not ours must still be shown."""
    try:
        with running(settings, acting_as) as here:
            yield here
            return
    except UnavailableError as error:
        if error.code not in ("assembly.keeper.down", "assembly.stack.owned"):
            raise
    deployment = open_deployment(settings)
    mine = [server for server in map(deployment.server, deployment.embedded) if not server.running]
    try:
        for server in mine:
            server.start()
        yield connect(settings, acting_as)
    finally:
        for server in mine:
            server.stop()


@contextmanager
def running(settings: Settings, acting_as: str | None = None) -> Iterator[Running]:
    """A running deployment for the time of one command: the one that is up, or one of our own."""
    open_deployment(settings)
    if answers(settings):
        yield connect(settings, acting_as)
        return
    with Stack(settings):
        yield connect(settings, acting_as)


def child_environment(settings: Settings) -> dict[str, str]:
    """What a child process needs to find the same deployment, and nothing else."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ
    }
    named = {
        "HUANSHU_HOME": str(settings.home),
        "HUANSHU_STATE": str(settings.state),
        "HUANSHU_LANG": settings.language,
        "PYTHONPATH": os.pathsep.join(_import_path()),
    }
    if settings.otlp_endpoint:
        named["HUANSHU_OTLP_ENDPOINT"] = settings.otlp_endpoint
    if settings.openlineage_url:
        named["HUANSHU_OPENLINEAGE_URL"] = settings.openlineage_url
    return {**kept, **named}


def _import_path() -> list[str]:
    return [str(Path(__file__).parents[2])]

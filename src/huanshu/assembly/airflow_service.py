"""Airflow as three child processes: API server, scheduler, DAG processor — configured by environment alone.

Its metadata is a database of its own (role huanshu_airflow, nothing else); its executor runs tasks on this
machine; it listens on loopback only and asks for a password. Nothing is reported home. Airflow itself is not
imported here: it is started, asked over HTTP, and stopped as a process group.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.assembly.deployment import Deployment
from huanshu.assembly.fresh_home import home_now
from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.stack import child_environment
from huanshu.errors import Text, UnavailableError
from huanshu.store.urls import for_sqlalchemy

_COMPONENTS: Final = ("api-server", "scheduler", "dag-processor")
_HEALTHY_SECONDS: Final = 120.0
_RUN_SECONDS: Final = 600.0
_ENDED: Final = frozenset({"success", "failed"})


def airflow_installed() -> bool:
    """Whether the extra is installed (without importing it)."""
    return importlib.util.find_spec("airflow") is not None


class AirflowService:
    """Airflow over one deployment's home. ``start``, then ``trigger`` and ``wait``; ``stop`` ends all of it."""

    def __init__(
        self,
        folder: Path,
        metadata_url: str,
        home: Path,
        inherited: dict[str, str],
        otlp_endpoint: str | None = None,
        starters: Mapping[str, str] | None = None,
    ) -> None:
        """``starters``: DAG → the Airflow user who may start it by hand."""
        self._folder = folder
        self._metadata_url = metadata_url
        self._home = home
        self._inherited = inherited
        self._otlp_endpoint = otlp_endpoint
        self._port = _free_port()
        self._starters = dict(starters or {})
        self._tokens: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    def of(cls, deployment: Deployment) -> AirflowService:
        """The service of a deployment."""
        settings = deployment.settings
        url = for_sqlalchemy(deployment.roles["huanshu_airflow"])
        folder, inherited = settings.state / "airflow", child_environment(settings)
        return cls(folder, url, settings.home, inherited, settings.otlp_endpoint, _starters(settings.home))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def password_file(self) -> Path:
        return self._folder / "passwords.json"

    def start(self) -> None:
        """Migrate the metadata, start the components, wait until they are healthy and know the DAGs."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self._password()
        migrated = self._spawn("db", "migrate")
        if migrated.wait(180) != 0:
            raise self._down("db migrate")
        self._processes = [self._spawn(name) for name in _COMPONENTS]
        end = time.monotonic() + _HEALTHY_SECONDS
        while not self._healthy():
            if time.monotonic() > end or any(process.poll() is not None for process in self._processes):
                self.stop()
                raise self._down("start")
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop every process of every component's group; what does not go is killed."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            end = time.monotonic() + 8
            while time.monotonic() < end and any(_group_alive(p) for p in self._processes):
                time.sleep(0.1)
        self._processes = []

    # -- runs -----------------------------------------------------------------------------------

    def trigger(self, dag: str, partition: str | None = None) -> str:
        """Start a run of a DAG (of one partition) as who may; returns its run id. Waits until the DAG is known."""
        end = time.monotonic() + _HEALTHY_SECONDS
        given = {"logical_date": None, **({} if partition is None else {"partition_key": partition})}
        while True:
            try:
                made = self._ask("POST", f"/api/v2/dags/{dag}/dagRuns", given, user=self._starters.get(dag))
                return str(made["dag_run_id"])
            except urllib.error.HTTPError as error:
                if error.code != 404 or time.monotonic() > end:
                    raise self._down(f"trigger {dag} ({error.code})") from None
                time.sleep(0.3)

    def wait(self, dag: str, run: str) -> str:
        """Wait for a run to end; returns its state."""
        end = time.monotonic() + _RUN_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):  # a busy machine: asked again
                state = str(self._ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])
                if state in _ENDED:
                    return state
            time.sleep(0.3)
        return "timeout"

    def wait_for_asset_run(self, dag: str, after: int) -> str:
        """The run id of the run number ``after + 1`` (by start) of a DAG that an asset update started."""
        end = time.monotonic() + _HEALTHY_SECONDS
        while time.monotonic() < end:
            runs = self.runs(dag)
            if len(runs) > after:
                return str(runs[after]["dag_run_id"])
            time.sleep(0.3)
        raise self._down(f"no asset run of {dag}")

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Every run of a DAG as Airflow tells of it, by start; at most 200."""
        found = self._ask("GET", f"/api/v2/dags/{dag}/dagRuns?order_by=run_after&limit=200")["dag_runs"]
        return [dict(run) for run in found]

    def partitions(self, asset: str) -> list[str]:
        """Partition keys of an asset's events, oldest first; at most 200."""
        found = self._ask("GET", "/api/v2/assets/events?limit=200&order_by=timestamp")["asset_events"]
        return [str(event["partition_key"]) for event in found if event["name"] == asset]

    # -- pieces ---------------------------------------------------------------------------------

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{arguments[0]}.log").open("ab")
        with log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "airflow", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
                cwd=self._folder,
            )

    def _environment(self) -> dict[str, str]:
        bin_folder = str(Path(sys.executable).parent)
        private = self._secrets()
        return {
            **self._inherited,
            "PATH": os.pathsep.join([bin_folder, self._inherited.get("PATH", "")]),
            "AIRFLOW_HOME": str(self._folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": private["fernet"],
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                ["admin:admin", *(f"{user}:user" for user in sorted(set(self._starters.values())))]
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.password_file),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata_url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": self._metadata_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": private["session"],
            "AIRFLOW__API_AUTH__JWT_SECRET": private["jwt"],
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self._folder / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "1",
            **self._tracing(),
        }

    def _tracing(self) -> dict[str, str]:
        """Airflow's own spans go where ours go, so that a run and its entries are one trace."""
        if self._otlp_endpoint is None:
            return {}
        return {
            "AIRFLOW__TRACES__OTEL_ON": "True",
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": self._otlp_endpoint,
            "OTEL_SERVICE_NAME": "airflow",
        }

    def _secrets(self) -> dict[str, str]:
        path = self._folder / "secrets.json"
        if not path.exists():
            made = {
                "fernet": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "jwt": secrets.token_urlsafe(48),
                "session": secrets.token_urlsafe(48),
            }
            _write_private(path, json.dumps(made))
        read: dict[str, str] = json.loads(path.read_text())
        return read

    def _password(self, user: str = "admin") -> str:
        """Each user's; who is new gets one."""
        known: dict[str, str] = {}
        if self.password_file.exists():
            known = json.loads(self.password_file.read_text())
        missing = {"admin", *self._starters.values()} - known.keys()
        if missing:
            known |= {name: secrets.token_urlsafe(16) for name in sorted(missing)}
            fresh = self.password_file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            _write_private(fresh, json.dumps(known))
            fresh.replace(self.password_file)
        return known[user]

    def _healthy(self) -> bool:
        try:
            found = self._ask("GET", "/api/v2/monitor/health", signed=False)
        except (OSError, ValueError):
            return False
        return all(
            found[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")
        )

    def _ask(
        self, method: str, path: str, body: Any = None, *, signed: bool = True, user: str | None = None
    ) -> Any:
        headers = {"Content-Type": "application/json"}
        if signed:
            headers["Authorization"] = f"Bearer {self._login(user or 'admin')}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own loopback
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    def _login(self, user: str) -> str:
        if user not in self._tokens:
            given = {"username": user, "password": self._password(user)}
            self._tokens[user] = str(self._ask("POST", "/auth/token", given, signed=False)["access_token"])
        return self._tokens[user]

    def _down(self, what: str) -> UnavailableError:
        return UnavailableError(
            "assembly.airflow.down",
            Text(f"Airflow is not well: {what}", f"Airflow 异常：{what}"),
            remedy=Text(f"read the logs in {self._folder}", f"请查看 {self._folder} 中的日志"),
        )


def _starters(path: Path) -> dict[str, str]:
    """DAG → Airflow account of who holds the flow's accountable post now. A run by hand is in that person's name, and
    the keeper refuses one by anybody else: ``admin`` looks after Airflow and is no person."""
    home = home_now(path)
    now = clock_of(home)()
    found: dict[str, str] = {}
    for flow in home.flows.values():
        holders = home.policies.holders(flow.accountable_post, now)
        accounts = [home.policies.persons[held.person].airflow_account for held in holders]
        if account := next((account for account in accounts if account), ""):
            found |= {flow.flow: account, f"{flow.flow}.coverage": account}
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _group_alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)

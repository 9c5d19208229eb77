"""The embedded server: private, durable, and there again after whatever happened to it or to its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from huanshu.errors import UnavailableError
from huanshu.store import EmbeddedServer, connect
from huanshu.store import embedded as module
from huanshu.store.urls import parts

SECONDS_TO_START = 30.0  # a start that hangs; how fast it is, is for a quiet machine to say
CANARY = "canary-440604195001010023"


def _wait(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _psql(url: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    """What another OS user sees of a server: the wheel's own psql, run as that user."""
    return subprocess.run(
        [str(module._BIN / "psql"), "-X", "-t", "-A", "-c", "SELECT 42", url],
        user=user, group="nogroup" if user else None, extra_groups=[] if user else None,
        cwd="/", env={"LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_scram_for_everyone_and_trust_for_nobody(server: EmbeddedServer) -> None:
    with connect(server.admin_url) as admin:
        rules = admin.execute("SELECT type, auth_method, error FROM pg_hba_file_rules").fetchall()
        verifier = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").fetchone()
    assert rules == [("local", "scram-sha-256", None)]
    assert "trust" not in (server.folder / "data" / "pg_hba.conf").read_text()
    assert verifier is not None
    assert verifier[0].startswith("SCRAM-SHA-256$")


@pytest.mark.parametrize("password", ["", "wrong", None])
def test_no_entry_without_the_password(server: EmbeddedServer, password: str | None) -> None:
    keys = {**parts(server.admin_url), "password": password}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**{k: v for k, v in keys.items() if v is not None})  # type: ignore[arg-type]


def test_no_tcp(server: EmbeddedServer) -> None:
    with connect(server.admin_url) as admin:
        assert admin.execute("SHOW listen_addresses").fetchone() == ("",)
    lock_file = (server.folder / "data" / "postmaster.pid").read_text().splitlines()
    assert lock_file[5] == "", "the server listens on an address"


def test_the_socket_and_the_password_file_are_private(server: EmbeddedServer) -> None:
    assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.socket_folder / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / "data").stat().st_mode) == 0o700
    password = server.folder / "superuser.password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert password.stat().st_uid == os.geteuid()
    assert not (server.folder / "initdb.password").exists()


def test_another_user_cannot_connect_even_with_the_password(server: EmbeddedServer) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can become another user to try")
    assert _psql(server.admin_url).stdout.strip() == "42", "the control arm must get in"
    refused = _psql(server.admin_url, user="nobody")
    assert refused.returncode != 0
    assert "Permission denied" in refused.stderr


def test_flushes_and_checksums(server: EmbeddedServer) -> None:
    with connect(server.admin_url) as admin:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert admin.execute(f"SHOW {name}".encode()).fetchone() == ("on",), name


def test_its_log_keeps_no_statement(spare: EmbeddedServer) -> None:
    """Not of an error, and not of a session that is cut off in the middle of one."""
    with connect(spare.admin_url) as admin:
        for statement in (f"SELECT '{CANARY}'::int", f"SELECT '{CANARY}' FROM nowhere"):
            with pytest.raises(psycopg.Error, match=r"canary|nowhere"):
                admin.execute(statement.encode())
        cut = f"DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(9), '{CANARY}'; END $$"
        with connect(spare.admin_url) as victim, pytest.raises(psycopg.errors.AdminShutdown):
            victim.execute(cut.encode())
    log = (spare.folder / "data" / "server.log").read_text()
    assert "terminating connection due to administrator command" in log
    assert CANARY not in log


def test_two_servers_at_once(server: EmbeddedServer, second_server: EmbeddedServer) -> None:
    for each in (server, second_server):
        with connect(each.admin_url) as admin:
            assert admin.execute("SHOW data_directory").fetchone() == (str(each.folder / "data"),)
    borrowed = {**parts(second_server.admin_url), "password": parts(server.admin_url)["password"]}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**borrowed)  # type: ignore[arg-type]


def test_killed_and_started_again(spare: EmbeddedServer) -> None:
    """A stale lock file, orphans that still hold the shared memory, and a transaction that never committed."""
    admin = connect(spare.admin_url)
    admin.execute("CREATE TABLE kept (n int)")
    admin.execute("INSERT INTO kept VALUES (1)")
    admin.execute("BEGIN; INSERT INTO kept VALUES (2)")
    killed = spare.postmaster_pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    _wait(lambda: not spare.running)
    assert spare.postmaster_pid == killed, "a killed postmaster leaves its lock file"
    began = time.monotonic()
    spare.start()
    assert time.monotonic() - began < SECONDS_TO_START
    admin.close()
    assert spare.postmaster_pid != killed
    with connect(spare.admin_url) as again:
        assert again.execute("SELECT n FROM kept").fetchall() == [(1,)]
        again.execute("DROP TABLE kept")


def test_a_reused_process_id_is_not_the_server(spare: EmbeddedServer, server: EmbeddedServer) -> None:
    """The lock file names a process that lives: this one, and the postmaster of another folder."""
    lock_file = spare.folder / "data" / "postmaster.pid"
    for reused in (os.getpid(), server.postmaster_pid):
        spare.stop()
        assert not lock_file.exists()
        lock_file.write_text(f"{reused}\n{spare.folder / 'data'}\n")
        assert not spare.running
        spare.start()
        with connect(spare.admin_url) as admin:
            assert admin.execute("SELECT 1").fetchone() == (1,)


def test_stop_and_start_are_quick_and_repeatable(spare: EmbeddedServer) -> None:
    with connect(spare.admin_url):  # a client that stays does not hold up a fast stop
        began = time.monotonic()
        spare.stop()
        assert time.monotonic() - began < SECONDS_TO_START
    assert not spare.running
    spare.stop()
    with pytest.raises(UnavailableError, match=r"store\.server\.unreachable"):
        connect(spare.admin_url)
    began = time.monotonic()
    spare.start()
    assert time.monotonic() - began < SECONDS_TO_START
    pid = spare.postmaster_pid
    assert spare.start().postmaster_pid == pid


_OWNER = """
import sys, time
from pathlib import Path
from huanshu.store import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.postmaster_pid, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def _owner(folder: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def test_an_owner_that_is_stopped(spare: EmbeddedServer) -> None:
    """SIGINT unwinds the owner, who stops the server; a killed owner's server runs on and is adopted."""
    spare.stop()
    try:
        for signum, survives in ((signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGKILL, True)):
            with _owner(spare.folder, 60) as owner:
                assert owner.stdout is not None
                pid = int(owner.stdout.readline())
                owner.send_signal(signum)
            assert spare.running is survives, signum
            if survives:
                assert spare.start().postmaster_pid == pid
            spare.stop()
    finally:
        spare.start()
    with connect(spare.admin_url) as admin:
        assert admin.execute("SELECT 1").fetchone() == (1,)


def test_one_postmaster_however_many_start_it(tmp_path: Path) -> None:
    folder = tmp_path / "contested"
    owners = [_owner(folder, 2) for _ in range(3)]
    pids = {owner.stdout.readline().strip() for owner in owners if owner.stdout}
    for owner in owners:
        assert owner.wait(60) == 0
        assert owner.stdout is not None
        owner.stdout.close()
    assert len(pids) == 1
    assert pids.pop().isdigit()


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a 'quoted' 还", True), ("a, comma", False), ("far/" + "deep/" * 20 + "server", False)],
)
def test_any_folder_will_do(
    tmp_path_factory: pytest.TempPathFactory, name: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tmp_path_factory.mktemp("q")
    folder = above / name
    monkeypatch.chdir(above)
    with EmbeddedServer(Path(name)) as server:
        place = server.socket_folder
        assert (place.parent == folder) is fits
        assert len(os.fsencode(place)) < 100
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        with connect(server.admin_url) as admin:
            assert admin.execute("SELECT 1").fetchone() == (1,)
    assert not server.running
    assert fits or not place.exists(), "a socket folder was left in the system's temp"


def test_a_socket_folder_that_someone_else_put_there_is_refused(tmp_path: Path) -> None:
    """Root must never give away what another user's symbolic link points at."""
    server = EmbeddedServer(tmp_path / ("long" * 30))
    bait = tmp_path / "bait"
    bait.mkdir(mode=0o755)
    before = bait.stat()
    server.socket_folder.symlink_to(bait)
    try:
        with pytest.raises(UnavailableError, match=r"store\.embedded\.socket_taken"):
            server.start()
    finally:
        server.socket_folder.unlink()
    after = bait.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert not server.running


def test_a_copied_server_starts_where_only_we_may_walk(tmp_path: Path) -> None:
    """Its socket lies elsewhere when the path is long, so that nothing but the data leads the way there."""
    with EmbeddedServer(tmp_path / "first") as first:
        pass
    private = tmp_path / ("long" * 30)
    private.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(first.folder), str(private / "copy")], check=True)
    with EmbeddedServer(private / "copy") as copy, connect(copy.admin_url) as admin:
        assert admin.execute("SELECT 1").fetchone() == (1,)

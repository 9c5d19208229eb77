"""Every row of the failure table (``huanshu.exchange.failures``): provoked for real, named by ``huanshu flow diagnose``,
cured by the commands it prints, as it prints them, with effect exactly once.

One district for all rows. A provocation ends in the failing command and its exit code; ``mend`` is what the row's
``first`` asks of a person. Then the printed commands are run, and what is due has been delivered once.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg
import pytest
from district import DELIVERY, FAR, INTAKE, NEAR, ROOT, District

from huanshu.assembly import connect
from huanshu.assembly.stack import answers
from huanshu.cli import context, main
from huanshu.errors import DeniedError, UnavailableError
from huanshu.exchange.failures import FAILURES, markdown
from huanshu.exchange.runs import run_delivery
from huanshu.settings import Settings
from huanshu.store import EmbeddedServer


class Place(District):
    """A district, and the command line over it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.notes: dict[str, Any] = {}
        os.environ.update(HUANSHU_HOME=str(self.settings.home), HUANSHU_STATE=str(self.settings.state))

    def close(self) -> None:
        del os.environ["HUANSHU_HOME"], os.environ["HUANSHU_STATE"]
        super().close()

    def command(self, line: str) -> tuple[int, Any]:
        """Run one command line in this process: its exit code, and its JSON answer."""
        out, before = io.StringIO(), sys.argv
        sys.argv = [*shlex.split(line), "--json", "--lang", "en"]
        context.CONTEXT._settings = None
        code = 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.argv = before
        return code, json.loads(out.getvalue()) if out.getvalue() else None

    def deliver_far(self) -> int:
        return self.command(f"huanshu flow run {DELIVERY} --only {FAR}")[0]

    def intake(self) -> int:
        return self.command(f"huanshu flow run {INTAKE}")[0]

    def diagnose(self, subject: str) -> list[dict[str, Any]]:
        code, answer = self.command(f"huanshu flow diagnose {subject}")
        assert code == 0
        return list(answer["symptoms"])

    def administrator(self, server: str = "district") -> psycopg.Connection:
        url = self.stack.deployment.server(server).admin_url
        return psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname="huanshu"), autocommit=True)

    def count_loans(self) -> int:
        with connect(self.settings).district() as district:
            row = district.execute("SELECT count(*) FROM log.loan").fetchone()
        return int(row[0]) if row else 0

    def edit(self, file: str, old: str, new: str) -> Callable[[], None]:
        """Change a file of the home; the answer puts it back."""
        path = self.settings.home / file
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        return lambda: path.write_text(before) and None  # type: ignore[func-returns-value]

    def adopt(self) -> None:
        code, plan = self.command("huanshu access plan")
        assert code == 0
        assert self.command("huanshu policy propose --as p.chen")[0] == 0
        assert self.command(f"huanshu policy adopt --plan {plan['hash']} --as p.deng")[0] == 0

    def manifest(self) -> Path:
        (path,) = (self.settings.intake_folder / INTAKE).glob("*.manifest.json")
        return path


# -- provocations: each returns how a person mends it ------------------------------------------------


def source_late(d: Place) -> Callable[[], None]:
    d.edit(f"dags/flows/{INTAKE}.yaml", "schedule: manual", "schedule: '0 2 * * *'")
    assert d.command(f"huanshu flow approve {INTAKE} --until 2099-01-01 --as p.lin")[0] == 0
    assert d.intake() == 0  # at night nobody is there: nothing comes in, nothing fails
    return d.write_change


def home_broken(d: Place) -> Callable[[], None]:
    put_back = d.edit("policies/posts.csv", "p.lin,holder", "p.lin,owner")
    assert d.deliver_far() == 3
    return put_back


def keeper_down(d: Place) -> Callable[[], None]:
    d.change()
    assert d.stack.keeper is not None
    d.stack.keeper.kill()
    d.stack.keeper.wait()
    assert d.deliver_far() == 6
    return lambda: None


def key_missing(d: Place) -> Callable[[], None]:
    d.change()
    key = d.settings.keeper_folder / "root.key"
    d.stack.stop_keeper()
    key.rename(key.with_name("away"))
    with pytest.raises(UnavailableError, match=r"keeper\.root\.unusable"):
        d.stack.start_keeper()
    assert d.deliver_far() == 6
    return lambda: key.with_name("away").rename(key) and None  # type: ignore[func-returns-value]


def wrapped_key_missing(d: Place) -> Callable[[], None]:
    """The row again, by one key of the store: it is not made anew, which would lose what lies under it."""
    d.change()
    name = f"data/{FAR}/resident/name/{connect(d.settings).home.policies.keys.epoch}"
    with d.administrator() as admin:
        row = admin.execute(
            "DELETE FROM keys.wrapped WHERE name = %s RETURNING name, wrapped", (name,)
        ).fetchone()
    assert row is not None
    d.stack.stop_keeper()
    d.stack.start_keeper()
    assert d.deliver_far() == 6

    def restore() -> None:
        with d.administrator() as admin:
            admin.execute("INSERT INTO keys.wrapped (name, wrapped) VALUES (%s, %s)", row)

    return restore


def store_down(d: Place) -> Callable[[], None]:
    d.change()
    d.stack.deployment.server("district").stop()
    assert d.deliver_far() == 6
    return lambda: None


def _read_only(d: Place, setting: str) -> None:
    with d.administrator() as admin:
        admin.execute(f"ALTER DATABASE huanshu SET default_transaction_read_only = {setting}".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'huanshu' AND pid <> pg_backend_pid()"
        )


def log_unwritable(d: Place) -> Callable[[], None]:
    d.change()
    _read_only(d, "on")  # as on a standby that somebody was switched to

    def writable() -> None:
        with psycopg.connect(d.stack.deployment.server("district").admin_url, autocommit=True) as admin:
            admin.execute("ALTER DATABASE huanshu SET default_transaction_read_only = off")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'huanshu'")

    assert d.deliver_far() == 6
    return writable


def log_stale(d: Place) -> Callable[[], None]:
    """Where the log is published nothing can be written: the keeper comes up, decides and logs, and opens nothing."""
    d.change()
    d.stack.stop_keeper()
    there, away = d.settings.log_folder, d.settings.log_folder.with_name("log.away")
    there.rename(away)
    there.write_text("")
    d.stack.start_keeper()
    loans = d.count_loans()
    assert d.deliver_far() == 6
    symptoms = [s for s in d.diagnose(DELIVERY) if s["failure"] == "log_stale"]
    assert any("auditlog.log.stale" in symptom["what"]["en"] for symptom in symptoms)
    assert d.count_loans() == loans

    def writable() -> None:
        there.unlink()
        away.rename(there)

    return writable


def disk_full(d: Place) -> Callable[[], None]:
    """The receiver's slice lies on a small file system of its own, which is full: a real ENOSPC."""
    d.change()
    assert d.deliver_far() == 0  # its tables exist
    place = Path(f"/tmp/huanshu-small-{os.getpid()}")
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False).returncode:
        place.rmdir()
        pytest.skip("a full disk needs a file system that this test may mount")
    d.notes["small"] = place
    shutil.chown(place, "pgserver" if os.geteuid() == 0 else None)
    with d.administrator("shiqiao") as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        for table in ("resident", "resident_staging"):
            admin.execute(f"ALTER TABLE receiver_{FAR}.{table} SET TABLESPACE small".encode())
            admin.execute(f"VACUUM FULL receiver_{FAR}.{table}".encode())  # no room left inside either
    with contextlib.suppress(OSError), (place / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    d.change()
    assert d.deliver_far() == 6
    return (place / "ballast").unlink


def policies_unadopted(d: Place) -> Callable[[], None]:
    d.change()
    d.edit("policies/keys.yaml", "epoch:", "# reviewed\nepoch:")
    assert d.deliver_far() == 5
    return lambda: None


def post_vacant(d: Place) -> Callable[[], None]:
    d.change()
    posts = d.settings.home / "policies/posts.csv"
    before = posts.read_text()
    ended = [
        line.replace("2027-12-31", "2026-02-28") if line.startswith("psb.exchange_officer,") else line
        for line in before.splitlines()
    ]
    posts.write_text("\n".join(ended) + "\n")
    d.adopt()
    assert d.deliver_far() == 5
    return lambda: posts.write_text(before) and None  # type: ignore[func-returns-value]


def flow_changed(d: Place) -> Callable[[], None]:
    d.change()
    d.edit(f"dags/flows/{DELIVERY}.yaml", "schedule: asset", "schedule: asset  # as before")
    assert d.deliver_far() == 5
    return lambda: None


def approval_ended(d: Place) -> Callable[[], None]:
    d.change()
    assert d.command(f"huanshu flow revoke {DELIVERY} --as p.lin")[0] == 0
    assert d.deliver_far() == 5
    return lambda: None


def rules_changed(d: Place) -> Callable[[], None]:
    d.change()

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            d.edit("policies/keys.yaml", "epoch:", "# while it ran\nepoch:")
            d.adopt()

    with pytest.raises(DeniedError, match=r"keeper\.ticket\.policy_changed"):
        run_delivery(connect(d.settings).ground(pause=pause, chunk=2), DELIVERY, "night", [FAR])
    return lambda: None


def unseconded(d: Place) -> Callable[[], None]:
    d.edit("policies/limits.yaml", "deliver_alone: 50000", "deliver_alone: 1")
    d.adopt()
    assert d.command(f"huanshu flow revoke {DELIVERY} --as p.lin")[0] == 0
    assert d.command(f"huanshu flow approve {DELIVERY} --until 2027-06-30 --as p.lin")[0] == 0
    d.change()
    assert d.deliver_far() == 5
    return lambda: None


def not_granted(d: Place) -> Callable[[], None]:
    d.change()
    rules = d.settings.home / "policies/rules/department.csv"
    before = rules.read_text()
    kept = [
        line
        for line in before.splitlines()
        if not ("exchange_officer, below, resident" in line and "name" in line)
    ]
    assert len(kept) < len(before.splitlines())
    rules.write_text("\n".join(kept) + "\n")
    d.adopt()
    assert d.deliver_far() == 5
    return lambda: rules.write_text(before) and None  # type: ignore[func-returns-value]


def _extract(d: Place, change: Callable[[str], str], **manifest: Any) -> None:
    """The next extract, changed before it is signed."""
    d.write_change()
    manifest_file = d.manifest()
    said = json.loads(manifest_file.read_text())
    content = change((manifest_file.parent / said["file"]).read_text())
    given = {"sequence": said["sequence"], "records": content.count("\n") - 1, **manifest}
    d.sandbox.write_extract(
        d.sandbox.home.flows[INTAKE], said["file"], content.encode(), period="2026-09",
        **given,
    )  # fmt: skip


def _resend(d: Place) -> None:
    """The sender corrects the extract and sends it under the same number."""
    d.sequence -= 1
    d.write_change()


def column_changed(d: Place) -> Callable[[], None]:
    _extract(d, lambda text: text.replace("phone", "telephone", 1))
    assert d.intake() == 4
    return lambda: _resend(d)


def extract_faulty(d: Place) -> Callable[[], None]:
    _extract(d, lambda text: text.replace(",", ',"', 40))
    assert d.intake() == 4
    return lambda: _resend(d)


def sender_unproven(d: Place) -> Callable[[], None]:
    d.write_change()
    path = d.manifest()
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "signature": "0" * 128}))
    assert d.intake() == 4
    return lambda: _resend(d)


def sequence_gap(d: Place) -> Callable[[], None]:
    d.write_change()
    kept = {path.name: path.read_bytes() for path in (d.settings.intake_folder / INTAKE).iterdir()}
    d.write_change()
    assert d.intake() == 4

    def send_the_missing() -> None:
        for name, content in kept.items():
            (d.settings.intake_folder / INTAKE / name).write_bytes(content)

    return send_the_missing


def sequence_replayed(d: Place) -> Callable[[], None]:
    if not d.sequence:
        d.change()
    d.sequence -= 1
    d.write_change()
    path = d.manifest()
    said = json.loads(path.read_text())
    content = (path.parent / said["file"]).read_bytes().replace("号".encode(), "弄".encode())
    d.sandbox.write_extract(
        d.sandbox.home.flows[INTAKE],
        said["file"],
        content,
        sequence=d.sequence,
        period="2026-09",
        records=said["records"],
    )
    assert d.intake() == 4
    return d.write_change


def verdict_failed(d: Place) -> Callable[[], None]:
    _extract(d, lambda text: text.splitlines()[0] + "\n")  # nobody at all: no batch of this register is empty
    d.intake()
    return lambda: _resend(d)


def intake_interrupted(d: Place) -> Callable[[], None]:
    d.write_change()
    assert d.worker("intake", "intake:batch:0", "self") == -9
    return lambda: None


def receiver_unreachable(d: Place) -> Callable[[], None]:
    d.change()
    d.stack.deployment.server("shiqiao").stop()
    assert d.deliver_far() == 6
    return lambda: None


def interrupted_before(d: Place) -> Callable[[], None]:
    d.change()
    assert d.worker(FAR, "c:chunk:0", "self") == -9
    return lambda: None


def interrupted_after(d: Place) -> Callable[[], None]:
    d.change()
    assert d.worker(FAR, "d:promoted", "self") == -9
    return lambda: None


def not_delivered(d: Place) -> Callable[[], None]:
    d.change()
    assert d.deliver_far() == 0
    d.change()
    with d.administrator("shiqiao") as admin:
        admin.execute(f"ALTER TABLE receiver_{FAR}.staged OWNER TO postgres".encode())
    assert d.deliver_far() == 6

    def give_back() -> None:
        with d.administrator("shiqiao") as admin:
            admin.execute(f"ALTER TABLE receiver_{FAR}.staged OWNER TO huanshu_courier".encode())

    return give_back


def value_changed(d: Place) -> Callable[[], None]:
    d.change()
    flip = (
        "UPDATE district.resident SET name = set_byte(name, 3, get_byte(name, 3) # 1)"
        f" WHERE batch_out IS NULL AND home = '{FAR}'"
    ).encode()
    with d.administrator() as admin:
        admin.execute(flip)
    assert d.deliver_far() == 6

    def put_right() -> None:
        with d.administrator() as admin:
            admin.execute(flip)

    return put_right


def chunk_changed(d: Place) -> Callable[[], None]:
    """The row again: cells of another length cannot be those of the rows that were frozen."""
    d.change()

    def set_name(value: str) -> None:
        with d.administrator() as admin:
            admin.execute(
                f"UPDATE district.resident SET name = {value} WHERE batch_out IS NULL AND home = '{FAR}'".encode()
            )

    set_name("name || '\\x00'")
    code, told = d.command(f"huanshu flow run {DELIVERY} --only {FAR}")
    assert code == 6
    assert "exchange.chunk.changed" in json.dumps(told)
    return lambda: set_name("substr(name, 1, length(name) - 1)")


def receiver_changed(d: Place) -> Callable[[], None]:
    d.change()
    assert d.worker(FAR, "c:staged", "self") == -9
    flip = (
        f"UPDATE receiver_{FAR}.resident_staging SET name = set_byte(name, 3, get_byte(name, 3) # 1)"
    ).encode()
    with d.administrator("shiqiao") as admin:
        assert admin.execute(flip).rowcount
    ground = connect(d.settings).ground(chunk=2)
    with pytest.raises(UnavailableError, match=r"exchange\.run\.incomplete"):
        run_delivery(ground, DELIVERY, "night-2", [FAR])

    def put_right() -> None:
        with d.administrator("shiqiao") as admin:
            admin.execute(flip)

    return put_right


def log_changed(d: Place) -> Callable[[], None]:
    d.change()
    flip = b"UPDATE log.entry SET leaf = set_byte(leaf, 20, get_byte(leaf, 20) # 1) WHERE index = 1"
    d.stack.stop_keeper()
    with d.administrator() as admin:
        admin.execute(flip)
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.not_ours"):
        d.stack.start_keeper()
    assert d.deliver_far() == 6

    def put_right() -> None:
        with d.administrator() as admin:
            admin.execute(flip)
        d.stack.mend()

    return put_right


def held(d: Place) -> Callable[[], None]:
    """Two communities' codes are swapped in the extract: each would get the other's people."""
    d.change()
    assert d.deliver_far() == 0
    swap = {NEAR: "here", FAR: NEAR, "here": FAR}

    def swapped(text: str) -> str:
        for old, new in swap.items():
            text = text.replace(old, new)
        return text

    _extract(d, swapped)
    assert d.intake() == 0
    assert d.deliver_far() == 8
    return lambda: None


# -- the table ---------------------------------------------------------------------------------------


class Provoked(NamedTuple):
    provoke: Callable[[Place], Callable[[], None]]
    flow: str = DELIVERY
    #: Exit codes of the printed commands, where they are not all 0.
    codes: tuple[int, ...] = ()
    #: The row, where it is not the provocation's own name.
    again: str = ""

    @property
    def row(self) -> str:
        return self.again or self.provoke.__name__


TABLE = [
    Provoked(source_late, INTAKE),
    Provoked(home_broken),
    Provoked(keeper_down),
    Provoked(key_missing),
    Provoked(wrapped_key_missing, again="key_missing"),
    Provoked(store_down),
    Provoked(log_unwritable),
    Provoked(log_stale),
    Provoked(disk_full),
    Provoked(policies_unadopted),
    Provoked(post_vacant),
    Provoked(flow_changed),
    Provoked(approval_ended),
    Provoked(rules_changed),
    Provoked(not_granted),
    Provoked(column_changed, INTAKE),
    Provoked(extract_faulty, INTAKE),
    Provoked(sender_unproven, INTAKE),
    Provoked(sequence_gap, INTAKE),
    Provoked(sequence_replayed, INTAKE),
    Provoked(verdict_failed, INTAKE),
    Provoked(intake_interrupted, INTAKE),
    Provoked(receiver_unreachable),
    Provoked(interrupted_before),
    Provoked(interrupted_after),
    Provoked(not_delivered),
    Provoked(value_changed),
    Provoked(chunk_changed, again="value_changed"),
    Provoked(receiver_changed),
    Provoked(log_changed),
    Provoked(unseconded),  # from here on every delivery is one that two have agreed to
    Provoked(held),  # last: putting the communities back would be held again
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("table"))
    yield made
    made.close()
    if small := made.notes.get("small"):
        subprocess.run(["umount", str(small)], check=True)
        small.rmdir()


def looked_after(place: Place) -> Callable[[], None]:
    """What ``huanshu up`` does beside: starts again what has died. Returns how to stop it."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            with contextlib.suppress(UnavailableError):
                place.stack.mend()

    thread = threading.Thread(target=look)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    return stop


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.provoke.__name__)
def test_provoked_named_cured(place: Place, case: Provoked) -> None:
    entries = {
        event: len(place.entries(event))
        for event in ("exchange.delivery.arrived", "exchange.intake.promoted")
    }
    mend = case.provoke(place)
    arrived = (
        len(place.entries("exchange.delivery.arrived"))
        if case.row in ("disk_full", "not_delivered", "held")
        else None
    )
    symptoms = place.diagnose(case.flow)
    named = [symptom for symptom in symptoms if symptom["failure"] == case.row]
    assert named, symptoms
    for symptom in named:
        assert symptom["what"]["en"]
        assert symptom["what"]["zh"]
        assert symptom["never"]["zh"]
        assert case.row == "home_broken" or (symptom["waits"]["holder"] or case.row == "post_vacant")
        assert case.row == "home_broken" or symptom["until"] > "2026"
    mend()
    stop = looked_after(place)
    try:
        commands = list(dict.fromkeys(command for symptom in named for command in symptom["safe"]))
        read = ""  # the hash of the plan that a person has read
        for command, code in zip(commands, case.codes or (0,) * len(commands), strict=True):
            acting = " --as p.lin" if case.row == "post_vacant" and "approve" in command else ""
            ended, answer = place.command(command.replace("HASH", read) + acting)
            assert ended == code, command
            read = answer["hash"] if command == "huanshu access plan" else read
    finally:
        stop()
    if case.flow == DELIVERY and any("resume" in command for command in commands):
        assert place.due(FAR) == place.holds(FAR) != []
        told = place.entries("exchange.delivery.arrived")[arrived or entries["exchange.delivery.arrived"] :]
        assert [entry["domain"] for entry in told].count(FAR) == 1
    elif case.flow == INTAKE:
        told = place.entries("exchange.intake.promoted")[entries["exchange.intake.promoted"] :]
        assert len(told) == (2 if case.row == "sequence_gap" else 1)
    assert case.row not in [symptom["failure"] for symptom in place.diagnose(case.flow)]


def test_a_run_is_diagnosed_and_resumed_by_its_id(place: Place) -> None:
    """As Airflow's run id: the same run goes on, completes once, and then there is nothing to go on with."""
    if not place.sequence:
        place.change()
    place.stack.deployment.server("shiqiao").stop()
    _extract(place, lambda text: text.replace("清荷路", "北路"))
    assert place.intake() == 0
    code, _ = place.command(f"huanshu flow run {DELIVERY} --only {FAR} --only {NEAR} --run-id night-by-id")
    assert code in (6, 8)
    if code == 8:  # after the communities were swapped
        assert place.command(f"huanshu flow release {DELIVERY} --reason back --as p.lin")[0] == 0
        assert place.command(f"huanshu flow run {DELIVERY} --only {FAR} --run-id night-by-id")[0] == 6
    code, told = place.command("huanshu flow diagnose night-by-id")
    assert told["known"]
    assert (told["run"]["run"], told["run"]["flow"], told["run"]["completed"]) == (
        "night-by-id",
        DELIVERY,
        False,
    )
    assert [s["about"] for s in told["symptoms"] if s["failure"] == "receiver_unreachable"] == [FAR]
    code, made = place.command("huanshu flow resume night-by-id --dry-run")
    assert (code, made["run"]) == (0, "night-by-id")
    assert FAR in made["receivers"]
    place.stack.deployment.server("shiqiao").stop()
    before = len(place.entries("exchange.run.completed"))
    assert place.command(f"huanshu flow resume night-by-id --only {FAR}")[0] == 0
    assert place.due(FAR) == place.holds(FAR)
    (completed,) = place.entries("exchange.run.completed")[before:]
    assert completed["flow"]["run"] == "night-by-id"
    place.command(f"huanshu flow resume {DELIVERY}")
    code, idle = place.command(f"huanshu flow resume {DELIVERY}")
    assert (code, idle["receivers"]) == (0, [])
    assert place.command("huanshu flow resume never-heard-of")[0] == 4
    assert place.command(f"huanshu flow run {INTAKE} --from /never/there")[0] == 4
    assert place.command(f"huanshu flow resume {DELIVERY} --only 990101000000")[0] == 4
    code, unknown = place.command("huanshu flow diagnose never-heard-of")
    assert (code, unknown["known"], unknown["run"]) == (0, False, None)


@pytest.mark.slow
def test_up_starts_again_what_has_died(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("up")
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, folder / "home" / part)
    settings = Settings(folder / "home", folder / "state", "en")
    environment = {**os.environ, "HUANSHU_HOME": str(settings.home), "HUANSHU_STATE": str(settings.state)}
    said = folder / "said"
    with said.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "huanshu", "--lang", "en", "up", "--sandbox", "--no-airflow"],
            env={**environment, "PYTHONPATH": str(ROOT / "src")}, stdout=out, stderr=out,
        )  # fmt: skip
    server = EmbeddedServer(settings.state / "servers/shiqiao")

    def keeper() -> int | None:
        for child in psutil.Process(up.pid).children():
            with contextlib.suppress(psutil.Error):  # a zombie has no command line
                if "huanshu.assembly.keeper_process" in child.cmdline():
                    return child.pid
        return None

    try:
        _until(lambda: "Ctrl-C" in said.read_text())
        for pid in (keeper, lambda: server.postmaster_pid if server.running else None):
            dead = pid()
            assert dead is not None
            os.kill(dead, signal.SIGKILL)
            _until(lambda pid=pid, dead=dead: pid() not in (None, dead) and answers(settings))
    finally:
        up.terminate()
        up.wait(60)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_after_all_of_it_the_verifier_finds_nothing(place: Place) -> None:
    assert place.verify() == []


def test_every_row_is_provoked() -> None:
    assert len(FAILURES) > 20
    assert {row.key for row in FAILURES} == {case.row for case in TABLE}


def test_the_documentation_shows_the_table() -> None:
    """When this fails: huanshu flow failures --markdown --lang en, between the markers."""
    text = (ROOT / "docs/operations.md").read_text()
    inside = text.split("<!-- failures -->\n", 1)[1].split("<!-- /failures -->", 1)[0]
    assert inside == markdown("en")

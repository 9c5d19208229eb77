"""A range: a whole district made to be attacked, in a folder of its own, gone afterwards.

Real PostgreSQL, real keeper behind a real socket, the home's own samples as data. The keeper runs in this
process so that a control arm can wire another object into it; workers are real processes to be killed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import psycopg

from huanshu.access import Enforcer
from huanshu.assembly import Deployment, Running, create, open_deployment
from huanshu.assembly.fresh_home import home_at
from huanshu.assembly.keeper_process import build_service, clock_of, closed_service, watch_over
from huanshu.assembly.sandbox import Sandbox, prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.auditlog import Entry, Register
from huanshu.auditlog.reader import read_entries
from huanshu.auditlog.rotations import Rotations
from huanshu.catalog import Flow, Home
from huanshu.drill.blanks import lay_blank_servers
from huanshu.errors import TamperedError
from huanshu.exchange.intake import IntakeOutcome, run_intake
from huanshu.exchange.runs import run_delivery
from huanshu.keeper.budgets import Budgets
from huanshu.keeper.client import Keeper
from huanshu.keeper.closed import ClosedServer
from huanshu.keeper.counting import Reader
from huanshu.keeper.custody import require_another
from huanshu.keeper.erased import ErasedSubjects
from huanshu.keeper.freshness import Freshness
from huanshu.keeper.recalled import OpenBitmap, RecalledRecords
from huanshu.keeper.reopening import TwoPersons
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.server import Listener, Server
from huanshu.keeper.vouched import Rows
from huanshu.settings import Settings
from huanshu_verify import STEPS, Report, Rule

CHUNK = 3  # records per loan: several chunks even of a small sample
_POLL = 0.02  # seconds until a listener that is told to end has ended
_BY_THE_CLOCK = frozenset({"log.heartbeat.sent", "log.staleness.ended"})


class Range:
    """Use as a context manager. ``enforcer`` replaces the keeper's decider, ``recalled`` and ``erased`` its memory of
    recalls and of erasures, ``another`` its rule that a second person confirms, ``due`` its rule that a rotation has
    something to do, ``freshness`` its judgement of ages, ``budgets`` its count of what people see, ``reader`` its judge
    of numbers, ``rows`` what it counts over, ``second`` its asking for a second person, ``reread`` how it reads its
    home, ``edit`` changes the copied home (control arms only). ``watched``: with the alerts' watch in the keeper, as in
    every deployment; most drills count entries and go without it. ``blank``: over copies of the process's blank
    servers, not over servers made anew."""

    def __init__(
        self,
        home: Path,
        enforcer: Callable[[Home], Enforcer] | None = None,
        recalled: Callable[[Register, OpenBitmap], RecalledRecords] = RecalledRecords,
        edit: Callable[[Path], None] | None = None,
        freshness: type[Freshness] = Freshness,
        watched: bool = False,
        erased: Callable[[Register, OpenBitmap], ErasedSubjects] = ErasedSubjects,
        budgets: Callable[[OpenBitmap], Budgets] = Budgets,
        reader: type[Reader] = Reader,
        rows: type[Rows] = Rows,
        second: SecondPerson | None = None,
        reread: Callable[[Callable[[], Home]], Callable[[], Home]] = lambda home: home,
        another: Callable[[str, str], None] = require_another,
        due: Callable[[Rotations, str, str, int], bool] = Rotations.due,
        blank: bool = True,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="huanshu-range-"))
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(home / part, self._folder / "home" / part)
        self.settings = Settings(self._folder / "home", self._folder / "state", "en")
        self._home = home_at(self.settings.home)
        self._enforcer, self._recalled, self._freshness = enforcer, recalled, freshness
        self._watched = watched
        self._erased = erased
        self._budgets, self._reader, self._second, self._reread = budgets, reader, second, reread
        self._rows = rows
        self._another, self._due = another, due
        self._blank = blank
        self._passed = timedelta(0)
        if edit is not None:
            edit(self.settings.home)
        self.deployment: Deployment
        self.sandbox: Sandbox
        self._server: Listener | None = None

    def __enter__(self) -> Range:
        try:
            if self._blank:
                lay_blank_servers(self.settings)
            self.deployment = create(self.settings)
            self.start_keeper()
            self.sandbox = prepare(self.settings)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_keeper()
        if hasattr(self, "deployment"):
            for name in self.deployment.embedded:
                self.deployment.server(name).abandon()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- parts ----------------------------------------------------------------------------------

    def start_keeper(self) -> None:
        """The keeper, in this process, behind its socket."""
        service = build_service(
            self.deployment,
            enforcer=self._enforcer,
            clock=self.clock,
            recalled=self._recalled,
            freshness=self._freshness,
            erased=self._erased,
            budgets=self._budgets,
            reader=self._reader,
            rows=self._rows,
            second=self._second,
            reread=self._reread,
            another=self._another,
            due=self._due,
        )
        watch = watch_over(self.deployment, service, self.clock).round if self._watched else None
        self._serve(Server(self.settings.keeper_socket, service, watch))

    def start_closed(self, rule: TwoPersons) -> None:
        """The closed keeper, where the ordinary one refuses a log that lacks acknowledged entries."""
        try:
            self.start_keeper()
        except TamperedError as refused:
            service = closed_service(self.deployment, refused, clock=self.clock, rule=rule)
            self._serve(ClosedServer(self.settings.keeper_socket, service))
            return
        raise AssertionError("the ordinary keeper started")

    def _serve(self, server: Listener) -> None:
        self.stop_keeper()
        self._server = server
        threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True).start()

    def clock(self) -> datetime:
        """The range's wall clock: this machine's, and what ``pass_`` has added."""
        return clock_of(self._home())() + self._passed

    def pass_(self, time: timedelta) -> None:
        """Turn the range's wall clock; the one that nobody can set stays."""
        self._passed += time

    def stop_keeper(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def acting(self, person: str | None = None) -> Running:
        """The range as one person sees it; the home as its files are now, read when they have changed."""
        keeper = Keeper(self.settings.keeper_socket, person)
        return Running(open_deployment(self.settings), self._home(), keeper)

    def administrator(self) -> psycopg.Connection:
        """The database administrator: superuser of the district's server, without keys."""
        url = self.deployment.server("district").admin_url
        return psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname="huanshu"), autocommit=True)

    # -- the loop -------------------------------------------------------------------------------

    def take_in(
        self,
        intake: str,
        sequence: int = 1,
        content: bytes | None = None,
        mode: Literal["full", "changes"] = "full",
    ) -> IntakeOutcome:
        """Take in the dataset's passing sample (or other content) as one extract."""
        flow = self._flow(intake)
        if content is None:
            content = (
                self.settings.home / "expectations" / flow.dataset / "samples" / "passing.csv"
            ).read_bytes()
        records = max(content.count(b"\n") - 1, 0)
        self.sandbox.write_extract(
            flow,
            f"{flow.dataset}-{sequence}.csv",
            content,
            sequence=sequence,
            period=f"2026-{sequence:02d}",
            records=records,
            mode=mode,
        )
        return run_intake(
            self.acting().ground(), intake, f"range-{sequence}", self.settings.intake_folder / intake
        )

    def deliver(self, delivery: str) -> None:
        """Deliver to the communities that have or had a record: a sample lives in a few of a whole district."""
        homes = self.homes(self._flow(delivery).dataset)
        run_delivery(self.acting().ground(chunk=CHUNK), delivery, f"range-{uuid.uuid4()}", homes)

    def deliver_anew(self, delivery: str, receivers: Sequence[str]) -> None:
        """Deliver to some receivers, as if what they hold lay there in another shape: all of it is opened."""
        with self.administrator() as administrator:
            administrator.execute(
                "UPDATE district.delivery d SET shape = NULL FROM district.delivered l"
                " WHERE l.last = d.delivery AND l.receiver = ANY(%s)",
                (list(receivers),),
            )
        run_delivery(self.acting().ground(chunk=CHUNK), delivery, f"range-{uuid.uuid4()}", list(receivers))

    def worker(self, delivery: str, receiver: str, kill_at: str, *, careless: bool = False) -> int:
        """A real worker process that delivers to one receiver and is SIGKILLed at a point. Returns its exit
        code (-9 when it was killed)."""
        ended = subprocess.run(  # noqa: S603 - our own interpreter and module
            [
                sys.executable, "-m", "huanshu.drill.worker", str(self.settings.home), str(self.settings.state),
                delivery, receiver, kill_at, "careless" if careless else "careful",
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )  # fmt: skip
        return ended.returncode

    def _flow(self, name: str) -> Flow:
        return self.acting().home.flows[name]

    # -- what a judge looks at ------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        with self.acting().district() as district:
            return list(read_entries(district))

    def acts(self) -> list[Entry]:
        """Entries of what somebody did: what the keeper tells by the clock is nobody's act. To count by."""
        return [entry for entry in self.entries() if entry.event not in _BY_THE_CLOCK]

    def loans(self) -> int:
        with self.acting().district() as district:
            return int(district.execute("SELECT count(*) FROM log.loan").fetchone()[0])  # type: ignore[index]

    def state_digest(self, dataset: str, receivers: tuple[str, ...]) -> str:
        """One digest over the business tables: the district's versions and every receiver's slice."""
        digest = hashlib.sha256()
        running = self.acting()
        with running.district() as district:
            _add(digest, district, f"district.{dataset}")
        for code in receivers:
            with running.receiver(code) as store:
                _add(digest, store, f"receiver_{code.replace('.', '_')}.{dataset}")
        return digest.hexdigest()

    def homes(self, dataset: str) -> list[str]:
        """Communities that are or were home to a record of the dataset."""
        with self.acting().district() as district:
            rows = district.execute(f"SELECT DISTINCT home FROM district.{dataset} ORDER BY home".encode())
            return [row[0] for row in rows]

    def slice_records(self, dataset: str, receiver: str) -> list[tuple[int, int]]:
        """(record, version) of a receiver's slice, in order; [] when it has none."""
        with self.acting().receiver(receiver) as store:
            table = f"receiver_{receiver.replace('.', '_')}.{dataset}"
            if store.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
                return []
            return store.execute(f"SELECT record, version FROM {table} ORDER BY record".encode()).fetchall()

    def due_records(self, dataset: str, home: str) -> list[tuple[int, int]]:
        """(record, version) that a community's slice should hold now."""
        with self.acting().district() as district:
            return district.execute(
                (
                    f"SELECT record, version FROM district.{dataset}"
                    " WHERE batch_out IS NULL AND home = %s ORDER BY record"
                ).encode(),
                (home,),
            ).fetchall()

    def verify(self, steps: Sequence[Rule] = STEPS) -> Report:
        """The independent verifier over log, head and every receiver's store."""
        return verify_deployment(self.acting(), steps)


def _add(digest: object, connection: psycopg.Connection, table: str) -> None:
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return
    row = connection.execute(
        (
            "SELECT coalesce(encode(sha256(string_agg(t::text, E'\\n' ORDER BY t::text)::bytea), 'hex'), '')"
            f" FROM {table} t"
        ).encode()
    ).fetchone()
    digest.update(f"{table}={row}".encode())  # type: ignore[attr-defined]


KILLED = -signal.SIGKILL

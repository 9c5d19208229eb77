"""Attacks of whoever holds the database *and* the keeper's machine: setting the log back, writing another one, keeping
the witnesses away. Only somebody outside can tell: each range has three witnesses outside it, real and on loopback."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from huanshu.assembly.sandbox import put_in_force
from huanshu.auditlog import Draft, HeadFile, LogWriter, PublishedLog, Signer, create_head
from huanshu.auditlog.published import WITNESSED
from huanshu.auditlog.publisher import bound_digests
from huanshu.auditlog.tampering import FORK
from huanshu.auditlog.witnesses import POLICY
from huanshu.catalog import Rung
from huanshu.drill.careless import AlwaysFresh
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import HuanshuError, TamperedError, Text, UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.store import connect
from huanshu.tlog import ForkProof
from huanshu_witness.serving import WitnessServer
from huanshu_witness.state import State, create

_NAMES: Final = ("audit_office", "next_district", "community")
_PATIENCE_SECONDS: Final = 60.0
_QUORUM: Final = f"group two_of_three 2 {' '.join(_NAMES)}\nquorum two_of_three\n"


class Outside:
    """Three witnesses beside a range, and the policy that names them. Use as a context manager."""

    def __init__(self, range_: Range) -> None:
        self._range, self._folder = range_, Path(tempfile.mkdtemp(prefix="huanshu-witnesses-"))
        self._states: list[State] = []
        self._servers: list[WitnessServer] = []

    def __enter__(self) -> Outside:
        vkey = str(self._range.acting().keeper.status()["vkey"])
        lines = []
        for name in _NAMES:
            create(self._folder / name, f"{name}.example/witness", [vkey])
            state = State(self._folder / name).__enter__()
            server = WitnessServer(state, "127.0.0.1", 0, clock=lambda: self._range.clock().timestamp())
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self._states.append(state)
            self._servers.append(server)
            lines.append(f"witness {name} {state.vkey} http://127.0.0.1:{server.server_address[1]}\n")
        self._named(lines)
        self.ask()
        return self

    def _named(self, lines: list[str]) -> None:
        """Who vouches is part of the bundle: nothing goes on before it is adopted."""
        (self._range.settings.home / POLICY).write_text("".join(lines) + _QUORUM)
        put_in_force(self._range.settings)

    def __exit__(self, *_: object) -> None:
        self.leave()
        for state in self._states:
            state.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self) -> None:
        """A new start of the keeper asks at once. Returns when a quorum has cosigned every entry there was: on a busy
        machine a witness may let us wait for longer than we do."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self._range.stop_keeper()
            entries = len(self._range.entries())
            self._range.start_keeper()
            note = PublishedLog(self._range.settings.log_folder).note(WITNESSED)
            if note is not None and int(note.split("\n")[1]) >= entries:
                return
            if time.monotonic() > until:
                raise AssertionError("no quorum of the range's witnesses has cosigned")

    def leave(self) -> None:
        """Nobody answers any more."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    def come_back(self) -> None:
        """The same witnesses, at other ports."""
        lines = []
        for name, state in zip(_NAMES, self._states, strict=True):
            server = WitnessServer(state, "127.0.0.1", 0, clock=lambda: self._range.clock().timestamp())
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self._servers.append(server)
            lines.append(f"witness {name} {state.vkey} http://127.0.0.1:{server.server_address[1]}\n")
        self._named(lines)


class Machine:
    """What lies on the machine of log and keeper, copied as a backup would have it, and put back."""

    def __init__(self, range_: Range) -> None:
        self._range, self._folder = range_, Path(tempfile.mkdtemp(prefix="huanshu-copy-"))
        settings = range_.settings
        range_.stop_keeper()  # or it might append once more between the count and the copy
        self.size = len(range_.entries())
        shutil.copytree(settings.log_folder, self._folder / "log")
        shutil.copy(settings.keeper_folder / "head", self._folder / "head")
        range_.start_keeper()

    def put_back(self) -> None:
        """The keeper is down; afterwards database, head and published files are those of the copy."""
        settings = self._range.settings
        set_back(self._range, self.size)
        shutil.rmtree(settings.log_folder)
        shutil.copytree(self._folder / "log", settings.log_folder)
        shutil.copy(self._folder / "head", settings.keeper_folder / "head")
        shutil.rmtree(self._folder)


def set_back(range_: Range, size: int) -> None:
    """The database's log as it was at ``size`` entries; the keeper is down."""
    with range_.administrator() as administrator:
        administrator.execute("SET session_replication_role = replica")
        for table, column in (("loan", "entry_index"), ("checkpoint", "size - 1"), ("entry", "index")):
            administrator.execute(f"DELETE FROM log.{table} WHERE {column} >= %s".encode(), (size,))
        kept = [bytes.fromhex(digest) for e in range_.entries() for digest in bound_digests(e.leaf)]
        administrator.execute("DELETE FROM log.bitmap WHERE sealed_sha256 <> ALL(%s)", (kept,))


def machine_rolled_back(home: Path, drill: Drill) -> list[Arm]:
    """A clerk looks, the look is witnessed, and the whole machine is set back to before it."""
    actors = drill.actors

    def attack(range_: Range, ask: Callable[[], None]) -> TamperedError | None:
        range_.take_in(actors["intake"])
        copy = Machine(range_)
        if look(range_, actors) is not None:
            raise AssertionError("the look that is to be hidden was refused")
        ask()
        range_.stop_keeper()
        copy.put_back()
        return _start(range_)

    with Range(home) as range_, Outside(range_) as outside:
        refused = attack(range_, outside.ask)
    stopped = refused is not None and refused.code == "auditlog.log.rolled_back"
    with Range(home) as alone:
        unnoticed = attack(alone, lambda: None)
        gone = not any(entry.event == "access.record.authorised" for entry in alone.entries())
        control = unnoticed is None and gone and look(alone, actors) is None
    with Range(home) as calm, Outside(calm) as watching:
        calm.take_in(actors["intake"])
        first = look(calm, actors)
        watching.ask()
        twin = first is None and look(calm, actors) is None
    return [
        Arm(
            ATTACK,
            stopped,
            Text(
                "a witness shows the larger checkpoint, signed by our key; the keeper refuses to start",
                "见证方出示本日志签署的更大检查点；钥匙保管拒绝启动",
            ),
        ),
        Arm(
            CONTROL,
            control,
            Text(
                "without witnesses the look is gone and nobody notices", "没有见证方则该次查看消失且无人察觉"
            ),
        ),
        Arm(TWIN, twin, Text("a keeper that only starts again goes on", "正常重启的钥匙保管继续工作")),
    ]


def tree_rewritten(home: Path, drill: Drill) -> list[Arm]:
    """The log is written anew with the stolen log key, without the entry of a look, as if it had always been so."""
    actors = drill.actors

    def attack(range_: Range, ask: Callable[[], None]) -> TamperedError | None:
        range_.take_in(actors["intake"])
        if look(range_, actors) is not None:
            raise AssertionError("the look that is to be hidden was refused")
        ask()
        range_.stop_keeper()
        _rewrite(range_, "access.record.authorised")
        return _start(range_)

    with Range(home) as range_, Outside(range_) as outside:
        refused = attack(range_, outside.ask)
        proven = _fork_proven(range_)
        again = _start(range_)
    stopped = (
        refused is not None
        and refused.code == "auditlog.log.forked"
        and proven
        and again is not None
        and again.code == "auditlog.log.forked"
    )
    with Range(home) as alone:
        unnoticed = attack(alone, lambda: None)
        control = unnoticed is None and not any(
            e.event == "access.record.authorised" for e in alone.entries()
        )
    with Range(home) as calm, Outside(calm) as watching:
        calm.take_in(actors["intake"])
        watching.ask()
        twin = look(calm, actors) is None and not (calm.settings.log_folder / FORK).exists()
    return [
        Arm(
            ATTACK,
            stopped,
            Text(
                "the keeper stops; the published proof holds both signed checkpoints, and nothing starts beside it",
                "钥匙保管停止；公布的证明含两份已签检查点，此后拒绝启动",
            ),
        ),
        Arm(CONTROL, control, Text("without witnesses the new history stands", "没有见证方则新历史成立")),
        Arm(TWIN, twin, Text("a log that only grows is cosigned", "正常增长的日志获得见证")),
    ]


def witnesses_cut_off(home: Path, drill: Drill) -> list[Arm]:
    """Nobody outside can be reached any more; and the clock goes on, or is turned."""
    actors = drill.actors
    faults = []
    with Range(home) as range_, Outside(range_) as outside:
        range_.take_in(actors["intake"])
        before = look(range_, actors)
        outside.leave()
        range_.pass_(timedelta(minutes=14))
        within = look(range_, actors)
        range_.pass_(timedelta(minutes=2))
        closed, loans = look(range_, actors), range_.loans()
        if (before, within) != (None, None):
            faults.append("closed before its time")
        if not isinstance(closed, UnavailableError) or closed.code != "auditlog.log.stale":
            faults.append("not closed in time")
        outside.come_back()
        outside.ask()
        if look(range_, actors) is not None or range_.loans() == loans:
            faults.append("did not resume by itself")
        outside.ask()
        if not any(entry.event == "log.clock.moved" for entry in range_.entries()):
            faults.append("nothing tells that the clock departed")
    with Range(home, freshness=AlwaysFresh) as careless, Outside(careless) as away:
        careless.take_in(actors["intake"])
        away.leave()
        careless.pass_(timedelta(minutes=16))
        control = look(careless, actors) is None
    with Range(home) as calm, Outside(calm):
        calm.take_in(actors["intake"])
        twin = look(calm, actors) is None
    return [
        Arm(
            ATTACK,
            not faults,
            Text(
                "nothing is opened after a quarter of an hour; it resumes when two of three are back"
                if not faults
                else "; ".join(faults),
                "一刻钟后不再开启任何值；三方中两方恢复后自动继续" if not faults else "；".join(faults),
            ),
        ),
        Arm(CONTROL, control, Text("without a longest age it goes on opening", "不设时限则继续开启")),
        Arm(TWIN, twin, Text("with witnesses in reach the clerk reads", "见证方可达时正常查看")),
    ]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "machine_rolled_back": machine_rolled_back,
    "tree_rewritten": tree_rewritten,
    "witnesses_cut_off": witnesses_cut_off,
}


def _start(range_: Range) -> TamperedError | None:
    try:
        range_.start_keeper()
    except TamperedError as error:
        return error
    return None


def look(range_: Range, actors: Mapping[str, Any]) -> HuanshuError | None:
    """The clerk reads one field of one resident of the own community; None when a value came back."""
    due = range_.due_records(actors["dataset"], actors["domain"])
    if not due:
        raise AssertionError("the range holds no record for the community")
    running = range_.acting(actors["person"])
    fields = {actors["field"]: Rung.REVEAL}
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"], fields, record=due[0][0]
    )
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None


def _rewrite(range_: Range, hidden: str) -> None:
    """The same history without one event, under the same key: what its thief could write."""
    settings = range_.settings
    kept = [entry.body for entry in range_.entries() if entry.event != hidden]
    signer, origin = Signer.load(settings.keeper_folder / "log.key"), range_.acting().home.log_origin
    with range_.administrator() as administrator:
        administrator.execute("TRUNCATE log.loan, log.entry, log.checkpoint CASCADE")
    shutil.rmtree(settings.log_folder)
    head = HeadFile(settings.keeper_folder / "head")
    create_head(signer, origin, head)
    url = range_.deployment.roles["huanshu_keeper"]
    writer = LogWriter(lambda: connect(url), signer, origin, head, lambda: datetime.now(UTC))
    list(writer.start())
    stamped = ("v", "index", "at")
    # A word more at the end: the new history is longer than the one that was seen.
    more = [
        {
            **kept[-1],
            "event": "report.page.built",
            "detail": {"report": "x", "entries": 1, "sha256": "00" * 32},
        }
    ]
    shape = ("event", "person", "established", "policy", "detail")
    for body in [*kept, *({name: value for name, value in m.items() if name in shape} for m in more * 3)]:
        writer.append([Draft({name: value for name, value in body.items() if name not in stamped})])
    writer.close()


def _fork_proven(range_: Range) -> bool:
    """Whether the published proof holds for anyone who has the log's verifier key."""
    text = PublishedLog(range_.settings.log_folder).note(FORK)
    signer = Signer.load(range_.settings.keeper_folder / "log.key")
    origin = range_.acting().home.log_origin
    if text is None:
        return False
    try:
        ForkProof.parse(text).require(lambda note: signer.read_checkpoint(origin, note))
    except HuanshuError:
        return False
    return True

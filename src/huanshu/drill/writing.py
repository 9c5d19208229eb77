"""Attacks on how entries come to be: a second program that writes the log with the first one's key, and a clock that is
turned by a day. Whoever does either has the keeper's machine, or a copy of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from huanshu.assembly.keeper_process import build_service
from huanshu.auditlog import Draft, HeadFile, LogWriter, Signer
from huanshu.drill.careless import AlwaysFresh, takes_no_lock
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.drill.witnessing import look
from huanshu.errors import HuanshuError, TamperedError, Text, UnavailableError
from huanshu.settings import Settings
from huanshu.store import connect

_PATIENCE_SECONDS: Final = 20.0
_DAY: Final = timedelta(days=1)
#: What makes an append a compare-and-swap: an index, and a size, is given once.
_KEYS: Final = (
    "ALTER TABLE log.entry DROP CONSTRAINT entry_pkey CASCADE",
    "ALTER TABLE log.checkpoint DROP CONSTRAINT checkpoint_pkey",
)


def two_writers(home: Path, drill: Drill) -> list[Arm]:
    """A second keeper is started on a copy of the first one's folder; then a program that does not ask for the lock."""
    actors = drill.actors
    faults = []
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        with _copy(range_) as copied:
            refused = _started(range_, copied)
            if not isinstance(refused, UnavailableError) or refused.code != "auditlog.log.has_writer":
                faults.append("a second keeper started")
            loser = _beside(range_, copied, lambda: look(range_, actors))
        if not isinstance(loser, TamperedError) or loser.code != "auditlog.log.not_ours":
            faults.append("the second writer was not stopped")
        if _sizes_signed_twice(range_):
            faults.append("two checkpoints of one size")
        if look(range_, actors) is not None or not range_.verify().clean:
            faults.append("the first keeper did not go on")
    with Range(home) as bare:
        bare.take_in(actors["intake"])
        with bare.administrator() as administrator:
            for statement in _KEYS:
                administrator.execute(statement.encode())
        with _copy(bare) as copied:
            unnoticed = _beside(bare, copied, lambda: look(bare, actors))
        control = unnoticed is None and _sizes_signed_twice(bare)
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        calm.stop_keeper()
        with _copy(calm) as moved:
            twin = _started(calm, moved) is None
        calm.start_keeper()
        twin = twin and look(calm, actors) is None
    return [
        Arm(
            ATTACK,
            not faults,
            Text(
                "the second keeper does not start, and who asks for no lock loses the swap and is out"
                if not faults
                else "; ".join(faults),
                "第二个钥匙保管无法启动；绕过锁者在比较并交换中失败退出" if not faults else "；".join(faults),
            ),
        ),
        Arm(
            CONTROL,
            control,
            Text(
                "without the keys on index and size one size is signed twice", "去掉两个主键则同一规模被签署两次"
            ),
        ),
        Arm(TWIN, twin, Text("once the first has stopped, the second takes over", "前者停止后，后者正常接管")),
    ]  # fmt: skip


def clock_moved(home: Path, drill: Drill) -> list[Arm]:
    """The machine's clock is put back by a day, put right, and put forward by a day, while a clerk looks."""
    actors = drill.actors
    faults = []
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        before, loans = look(range_, actors), range_.loans()
        range_.pass_(-_DAY)
        closed = look(range_, actors)
        if before is not None:
            faults.append("closed before the clock was moved")
        if not isinstance(closed, UnavailableError) or closed.code != "auditlog.log.stale":
            faults.append("opened under yesterday's date")
        if range_.loans() != loans:
            faults.append("keys were lent under yesterday's date")
        if not _told(range_, ["back"]):
            faults.append("nothing tells that the clock was put back")
        range_.pass_(_DAY)
        if not _told(range_, ["back", "forward"]) or look(range_, actors) is not None:
            faults.append("did not resume by itself")
        range_.pass_(_DAY)
        if not _told(range_, ["back", "forward", "forward"]):
            faults.append("nothing tells that the clock was put forward")
        times = [str(entry.body["at"]) for entry in range_.entries()]
        if times != sorted(times):
            faults.append("the log's own time ran backwards")
        if not range_.verify().clean:
            faults.append("the verifier finds the log wanting")
    with Range(home, freshness=AlwaysFresh) as careless:
        careless.take_in(actors["intake"])
        careless.pass_(-_DAY)
        control = look(careless, actors) is None
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        twin = look(calm, actors) is None and _moves(calm) == []
    return [
        Arm(
            ATTACK,
            not faults,
            Text(
                "put back: nothing is opened until it is right; both ways are told, and the log's time never runs back"
                if not faults
                else "; ".join(faults),
                "拨回则停止开启，校正后恢复；拨动均记入日志，日志时间不倒流" if not faults else "；".join(faults),
            ),
        ),
        Arm(CONTROL, control, Text("evidence that never ages opens under any date", "证据不设时限则照常开启")),
        Arm(TWIN, twin, Text("under the right clock the clerk reads, and no move is told", "时钟正确时正常查看")),
    ]  # fmt: skip


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "two_writers": two_writers,
    "clock_moved": clock_moved,
}


# -- a second writer ----------------------------------------------------------------------------------


@contextmanager
def _copy(range_: Range) -> Iterator[Settings]:
    """The keeper's folder on another machine: keys, log key and head, as they are now."""
    with tempfile.TemporaryDirectory(prefix="huanshu-second-") as folder:
        copied = Settings(range_.settings.home, Path(folder), "en")
        sockets = shutil.ignore_patterns("*.sock")
        shutil.copytree(range_.settings.keeper_folder, copied.keeper_folder, ignore=sockets)
        yield copied


def _started(range_: Range, copied: Settings) -> HuanshuError | None:
    """Our own keeper over the same database, from the copied folder; None when it came up."""
    try:
        service = build_service(replace(range_.deployment, settings=copied), clock=range_.clock)
    except HuanshuError as error:
        return error
    service.close()
    return None


def _beside(
    range_: Range, copied: Settings, meanwhile: Callable[[], HuanshuError | None]
) -> HuanshuError | None:
    """A program with the copied key that asks for no lock reads the log, the first keeper goes on, and both append."""
    url, origin = range_.deployment.roles["huanshu_keeper"], range_.acting().home.log_origin
    head = HeadFile(copied.keeper_folder / "head")
    signer = Signer.load(copied.keeper_folder / "log.key")
    second = LogWriter(lambda: connect(url), signer, origin, head, lambda: datetime.now(UTC), takes_no_lock)
    try:
        said = [entry.body for entry, _ in second.start()][-1]
        if meanwhile() is not None:
            raise AssertionError("the first keeper was disturbed before anything was written")
        told = {name: said[name] for name in ("person", "established", "policy")}
        detail = {"report": "x", "entries": 0, "sha256": "00" * 32}
        for _ in range(3):  # whatever the first one has written in one commit, these sizes are among its own
            second.append([Draft({**told, "event": "report.page.built", "detail": detail})])
    except HuanshuError as error:
        return error
    finally:
        second.close()
    return None


def _sizes_signed_twice(range_: Range) -> bool:
    query = "SELECT size FROM log.checkpoint GROUP BY size HAVING count(DISTINCT note) > 1"
    with range_.administrator() as administrator:
        return administrator.execute(query).fetchone() is not None


# -- a clock ------------------------------------------------------------------------------------------


def _moves(range_: Range) -> list[str]:
    """Directions of the moves by about a day that the log tells of."""
    moved = (entry.body["detail"] for entry in range_.entries() if entry.event == "log.clock.moved")
    return [str(detail["direction"]) for detail in moved if abs(int(detail["seconds"]) - 86_400) < 60]


def _told(range_: Range, directions: list[str]) -> bool:
    """Whether the log tells of these moves, after a few of the keeper's rounds at most."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while _moves(range_) != directions:
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True

"""Attacks on the published log: whoever keeps or carries the folder changes it, and an outsider reads it alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from huanshu.auditlog import PublishedLog, Signer
from huanshu.auditlog.published import CHECKPOINT
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import Text
from huanshu.tlog.tiles import tiles_of
from huanshu_verify import STEPS, Options, Report, Rule, fsck

_PATIENCE_SECONDS: Final = 20.0


def altered_publication(home: Path, drill: Drill) -> list[Arm]:
    """One bit of a published bundle of entries, then one bit of a published bitmap."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        range_.deliver(actors["delivery"])
        wait_until_published(range_, len(range_.entries()))
        range_.stop_keeper()
        folder = range_.settings.log_folder
        clean = _alone(range_)
        twin = Arm(
            TWIN,
            clean.clean and clean.size > 0 and clean.bitmaps > 0,
            Text("as it was published it verifies, read alone", "原样公布的文件单独核验通过"),
        )
        faults, unseen = [], []
        bundle = folder / next(tiles_of(clean.size)).bundle_path
        for path, blind in ((bundle, "1238"), (max(folder.glob("bitmap/*/*")), "4")):
            raw = path.read_bytes()
            path.write_bytes(raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:])
            steps = {problem.step[0] for problem in _alone(range_).problems}
            if not steps & set(blind):
                faults.append(f"{path.relative_to(folder)}: not found")
            unseen.append(_alone(range_, [step for step in STEPS if step[0][0] not in blind]).clean)
            path.write_bytes(raw)
        stopped = not faults and _alone(range_).clean
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "either bit is found, by the files and the log's key alone",
                "仅凭公布文件与日志公钥即发现两处改动",
            )
            if stopped
            else Text(f"not found: {faults}", f"未发现：{faults}"),
        )
        control = Arm(
            CONTROL,
            unseen == [True, True],
            Text("without tree, tiles and digests nobody notices", "不核对树、片与摘要则无人察觉"),
        )
    return [attack, control, twin]


def wait_until_published(range_: Range, entries: int) -> None:
    """Wait until the keeper's rounds have published that many entries."""
    log, until = PublishedLog(range_.settings.log_folder), time.monotonic() + _PATIENCE_SECONDS
    while int((log.note(CHECKPOINT) or "\n0").split("\n")[1]) < entries:
        if time.monotonic() > until:
            raise AssertionError("the range has not published its log")
        time.sleep(0.1)


def _alone(range_: Range, steps: list[Rule] | None = None) -> Report:
    signer = Signer.load(range_.settings.keeper_folder / "log.key")
    vkey = signer.vkey(range_.acting().home.log_origin)
    return fsck(Options(vkey=vkey, published=range_.settings.log_folder), STEPS if steps is None else steps)


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"altered_publication": altered_publication}

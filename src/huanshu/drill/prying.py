"""Curiosity, by verb: somebody who tries again and again what is not granted; somebody who snoops in the log itself.

The first is stopped by nobody's patience but by a finding with an owner; the second by a rule, a case and an entry.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.assembly import Running
from huanshu.assembly.watching import raised
from huanshu.catalog import Rung
from huanshu.drill.careless import AllowsEverything
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, Text
from huanshu.gate.read import Asked, read
from huanshu.gate.seen import AskedWho, who_saw

_TRIES: Final = 6
_PATIENCE_SECONDS: Final = 60.0


def repeated_denials(home: Path, drill: Drill) -> list[Arm]:
    """A clerk asks for a neighbour's resident again and again; each time is denied, and together they are a finding."""
    actors = drill.actors
    with Range(home, watched=True) as range_:
        range_.take_in(actors["intake"])
        once = _denied(range_, actors, 1) and not raised(range_.acting())
        twin = Arm(TWIN, once, Text("one slip raises nothing", "偶然一次被拒不触发告警"))
        denied = _denied(range_, actors, _TRIES)
        running = range_.acting()
        finding, seconds = _found(running)
        cited = int(str(finding.get("finding", "alert/none/0")).split("/")[2])
        entry = range_.entries()[cited]
        stopped = (
            denied
            and seconds <= drill.within_s
            and finding.get("about") == actors["person"]
            and finding.get("owner_post") == drill.actors["owner"]
            and (entry.event, entry.body["person"]) == ("access.request.denied", actors["person"])
            and not raised(running)
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"denied each time; after {seconds:.1f} s the keeper's own watch has opened a finding with owner and"
                f" due date, citing entry {cited}",
                f"每次均被拒；{seconds:.1f} 秒内钥匙保管自行登记一项有责任岗位和期限的发现，引用条目 {cited}",
            ),
        )
    with Range(home, watched=True, edit=lambda folder: shutil.rmtree(folder / "audit/alerts")) as blind:
        blind.take_in(actors["intake"])
        unseen = _denied(blind, actors, _TRIES) and not _found(blind.acting(), patience=2 * drill.within_s)[0]
        control = Arm(CONTROL, unseen, Text("without the rules nobody is told", "撤去告警规则后无人知晓"))
    return [attack, control, twin]


def snooping_in_the_log(home: Path, drill: Drill) -> list[Arm]:
    """A clerk asks the log who has looked at a resident; an auditor asks without saying what for."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record = range_.due_records(actors["dataset"], actors["domain"])[0][0]
        size = len(range_.acts())
        clerk = _asked(range_, actors, actors["person"], actors["post"], record)
        borrowed = _asked(range_, actors, actors["person"], actors["auditor_post"], record)
        caseless = _asked(range_, actors, actors["auditor"], actors["auditor_post"], record, case="")
        told = [(e.event, e.body["person"]) for e in range_.acts()[size:]]
        stopped = (
            isinstance(clerk, DeniedError)
            and isinstance(borrowed, DeniedError)
            and isinstance(caseless, HuanshuError)
            and told == [("access.request.denied", actors["person"])] * 2
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "denied without the right, without the post and without a case; both persons' attempts are entries",
                "无权、非本岗、无案由均被拒，越权尝试均已留痕",
            ),
        )
        asked = _asked(range_, actors, actors["auditor"], actors["auditor_post"], record)
        last = range_.acts()[-1]
        twin = Arm(
            TWIN,
            asked is None and last.event == "access.seen.authorised" and bool(last.body["detail"]["case"]),
            Text(
                "an auditor with a case is answered, and the question is an entry",
                "有案由的审计人员得到答复，且提问本身留痕",
            ),
        )
    with Range(home, enforcer=lambda h: AllowsEverything(h.policies, h.contracts)) as open_range:
        open_range.take_in(actors["intake"])
        record = open_range.due_records(actors["dataset"], actors["domain"])[0][0]
        got = _asked(open_range, actors, actors["person"], actors["post"], record)
        control = Arm(
            CONTROL, got is None, Text("without the rules the clerk is answered", "撤去规则后社区专员可得到答复")
        )  # fmt: skip
    return [attack, control, twin]


def _denied(range_: Range, actors: Mapping[str, Any], times: int) -> bool:
    """Whether every one of ``times`` look-ups in the victim's domain was denied."""
    running = range_.acting(actors["person"])
    asked = Asked(
        actors["post"],
        actors["victim"],
        actors["dataset"],
        actors["purpose"],
        {actors["field"]: Rung.REVEAL},
        1,
    )
    denied = 0
    for _ in range(times):
        try:
            read(running.home, running.keeper, running.district, asked)
        except DeniedError:
            denied += 1
    return denied == times


def _found(running: Running, patience: float = _PATIENCE_SECONDS) -> tuple[dict[str, Any], float]:
    """The first finding of an alert, and after how many seconds it was there; empty when none came."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < patience:
        for finding in running.keeper.findings():
            if finding["kind"] == "alert":
                return finding, waited
        time.sleep(0.1)
    return {}, waited


def _asked(
    range_: Range, actors: Mapping[str, Any], person: str, post: str, record: int, case: str = "drill"
) -> HuanshuError | None:
    """Ask who saw a record; None when there was an answer."""
    running = range_.acting(person)
    asked = AskedWho(post, actors["dataset"], actors["review"], case, record)
    try:
        who_saw(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    return None


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "repeated_denials": repeated_denials,
    "snooping_in_the_log": snooping_in_the_log,
}

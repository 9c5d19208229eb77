"""An attack on going back: last night's database is put in place, and one person alone tries to make it count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.drill.careless import OneIsEnough
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.drill.witnessing import look, set_back
from huanshu.errors import HuanshuError, TamperedError, Text
from huanshu.keeper.reopening import TwoPersons

_WHY: Final = "last night's backup"


def log_given_up(home: Path, drill: Drill) -> list[Arm]:
    """A look is to be forgotten: the database of before it is put back, and a log opened that does not know it."""
    actors = drill.actors
    with Range(home) as range_:
        size = _went_back(range_, actors)
        range_.start_closed(TwoPersons())
        before = len(range_.entries())
        refusals = [
            _sign(range_, actors["person"]),  # the clerk
            _sign(range_, actors["officer"]),  # the first of two …
            _sign(range_, actors["officer"]),  # … who is not also the second
        ]
        still = look(range_, actors)
        stopped = (
            [refused and refused.code for refused in refusals]
            == ["identity.post.not_held", None, "auditlog.reopening.same_person"]
            and isinstance(still, TamperedError)
            and len(range_.entries()) == before == size
        )
    with Range(home) as careless:
        _went_back(careless, actors)
        careless.start_closed(OneIsEnough())
        alone = _sign(careless, actors["officer"])
        careless.start_keeper()
        gone = not any(entry.event == "access.record.authorised" for entry in careless.entries())
        control = alone is None and gone and look(careless, actors) is None
    with Range(home) as calm:
        size = _went_back(calm, actors)
        calm.start_closed(TwoPersons())
        signed = [_sign(calm, actors["officer"]), _sign(calm, actors["auditor"])]
        calm.start_keeper()
        report = calm.verify()
        told = [(gap.first, gap.persons) for gap in report.gaps] == [
            (size, (actors["officer"], actors["auditor"]))
        ]
        twin = signed == [None, None] and report.clean and told and look(calm, actors) is None
    return [
        Arm(
            ATTACK,
            stopped,
            Text(
                "the log stays closed: one person signs once; nothing is opened and nothing appended",
                "日志保持关闭：一人只能签署一次；未开启任何值，也未写入条目",
            ),
        ),
        Arm(
            CONTROL,
            control,
            Text("where one signature suffices the look is gone", "若一人签署即可，则该次查看消失"),
        ),
        Arm(
            TWIN,
            twin,
            Text(
                "two persons open the next origin; the verifier says what is missing and who gave it up",
                "两人签署后续用新起点；核验指明缺失范围与签署人",
            ),
        ),
    ]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"log_given_up": log_given_up}


def _went_back(range_: Range, actors: Mapping[str, Any]) -> int:
    """A clerk looks, and the database is set back to before that; how many entries it holds then."""
    range_.take_in(actors["intake"])
    size = len(range_.entries())
    if look(range_, actors) is not None:
        raise AssertionError("the look that is to be hidden was refused")
    range_.stop_keeper()
    set_back(range_, size)
    return size


def _sign(range_: Range, person: str) -> HuanshuError | None:
    """One signature; None when it was taken."""
    keeper = range_.acting(person).keeper
    try:
        keeper.give_up(keeper.missing()["digest"], _WHY)
    except HuanshuError as error:
        return error
    finally:
        keeper.close()
    return None

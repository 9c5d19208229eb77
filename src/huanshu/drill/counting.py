"""Numbers that point at people, by verb: cells of a few, and two legal numbers that differ by one person."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.drill.careless import TellsEveryNumber
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, Text
from huanshu.gate.count import AskedCount, Counted, count


def small_cells(home: Path, drill: Drill) -> list[Arm]:
    """A chief data officer breaks some communities down until a cell holds a few; and reckons it from the others."""
    actors = drill.actors
    with Range(home, edit=_groups_of(actors)) as range_:
        true = _prepared(range_, actors)
        answer = _ask(range_, actors, "wide", by=actors["by"])
        small = {value for value, number in true.items() if number < actors["least"]}
        withheld = true.keys() - answer.cells.keys()
        rest = (answer.total or 0) - sum(answer.cells.values())
        hidden = _refused(range_, actors)
        last = range_.acts()[-1]
        stopped = (
            bool(small)
            and small < withheld
            and rest >= actors["least"]
            and hidden
            and (last.event, last.body["person"]) == ("access.request.denied", actors["person"])
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"{len(withheld)} of {len(true)} cells not even named, one more than is small, so that the total less"
                " the others is a whole group; what may not be counted is refused as a breakdown",
                f"{len(true)} 个单元中 {len(withheld)} 个连名称也不显示（比不足下限的多一个），"
                "合计减去其余单元仍不少于下限；"
                "未授权字段不得用于分组",
            ),
        )
        right = answer.total == sum(true.values())
        twin = Arm(TWIN, right, Text("the total is told, and right", "合计照常给出且正确"))
    with Range(home, edit=_groups_of(actors), reader=TellsEveryNumber) as open_range:
        true = _prepared(open_range, actors)
        cells = _ask(open_range, actors, "wide", by=actors["by"]).cells
        control = Arm(
            CONTROL,
            cells == true and min(true.values()) < actors["least"],
            Text("without the judge a cell of a few is told", "撤去判定后可得到仅有数人的单元"),
        )
    return [attack, control, twin]


def two_numbers_apart(home: Path, drill: Drill) -> list[Arm]:
    """Two questions, each about many, whose answers differ by a few residents."""
    actors = drill.actors
    with Range(home, edit=_groups_of(actors)) as range_:
        _prepared(range_, actors)
        wide, near = (_ask(range_, actors, zone).total for zone in ("wide", "near"))
        last = range_.acts()[-1]
        stopped = wide is not None and near is None and last.body["detail"]["withheld"] == 1
        attack = Arm(
            ATTACK,
            stopped,
            Text("the second number is withheld, and the log says so", "第二个数字不予给出并留痕"),
        )
        again = _ask(range_, actors, "wide").total
        twin = Arm(
            TWIN,
            again is not None and again == wide,
            Text("the same question is answered again", "同一问题可再次得到答复"),
        )
    with Range(home, edit=_groups_of(actors), reader=TellsEveryNumber) as open_range:
        _prepared(open_range, actors)
        apart = (_ask(open_range, actors, "wide").total or 0) - (_ask(open_range, actors, "near").total or 0)
        control = Arm(
            CONTROL,
            0 < apart < actors["least"],
            Text(f"without the judge the difference tells of {apart}", f"撤去判定后相减即得 {apart} 人"),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "small_cells": small_cells,
    "two_numbers_apart": two_numbers_apart,
}


def _groups_of(actors: Mapping[str, Any]) -> Callable[[Path], None]:
    """A sample is small: in every arm its contract's minimum group is the smallest that a contract may say."""

    def edit(home: Path) -> None:
        path = home / f"expectations/{actors['dataset']}/contract.yaml"
        said = path.read_text("utf-8")
        least = f"huanshu.minimumGroup, value: {actors['least']}}}"
        changed = re.sub(r"huanshu\.minimumGroup, value: [0-9]+\}", least, said)
        assert least in changed
        path.write_text(changed, "utf-8")

    return edit


def _prepared(range_: Range, actors: Mapping[str, Any]) -> dict[str, int]:
    """Take the sample in: how many residents each community has."""
    range_.take_in(actors["intake"])
    return {home: len(range_.due_records(actors["dataset"], home)) for home in actors["wide"]}


def _ask(range_: Range, actors: Mapping[str, Any], zone: str, by: str | None = None) -> Counted:
    running = range_.acting(actors["person"])
    try:
        asked = AskedCount(actors["post"], actors["dataset"], actors["purpose"], tuple(actors[zone]), by)
        return count(running.home, running.keeper, running.district, asked)
    finally:
        running.keeper.close()


def _refused(range_: Range, actors: Mapping[str, Any]) -> bool:
    try:
        _ask(range_, actors, "wide", by=actors["hidden"])
    except DeniedError:
        return True
    return False

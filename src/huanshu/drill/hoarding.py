"""Too much, by verb: everything at once, a little every day, numbers guessed and identifiers walked through.

The rules grant each single look; what stops these is the count of what one person has seen, kept by the keeper.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pyroaring import BitMap

from huanshu.assembly.watching import raised
from huanshu.catalog import Rung, read_home
from huanshu.drill.careless import BelievesWhoSeeks, CountsNothing
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, InputError, Text
from huanshu.gate.read import Asked, read
from huanshu.subjects import find_record

_EVERYBODY: Final = 1_000_000
_ALARM_BEFORE: Final = 2_000
_DAYS: Final = 30
_HOUSEHOLD: Final = 10
_MISSES: Final = 200
_WALKED: Final = 1_000
_HONEST: Final = 60  # more than the budget of misses
_NUMBER: Final = 10**9  # no record of a range has it


def mass_export(home: Path, drill: Drill) -> list[Arm]:
    """A clerk asks for a workbook of a million residents; then agrees to it himself."""
    actors = drill.actors
    with Range(home) as range_:
        alone = _export(range_, actors, _EVERYBODY)
        own = _consent(range_, actors, actors["person"])
        again = _export(range_, actors, _EVERYBODY)
        told = [(e.event, e.body["detail"].get("reason")) for e in _of(range_, actors["person"])]
        stopped = (
            [getattr(each, "code", None) for each in (alone, again)] == ["access.budget.spent"] * 2
            and isinstance(own, DeniedError)
            and [event for event, _ in told] == ["access.request.denied"] * 3
            and any(found.alert.alert == "budget_spent" for found in raised(range_.acting()))
            and range_.loans() == 0
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "refused twice, and his own consent too; three entries in his name; a finding for security staff",
                "两次申请及自行同意均被拒；三条日志记到本人；安全人员收到告警",
            ),
        )
        consented = _consent(range_, actors, actors["officer"])
        twin = Arm(
            TWIN,
            consented is None and _export(range_, actors, _EVERYBODY) is None,
            Text(
                "after a second person has agreed, with an end, it is authorised",
                "第二人限期同意后可以导出",
            ),
        )
    with Range(home, budgets=CountsNothing) as open_range:
        control = Arm(
            CONTROL,
            _export(open_range, actors, _EVERYBODY) is None,
            Text("without budgets one person exports everybody", "撤去限额后一人即可导出全部"),
        )
    return [attack, control, twin]


def slow_drip(home: Path, drill: Drill) -> list[Arm]:
    """A clerk looks at some households every day for thirty days, below every limit of a day."""
    actors = drill.actors
    with Range(home) as range_:
        seen, refused = _drip(range_, actors)
        found = [each.alert.alert for each in raised(range_.acting())]
        stopped = refused == "access.budget.spent" and 0 < seen < _ALARM_BEFORE and "budget_spent" in found
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"stopped at {seen} residents; a finding is raised",
                f"查看 {seen} 名居民后被停止，并触发告警",
            ),
        )
    with Range(home) as calm:
        some, refused = _drip(calm, actors, per_day=actors["honest_per_day"])
        twin = Arm(
            TWIN,
            refused is None and some == _DAYS * actors["honest_per_day"] * _HOUSEHOLD,
            Text("a month of ordinary work is not stopped", "一个月的正常工作不受影响"),
        )
    with Range(home, budgets=CountsNothing) as open_range:
        all_seen, refused = _drip(open_range, actors)
        control = Arm(
            CONTROL,
            refused is None and all_seen >= _ALARM_BEFORE,
            Text(f"without budgets {all_seen} residents are seen", f"撤去限额后可查看 {all_seen} 名居民"),
        )
    return [attack, control, twin]


def guessed_numbers(home: Path, drill: Drill) -> list[Arm]:
    """A clerk tries one number after the other, until one is a resident's."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        real = range_.due_records(actors["dataset"], actors["domain"])[0][0]
        slips = [_look(range_, actors, _NUMBER + n) for n in range(3)]
        ordinary = all(isinstance(each, InputError) for each in slips) and _look(range_, actors, real) is None
        twin = Arm(TWIN, ordinary, Text("three slips, and work goes on", "偶有笔误不影响工作"))
        missed, refused = _guess(range_, actors)
        known = _look(range_, actors, real)
        stopped = (
            refused == "access.misses.spent"
            and missed < _MISSES
            and getattr(known, "code", None) == refused
            and any(found.alert.alert == "budget_spent" for found in raised(range_.acting()))
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"stopped after {missed + 3} misses; a number that exists is answered like the others; a finding",
                f"{missed + 3} 次落空后停止；存在的编号同样不再答复；触发告警",
            ),
        )
    with Range(home, budgets=CountsNothing) as open_range:
        open_range.take_in(actors["intake"])
        real = open_range.due_records(actors["dataset"], actors["domain"])[0][0]
        missed, refused = _guess(open_range, actors)
        control = Arm(
            CONTROL,
            refused is None and missed > _MISSES and _look(open_range, actors, real) is None,
            Text("without a budget of misses the guessing goes on and finds one", "撤去限额后可一直试到为止"),
        )
    return [attack, control, twin]


def walked_identifiers(home: Path, drill: Drill) -> list[Arm]:
    """A clerk's own program has one identifier after the other linked, looks in the store, and never says it missed."""
    actors = drill.actors
    known = _identifier(home, actors)
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        honest = {_seek(range_, actors, known) for _ in range(_HONEST)}
        twin = Arm(
            TWIN,
            honest == {None},
            Text("who reads what he looked up goes on", "查到即读的正常工作不受影响"),
        )
        walked, refused = _walk(range_, actors, known)
        after = _seek(range_, actors, known)
        stopped = (
            (refused, after) == ("access.misses.spent",) * 2
            and walked < _MISSES
            and any(found.alert.alert == "budget_spent" for found in raised(range_.acting()))
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"stopped after {walked} of {_WALKED}; the known one is not told any more; a finding",
                f"试到第 {walked} 个（共 {_WALKED} 个）即停止；已知编号亦不再答复；触发告警",
            ),
        )
    with Range(home, budgets=BelievesWhoSeeks) as open_range:
        open_range.take_in(actors["intake"])
        walked, refused = _walk(open_range, actors, known)
        control = Arm(
            CONTROL,
            refused is None and walked == _WALKED,
            Text(
                f"believed, he asks for {walked} and finds out who lives here",
                f"若凭其自报，可试完 {walked} 个并得知谁在册",
            ),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "walked_identifiers": walked_identifiers,
    "mass_export": mass_export,
    "slow_drip": slow_drip,
    "guessed_numbers": guessed_numbers,
}


def _identifier(home: Path, actors: Mapping[str, Any]) -> str:
    """The identifier of somebody in the sample who is at home in the drill's domain."""
    contract = read_home(home).contracts[actors["dataset"]]
    sample = home / "expectations" / contract.dataset / "samples" / "passing.csv"
    with sample.open(encoding="utf-8", newline="") as rows:
        return next(
            row[contract.primary_key.name]
            for row in csv.DictReader(rows)
            if row[contract.home_field] == actors["domain"]
        )


def _seek(range_: Range, actors: Mapping[str, Any], identifier: str) -> str | None:
    """Read a record by its identifier, as the console does; None when it was opened, the refusal's code otherwise."""
    running = range_.acting(actors["person"])
    fields = {actors["field"]: Rung.REVEAL}
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"], fields, identifier=identifier
    )
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error.code
    finally:
        running.keeper.close()
    return None


def _walk(range_: Range, actors: Mapping[str, Any], known: str) -> tuple[int, str | None]:
    """(identifiers linked and looked for, code of the refusal): many that nobody has, and one that somebody has."""
    running = range_.acting(actors["person"])
    claim = _claim(actors, "access.record.sought", {})
    kind = running.home.contracts[actors["dataset"]].primary_key.link_kind
    assert kind is not None
    tried = [*(f"{n:018d}" for n in range(_WALKED - 1)), known]
    try:
        with running.district() as district:
            for n, identifier in enumerate(tried):
                try:
                    linked = running.keeper.link(claim, kind, identifier)
                except DeniedError as denied:
                    return n, denied.code
                assert (find_record(district, actors["dataset"], linked) is not None) == (identifier == known)
    finally:
        running.keeper.close()
    return _WALKED, None


def _of(range_: Range, person: str) -> list[Any]:
    return [entry for entry in range_.entries() if entry.body["person"] == person]


def _claim(actors: Mapping[str, Any], event: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event": event,
        "post": actors["post"],
        "domain": actors["domain"],
        "dataset": actors["dataset"],
        "purpose": actors["purpose"],
        "fields": {actors["field"]: Rung.REVEAL.word},
        "detail": dict(detail),
    }


def _export(range_: Range, actors: Mapping[str, Any], subjects: int) -> HuanshuError | None:
    """Ask for a workbook of so many; None when it was authorised."""
    detail = {"workbook": "drill", "sequence": 1, "records": subjects}
    claim = _claim(actors, "access.workbook.authorised", detail)
    keeper = range_.acting(actors["person"]).keeper
    try:
        keeper.append(claim, BitMap(range(1, subjects + 1)).serialize())
    except HuanshuError as error:
        return error
    finally:
        keeper.close()
    return None


def _consent(range_: Range, actors: Mapping[str, Any], person: str) -> HuanshuError | None:
    keeper = range_.acting(person).keeper
    claim = {
        "event": "access.budget.raised",
        "dataset": actors["dataset"],
        "purpose": actors["purpose"],
        "detail": {
            "for": actors["person"],
            "subjects": _EVERYBODY,
            "until": (range_.clock() + timedelta(days=1)).isoformat(),
            "reason": "drill",
        },
    }
    try:
        keeper.append(claim)
    except HuanshuError as error:
        return error
    finally:
        keeper.close()
    return None


def _drip(range_: Range, actors: Mapping[str, Any], per_day: int = 0) -> tuple[int, str | None]:
    """(residents seen, code of the refusal) of so many households a day for a month."""
    keeper, seen = range_.acting(actors["person"]).keeper, 0
    try:
        for _ in range(_DAYS):
            for _ in range(per_day or actors["per_day"]):
                claim = _claim(actors, "access.record.authorised", {"record": seen + 1, "values": 1})
                try:
                    keeper.append(claim, BitMap(range(seen + 1, seen + 1 + _HOUSEHOLD)).serialize())
                except DeniedError as denied:
                    return seen, denied.code
                seen += _HOUSEHOLD
            range_.pass_(timedelta(days=1))
    finally:
        keeper.close()
    return seen, None


def _guess(range_: Range, actors: Mapping[str, Any]) -> tuple[int, str | None]:
    """(numbers answered as missing, code of the refusal)."""
    for n in range(_MISSES + 10):
        error = _look(range_, actors, 2 * _NUMBER + n)
        if isinstance(error, DeniedError):
            return n, error.code
        assert isinstance(error, InputError)
    return _MISSES + 10, None


def _look(range_: Range, actors: Mapping[str, Any], record: int) -> HuanshuError | None:
    running = range_.acting(actors["person"])
    fields = {actors["field"]: Rung.REVEAL}
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"], fields, record=record
    )
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None

"""A field that is hidden, asked for through every clause there is: as a value, under another name, as filter, as
breakdown, by comparing, for another purpose, in another domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.assembly import Running
from huanshu.catalog import Rung
from huanshu.drill.careless import AllowsEverything
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, Text
from huanshu.gate.compare import AskedWhether, compare
from huanshu.gate.count import AskedCount, count
from huanshu.gate.read import Asked, read


def hidden_field(home: Path, drill: Drill) -> list[Arm]:
    """A clerk who may not see a field asks for it in every way that the gate offers."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        size, loans = len(range_.acts()), range_.loans()
        told = {name: _asked(range_, actors, ask) for name, ask in _ways(actors)}
        open_ways = sorted(name for name, error in told.items() if not isinstance(error, DeniedError))
        entries = range_.acts()[size:]
        quoted = [name for name, error in told.items() if actors["guess"] in str(error)]
        stopped = (
            len(told) > 6
            and not open_ways
            and not quoted
            and range_.loans() == loans
            and {entry.event for entry in entries} == {"access.request.denied"}
            and {entry.body["person"] for entry in entries} == {actors["person"]}
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"{len(told)} ways, all denied, none of them repeats what was asked; nothing was opened"
                if stopped
                else f"open: {open_ways}, quoted: {quoted}",
                f"{len(told)} 种途径均被拒，答复不复述所问内容；未开启任何值",
            ),
        )
        seen = {**actors, "field": actors["granted"]}
        twin = Arm(
            TWIN,
            _asked(range_, seen, _value) is None and _asked(range_, seen, _compared) is None,
            Text("a field that is granted is seen and compared", "已授权字段可查看、可核对"),
        )
    with Range(home, enforcer=lambda h: AllowsEverything(h.policies, h.contracts)) as open_range:
        open_range.take_in(actors["intake"])
        got = [_asked(open_range, actors, ask) is None for ask in (_value, _compared)]
        control = Arm(
            CONTROL, all(got), Text("without the rules it is seen and compared", "撤去规则后可查看、可核对")
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"hidden_field": hidden_field}

Ask = Callable[[Running, Mapping[str, Any], int], object]


def _ways(actors: Mapping[str, Any]) -> Iterator[tuple[str, Ask]]:
    field, plain, other = actors["field"], actors["plain"], actors["other_purpose"]
    yield "value", _value
    yield "mask", lambda r, a, n: _value(r, a, n, Rung.MASK)
    yield "beside a granted field", lambda r, a, n: _value(r, {**a, "also": a["granted"]}, n)
    yield "compared", _compared
    yield "filter", lambda r, a, _: _counted(r, a, None, {field: a["guess"]})
    yield "filter with its sealed value", lambda r, a, _: _counted(r, a, plain, {field: a["guess"]})
    yield "breakdown", lambda r, a, _: _counted(r, a, field, {})
    yield "alias in a filter", lambda r, a, _: _counted(r, a, None, {f"{plain}, {field}": a["guess"]})
    yield "alias in a breakdown", lambda r, a, _: _counted(r, a, f"{field} AS {plain}", {})
    yield "another purpose", lambda r, a, n: _value(r, {**a, "purpose": other, "field": a["granted"]}, n)
    yield "another domain", lambda r, a, n: _value(r, {**a, "domain": a["victim"], "field": a["granted"]}, n)


def _asked(range_: Range, actors: Mapping[str, Any], ask: Ask) -> HuanshuError | None:
    """None when there was an answer."""
    record = range_.due_records(actors["dataset"], actors["domain"])[0][0]
    running = range_.acting(actors["person"])
    try:
        ask(running, actors, record)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None


def _value(running: Running, actors: Mapping[str, Any], record: int, rung: Rung = Rung.REVEAL) -> object:
    fields = {actors["field"]: rung, **({actors["also"]: Rung.REVEAL} if "also" in actors else {})}
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"], fields, record=record
    )
    return read(running.home, running.keeper, running.district, asked)


def _compared(running: Running, actors: Mapping[str, Any], record: int) -> object:
    typed = {actors["field"]: actors["guess"]}
    asked = AskedWhether(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"], typed, record=record
    )
    return compare(running.home, running.keeper, running.district, asked)


def _counted(running: Running, actors: Mapping[str, Any], by: str | None, where: Mapping[str, str]) -> object:
    asked = AskedCount(
        actors["post"], actors["dataset"], actors["purpose"], (actors["domain"],), by, dict(where)
    )
    return count(running.home, running.keeper, running.district, asked)

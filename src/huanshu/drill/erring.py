"""Human error, by verb: two communities' codes swapped in an extract; a delivery that should not have been.

The attack is an honest person's mistake. It is stopped when nothing is opened before somebody else has looked, and when
what went out by mistake can be taken back at once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pyroaring import BitMap

from huanshu.catalog import Rung
from huanshu.drill.careless import ForgetsRecalls
from huanshu.drill.definition import Drill
from huanshu.drill.range import CHUNK, Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HeldError, HuanshuError, Text
from huanshu.exchange import recalls
from huanshu.gate.read import Asked, read


def swapped_communities(home: Path, drill: Drill) -> list[Arm]:
    """The department's file has the codes of two communities of equal size in each other's place."""
    actors = drill.actors
    one, other = actors["domain"], actors["other"]
    with Range(home) as range_:
        range_.take_in(actors["intake"], 1, _extract(home, actors))
        range_.deliver(actors["delivery"])
        range_.take_in(actors["intake"], 2, _extract(home, actors, elsewhere=1))
        usual = _delivered(range_, actors)
        twin = Arm(
            TWIN, usual is None, Text("one resident has left: delivered as usual", "一人迁出：照常交付")
        )
        before = {code: range_.slice_records(actors["dataset"], code) for code in (one, other)}
        range_.take_in(actors["intake"], 3, _extract(home, actors, elsewhere=1, swapped=True))
        size, loans = len(range_.acts()), range_.loans()
        held = _delivered(range_, actors)
        events = [entry.event for entry in range_.acts()[size:]]
        numbers: Mapping[str, Any] = next(
            (e.body["detail"] for e in range_.acts()[size:] if e.event == "exchange.run.held"), {}
        )
        named = {reason["about"] for reason in numbers.get("reasons", [])}
        past = _past_the_judge(range_, actors, numbers)
        after = {code: range_.slice_records(actors["dataset"], code) for code in (one, other)}
        stopped = (
            isinstance(held, HeldError)
            and {one, other} <= named
            and isinstance(past, HeldError)
            and "exchange.delivery.authorised" not in events
            and range_.loans() == loans
            and after == before
            and bool(before[one])
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "held, both communities named in numbers; a worker that does not ask is refused; nothing opened",
                "已暂停并以数字指明两社区；绕过判断的进程亦被钥匙保管拒绝；未开启任何值",
            )
            if stopped
            else Text(f"not stopped as it must be: {events}", f"未按要求阻止：{events}"),
        )
    with Range(home, edit=lambda folder: _expects_anything(folder, actors["delivery"])) as careless:
        careless.take_in(actors["intake"], 1, _extract(home, actors))
        careless.deliver(actors["delivery"])
        first = careless.slice_records(actors["dataset"], one)
        careless.take_in(actors["intake"], 2, _extract(home, actors, swapped=True))
        went = _delivered(careless, actors)
        now = careless.slice_records(actors["dataset"], one)
        red = went is None and bool(first) and not {r for r, _ in first} & {r for r, _ in now}
        control = Arm(
            CONTROL,
            red,
            Text("expecting anything, the swapped slices are delivered", "不设期望范围则错误切片照样送达"),
        )
    return [attack, control, twin]


def recalled_delivery(home: Path, drill: Drill) -> list[Arm]:
    """A wrong delivery has arrived; it is recalled, and the receiving clerk goes on looking."""
    actors = drill.actors
    with Range(home) as range_:
        record = _sent(range_, home, actors)
        opened_before = _look(range_, actors, record)
        made = recalls.recall(
            range_.acting(actors["officer"]).ground(chunk=CHUNK),
            actors["delivery"],
            actors["domain"],
            "drill",
        )
        size, loans = len(range_.acts()), range_.loans()
        refused = _look(range_, actors, record)
        again = _delivered(range_, actors)
        events = [entry.event for entry in range_.acts()[size:]]
        stopped = (
            opened_before is None
            and [(o.person, o.subjects) for o in made.opened] == [(actors["person"], 1)]
            and isinstance(refused, DeniedError)
            and isinstance(again, DeniedError)
            and "access.record.authorised" not in events
            and "exchange.delivery.authorised" not in events
            and range_.loans() == loans
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "not opened from the next decision on, nor delivered again; who had opened one before is named",
                "自下一次判定起不再开启，也不再下发；此前开启过的人被指明",
            )
            if stopped
            else Text(f"not stopped as it must be: {events}", f"未按要求阻止：{events}"),
        )
        range_.take_in(actors["intake"], 2, _extract(home, actors, leaves=1))
        range_.deliver(actors["delivery"])
        stays = range_.due_records(actors["dataset"], actors["domain"])[-1][0]
        twin = Arm(
            TWIN,
            _look(range_, actors, stays) is None,
            Text("the delivery that replaces it opens as usual", "替换它的交付可正常查看"),
        )
    with Range(home, recalled=ForgetsRecalls) as careless:
        record = _sent(careless, home, actors)
        recalls.recall(
            careless.acting(actors["officer"]).ground(chunk=CHUNK),
            actors["delivery"],
            actors["domain"],
            "drill",
        )
        control = Arm(
            CONTROL,
            _look(careless, actors, record) is None,
            Text("a keeper that forgets recalls opens it", "遗忘召回的钥匙保管仍会开启"),
        )
    return [attack, control, twin]


def _sent(range_: Range, home: Path, actors: Mapping[str, Any]) -> int:
    range_.take_in(actors["intake"], 1, _extract(home, actors))
    range_.deliver(actors["delivery"])
    due = range_.due_records(actors["dataset"], actors["domain"])
    if not due:
        raise AssertionError("the range holds no record for the receiver")
    return due[0][0]


def _look(range_: Range, actors: Mapping[str, Any], record: int) -> HuanshuError | None:
    """Read one field of a record as the drill's clerk; None when a value came back."""
    running = range_.acting(actors["person"])
    asked = Asked(
        actors["post"],
        actors["domain"],
        actors["dataset"],
        actors["purpose"],
        {actors["field"]: Rung.REVEAL},
        record,
    )
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None


def _delivered(range_: Range, actors: Mapping[str, Any]) -> HuanshuError | None:
    try:
        range_.deliver(actors["delivery"])
    except HuanshuError as error:
        return error
    return None


def _past_the_judge(range_: Range, actors: Mapping[str, Any], held: Mapping[str, Any]) -> HuanshuError | None:
    """A worker that asks nobody has a delivery of the held run authorised."""
    keeper = range_.acting().keeper
    (receiver, delivery), *_ = sorted(held.get("deliveries", {"": ""}).items())
    claim = {
        "event": "exchange.delivery.authorised",
        "flow": {"id": actors["delivery"], "run": "asks-nobody"},
        "subjects": 0,
        "detail": {
            "delivery": delivery.ljust(64, "0"),
            "content": "0" * 64,
            "receiver": receiver,
            "upserts": 1,
            "withdrawals": 0,
        },
    }
    try:
        keeper.append(claim, BitMap().serialize())
    except HuanshuError as error:
        return error
    finally:
        keeper.close()
    return None


def _expects_anything(folder: Path, flow: str) -> None:
    path = folder / "dags" / "flows" / f"{flow}.yaml"
    lines = path.read_text().splitlines()
    anything = "expect: {subjects: 999 %, per_receiver: 999 %}"
    path.write_text("\n".join(anything if line.startswith("expect:") else line for line in lines) + "\n")


def _extract(
    home: Path, actors: Mapping[str, Any], *, swapped: bool = False, leaves: int = 0, elsewhere: int = 0
) -> bytes:
    """The passing sample, with equally many rows for both communities; their codes swapped; some of the first one's
    gone, or some of all others'."""
    one, other = actors["domain"], actors["other"]
    text = (home / "expectations" / actors["dataset"] / "samples" / "passing.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    mine = [row for row in rows if row[actors["home_field"]] == one]
    theirs = [row for row in rows if row[actors["home_field"]] == other]
    rest = [row for row in rows if row[actors["home_field"]] not in (one, other)]
    count = min(len(mine), len(theirs))
    if not count:
        raise AssertionError("the sample has no rows for one of the communities")
    chosen = mine[leaves:count] + theirs[:count] + rest[elsewhere:]
    if swapped:
        for row in chosen:
            if (code := {one: other, other: one}.get(row[actors["home_field"]])) is not None:
                row[actors["home_field"]], row[actors["grid_field"]] = code, f"{code}{actors['grid']}"
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(chosen)
    return out.getvalue().encode()


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "swapped_communities": swapped_communities,
    "recalled_delivery": recalled_delivery,
}

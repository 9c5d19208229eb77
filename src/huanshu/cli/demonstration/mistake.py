"""The month in which a department confused two communities: the run waits for a person, and nothing moves."""

from __future__ import annotations

from dataclasses import dataclass

from huanshu.cli.demonstration.rounds import deliver, send, take_in
from huanshu.cli.demonstration.show import Show, failed
from huanshu.errors import Text
from huanshu.simulator import Simulation

PERIOD = 3


@dataclass(frozen=True, slots=True)
class Held:
    """The run that waits: since which entry, over which communities, and what moved nevertheless (nothing may)."""

    entry: int
    swapped: tuple[str, str]
    named: tuple[str, ...]
    moved: int


def confuse(show: Show) -> Held:
    """Send, take in, and see the delivery held before its first receiver."""
    swapped = (show.delivery.receivers[0], show.delivery.receivers[1])
    told = show.simulation
    before = _arrivals(show)
    mistaken = Simulation(told.home, told.seed, told.scale, told.datasets, swap=swapped)
    send(show, PERIOD, "csv", mistaken)
    take_in(show, PERIOD)
    if deliver(show, PERIOD) is None:
        raise failed(Text("two swapped communities were delivered", "两个社区互换代码的数据被送出"))
    standing = show.running.keeper.holds(show.delivery.flow)
    if not standing:
        raise failed(Text("the mistaken run is not held", "出错的运行没有被暂停"))
    reasons = (standing[0].detail or {}).get("reasons", [])
    named = tuple(str(reason["about"]) for reason in reasons)
    return Held(standing[0].index, swapped, named, _arrivals(show) - before)


def _arrivals(show: Show) -> int:
    ((count,),) = show.rows("SELECT count(*) FROM district.delivery WHERE state = 'arrived'")
    return int(count)

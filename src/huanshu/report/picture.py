"""Pictures: where things stand on the paper. Numbers and places only; the template draws.

``flows`` is the way of the records, department → district → gate → receivers. ``timeline`` is entries by hour,
day or week, whichever gives a legible number of bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import ClassVar, Final

from huanshu.errors import Text
from huanshu.report.evidence import Body, Figure
from huanshu.report.facts import Facts
from huanshu.report.forms import Level, State
from huanshu.report.standing import standing_of
from huanshu.report.wording import Wording

_ROW: Final = 64
_TOP: Final = 34
#: More boxes than this do not fit a sheet: those in the worst state are drawn, the others counted.
_BOXES: Final = 10
_HOURLY: Final = timedelta(hours=48)
_DAILY: Final = timedelta(days=62)
_RANK: Final[dict[Level, int]] = {"bad": 0, "wait": 1, "none": 2, "good": 3}


@dataclass(frozen=True, slots=True)
class Box:
    """A sender or receiver. ``y`` is its middle. ``sent``: what went to a receiver; of a sender, good rows taken in."""

    y: int
    name: Text
    state: State | None = None
    holds: Figure | None = None
    sent: Figure | None = None
    withdrawn: Figure | None = None


@dataclass(frozen=True, slots=True)
class Flows:
    """The picture of the records' way, ``height`` units high; ``middle`` is the axis of district and gate."""

    kind: ClassVar[str] = "flows"
    height: int
    middle: int
    senders: tuple[Box, ...]
    district: Text
    receivers: tuple[Box, ...]
    good: Figure
    quarantined: Figure
    denied: Figure
    #: Receivers that are counted and not drawn.
    others: int
    #: (what, figure) in the order of the way: the evidence under the picture.
    cited: tuple[tuple[Text, Figure], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """Entries of one step of time; ``denied`` of them are refusals. ``label`` is "" where none fits."""

    x: float
    width: float
    height: float
    denied_height: float
    figure: Figure
    denied: int
    label: str
    when: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bars over ``TIMELINE_WIDTH`` × ``TIMELINE_HEIGHT`` units."""

    kind: ClassVar[str] = "timeline"
    step: Text
    bars: tuple[Bar, ...]
    top: int
    total: Figure
    denied: Figure


TIMELINE_WIDTH: Final = 900
TIMELINE_HEIGHT: Final = 96


def flows(facts: Facts) -> Flows:
    """The way of the records within the window, and how the receivers stand now."""
    wording = Wording(facts.home, facts.now.astimezone(facts.zone))
    intakes = facts.lately("exchange.intake.promoted")
    arrivals = facts.lately("exchange.delivery.arrived")
    stand = [(code, standing_of(facts, wording, code)) for code in facts.receivers]
    drawn = stand
    if len(stand) > _BOXES:
        worst = sorted(range(len(stand)), key=lambda i: (_RANK[stand[i][1].state.level], i))[:_BOXES]
        drawn = [stand[i] for i in sorted(worst)]
    rows = len(drawn) + (len(drawn) < len(stand))
    height = max(rows, len(facts.senders), 2) * _ROW + _TOP
    middle = _TOP // 2 + (height - _TOP // 2) // 2
    receivers = tuple(
        Box(
            y=_place(n, rows, height),
            name=wording.domain(code),
            state=standing.state,
            holds=standing.holds,
            sent=Figure.total([b for b in arrivals if b["domain"] == code], "count"),
            withdrawn=Figure.total([b for b in arrivals if b["domain"] == code], "withdrawn"),
        )
        for n, (code, standing) in enumerate(drawn)
    )
    sender = {int(b["index"]): str(b["detail"]["sender"]) for b in facts.ever("exchange.intake.authorised")}
    senders = tuple(
        Box(
            y=_place(n, len(facts.senders), height),
            name=wording.domain(code),
            sent=Figure.total([b for b in intakes if sender.get(b["detail"]["authorised"]) == code], "good"),
        )
        for n, code in enumerate(facts.senders)
    )
    good, quarantined = Figure.total(intakes, "good"), Figure.total(intakes, "quarantined")
    denied = Figure.count(facts.lately("access.request.denied"))
    holding = [body for code in facts.receivers for body in facts.holding(code)]
    return Flows(
        height=height,
        middle=middle,
        senders=senders,
        district=facts.home.policies.domains.district.name,
        receivers=receivers,
        good=good,
        quarantined=quarantined,
        denied=denied,
        others=len(stand) - len(drawn),
        cited=(
            (Text("taken in", "接收"), good),
            (Text("delivered and withdrawn", "送达与撤回"), Figure.total(arrivals, "count")),
            (Text("held now", "现有"), Figure.total(holding, "holds")),
            (Text("refused", "拒绝"), denied),
        ),
    )


def _place(n: int, rows: int, height: int) -> int:
    top = _TOP // 2
    return top + round((height - top) * (2 * n + 1) / (2 * max(rows, 1)))


def timeline(facts: Facts) -> Timeline:
    """All entries of the window over time. One day or two: by hour, all hours of those days; up to two months:
    by day; longer: by week."""
    bodies = facts.inside
    denied = [body for body in bodies if body["event"] == "access.request.denied"]
    total = Figure.count(bodies)
    if not bodies:
        return Timeline(Text("hour", "小时"), (), 0, total, Figure.count(denied))
    days = [facts.at(body).date() for body in bodies]
    first, last = (datetime.combine(day, time.min) for day in (min(days), max(days)))
    span = last - first + timedelta(days=1)
    step, word = (
        (timedelta(hours=1), Text("hour", "小时"))
        if span <= _HOURLY
        else (timedelta(days=1), Text("day", "日"))
        if span <= _DAILY
        else (timedelta(days=7), Text("week", "周"))
    )
    # Local wall-clock time: a bar is an hour of the office's day.
    amount = -(-span // step)
    places: list[list[Body]] = [[] for _ in range(amount)]
    for body in bodies:
        places[(facts.at(body).replace(tzinfo=None) - first) // step].append(body)
    top = max(map(len, places))
    width = TIMELINE_WIDTH / amount
    every = max(1, -(-amount // 12))
    bars = []
    for n, here in enumerate(places):
        begin = first + n * step
        refused = sum(body["event"] == "access.request.denied" for body in here)
        bars.append(
            Bar(
                x=round(n * width + width * 0.12, 2),
                width=round(width * 0.76, 2),
                height=round(len(here) / top * TIMELINE_HEIGHT, 2),
                denied_height=round(refused / top * TIMELINE_HEIGHT, 2),
                figure=Figure.count(here),
                denied=refused,
                label=_label(begin, step) if n % every == 0 else "",
                when=_label(begin, step),
            )
        )
    return Timeline(word, tuple(bars), top, total, Figure.count(denied))


def _label(begin: datetime, step: timedelta) -> str:
    if step >= timedelta(days=1):
        return f"{begin:%m-%d}"
    return f"{begin:%m-%d}" if begin.hour == 0 else f"{begin:%H}:00"

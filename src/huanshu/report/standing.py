"""Standing: how one receiver stands now, in one word, and the headline that follows from all of them."""

from __future__ import annotations

from dataclasses import dataclass

from huanshu.errors import Text
from huanshu.report.evidence import Body, Figure, indices
from huanshu.report.facts import Delivery, Facts
from huanshu.report.forms import Level, State
from huanshu.report.wording import Wording, listed, plural


@dataclass(frozen=True, slots=True)
class Standing:
    """One receiver: what it holds, what it last got, and what is missing, worst thing first in ``state``."""

    receiver: str
    #: Records held, by the last arrival of each flow; counted by the receiving side after promotion.
    holds: Figure
    last: Body | None
    unsigned: tuple[Delivery, ...]
    #: The signatures under the last arrivals.
    signed: tuple[Body, ...]
    findings: tuple[Body, ...]
    #: Authorised, and neither arrived nor stopped.
    under_way: tuple[Delivery, ...]
    state: State

    @property
    def arrived(self) -> bool:
        """Has something, and nothing on its way to it is open. Signed or not is another matter."""
        return self.last is not None and not self.findings and not self.under_way


def standing_of(facts: Facts, wording: Wording, receiver: str) -> Standing:
    """How ``receiver`` stands at ``now``."""
    holding = facts.holding(receiver)
    last_ids = {str(body["detail"]["delivery"]) for body in holding}
    signed = tuple(d.signed for d in facts.deliveries if d.signed is not None and d.delivery in last_ids)
    unsigned = tuple(delivery for delivery in facts.unsigned if delivery.receiver == receiver)
    under_way = tuple(delivery for delivery in facts.under_way if delivery.receiver == receiver)
    findings = facts.findings_about(receiver)
    if findings:
        state = State("bad", Text("open finding", "有未了结问题"), entries=indices(findings))
    elif under_way:
        late = any(facts.arrival_due(delivery) < facts.now for delivery in under_way)
        words = Text("not arrived, overdue", "未到达，已逾期") if late else Text("on its way", "交付途中")
        cited = indices(delivery.authorised for delivery in under_way)
        state = State("bad" if late else "none", words, entries=cited)
    elif not holding:
        state = State("none", Text("nothing yet", "尚无数据"))
    elif unsigned:
        state = unsigned_state(facts, unsigned)
    else:
        people = list(dict.fromkeys(wording.signatory(body)[0] for body in signed))
        state = State("good", Text("signed", "已签收"), listed(people), indices(signed))
    return Standing(
        receiver=receiver,
        holds=Figure.total(holding, "holds"),
        last=max(holding, key=lambda body: int(body["index"]), default=None),
        unsigned=unsigned,
        signed=signed,
        findings=findings,
        under_way=under_way,
        state=state,
    )


def unsigned_state(facts: Facts, unsigned: tuple[Delivery, ...]) -> State:
    """What is to be signed, until when; ``unsigned`` is not empty."""
    first = min(facts.signature_due(delivery) for delivery in unsigned)
    late, day = first < facts.now, f"{first:%Y-%m-%d}"
    return State(
        "bad" if late else "wait",
        Text(f"{len(unsigned)} to sign", f"待签收 {len(unsigned)} 次"),
        Text(f"overdue since {day}", f"期限 {day}，已逾期") if late else Text(f"due {day}", f"期限 {day}"),
        indices(delivery.arrived for delivery in unsigned),
    )


@dataclass(frozen=True, slots=True)
class Headline:
    """The state in a sentence, how serious it is, and the evidence of each number in it."""

    level: Level
    sentence: Text
    word: Text
    cited: tuple[tuple[Text, Figure], ...]


_WORDS: dict[Level, Text] = {
    "good": Text("In order", "正常"),
    "wait": Text("Action needed", "有待办理"),
    "bad": Text("Overdue", "有逾期"),
    "none": Text("Nothing yet", "尚无数据"),
}
_GIVEN_UP = Text("Log entries lost", "日志缺失")


def headline(facts: Facts, wording: Wording) -> Headline:
    """The headline. ``bad`` only when entries of the log were given up in the window, or something is overdue; ``none``
    when nobody has received anything."""
    standings = [standing_of(facts, wording, code) for code in facts.receivers]
    reached = [s for s in standings if s.arrived]
    overdue, denied = Figure.count(facts.overdue), Figure.count(facts.lately("access.request.denied"))
    unsigned = Figure.count(d.arrived for d in facts.unsigned if d.arrived is not None)
    findings, unapproved = Figure.count(facts.findings), len(facts.unapproved)
    arrivals = Figure(len(reached), indices(s.last for s in reached))
    level: Level = "good"
    given_up = any(gap.within(facts.begin, facts.until) for gap in facts.gaps)
    if overdue.value or given_up:
        level = "bad"
    elif not any(s.last for s in standings):
        level = "none"
    elif unsigned.value or findings.value or unapproved or len(reached) < len(standings):
        level = "wait"
    return Headline(
        level,
        _sentence(
            facts, len(standings), arrivals.value, overdue.value, unsigned.value, findings.value, denied.value
        ),
        _GIVEN_UP if given_up else _WORDS[level],
        tuple(
            (label, figure)
            for label, figure in (
                (Text("arrived", "到达"), arrivals),
                (Text("overdue", "逾期"), overdue),
                (Text("awaiting a signature", "待签收"), unsigned),
                (Text("open findings", "未了结问题"), findings),
                (Text("refused", "拒绝"), denied),
                (Text("lost from the log", "日志缺失"), _lost(facts)),
            )
            if figure.entries
        ),
    )


def _lost(facts: Facts) -> Figure:
    """Acknowledged entries that are gone, with the entries that say so."""
    gaps = facts.gaps
    return Figure(sum(gap.last - gap.first + 1 for gap in gaps), tuple(gap.index for gap in gaps))


def _sentence(
    facts: Facts, receivers: int, reached: int, overdue: int, unsigned: int, findings: int, denied: int
) -> Text:
    domains = facts.home.policies.domains
    kinds = {domains[code].kind if code in domains else "" for code in facts.receivers}
    one, many, zh = (
        ("community", "communities", "社区")
        if kinds <= {"community"}
        else ("receiver", "receivers", "接收方")
    )
    if not receivers:
        there = Text("No delivery is declared", "尚未声明任何交付")
    elif reached == receivers:
        there = Text(
            f"Deliveries have arrived at all {plural(receivers, one, many)}", f"{receivers:,} 个{zh}全部到达"
        )
    else:
        there = Text(
            f"Deliveries have arrived at {reached:,} of {plural(receivers, one, many)}",
            f"{receivers:,} 个{zh}中 {reached:,} 个已到达",
        )
    if not facts.inside:
        en, cn = "nothing was logged in this period", "本期日志中没有任何记录"
    else:
        en, cn = f"{plural(denied, 'request', 'requests')} refused in this period", f"本期拒绝 {denied:,} 次"
    if waiting := len(facts.unapproved):
        en += f"; {plural(waiting, 'flow', 'flows')} without an approval in force"
        cn += f"；{waiting:,} 个流向没有有效批准"
    if lost := _lost(facts).value:
        en += f"; {plural(lost, 'entry', 'entries')} of the log LOST and given up"
        cn += f"；日志有 {lost:,} 条已丢失并经签署放弃"
    return Text(
        f"{there.en}; {overdue:,} overdue, {plural(unsigned, 'delivery', 'deliveries')} to be signed, "
        f"{plural(findings, 'finding', 'findings')} open; {en}.",
        f"{there.zh}，{overdue:,} 项逾期，{unsigned:,} 次交付待签收，{findings:,} 项问题未了结；{cn}。",
    )

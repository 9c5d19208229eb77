"""Measures: the closed set of questions a report may ask of the log. Pure functions from facts to a form.

A declaration names measures by the keys of ``MEASURES``; there is no expression language, so what a figure means
is the same in every district. A measure never looks at data, only at entries; every figure cites them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from huanshu.errors import Text
from huanshu.report import tables
from huanshu.report.evidence import Body, Figure, indices
from huanshu.report.facts import Facts
from huanshu.report.forms import NOTHING, Level, Table
from huanshu.report.picture import Flows, Timeline, flows, timeline

Form = Figure | Table | Flows | Timeline


@dataclass(frozen=True, slots=True)
class Measure:
    """One question: its title, how it is answered, and how serious an answer above zero is."""

    title: Text
    answer: Callable[[Facts], Form]
    #: For a figure above zero: ``none`` says nothing, ``wait`` asks for action, ``bad`` is late or failed.
    level: Level = "none"
    #: Said beside the title.
    note: Text = NOTHING
    #: English title of the figure 1 ("" when it is the same).
    one: str = ""

    def titled(self, value: int) -> Text:
        """The title beside a figure of this value."""
        return Text(self.one, self.title.zh) if self.one and value == 1 else self.title


def _happened(event: str) -> Callable[[Facts], Figure]:
    return lambda facts: Figure.count(facts.lately(event))


def _summed(event: str, member: str) -> Callable[[Facts], Figure]:
    return lambda facts: Figure.total(facts.lately(event), member)


def _stand(bodies: Callable[[Facts], Iterable[Body | None]]) -> Callable[[Facts], Figure]:
    def answer(facts: Facts) -> Figure:
        found = indices(bodies(facts))
        return Figure(len(found), found)

    return answer


def _receivers_reached(facts: Facts) -> Figure:
    arrivals = facts.lately("exchange.delivery.arrived")
    return Figure(len({body["domain"] for body in arrivals}), indices(arrivals))


def _fields_at(rung: str) -> Callable[[Facts], Figure]:
    def answer(facts: Facts) -> Figure:
        moved = tables.delivered_fields(facts)
        found = [key for key in moved if key[2] == rung]
        return Figure(len({key[:2] for key in found}), indices(b for key in found for b in moved[key]))

    return answer


def _late_signatures(facts: Facts) -> Iterable[Body | None]:
    return (d.arrived for d in facts.unsigned if facts.signature_due(d) < facts.now)


_ARRIVED, _PROMOTED = "exchange.delivery.arrived", "exchange.intake.promoted"

MEASURES: Final[Mapping[str, Measure]] = {
    # ---- shared 共享
    "deliveries_arrived": Measure(
        Text("deliveries arrived", "次交付到达"), _happened(_ARRIVED), one="delivery arrived"
    ),
    "records_delivered": Measure(
        Text("records delivered", "条记录送达"), _summed(_ARRIVED, "count"), one="record delivered"
    ),
    "records_withdrawn": Measure(
        Text("records withdrawn", "条记录撤回"), _summed(_ARRIVED, "withdrawn"), one="record withdrawn"
    ),
    "receivers_reached": Measure(
        Text("receivers reached", "个接收方收到数据"), _receivers_reached, one="receiver reached"
    ),
    "fields_revealed": Measure(
        Text("fields in full value", "个字段以明文交付"), _fields_at("reveal"), one="field in full value"
    ),
    "fields_masked": Measure(Text("fields masked", "个字段脱敏交付"), _fields_at("mask"), one="field masked"),
    "fields_matched": Measure(
        Text("fields as tokens", "个字段仅可比对"), _fields_at("match"), one="field as token"
    ),
    "deliveries_stopped": Measure(
        Text("deliveries stopped", "次交付中止"),
        _happened("exchange.delivery.stopped"),
        one="delivery stopped",
    ),
    "fields_delivered": Measure(
        Text("Fields delivered, by rung", "交付的字段与可见级别"), tables.fields_delivered
    ),
    "deliveries_stopped_list": Measure(Text("Stopped deliveries", "中止的交付"), tables.stopped),
    "receivers": Measure(Text("How each receiver stands", "各接收方现状"), tables.receivers),
    "flows": Measure(
        Text("How the records moved", "数据怎么走"),
        flows,
        note=Text("in records, this period", "单位：条记录，本期"),
    ),
    # ---- refused 拒绝
    "requests_denied": Measure(
        Text("requests refused", "次请求被拒绝"), _happened("access.request.denied"), one="request refused"
    ),
    "denials": Measure(Text("Refusals by reason and post", "拒绝，按原因与岗位"), tables.denials),
    # ---- overdue, open, to be signed 逾期、未了结、待签
    "matters_overdue": Measure(
        Text("matters overdue", "项逾期"),
        lambda facts: Figure.count(facts.overdue),
        "bad",
        one="matter overdue",
    ),
    "findings_open": Measure(
        Text("findings open", "项问题未了结"),
        lambda facts: Figure.count(facts.findings),
        "wait",
        one="finding open",
    ),
    "deliveries_under_way": Measure(
        Text("authorised, not arrived", "次已授权未到达"),
        _stand(lambda facts: (d.authorised for d in facts.under_way)),
        "wait",
    ),
    "signatures_waiting": Measure(
        Text("deliveries to be signed", "次交付待签收"),
        _stand(lambda facts: (d.arrived for d in facts.unsigned)),
        "wait",
        one="delivery to be signed",
    ),
    "signatures_overdue": Measure(
        Text("signatures overdue", "次签收逾期"), _stand(_late_signatures), "bad", one="signature overdue"
    ),
    "findings": Measure(Text("Open findings", "未了结的问题"), tables.findings),
    "under_way": Measure(Text("Authorised and not arrived", "已授权而未到达的交付"), tables.under_way),
    "signatures": Measure(Text("Waiting for a signature", "待签收的交付"), tables.signatures),
    # ---- intake and quality 接收与质量
    "intakes_promoted": Measure(
        Text("extracts taken in", "批报送入库"), _happened(_PROMOTED), one="extract taken in"
    ),
    "intakes_refused": Measure(
        Text("extracts refused", "批报送被退回"),
        _happened("exchange.intake.refused"),
        "wait",
        one="extract refused",
    ),
    "records_good": Measure(Text("good rows", "行合格"), _summed(_PROMOTED, "good"), one="good row"),
    "records_unchanged": Measure(Text("of them unchanged", "行与上期相同"), _summed(_PROMOTED, "unchanged")),
    "records_quarantined": Measure(
        Text("rows quarantined", "行被隔离"), _summed(_PROMOTED, "quarantined"), one="row quarantined"
    ),
    "records_left": Measure(Text("left the register", "人退出登记"), _summed(_PROMOTED, "withdrawn")),
    "intakes": Measure(Text("Extracts", "各批报送"), tables.intakes),
    "rules_failed": Measure(
        Text("Rules that failed", "未通过的质量规则"),
        tables.rules_failed,
        note=Text("a row may fail several", "一行可违反多条"),
    ),
    # ---- single reads 逐条查看
    "records_viewed": Measure(
        Text("single records viewed", "次逐条查看"),
        _happened("access.record.authorised"),
        one="single record viewed",
    ),
    "values_viewed": Measure(
        Text("values shown", "个值被查看"), _summed("access.record.authorised", "values"), one="value shown"
    ),
    "lookups_missed": Measure(
        Text("look-ups without a record", "次查找无此记录"),
        _happened("access.record.missed"),
        one="look-up without a record",
    ),
    "reads": Measure(Text("Reads by purpose and post", "逐条查看，按用途与岗位"), tables.reads),
    # ---- approvals and policies 批准与策略
    "approvals_in_force": Measure(
        Text("approvals in force", "项批准有效"),
        _stand(lambda facts: (a.granted for a in facts.approvals if a.state == "in_force")),
        one="approval in force",
    ),
    "bundles_adopted": Measure(
        Text("adoptions of policies", "次策略生效"),
        _happened("policy.bundle.adopted"),
        one="adoption of policies",
    ),
    "approvals": Measure(Text("Approvals of flows", "流向批准"), tables.approvals),
    "adoptions": Measure(Text("Policies put in force", "策略生效记录"), tables.adoptions),
    # ---- the log itself 日志
    "entries_logged": Measure(
        Text("log entries", "条日志"), lambda facts: Figure.count(facts.inside), one="log entry"
    ),
    "timeline": Measure(Text("Log entries over time", "日志条目的时间分布"), timeline),
    "legal_bases": Measure(Text("Legal bases relied on", "所依据的规定"), tables.legal_bases),
}

"""The last screen: what the log and the stores say of the two months, district by district, not line by line."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huanshu.auditlog.reader import read_entries
from huanshu.cli.demonstration.mistake import Held
from huanshu.cli.demonstration.people import Answered, Mover, first_record
from huanshu.cli.demonstration.show import Show, failed
from huanshu.errors import Text
from huanshu_verify import Report


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the demo saw beside log and stores."""

    tried: Sequence[tuple[Text, Text]]
    mover: Mover
    answered: Answered
    held: Held
    report: Report
    page: Path


def last_screen(show: Show, seen: Seen) -> None:
    """Print it, and as one JSON document; raises when the verifier or a comparison found something."""
    with show.running.district() as district:
        entries = [entry.body for entry in read_entries(district)]
    intakes = _intakes(show, entries)
    places = _places(show, entries)
    show.speech.tell(Text("", ""))
    _tell_intakes(show, intakes)
    _tell_places(show, places)
    _tell_people(show, seen)
    words = Text("clean", "通过") if seen.report.clean else Text("PROBLEMS", "发现问题")
    show.speech.tell(
        Text(
            f"Log: {seen.report.entries} entries, {seen.report.loans} key loans, {seen.report.rows} delivered rows"
            f" — verifier: {words.en}",
            f"日志 {seen.report.entries} 条，借钥 {seen.report.loans} 次，已交付 {seen.report.rows} 行"
            f"——独立核验：{words.zh}",
        ),
        style="bold green" if seen.report.clean else "bold red",
    )
    total = time.monotonic() - show.started
    own, other = (first_record(show, code) for code in show.delivery.receivers[:2])
    names = [show.sandbox.home.policies.domains[code].name for code in show.delivery.receivers[:2]]
    show.speech.tell(
        Text(
            f"To try yourself: record {own} is of {names[0].en}, record {other} of {names[1].en}",
            f"可自行尝试：{names[0].zh}的记录 {own}，{names[1].zh}的记录 {other}",
        )
    )
    show.speech.tell(Text(f"Report: {seen.page}", f"报告：{seen.page}"))
    show.speech.tell(
        Text(
            f"Done in {total:.0f} s. This is a sandbox: every person and resident is fictional.",
            f"用时 {total:.0f} 秒。演练环境：人员与居民均为虚构。",
        )
    )
    show.speech.result(
        {
            "seconds": show.seconds, "total": total, "clean": seen.report.clean, "entries": seen.report.entries,
            "report": str(seen.page), "intakes": intakes, "subdistricts": places, "mover": seen.mover,
            "corrections": seen.answered, "held": seen.held,
            "records": {"own": own, "other": other},
        }
    )  # fmt: skip
    _require(show, seen, intakes, places)


def _require(show: Show, seen: Seen, intakes: list[dict[str, Any]], places: list[dict[str, Any]]) -> None:
    """What the demo promises, compared once more: a demo that ends well while something failed would be a lie."""
    communities = len(show.delivery.receivers)
    wrong = {
        "verifier": not seen.report.clean,
        "defects": any(i["missed"] or i["invented"] for i in intakes),
        "arrived": sum(p["arrived"] for p in places) < communities,
        "mover": seen.mover.old not in seen.mover.seen_at
        or "access.record.missing" not in seen.mover.asked.en,
        "held": seen.held.moved != 0 or not set(seen.held.swapped) <= set(seen.held.named),
        "corrections": (seen.answered.accepted, seen.answered.delivered_again) != (1, 1),
    }
    if found := [name for name, is_wrong in wrong.items() if is_wrong]:
        names = ", ".join(found)
        raise failed(Text(f"the demo did not come out right: {names}", f"演示结果与预期不符：{names}"))


# -- figures ----------------------------------------------------------------------------------------


def _intakes(show: Show, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per month: what came, and the rows quarantined held against the rows that were spoiled on purpose."""
    told = [e["detail"] for e in entries if e["event"] == "exchange.intake.promoted"]
    found = []
    for truth, detail in zip(show.truths, told, strict=True):
        planted = {defect["row"]: sorted(defect["rules"]) for defect in truth["defects"] if defect["rules"]}
        caught = {
            row: sorted(rules)
            for row, rules in show.rows(
                "SELECT row, rules FROM district.quarantine WHERE batch = %s", detail["batch"]
            )
        }
        found.append(
            {
                "period": truth["period"], "rows": truth["rows"], "good": detail["good"], "planted": len(planted),
                "caught": sum(row in caught for row in planted), "missed": len(planted.keys() - caught.keys()),
                "invented": len(caught.keys() - planted.keys()), "unchanged": detail["unchanged"],
                "left": detail["withdrawn"],
            }
        )  # fmt: skip
    return found


def _places(show: Show, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per subdistrict: communities, records sent and withdrawn, what they hold, who has arrived and signed."""
    domains = show.sandbox.home.policies.domains
    arrivals = [
        e for e in entries
        if e["event"] == "exchange.delivery.arrived" and e["flow"]["id"] == show.delivery.flow
    ]  # fmt: skip
    signed = {e["detail"]["delivery"] for e in entries if e["event"] == "exchange.delivery.signed"}
    holds = {e["domain"]: int(e["detail"]["holds"]) for e in arrivals}
    found = []
    for subdistrict in (d for d in domains if d.kind == "subdistrict"):
        codes = {code for code in show.delivery.receivers if domains.is_below(code, subdistrict.code)}
        mine = [e for e in arrivals if e["domain"] in codes]
        if codes:
            found.append(
                {
                    "subdistrict": subdistrict.name, "communities": len(codes),
                    "sent": sum(e["detail"]["count"] for e in mine),
                    "withdrawn": sum(e["detail"]["withdrawn"] for e in mine),
                    "holds": sum(holds.get(code, 0) for code in codes),
                    "arrived": len({e["domain"] for e in mine}),
                    "deliveries": len(mine), "signed": sum(e["detail"]["delivery"] in signed for e in mine),
                }
            )  # fmt: skip
    return found


# -- tables -----------------------------------------------------------------------------------------


def _tell_intakes(show: Show, intakes: list[dict[str, Any]]) -> None:
    show.speech.table(
        Text("Intake: the department's register", "接收：部门登记册"),
        [
            Text("month", "期"), Text("rows", "行数"), Text("good", "合格"), Text("planted errors", "植入错误"),
            Text("caught", "查出"), Text("invented", "误报"), Text("unchanged", "未变"),
            Text("left the district", "迁出/注销"),
        ],
        [
            (i["period"], i["rows"], i["good"], i["planted"], i["caught"], i["invented"], i["unchanged"], i["left"])
            for i in intakes
        ],
    )  # fmt: skip


def _tell_places(show: Show, places: list[dict[str, Any]]) -> None:
    show.speech.table(
        Text("Delivery: each community exactly its slice", "交付：每个社区恰得其份"),
        [
            Text("subdistrict", "街道"), Text("communities", "社区"), Text("sent", "送达"), Text("withdrawn", "撤回"),
            Text("hold now", "现有"), Text("arrived", "到达"), Text("signed", "签收"),
        ],
        [
            (p["subdistrict"], p["communities"], p["sent"], p["withdrawn"], p["holds"],
             f"{p['arrived']}/{p['communities']}", f"{p['signed']}/{p['deliveries']}")
            for p in places
        ],
    )  # fmt: skip


def _tell_people(show: Show, seen: Seen) -> None:
    show.speech.table(
        Text("A clerk tries", "一名社区数据员的尝试"),
        [Text("what", "操作"), Text("answer", "闸口答复")],
        seen.tried,
    )
    names = show.sandbox.home.policies.domains
    mover, answered, held = seen.mover, seen.answered, seen.held
    stops = [names[code].name for code in mover.seen_at]
    lines = [
        (
            Text(f"{mover.count} residents moved; {names[mover.old].name.en} asks for one of them",
                 f"{mover.count} 名居民迁移；{names[mover.old].name.zh}再查其中一人"),
            mover.asked,
        ),
        (
            Text("who has that record been moved to (asked by the auditor)", "该记录曾送达何处（审计员查询）"),
            Text(" → ".join(n.en for n in stops), " → ".join(n.zh for n in stops)),
        ),
        (
            Text(f"{answered.proposed} corrections from {names[answered.community].name.en}",
                 f"{names[answered.community].name.zh}提出更正 {answered.proposed} 项"),
            Text(
                f"{answered.refused_by_rule} refused by a rule, {answered.accepted} accepted,"
                f" {answered.refused_by_steward} refused with reason; {answered.delivered_again} delivered again",
                f"规则退回 {answered.refused_by_rule}，采纳 {answered.accepted}，"
                f"说明理由退回 {answered.refused_by_steward}；重新下发 {answered.delivered_again}",
            ),
        ),
        (
            Text(f"third month: {names[held.swapped[0]].name.en} and {names[held.swapped[1]].name.en} confused",
                 f"第三期：{names[held.swapped[0]].name.zh}与{names[held.swapped[1]].name.zh}代码互换"),
            Text(
                f"held, entry {held.entry}; {held.moved} deliveries made",
                f"已暂停，条目 {held.entry}；送出 {held.moved} 次",
            ),
        ),
    ]  # fmt: skip
    show.speech.table(
        Text("People, and their mistakes", "人，以及人会犯的错"),
        [Text("what", "事项"), Text("outcome", "结果")],
        lines,
    )

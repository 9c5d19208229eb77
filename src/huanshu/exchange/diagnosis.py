"""What is wrong with a flow, who waits for what until when, and the command that is safe now. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from huanshu.errors import HuanshuError, Text
from huanshu.exchange.ground import Ground
from huanshu.exchange.receiving import Receiving


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing a person should know. ``safe`` is the command that may be run now; "" when nothing is to do."""

    about: str
    state: str
    what: Text
    until: str
    safe: str


def diagnose(ground: Ground, name: str) -> list[Symptom]:
    """Symptoms of one flow, worst first; an empty list means nothing is wrong and nothing is under way."""
    flow = ground.flow(name)
    found: list[Symptom] = []
    if ground.keeper.approval(flow.flow, flow.digest) is None:
        found.append(
            Symptom(
                flow.flow,
                "unapproved",
                Text("the flow's present digest has no valid approval", "该流向当前摘要没有有效批准"),
                "",
                f"huanshu flow approve {flow.flow} --until DATE",
            )
        )
    found += [
        Symptom(
            str(finding["about"]),
            "open finding",
            Text(f"not delivered: {finding['kind']}", f"未送达：{finding['kind']}"),
            str(finding["due"]),
            f"huanshu flow run {flow.flow} --only {finding['about']}",
        )
        for finding in ground.keeper.findings()
        if str(finding["finding"]).startswith(f"receipt/{flow.flow}/")
    ]
    with ground.district() as district:
        found += (
            _batches(district, flow.flow, flow.dataset)
            if flow.kind == "intake"
            else _deliveries(ground, district, name)
        )
    return found


def _deliveries(ground: Ground, district: psycopg.Connection, name: str) -> list[Symptom]:
    flow = ground.flow(name, "delivery")
    rows = district.execute(
        "SELECT receiver, delivery, state, frozen_at FROM district.delivery"
        " WHERE flow = %s AND state IN ('frozen', 'authorised') ORDER BY frozen_at",
        (flow.flow,),
    ).fetchall()
    found = []
    for receiver, delivery, state, _ in rows:
        again = f"huanshu flow run {flow.flow} --only {receiver}"
        try:
            with ground.receiver(receiver) as store:
                promoted = Receiving(store, ground.contract(flow), flow, receiver).inbox(delivery) is not None
        except HuanshuError as error:
            found.append(Symptom(receiver, "unreachable", error.what, "", again))
            continue
        if promoted:
            what = Text(
                "took effect, but the log does not say so yet; a run opens nothing and settles it",
                "已生效但日志尚未记载；再次运行不会重新开启任何值，只补记",
            )
        else:
            what = Text(
                "interrupted before it took effect; a run resumes it, staged chunks are not reopened",
                "生效前中断；再次运行会续传，已暂存的批次不会重新开启",
            )
        found.append(Symptom(receiver, f"interrupted ({state})", what, "", again))
    return found


def _batches(district: psycopg.Connection, flow: str, dataset: str) -> list[Symptom]:
    rows = district.execute(
        "SELECT batch, sequence, state FROM district.batch"
        " WHERE dataset = %s AND state <> 'promoted' ORDER BY sequence",
        (dataset,),
    ).fetchall()
    return [
        Symptom(
            f"batch {sequence} ({batch[:12]})",
            state,
            Text("interrupted; run the intake again", "接收中断；请重新运行接收")
            if state == "staging"
            else Text(
                "refused by its quality verdict; ask the sender for a corrected extract",
                "质量不合格被拒；请报送方更正后重报",
            ),
            "",
            f"huanshu flow run {flow}" if state == "staging" else "",
        )
        for batch, sequence, state in rows
    ]

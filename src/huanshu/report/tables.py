"""Tables: measures that answer with rows. The last or the counting cell of each row carries its evidence."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

from huanshu.errors import Text
from huanshu.report.evidence import Body, Figure, indices
from huanshu.report.facts import RECEIPT_DUE, SIGNATURE_DUE, Delivery, Facts
from huanshu.report.forms import Cell, Column, Level, Moment, State, Table, Words, same
from huanshu.report.standing import Standing, standing_of, unsigned_state
from huanshu.report.wording import NOBODY, RUNGS, Wording, listed

K = TypeVar("K", bound=Hashable)

_TIMES: Final = Column(Text("Times", "次数"), numeric=True)
_DUE: Final = Column(Text("Due", "期限"))
_RECEIVER: Final = Column(Text("Receiver", "接收方"))


def _wording(facts: Facts) -> Wording:
    return Wording(facts.home, facts.now.astimezone(facts.zone))


def _grouped(bodies: Iterable[Body], key: Callable[[Body], K]) -> list[tuple[K, list[Body]]]:
    """Groups by key: the largest first, then in order of first appearance."""
    found: dict[K, list[Body]] = {}
    for body in bodies:
        found.setdefault(key(body), []).append(body)
    return sorted(found.items(), key=lambda group: -len(group[1]))


def receivers(facts: Facts) -> Table:
    """One row a receiver: what it holds, got, signed, and what is open."""
    wording = _wording(facts)
    arrivals = facts.lately("exchange.delivery.arrived")
    rows: list[list[Cell]] = []
    for code in facts.receivers:
        standing = standing_of(facts, wording, code)
        mine = [body for body in arrivals if body["domain"] == code]
        rows.append(
            [
                Words(wording.domain(code), code=code),
                standing.holds,
                Figure.total(mine, "count"),
                Figure.total(mine, "withdrawn"),
                Moment(
                    facts.at(standing.last) if standing.last else None,
                    indices([standing.last]),
                ),
                _signature(facts, wording, standing),
                _now(facts, standing),
            ]
        )
    return Table(
        (
            Column(Text("Community", "社区")),
            Column(Text("Holds now", "现有记录"), numeric=True),
            Column(Text("Delivered", "本期送达"), numeric=True),
            Column(Text("Withdrawn", "本期撤回"), numeric=True),
            Column(Text("Last arrived", "最近到达")),
            Column(Text("Signed by", "签收人")),
            Column(Text("State", "状态")),
        ),
        rows,
        Text("No receiver is declared.", "尚未声明接收方。"),
        notes=(
            Text(
                "“Holds now” is what the receiver's own machine counted after its last delivery; “delivered” also "
                "counts changed records.",
                "“现有记录”为接收方最近一次交付后自行清点的数；“送达”包含变更后重送的记录。",
            ),
        ),
    )


def _signature(facts: Facts, wording: Wording, standing: Standing) -> Cell:
    """Who signed for what the receiver holds, or what is still to be signed."""
    if standing.unsigned:
        return unsigned_state(facts, standing.unsigned)
    if not standing.signed:
        return Words(same("—"))
    latest = max(standing.signed, key=lambda body: int(body["index"]))
    person, post = wording.signatory(latest)
    when = f"{facts.at(latest):%Y-%m-%d %H:%M}"
    return Words(person, post, when, indices(standing.signed))


def _now(facts: Facts, standing: Standing) -> State:
    """The state without what the cell of the signature says already."""
    state = standing.state
    if standing.findings:
        day = f"{facts.finding_due(standing.findings[0]):%Y-%m-%d}"
        return State(state.level, state.text, Text(f"due {day}", f"期限 {day}"), state.entries)
    if state.level == "good":
        return State("good", Text("in order", "正常"))
    if state.level in ("wait", "bad") and standing.arrived:
        return State(state.level, Text("arrived, to be signed", "已到达，待签收"))
    return state


def delivered_fields(facts: Facts) -> dict[tuple[str, str, str], list[Body]]:
    """(dataset, field, rung) → the authorising entries of the deliveries that arrived within the window."""
    authorised = {int(b["index"]): b for b in facts.ever("exchange.delivery.authorised")}
    found: dict[tuple[str, str, str], list[Body]] = {}
    for arrived in facts.lately("exchange.delivery.arrived"):
        body = authorised[int(arrived["detail"]["authorised"])]
        for name, rung in body["fields"].items():
            found.setdefault((str(body["dataset"]), str(name), str(rung)), []).append(body)
    return found


def fields_delivered(facts: Facts) -> Table:
    """One row a dataset and rung, the highest rung first; fields in the order of the contract."""
    wording, moved = _wording(facts), delivered_fields(facts)
    rows: list[list[Cell]] = []
    for dataset in dict.fromkeys(key[0] for key in moved):
        contract = facts.home.contracts.get(dataset)
        order = {field.name: n for n, field in enumerate(contract.fields)} if contract else {}
        for rung in [*RUNGS, *sorted({key[2] for key in moved} - set(RUNGS))]:
            names = [key[1] for key in moved if key[0] == dataset and key[2] == rung]
            if names:
                names.sort(key=lambda name: (order.get(name, len(order)), name))
                cited = indices(body for name in names for body in moved[dataset, name, rung])
                rows.append(
                    [
                        Words(wording.rung(rung), wording.dataset(dataset)),
                        Words(listed([wording.field(dataset, name) for name in names])),
                        Figure(len(names), cited),
                    ]
                )
    return Table(
        (
            Column(Text("Rung", "可见级别")),
            Column(Text("Fields", "字段")),
            Column(Text("Number", "字段数"), numeric=True),
        ),
        rows,
        Text("No field left the district store.", "本期没有字段离开区数据库。"),
        notes=(
            Text("★ level 3 or above, or sensitive personal information.", "★ 三级及以上或敏感个人信息。"),
        )
        if rows
        else (),
    )


def stopped(facts: Facts) -> Table:
    wording = _wording(facts)
    rows: list[list[Cell]] = [
        [
            Words(wording.domain(str(b["domain"])), wording.flow(str(b["flow"]["id"]))),
            _reason(wording, str(b["detail"]["reason"])),
            Figure(int(b["detail"]["chunks"]), indices([b])),
            Moment(facts.at(b)),
        ]
        for b in facts.lately("exchange.delivery.stopped")
    ]
    return Table(
        (
            _RECEIVER,
            Column(Text("Why", "原因")),
            Column(Text("Chunks opened before", "此前已开启批次"), numeric=True),
            Column(Text("When", "时间")),
        ),
        rows,
        Text("No delivery was stopped.", "本期没有中止的交付。"),
    )


def denials(facts: Facts) -> Table:
    """Grouped by reason, post and person, domain asked and what was asked."""
    wording = _wording(facts)
    rows: list[list[Cell]] = []
    for (reason, post, person, domain, asked), bodies in _grouped(
        facts.lately("access.request.denied"),
        lambda b: (
            str(b["detail"]["reason"]),
            str(b.get("post", "")),
            str(b["person"]),
            str(b.get("domain", "")),
            str(b["detail"]["asked"]),
        ),
    ):
        rows.append(
            [
                _reason(wording, reason),
                Words(wording.post(post) if post else NOBODY, wording.person(person)),
                Words(wording.asked(asked)),
                Words(wording.domain(domain) if domain else same("—")),
                Figure.count(bodies),
            ]
        )
    return Table(
        (
            Column(Text("Reason", "原因")),
            Column(Text("Post and person", "岗位与责任人")),
            Column(Text("Asked for", "请求")),
            Column(Text("Domain asked", "所问域")),
            _TIMES,
        ),
        rows,
        Text("Nothing was refused.", "本期没有被拒绝的请求。"),
    )


def findings(facts: Facts) -> Table:
    wording = _wording(facts)
    rows: list[list[Cell]] = []
    for body in facts.findings:
        detail, deadline = body["detail"], facts.finding_due(body)
        owner = str(detail["owner_post"])
        rows.append(
            [
                _reason(wording, str(detail["kind"])),
                Words(wording.domain(str(detail["about"]))),
                Words(wording.post(owner), wording.holders(owner)),
                Moment(facts.at(body), indices([body])),
                Moment(deadline, day=True, late=deadline < facts.now),
            ]
        )
    return Table(
        (
            Column(Text("Finding", "问题")),
            Column(Text("About", "对象")),
            Column(Text("Owner", "负责岗位")),
            Column(Text("Opened", "登记时间")),
            _DUE,
        ),
        rows,
        Text("No finding is open.", "没有未了结的问题。"),
    )


def under_way(facts: Facts) -> Table:
    rows = [_waiting(facts, delivery, delivery.authorised, RECEIPT_DUE) for delivery in facts.under_way]
    return Table(
        (
            _RECEIVER,
            Column(Text("Accountable post", "责任岗位")),
            Column(Text("Authorised", "授权时间")),
            _DUE,
        ),
        rows,
        Text("Every authorised delivery has arrived or was stopped.", "所有已授权的交付均已到达或中止。"),
        notes=(_basis(facts, RECEIPT_DUE),) if rows else (),
    )


def signatures(facts: Facts) -> Table:
    """Who must sign is whoever holds a post in the receiving domain: named here by domain, not guessed."""
    rows = [
        _waiting(facts, delivery, delivery.arrived, SIGNATURE_DUE)
        for delivery in facts.unsigned
        if delivery.arrived is not None
    ]
    return Table(
        (_RECEIVER, Column(Text("May sign", "可签收人")), Column(Text("Arrived", "到达时间")), _DUE),
        rows,
        Text("Nothing waits for a signature.", "没有待签收的交付。"),
        notes=(_basis(facts, SIGNATURE_DUE),) if rows else (),
    )


def _waiting(facts: Facts, delivery: Delivery, body: Body | None, key: str) -> list[Cell]:
    assert body is not None
    wording, deadline = _wording(facts), facts.due(body, key)
    if key == SIGNATURE_DUE:
        clerks = [
            wording.person(h.person)
            for h in facts.home.policies.holdings
            if h.domain == delivery.receiver
            and h.valid_from <= facts.now.astimezone(facts.zone).date() <= h.valid_until
        ]
        who = Words(listed(list(dict.fromkeys(clerks))) if clerks else same("—"))
    else:
        post = str(body["post"])
        who = Words(wording.post(post), wording.holders(post))
    return [
        Words(wording.domain(delivery.receiver), wording.flow(delivery.flow)),
        who,
        Moment(facts.at(body), indices([body])),
        Moment(deadline, day=True, late=deadline < facts.now),
    ]


def intakes(facts: Facts) -> Table:
    """One row an extract settled within the window or still open."""
    wording = _wording(facts)
    promoted = {int(b["detail"]["authorised"]): b for b in facts.ever("exchange.intake.promoted")}
    refused = {int(b["detail"]["authorised"]): b for b in facts.ever("exchange.intake.refused")}
    window = set(indices(facts.inside))
    rows: list[list[Cell]] = []
    for body in facts.ever("exchange.intake.authorised"):
        index = int(body["index"])
        settled = promoted.get(index) or refused.get(index)
        if settled is not None and settled["index"] not in window:
            continue
        detail = body["detail"]
        cells: list[Cell] = [
            Words(
                Text(f"Extract {detail['sequence']}", f"第 {detail['sequence']} 期"),
                wording.domain(str(detail["sender"])),
            ),
            Figure(int(detail["records"]), indices([body])),
        ]
        if index in promoted:
            told = promoted[index]["detail"]
            cells += [
                Figure(int(told["good"]), indices([settled])),
                Figure(int(told["quarantined"]), indices([settled])),
                State("good", Text("taken in", "已入库"), entries=indices([settled])),
            ]
        elif index in refused:
            why = wording.reason(str(refused[index]["detail"]["reason"]))
            cells += [
                Words(same("—")),
                Words(same("—")),
                State("bad", Text("refused", "已退回"), why, indices([settled])),
            ]
        else:
            cells += [
                Words(same("—")),
                Words(same("—")),
                State("none", Text("not settled", "未完成"), entries=indices([body])),
            ]
        rows.append(cells)
    return Table(
        (
            Column(Text("Extract", "报送")),
            Column(Text("Rows declared", "申报行数"), numeric=True),
            Column(Text("Good", "合格"), numeric=True),
            Column(Text("Quarantined", "隔离"), numeric=True),
            Column(Text("Outcome", "结果")),
        ),
        rows,
        Text("Nothing was taken in.", "本期没有接收报送。"),
    )


_EFFECTS: Final[tuple[tuple[str, str, Level, Text], ...]] = (
    ("exchange.intake.refused", "rules", "bad", Text("whole extract refused", "整批退回")),
    ("exchange.intake.promoted", "rules", "wait", Text("row quarantined", "该行隔离")),
    ("exchange.intake.promoted", "warnings", "none", Text("warning only", "仅提醒")),
)


def rules_failed(facts: Facts) -> Table:
    """One row a rule, the gravest effect first, then the most rows."""
    wording = _wording(facts)
    rows: list[list[Cell]] = []
    for event, member, level, effect in _EFFECTS:
        found: dict[tuple[str, str], list[Body]] = {}
        for body in facts.lately(event):
            for rule in body["detail"].get(member, {}):
                found.setdefault((str(body["dataset"]), str(rule)), []).append(body)
        counted = [
            (dataset, rule, Figure(sum(int(b["detail"][member][rule]) for b in bodies), indices(bodies)))
            for (dataset, rule), bodies in found.items()
        ]
        counted.sort(key=lambda line: (-line[2].value, line[1]))
        rows += [
            [Words(wording.rule(dataset, rule), code=rule), State(level, effect), figure]
            for dataset, rule, figure in counted
            if figure.value
        ]
    return Table(
        (
            Column(Text("Rule", "规则")),
            Column(Text("Effect", "后果")),
            Column(Text("Rows", "行数"), numeric=True),
        ),
        rows,
        Text("No rule failed.", "没有未通过的规则。"),
    )


def reads(facts: Facts) -> Table:
    """Single reads by purpose, post and domain, with who read and which fields."""
    wording = _wording(facts)
    rows: list[list[Cell]] = []
    for (purpose, post, domain, dataset), bodies in _grouped(
        facts.lately("access.record.authorised"),
        lambda b: (str(b["purpose"]), str(b["post"]), str(b["domain"]), str(b["dataset"])),
    ):
        people = list(dict.fromkeys(str(body["person"]) for body in bodies))
        shown = dict.fromkeys((str(n), str(r)) for body in bodies for n, r in body["fields"].items())
        fields = [
            Text(
                f"{wording.field(dataset, name).en} ({wording.rung(rung).en})",
                f"{wording.field(dataset, name).zh}（{wording.rung(rung).zh}）",
            )
            for name, rung in shown
        ]
        rows.append(
            [
                Words(wording.purpose(purpose)),
                Words(wording.post(post), listed([wording.person(person) for person in people])),
                Words(wording.domain(domain)),
                Words(listed(fields)),
                Figure.count(bodies),
            ]
        )
    return Table(
        (
            Column(Text("Purpose", "用途")),
            Column(Text("Post and person", "岗位与责任人")),
            Column(Text("Domain", "域")),
            Column(Text("Fields", "字段")),
            _TIMES,
        ),
        rows,
        Text("Nobody viewed a single record.", "本期没有逐条查看。"),
    )


_APPROVAL: Final[dict[str, tuple[Level, Text]]] = {
    "in_force": ("good", Text("in force", "有效")),
    "ended": ("none", Text("ended", "已到期")),
    "revoked": ("none", Text("revoked", "已撤销")),
    "void": ("wait", Text("void: the file changed", "失效：文件已改动")),
    "orphaned": ("wait", Text("void: approver left the post", "失效：批准人已离任")),
}


def approvals(facts: Facts) -> Table:
    wording = _wording(facts)
    rows: list[list[Cell]] = []
    for approval in facts.approvals:
        detail = approval.granted["detail"]
        person, post = wording.signatory(approval.granted)
        level, text = _APPROVAL[approval.state]
        rows.append(
            [
                Words(wording.flow(str(detail["flow"])), code=str(detail["digest"])[:12]),
                Words(person, post),
                Moment(facts.at(approval.granted), indices([approval.granted])),
                Moment(approval.until, day=True),
                State(level, text, entries=indices([approval.revoked])),
            ]
        )
    never = {str(a.granted["detail"]["flow"]) for a in facts.approvals}
    rows += [
        [
            Words(flow.title, code=flow.digest[:12]),
            Words(wording.post(flow.accountable_post), wording.holders(flow.accountable_post)),
            Moment(None),
            Moment(None),
            State("wait", Text("never approved: may not run", "从未批准，不能运行")),
        ]
        for flow in facts.unapproved
        if flow.flow not in never
    ]
    return Table(
        (
            Column(Text("Flow", "流向")),
            Column(Text("Approved by", "批准人")),
            Column(Text("On", "批准时间")),
            Column(Text("Until", "截止")),
            Column(Text("State", "状态")),
        ),
        rows,
        Text("No flow is declared.", "尚未声明流向。"),
    )


def adoptions(facts: Facts) -> Table:
    """The policies in force now, and those adopted within the window, latest first."""
    wording = _wording(facts)
    ever = facts.ever("policy.bundle.adopted")
    window = set(indices(facts.inside))
    current = ever[-1] if ever else None
    rows: list[list[Cell]] = []
    for body in reversed(ever):
        if body is not current and body["index"] not in window:
            continue
        person, post = wording.signatory(body)
        digest = str(body["detail"]["digest"])
        if body is not current:
            state = State("none", Text("superseded", "已被取代"))
        elif digest == facts.home.policies.digest:
            state = State("good", Text("in force", "生效中"))
        else:
            state = State("wait", Text("in force; the files have changed since", "生效中；文件此后有改动"))
        rows.append(
            [Words(same(digest[:12])), Words(person, post), Moment(facts.at(body), indices([body])), state]
        )
    return Table(
        (
            Column(Text("Digest", "摘要")),
            Column(Text("Put in force by", "责任人")),
            Column(Text("On", "时间")),
            Column(Text("State", "状态")),
        ),
        rows,
        Text("No policies were ever put in force.", "策略从未生效。"),
    )


def legal_bases(facts: Facts) -> Table:
    """The legal basis of every purpose used within the window, and of every deadline this page applies."""
    used: dict[str, list[Body]] = {}
    for body in facts.inside:
        if "purpose" in body and body["event"] != "access.request.denied":
            used.setdefault(str(body["purpose"]), []).append(body)
    wording, rows = _wording(facts), list[list[Cell]]()
    for name, bodies in used.items():
        known = facts.home.policies.purposes.get(name)
        rows.append(
            [
                Words(wording.purpose(name), Text("purpose", "用途"), entries=indices(bodies)),
                Words(same(known.legal_basis if known else "—")),
                _verified(known.legal_basis_verified if known else False),
            ]
        )
    applied: dict[str, list[Body | None]] = {
        SIGNATURE_DUE: [delivery.arrived for delivery in facts.unsigned],
        RECEIPT_DUE: [*(delivery.authorised for delivery in facts.under_way), *facts.findings],
    }
    for key, matters in applied.items():
        if matters:
            duty = facts.obligation(key)
            rows.append(
                [
                    Words(duty.title, Text("deadline", "期限"), entries=indices(matters)),
                    Words(same(duty.citation)),
                    _verified(duty.verified),
                ]
            )
    return Table(
        (
            Column(Text("For", "事项")),
            Column(Text("Provision", "规定")),
            Column(Text("Checked against the text", "是否核对原文")),
        ),
        rows,
        Text("No purpose was used and no deadline applied.", "本期没有用到任何用途或期限。"),
    )


def _verified(verified: bool) -> State:
    if verified:
        return State("good", Text("checked", "已核对原文"))
    return State("wait", Text("not verified", "「未核验」"))


def _basis(facts: Facts, key: str) -> Text:
    duty = facts.obligation(key)
    en, zh = ("", "") if duty.verified else (" (not verified)", "「未核验」")
    return Text(f"Due by: {duty.citation}{en}.", f"期限依据：{duty.citation}{zh}。")


def _reason(wording: Wording, code: str) -> Words:
    return Words(wording.reason(code), code=code)

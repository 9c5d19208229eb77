"""Every measure over the story of ``exchange_story``: the figure, and the entries it cites."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from exchange_story import GIVE, NOW, SHIQIAO, TAKE, WANGJIANG, WINDOW, YULAN, Body, Log
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Home
from huanshu.errors import ContentError
from huanshu.report.evidence import Figure, cite
from huanshu.report.facts import Facts
from huanshu.report.forms import Moment, State, Table, Words
from huanshu.report.measures import MEASURES
from huanshu.report.picture import Flows, Timeline
from huanshu.report.standing import headline
from huanshu.report.wording import Wording

FIGURES = {
    "deliveries_arrived": (4, "#7, #9, #11, #27"),
    "records_delivered": (1100 + 1000 + 890 + 66, "#7, #9, #11, #27"),
    "records_withdrawn": (20, "#7, #9, #11, #27"),
    "receivers_reached": (3, "#7, #9, #11, #27"),
    "fields_revealed": (23, "#6, #8, #10, #26"),
    "fields_masked": (3, "#6, #8, #10, #26"),
    "fields_matched": (0, ""),
    "deliveries_stopped": (1, "#25"),
    "requests_denied": (3, "#14–#16"),
    # Shiqiao's signature was due on Friday; its finding and its delivery under way are due later.
    "matters_overdue": (1, "#11"),
    "findings_open": (1, "#30"),
    "deliveries_under_way": (1, "#29"),
    "signatures_waiting": (1, "#11"),
    "signatures_overdue": (1, "#11"),
    "intakes_promoted": (2, "#5, #23"),
    "intakes_refused": (1, "#21"),
    "records_good": (2990 + 3006, "#5, #23"),
    "records_unchanged": (2940, "#5, #23"),
    "records_quarantined": (14, "#5, #23"),
    "records_left": (50, "#5, #23"),
    "records_viewed": (2, "#17–#18"),
    "values_viewed": (4, "#17–#18"),
    "lookups_missed": (1, "#19"),
    "approvals_in_force": (2, "#2–#3"),
    "bundles_adopted": (1, "#1"),
    "entries_logged": (31, "#0–#30"),
}


def shown(cell: Any) -> str:
    """A cell as a reader of Chinese sees it."""
    match cell:
        case Figure():
            text, entries = f"{cell.value:,}", cell.entries
        case Words():
            text = " ".join(filter(None, (cell.text.zh, cell.note.zh, cell.code)))
            entries = cell.entries
        case Moment():
            day = "" if cell.at is None else f"{cell.at:%m-%d}" if cell.day else f"{cell.at:%m-%d %H:%M}"
            text, entries = day + (" 逾期" if cell.late else ""), cell.entries
        case State():
            text, entries = " ".join(filter(None, (cell.level, cell.text.zh, cell.note.zh))), cell.entries
        case _:
            raise AssertionError(cell)
    return f"{text} [{cite(entries)}]" if entries else text


def rows(facts: Facts, measure: str) -> list[list[str]]:
    form = MEASURES[measure].answer(facts)
    assert isinstance(form, Table)
    assert all(len(row) == len(form.columns) for row in form.rows)
    return [[shown(cell) for cell in row] for row in form.rows]


@pytest.mark.parametrize("measure", FIGURES)
def test_figure(facts: Facts, measure: str) -> None:
    figure = MEASURES[measure].answer(facts)
    assert isinstance(figure, Figure)
    assert (figure.value, cite(figure.entries)) == FIGURES[measure]


def test_no_figure_is_left_untested(facts: Facts) -> None:
    answers = {name: measure.answer(facts) for name, measure in MEASURES.items()}
    assert {name for name, form in answers.items() if isinstance(form, Figure)} == set(FIGURES)


def test_communities(facts: Facts) -> None:
    assert rows(facts, "receivers") == [
        [
            "玉兰社区 990101001001", "1,105 [#27]", "1,166 [#7, #27]", "20 [#7, #27]", "09-03 11:25 [#27]",
            "唐宁 玉兰社区数据专员 2026-09-03 16:00 [#28]", "good 正常",
        ],
        [
            "望江社区 990101001002", "1,000 [#9]", "1,000 [#9]", "0 [#9]", "09-01 09:13 [#9]",
            "施琪 望江社区数据专员 2026-09-01 15:30 [#13]", "good 正常",
        ],
        [
            "石桥社区 990101001003", "890 [#11]", "890 [#11]", "0 [#11]", "09-01 09:15 [#11]",
            "bad 待签收 1 次 期限 2026-09-04，已逾期 [#11]", "bad 有未了结问题 期限 2026-09-09 [#30]",
        ],
    ]  # fmt: skip


def test_refusals_are_in_words_by_post(facts: Facts) -> None:
    assert rows(facts, "denials") == [
        ["规则未授权 access.request.denied", "玉兰社区数据专员 唐宁", "逐条查看", "望江社区", "2 [#14–#15]"],
        ["未任该岗位 identity.post.not_held", "未确立岗位 邱月", "逐条查看", "玉兰社区", "1 [#16]"],
    ]


def test_what_is_open(facts: Facts) -> None:
    post = "公安分局数据交换专员 林晓、赵勤"
    assert rows(facts, "findings") == [
        ["接收库无法连接 store.server.unreachable", "石桥社区", post, "09-04 09:10 [#30]", "09-09"]
    ]
    to_communities = "石桥社区 居民数据回流（区 → 社区）"
    assert rows(facts, "under_way") == [[to_communities, post, "09-04 09:00 [#29]", "09-08"]]
    assert rows(facts, "signatures") == [
        [to_communities, "顾平、蒋文、叶青", "09-01 09:15 [#11]", "09-04 逾期"]
    ]


def test_deadlines_cite_their_unverified_basis(facts: Facts) -> None:
    form = MEASURES["signatures"].answer(facts)
    assert isinstance(form, Table)
    assert [note.zh for note in form.notes] == [
        "期限依据：清禾区政务数据回流工作细则（示例）第八条「未核验」。"
    ]
    bases = rows(facts, "legal_bases")
    assert [row[0] for row in bases] == [
        "登记维护 用途 [#4, #20, #22]",
        "基层服务 用途 [#6, #8, #10, #17–#19, #24, #26, #29]",
        "交付到达后的签收 期限 [#11]",
        "交付未到达时的补送 期限 [#29–#30]",
    ]
    assert {row[2] for row in bases} == {"wait 「未核验」"}


def test_a_checked_citation_is_not_marked(facts: Facts, sample: Home) -> None:
    purposes = {k: replace(p, legal_basis_verified=True) for k, p in sample.policies.purposes.items()}
    home = replace(sample, policies=replace(sample.policies, purposes=purposes))
    assert rows(replace(facts, home=home), "legal_bases")[0][2] == "good 已核对原文"


def test_quality(facts: Facts) -> None:
    assert rows(facts, "rules_failed") == [
        ["一批至少一条、至多五百万条 batch_size", "bad 整批退回", "1 [#21]"],
        ["手机号码为 11 位 phone_form", "wait 该行隔离", "7 [#5, #23]"],
        ["姓名不含数字、控制符和首尾空格 name_form", "wait 该行隔离", "4 [#5]"],
        ["姓名：符合数据契约 contract_name", "wait 该行隔离", "3 [#23]"],
        ["文化程度为 GB/T 4658 大类代码 education_code", "none 仅提醒", "5 [#5, #23]"],
    ]
    assert rows(facts, "intakes") == [
        ["第 1 期 公安分局", "3,000 [#4]", "2,990 [#5]", "10 [#5]", "good 已入库 [#5]"],
        ["第 2 期 公安分局", "40 [#20]", "—", "—", "bad 已退回 整批质量不合格 [#21]"],
        ["第 3 期 公安分局", "3,010 [#22]", "3,006 [#23]", "4 [#23]", "good 已入库 [#23]"],
    ]


def test_single_reads(facts: Facts) -> None:
    fields = "姓名★（明文）、公民身份号码★（脱敏）、联系电话★（明文）"
    assert rows(facts, "reads") == [
        ["基层服务", "玉兰社区数据专员 唐宁、马蕊", "玉兰社区", fields, "2 [#17–#18]"]
    ]


def test_stopped(facts: Facts) -> None:
    why = "被更新的交付取代 exchange.delivery.superseded"
    assert rows(facts, "deliveries_stopped_list") == [
        ["玉兰社区 居民数据回流（区 → 社区）", why, "1 [#25]", "09-03 11:20"]
    ]


def test_fields_by_rung(facts: Facts) -> None:
    reveal, mask = rows(facts, "fields_delivered")
    assert reveal[0] == "明文 居民登记"
    assert reveal[1].startswith("姓名★、性别、出生日期★")
    assert mask == ["脱敏 居民登记", "公民身份号码★、户号★、户籍地址★", "3 [#6, #8, #10, #26]"]


def test_approvals(facts: Facts) -> None:
    who = "林晓 公安分局数据交换专员"
    assert [row[1:] for row in rows(facts, "approvals")] == [
        [who, "09-01 08:50 [#2]", "12-31", "good 有效"],
        [who, "09-01 08:51 [#3]", "06-30", "good 有效"],
    ]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("ends", "none 已到期"),
        ("revoked", "none 已撤销 [#3]"),
        ("file", "wait 失效：文件已改动"),
        ("left", "wait 失效：批准人已离任"),
    ],
)
def test_an_approval_that_no_longer_holds(sample: Home, change: str, state: str) -> None:
    log, home = Log(sample), sample
    log.add("1 08:30", "log.origin.created", "p.chen", {"sandbox": True, "origin": "log", "vkey": "k"})
    log.approve("1 08:50", TAKE, "2026-12-31")
    log.approve("1 08:51", GIVE, "2026-09-05" if change == "ends" else "2027-06-30")
    if change == "revoked":
        log.add(
            "2 08:00", "approval.flow.revoked", "p.lin", {"flow": GIVE, "digest": sample.flows[GIVE].digest},
            post="psb.exchange_officer", dataset="resident",
        )  # fmt: skip
    if change == "file":
        home = replace(sample, flows={**sample.flows, GIVE: replace(sample.flows[GIVE], digest="0" * 64)})
    if change == "left":
        staying = tuple(h for h in sample.policies.holdings if h.person != "p.lin")
        home = replace(sample, policies=replace(sample.policies, holdings=staying))
    facts = Facts(log.entries, home, *WINDOW, NOW)
    states = {row[0].split("（")[0]: row[4] for row in rows(facts, "approvals")}
    assert states["居民数据回流"] == state
    assert GIVE in {flow.flow for flow in facts.unapproved}


def test_a_changed_policy_folder_is_told(facts: Facts, sample: Home) -> None:
    assert rows(facts, "adoptions")[0][3] == "good 生效中"
    other = replace(sample, policies=replace(sample.policies, digest="0" * 64))
    assert rows(replace(facts, home=other), "adoptions")[0][3] == "wait 生效中；文件此后有改动"


def test_headline(facts: Facts, sample: Home) -> None:
    told = headline(facts, Wording(sample, NOW))
    assert told.level == "bad"
    assert told.sentence.zh == (
        "3 个社区中 2 个已到达，1 项逾期，1 次交付待签收，1 项问题未了结；本期拒绝 3 次。"
    )
    assert told.sentence.en == (
        "Deliveries have arrived at 2 of 3 communities; 1 overdue, 1 delivery to be signed, "
        "1 finding open; 3 requests refused in this period."
    )
    assert {what.en: cite(figure.entries) for what, figure in told.cited} == {
        "arrived": "#9, #27",
        "overdue": "#11",
        "awaiting a signature": "#11",
        "open findings": "#30",
        "refused": "#14–#16",
    }


def test_all_in_order(sample: Home) -> None:
    log = Log(sample)
    log.approve("1 08:50", TAKE, "2026-12-31")
    log.approve("1 08:51", GIVE, "2026-12-31")
    signers = {YULAN: "p.tang", WANGJIANG: "p.luo", SHIQIAO: "p.jiang"}
    for n, (receiver, person) in enumerate(signers.items()):
        arrived = log.arrive(
            f"1 09:{2 * n + 1:02}", log.authorise(f"1 09:{2 * n:02}", f"d{n}", receiver, 5), 5
        )
        log.sign("1 10:00", arrived, person, f"{person}.post")
    told = headline(Facts(log.entries, sample, *WINDOW, NOW), Wording(sample, NOW))
    assert told.level == "good"
    assert told.sentence.zh == "3 个社区全部到达，0 项逾期，0 次交付待签收，0 项问题未了结；本期拒绝 0 次。"


def test_a_log_that_lost_entries_is_not_in_order(sample: Home) -> None:
    """Whatever else the report says: of that time nobody knows what happened. A month later it says so, and is calm."""
    log = Log(sample)
    log.approve("1 08:50", GIVE, "2026-12-31")
    before = headline(Facts(log.entries, sample, *WINDOW, NOW), Wording(sample, NOW))
    detail = {
        **dict.fromkeys(("vkey", "restored", "reason", "asked", "answered", "statement"), "x"), "origin": "o/2",
        "given_up": {"origin": "o", "size": 9}, "first": 1, "last": 8, "since": "2026-09-01T08:50:00+08:00",
        "signed": {"person": "p.chen"},
    }  # fmt: skip
    log.add("1 10:00", "log.origin.reopened", "p.xu", detail, post="district.auditor")
    told = headline(Facts(log.entries, sample, *WINDOW, NOW), Wording(sample, NOW))
    assert (before.level, told.level, told.word.zh) == ("none", "bad", "日志缺失")
    assert "8" in told.sentence.zh.rsplit("；", 1)[1]
    later = (WINDOW[0] + timedelta(days=30), WINDOW[1] + timedelta(days=30))
    calm = headline(Facts(log.entries, sample, *later, later[1]), Wording(sample, later[1]))
    assert (calm.level, calm.sentence.zh.rsplit("；", 1)[1]) == ("none", told.sentence.zh.rsplit("；", 1)[1])


def test_what_happened_is_of_the_window_and_what_stands_is_of_now(facts: Facts) -> None:
    """The third and fourth only: Tuesday's deliveries are not counted, but they are still held and unsigned."""
    third = datetime.fromisoformat("2026-09-03T00:00:00+08:00")
    late = replace(facts, begin=third)
    assert cite(MEASURES["records_delivered"].answer(late).entries) == "#27"  # type: ignore[union-attr]
    assert rows(late, "receivers")[2][1:3] == ["890 [#11]", "0"]
    assert MEASURES["signatures_waiting"].answer(late) == Figure(1, (11,))


def test_neighbouring_windows_count_every_entry_once(facts: Facts) -> None:
    """The boundary lies on an entry: it belongs to the later window."""
    middle = facts.at(facts.log[14])
    before, after = replace(facts, until=middle), replace(facts, begin=middle)
    assert [b["index"] for b in before.inside] == list(range(14))
    assert [b["index"] for b in after.inside] == list(range(14, 31))


def test_an_entry_of_another_zone_is_told_in_local_time(sample: Home) -> None:
    log = Log(sample)
    log.arrive("1 09:11", log.authorise("1 09:10", "d1", YULAN, 3), 3)
    for body in log.entries:
        body["at"] = body["at"].replace("+08:00", "+00:00")
    assert rows(Facts(log.entries, sample, *WINDOW, NOW), "receivers")[0][4] == "09-01 17:11 [#1]"


def test_a_delivery_stopped_and_authorised_again_is_under_way_once(sample: Home) -> None:
    log = Log(sample)
    log.stop("1 09:05", log.authorise("1 09:00", "d1", YULAN, 3), 0)
    facts = Facts(log.entries, sample, *WINDOW, NOW)
    assert MEASURES["deliveries_under_way"].answer(facts) == Figure(0)
    log.authorise("1 10:00", "d1", YULAN, 3)
    facts = Facts(log.entries, sample, *WINDOW, NOW)
    assert MEASURES["deliveries_under_way"].answer(facts) == Figure(1, (2,))
    # Two working days have passed and nobody has made a finding of it.
    assert MEASURES["matters_overdue"].answer(facts) == Figure(1, (2,))


def test_a_matter_is_overdue_once(facts: Facts) -> None:
    """Two days on, Shiqiao's finding is late too; the delivery it is about is not counted beside it."""
    later = replace(facts, now=NOW + timedelta(days=2))
    assert MEASURES["matters_overdue"].answer(later) == Figure(2, (11, 30))
    assert rows(later, "findings")[0][4] == "09-09 逾期"
    assert rows(later, "under_way")[0][3] == "09-08 逾期"


def test_a_settled_finding_is_not_open(sample: Home) -> None:
    log = Log(sample)
    log.find("1 09:00", SHIQIAO, "2026-09-03")
    assert MEASURES["findings_open"].answer(Facts(log.entries, sample, *WINDOW, NOW)) == Figure(1, (0,))
    log.add(
        "2 09:00",
        "finding.case.settled",
        "p.lin",
        {"finding": f"receipt/{GIVE}/{SHIQIAO}", "disposition": "arrived"},
    )
    assert MEASURES["findings_open"].answer(Facts(log.entries, sample, *WINDOW, NOW)) == Figure(0)


def test_no_deadline_is_guessed(facts: Facts, sample: Home) -> None:
    duties = {key: duty for key, duty in sample.obligations.items() if key != "signature_due"}
    with pytest.raises(ContentError) as refused:
        MEASURES["receivers"].answer(replace(facts, home=replace(sample, obligations=duties)))
    assert refused.value.code == "report.obligation.missing"
    assert str(refused.value.where) == "audit/obligations.yaml"


def test_picture_tells_what_the_tables_tell(facts: Facts) -> None:
    picture = MEASURES["flows"].answer(facts)
    assert isinstance(picture, Flows)
    assert [
        (b.name.zh, b.sent.value, b.withdrawn.value, b.holds.value, b.state.level) for b in picture.receivers
    ] == [  # type: ignore[union-attr]
        ("玉兰社区", 1166, 20, 1105, "good"),
        ("望江社区", 1000, 0, 1000, "good"),
        ("石桥社区", 890, 0, 890, "bad"),
    ]
    assert (picture.good.value, picture.quarantined.value, picture.denied.value) == (5996, 14, 3)
    assert all(26 <= box.y <= picture.height - 26 for box in (*picture.senders, *picture.receivers))


def test_a_picture_of_many_draws_the_worst_and_counts_the_rest(sample: Home, facts: Facts) -> None:
    domains = sample.policies.domains
    many = {f"99010100{n:04}": replace(domains[WANGJIANG], code=f"99010100{n:04}") for n in range(2000, 2140)}
    tree = replace(domains, by_code={**domains.by_code, **many})
    flow = replace(sample.flows[GIVE], receivers=(*sample.flows[GIVE].receivers, *many))
    home = replace(
        sample, policies=replace(sample.policies, domains=tree), flows={**sample.flows, GIVE: flow}
    )
    picture = MEASURES["flows"].answer(replace(facts, home=home))
    assert isinstance(picture, Flows)
    assert len(picture.receivers) + picture.others == 143
    assert len(picture.receivers) == 10
    assert picture.receivers[0].name.zh == "石桥社区"


def test_timeline_by_day(facts: Facts) -> None:
    bars = MEASURES["timeline"].answer(facts)
    assert isinstance(bars, Timeline)
    assert [(bar.when, bar.figure.value, bar.denied) for bar in bars.bars] == [
        ("09-01", 14, 0),
        ("09-02", 6, 3),
        ("09-03", 9, 0),
        ("09-04", 2, 0),
    ]
    assert bars.step.en == "day"


def test_timeline_of_one_day_is_by_hour(facts: Facts) -> None:
    day = replace(facts, until=facts.begin + timedelta(days=1))
    bars = MEASURES["timeline"].answer(day)
    assert isinstance(bars, Timeline)
    assert len(bars.bars) == 24
    assert {bar.when: bar.figure.value for bar in bars.bars if bar.figure.value} == {
        "08:00": 4, "09:00": 8, "14:00": 1, "15:00": 1
    }  # fmt: skip


EVENTS = st.lists(
    st.sampled_from(["deny", "view", "deliver", "half", "sign", "stop", "find", "intake"]), max_size=40
)


def any_log(home: Home, steps: list[str]) -> list[Body]:
    """A log as the gate and the keeper could have written it, from a list of steps."""
    log, unsigned = Log(home), list[int]()
    for n, step in enumerate(steps):
        at = f"{1 + n // 10} {8 + n % 10:02}:00"
        receiver = (YULAN, WANGJIANG, SHIQIAO)[n % 3]
        match step:
            case "deny":
                log.deny(at, "p.tang", "access.request.denied", domain=receiver)
            case "view":
                log.view(at, "p.tang", "yulan.data_clerk", YULAN, {"name": "reveal"})
            case "deliver":
                unsigned.append(log.arrive(at, log.authorise(at, f"d{n}", receiver, n + 1), n + 1))
            case "half":
                log.authorise(at, f"d{n}", receiver, n + 1)
            case "stop":
                log.stop(at, log.authorise(at, f"d{n}", receiver, n + 1), 0)
            case "sign" if unsigned:
                log.sign(at, unsigned.pop(), "p.tang", "yulan.data_clerk")
            case "find":
                log.find(at, receiver, "2026-09-09")
            case "intake":
                log.promote(at, log.authorise_intake(at, n + 1, 9), good=9 - n % 3, quarantined=n % 3)
    return log.entries


@given(EVENTS)
def test_figures_of_any_log_are_counts_of_its_entries(sample: Home, steps: list[str]) -> None:
    log = any_log(sample, steps)
    facts = Facts(log, sample, *WINDOW, NOW)
    answers = {name: measure.answer(facts) for name, measure in MEASURES.items()}

    def figure(name: str) -> int:
        form = answers[name]
        assert isinstance(form, Figure)
        assert set(form.entries) <= {body["index"] for body in log}
        assert form.entries or not form.value, f"{name} has no evidence"
        return form.value

    by_event = [body["event"] for body in log]
    assert figure("requests_denied") == by_event.count("access.request.denied")
    assert figure("records_viewed") == by_event.count("access.record.authorised")
    assert figure("deliveries_arrived") == by_event.count("exchange.delivery.arrived")
    assert figure("deliveries_stopped") == by_event.count("exchange.delivery.stopped")
    assert figure("entries_logged") == len(log)
    assert figure("records_delivered") == sum(
        b["detail"]["count"] for b in log if b["event"] == "exchange.delivery.arrived"
    )
    # Every delivery ended in exactly one way, or is still under way; every arrival is signed or waits.
    assert figure("deliveries_under_way") == (
        by_event.count("exchange.delivery.authorised")
        - figure("deliveries_arrived")
        - figure("deliveries_stopped")
    )
    assert figure("signatures_waiting") == figure("deliveries_arrived") - by_event.count(
        "exchange.delivery.signed"
    )
    assert figure("findings_open") == len({b["domain"] for b in log if b["event"] == "finding.case.opened"})
    for name in FIGURES:
        figure(name)
    timeline = answers["timeline"]
    assert isinstance(timeline, Timeline)
    assert sum(bar.figure.value for bar in timeline.bars) == len(log)
    table = answers["denials"]
    assert isinstance(table, Table)
    assert sum(row[4].value for row in table.rows) == figure("requests_denied")  # type: ignore[union-attr]

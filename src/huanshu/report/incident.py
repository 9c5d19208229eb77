"""The first draft of an incident from an exposure: what kinds of data, of how many, since when, who answers, by when.

Numbers come from the log, deadlines from ``audit/obligations.yaml`` (every obligation named ``incident_…``), contacts
from the posts. What only people know — how it happened, what was done — is left open and marked so. No value, no name
of a resident. An unverified deadline is marked, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from huanshu.catalog import Home
from huanshu.catalog.nouns import Field
from huanshu.catalog.working_days import due
from huanshu.errors import Text
from huanshu.gate.exposure import Exposure

CLOCKS: Final = "incident_"
_OPEN = Text("[to be filled in]", "【待填写】")
_UNVERIFIED = Text(" (unverified)", "（未核实）")
_KINDS: Final = {
    "person": Text("what this person did", "该责任人的操作"),
    "account": Text("what was done under this account", "该账号下的操作"),
    "session": Text("this run or session", "该次运行或会话"),
    "key": Text("what this key opens, as far as it was moved", "该密钥可开启且已搬运的内容"),
    "workbook": Text("this workbook", "该工作簿"),
    "domain": Text("what this domain holds or looked at", "该域持有或查看的内容"),
}


def draft(home: Home, found: Exposure, known_at: datetime) -> tuple[Text, ...]:
    """The draft's lines. ``known_at``: when the leak became known, from which the clocks run."""
    return tuple(_lines(home, found, known_at.astimezone(ZoneInfo(home.timezone))))


def _lines(home: Home, found: Exposure, known_at: datetime) -> Iterator[Text]:
    asked, zone = found.asked, ZoneInfo(home.timezone)
    yield Text("# Incident report (draft)", "# 个人信息安全事件报告（草稿）")
    yield Text("", "")
    yield Text(
        f"Case: {asked.case}. From the log up to entry {found.entry}.",
        f"案由：{asked.case}。依据日志，截至条目 {found.entry}。",
    )
    kind = _KINDS[asked.kind]
    yield Text(f"About: {kind.en}, {asked.name}.", f"范围：{kind.zh}，{asked.name}。")
    window = f"{asked.start.astimezone(zone):%Y-%m-%d %H:%M} – {asked.end.astimezone(zone):%Y-%m-%d %H:%M}"
    yield Text(f"Window: {window}.", f"时段：{window}。")
    yield Text("", "")
    yield Text("## 1 Kinds of data", "## 一、涉及的个人信息种类")
    yield from _kinds(home, found)
    yield Text("", "")
    yield Text("## 2 How many", "## 二、涉及人数")
    yield Text(
        f"{found.persons} natural persons, {found.persons_viewed} of them looked at by somebody; the others' data was"
        f" only moved, compared or counted. {found.organisations} organisations, {found.organisations_viewed} seen.",
        f"自然人 {found.persons} 名，其中 {found.persons_viewed} 名的数据曾被人查看，其余仅被搬运、比对或计数；"
        f"组织 {found.organisations} 家（被查看 {found.organisations_viewed} 家）。",
    )
    yield from _times(found)
    for gap in found.gaps:
        yield Text(
            f"Entries {gap.first} to {gap.last} of {gap.origin} are lost (from {gap.since} to {gap.until}): the numbers"
            " are of what is left.",
            f"日志 {gap.origin} 的条目 {gap.first} 至 {gap.last} 已丢失（{gap.since} 至 {gap.until}），"
            "以上数字仅据现存条目。",
        )
    yield Text("", "")
    yield Text("## 3 Cause and possible harm", "## 三、原因与可能造成的危害")
    yield _OPEN
    yield Text("", "")
    yield Text("## 4 Measures", "## 四、已采取和拟采取的措施")
    yield Text(
        f"Taken: {_OPEN.en}. At hand: hold the flow, recall the delivery, revoke the approval, end the post,"
        " raise the key epoch.",
        f"已采取：{_OPEN.zh}。可用措施：暂停流向、召回交付、撤销批准、终止任职、提升密钥轮次。",
    )
    yield Text(f"What those concerned can do themselves: {_OPEN.en}", f"个人可采取的减轻危害措施：{_OPEN.zh}")
    yield Text("", "")
    yield Text("## 5 Contact", "## 五、联系方式")
    yield from _contacts(home, known_at)
    yield Text("", "")
    yield Text("## 6 Clocks", "## 六、时限")
    yield from _clocks(home, known_at)


def _kinds(home: Home, found: Exposure) -> Iterator[Text]:
    if not found.fields:
        yield Text("None: nothing was opened.", "无：未开启任何数据。")
    for each in found.fields:
        contract = home.contracts.get(each.dataset)
        known = next((f for f in contract.fields if f.name == each.field), None) if contract else None
        title, mark = _titled(known, each.field)
        yield Text(
            f"- {title.en} ({each.dataset}.{each.field}) at {each.rung}{mark.en}: {each.subjects},"
            f" {each.viewed} looked at",
            f"- {title.zh}（{each.dataset}.{each.field}），{each.rung}{mark.zh}：{each.subjects}，"
            f"其中被查看 {each.viewed}",
        )


def _titled(known: Field | None, name: str) -> tuple[Text, Text]:
    if known is None:
        return Text(name, name), Text("", "")
    sensitive = Text(", sensitive personal", "，敏感个人信息") if known.sensitive_personal else Text("", "")
    return known.title, Text(f", level {known.level}{sensitive.en}", f"，{known.level} 级{sensitive.zh}")


def _times(found: Exposure) -> Iterator[Text]:
    if found.first and found.last:
        (first, began), (last, ended) = found.first, found.last
        yield Text(
            f"First: entry {first}, {began}. Last: entry {last}, {ended}. Entries: {found.viewed} looked,"
            f" {found.passed} passed on, {found.unopened} authorised without any opening.",
            f"首次：条目 {first}，{began}。末次：条目 {last}，{ended}。"
            f"条目数：查看 {found.viewed}，流转 {found.passed}，授权但未开启 {found.unopened}。",
        )


def _contacts(home: Home, at: datetime) -> Iterator[Text]:
    posts = sorted({h.post for h in home.policies.holdings if h.role == "security_officer"})
    for post in posts:
        for holding in home.policies.holders(post, at):
            title = holding.title
            yield Text(f"- {title.en} ({post}): {_OPEN.en}", f"- {title.zh}（{post}）：{_OPEN.zh}")


def _clocks(home: Home, known_at: datetime) -> Iterator[Text]:
    yield Text(f"Known at {known_at:%Y-%m-%d %H:%M}.", f"知悉时间：{known_at:%Y-%m-%d %H:%M}。")
    clocks = [each for key, each in sorted(home.obligations.items()) if key.startswith(CLOCKS)]
    if not clocks:
        yield Text(
            "No obligation incident_… is registered: add those that bind you to audit/obligations.yaml.",
            "obligations.yaml 中没有 incident_ 开头的义务，请登记适用的报告时限。",
        )
    for each in clocks:
        end = due(known_at, each, home.calendar)
        mark = Text("", "") if each.verified else _UNVERIFIED
        yield Text(
            f"- {each.title.en}: until {end:%Y-%m-%d %H:%M} ({each.citation}){mark.en}",
            f"- {each.title.zh}：{end:%Y-%m-%d %H:%M} 前（{each.citation}）{mark.zh}",
        )

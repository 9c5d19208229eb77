"""What a resident is told of who has seen the record: a plain statement, and the same as a list of usages.

The list has the shape of Estonia's data tracker (Andmejälgija, findUsage 1.3.1): ``usage`` with ``logtime``, ``action``
and ``receiver``, newest first, by ``offset`` from 1 and ``limit`` (100); ``actor`` is added. Officials are told by
post, never by name. What is lawfully withheld is counted, with the end of each withholding; reasons stay in the log.

Made from an answer of ``huanshu.gate.seen`` and nothing else; no value, no identifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from huanshu.catalog import Home
from huanshu.errors import Text
from huanshu.gate.seen import How, Sighting, WhoSaw

LIMIT: Final = 100

#: In the order in which they are told.
VERBS: Final[Mapping[How, Text]] = {
    "viewed": Text("viewed by a person", "被人查看"),
    "compared": Text("compared by a program, nobody looked", "由程序比对，无人查看"),
    "moved": Text("moved to an authority sealed, nobody looked", "密封搬运至接收单位，无人查看"),
    "counted": Text("counted in a total, nobody looked", "计入统计数，无人查看"),
    "under_way": Text("allowed, on its way", "已获准，尚在途中"),
    "stopped": Text("allowed, but stopped before the record was opened", "已获准，但在开启该记录之前停止"),
    "unopened": Text("allowed, but not opened", "已获准，但未开启"),
}
RUNGS: Final = {
    "reveal": Text("in full", "原值"),
    "mask": Text("masked", "脱敏"),
    "match": Text("as a token", "令牌"),
    "count": Text("as a number only", "仅计数"),
}
#: What the log cannot know, said every time.
NOT_COVERED: Final = (
    Text(
        "what a department does with its own register in its own systems, and how the record came into the district",
        "部门在自有系统中对本部门登记数据的使用，以及该记录进入本区平台之前的情况",
    ),
    Text(
        "what was done with a page or workbook after it was printed or handed on",
        "工作簿或页面导出、打印之后的再次传阅",
    ),
    Text(
        "searches that found nothing, and rows that were set aside because their identifier was wrong",
        "未查到结果的检索，以及因证件号码有误而无法确认属于您的隔离记录",
    ),
    Text(
        "aggregates that name nobody",
        "不指向个人的汇总统计",
    ),
)


@dataclass(frozen=True, slots=True)
class Told:
    """A resident's view of an answer: what is told, and until when the rest is withheld."""

    sightings: tuple[Sighting, ...]
    withheld: tuple[datetime, ...]


def told(found: WhoSaw, withheld: Mapping[int, str]) -> Told:
    """``withheld``: entries under a withholding in force → its end."""
    shown = tuple(s for s in found.sightings if s.entry not in withheld)
    ends = sorted(datetime.fromisoformat(withheld[s.entry]) for s in found.sightings if s.entry in withheld)
    return Told(shown, tuple(ends))


def find_usage(
    home: Home, view: Told, language: str, offset: int = 1, limit: int = LIMIT
) -> dict[str, list[dict[str, Any]]]:
    """The usages from the ``offset``-th on (the first is 1), newest first."""
    newest = sorted(view.sightings, key=lambda s: (s.at, s.entry), reverse=True)
    return {"usage": [_usage(home, s, language) for s in newest[offset - 1 : offset - 1 + limit]]}


def _usage(home: Home, s: Sighting, language: str) -> dict[str, Any]:
    purpose = home.policies.purposes.get(s.purpose)
    title = purpose.title.in_language(language) if purpose else s.purpose
    verb = VERBS[s.how].in_language(language)
    return {
        "logtime": s.at,
        "action": f"{title}：{verb}" if language == "zh" else f"{title}: {verb}",
        "actor": _actor(home, s.department, s.post).in_language(language),
        "receiver": s.domain,
    }


def statement(home: Home, found: WhoSaw, view: Told, case: str, made_at: datetime) -> tuple[Text, ...]:
    """The statement's lines, in both languages."""
    return tuple(_lines(home, found, view, case, made_at.astimezone(ZoneInfo(home.timezone))))


def _lines(home: Home, found: WhoSaw, view: Told, case: str, made_at: datetime) -> Iterator[Text]:
    yield Text("# Who has used your record", "# 您的记录被使用情况告知书")
    yield Text("", "")
    yield Text(
        f"Case: {case}. Made on {made_at:%Y-%m-%d %H:%M} from the audit log up to entry {found.entry}.",
        f"案由：{case}。制作时间：{made_at:%Y-%m-%d %H:%M}，依据审计日志（截至第 {found.entry} 条）。",
    )
    yield Text("", "")
    yield _in_sum(view.sightings)
    for how, verb in VERBS.items():
        mine = [s for s in view.sightings if s.how == how]
        if mine:
            yield Text("", "")
            yield Text(f"## {verb.en} ({_times(len(mine)).en})", f"## {verb.zh}（{_times(len(mine)).zh}）")
            yield from _by_purpose(home, mine)
    if view.withheld:
        yield Text("", "")
        yield Text("## Withheld by law", "## 依法暂不告知")
        for end in view.withheld:
            yield Text(
                f"- one use, reviewed by a second official; looked at again by {end:%Y-%m-%d}",
                f"- 1 次使用依法暂不告知，已经另一名审计人员复核，最迟 {end:%Y-%m-%d} 重新审查",
            )
    yield Text("", "")
    yield Text("## What this statement does not cover", "## 本告知书不包含")
    for each in NOT_COVERED:
        yield Text(f"- {each.en}", f"- {each.zh}")
    for gap in found.gaps:
        since, until = (
            datetime.fromisoformat(at).astimezone(made_at.tzinfo) for at in (gap.since, gap.until)
        )
        yield Text(
            f"- entries of the log between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M}: they were lost, and two"
            " officials signed that they are; uses of that time may be missing here",
            f"- {since:%Y-%m-%d %H:%M} 至 {until:%Y-%m-%d %H:%M} 之间的部分日志已丢失（经两名工作人员签署确认），"
            "该时段内的使用可能未列入本告知书",
        )
    yield Text("", "")
    yield Text(
        "Officials are named by post. If you think a use was wrong, write to the district and name this case.",
        "工作人员以岗位列示。如对某次使用有异议，请向本区提出并注明本案由。",
    )


def _in_sum(sightings: Sequence[Sighting]) -> Text:
    counts = [(verb, sum(s.how == how for s in sightings)) for how, verb in VERBS.items()]
    said = [(verb, count) for verb, count in counts if count]
    if not said:
        return Text("No use of your record is in the log.", "日志中没有对您记录的使用。")
    return Text(
        "In sum: " + "; ".join(f"{verb.en}: {_times(count).en}" for verb, count in said) + ".",
        "合计：" + "；".join(f"{verb.zh} {_times(count).zh}" for verb, count in said) + "。",
    )


def _by_purpose(home: Home, sightings: Sequence[Sighting]) -> Iterator[Text]:
    def key(s: Sighting) -> tuple[str, ...]:
        return (s.purpose, s.department, s.post, s.domain, s.dataset)

    for (purpose, department, post, domain, dataset), each in groupby(sorted(sightings, key=key), key=key):
        same = sorted(each, key=lambda s: s.entry)
        why, who = _purpose(home, purpose), _actor(home, department, post)
        where, fields = _domain(home, domain), _fields(home, dataset, same)
        days = sorted({s.at[:10] for s in same})
        span = days[0] if len(days) == 1 else f"{days[0]} – {days[-1]}"
        yield Text(
            f"- {why.en}: {who.en}, about {where.en}; {_times(len(same)).en}, {span}; {fields.en}",
            f"- {why.zh}：{who.zh}，涉及{where.zh}；{_times(len(same)).zh}，{span}；{fields.zh}",
        )


def _times(count: int) -> Text:
    return Text("once" if count == 1 else f"{count} times", f"{count} 次")


def _purpose(home: Home, name: str) -> Text:
    known = home.policies.purposes.get(name)
    if known is None:
        return Text(name, name)
    return Text(f"{known.title.en} ({known.legal_basis})", f"{known.title.zh}（{known.legal_basis}）")


def _actor(home: Home, department: str, post: str) -> Text:
    title = next((h.title for h in home.policies.holdings if h.post == post), Text(post, post))
    where = _domain(home, department)
    return Text(f"{title.en}, {where.en}", f"{where.zh} {title.zh}")


def _domain(home: Home, code: str) -> Text:
    known = home.policies.domains.by_code.get(code)
    return known.name if known else Text(code, code)


def _fields(home: Home, dataset: str, sightings: Sequence[Sighting]) -> Text:
    contract = home.contracts.get(dataset)
    titles = {f.name: f.title for f in contract.fields} if contract else {}
    asked = sorted({(name, word) for s in sightings for name, word in s.fields.items()})
    said = [
        (titles.get(name, Text(name, name)), RUNGS.get(word, Text("used inside", "内部使用")))
        for name, word in asked
    ]
    return Text(
        ", ".join(f"{title.en} {rung.en}" for title, rung in said),
        "、".join(f"{title.zh}（{rung.zh}）" for title, rung in said),
    )

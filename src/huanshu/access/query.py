"""A question in order: canonical, about things that exist, by a held post, for a valid purpose.

Everything here is settled before Casbin sees a token. Identifiers are compared as exact text: no case
folding, no Unicode normalisation, no trimming, no unquoting, no wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import Final, NamedTuple

from huanshu.access.decisions import MissKind
from huanshu.access.terms import READS, WRITES
from huanshu.catalog.nouns import Contract, Domain, Holding, Policies, Purpose
from huanshu.catalog.words import hint
from huanshu.errors import Text

_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*|[0-9]{12}|[0-9]{15}")
_ALPHABET: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")
_ACTIONS: Final = dict.fromkeys((*READS, *sorted(WRITES)))
_MEMBERS: Final = {
    "post": "岗位",
    "domain": "域",
    "dataset": "数据集",
    "field": "字段",
    "purpose": "用途",
    "action": "动作",
    "at": "时刻",
}


class Query(NamedTuple):
    """The tokens Casbin sees, in the order of the model's request definition."""

    post: str
    home: str
    kind: str
    domain: str
    dataset: str
    field: str
    purpose: str
    action: str
    on: str  # ISO date, local


@dataclass(frozen=True, slots=True)
class Disorder:
    """Why the question is not in order."""

    kind: MissKind
    what: Text
    remedy: Text


@dataclass(frozen=True, slots=True)
class Standing:
    """What all fields of one request share: who stands where, for what, on which local day."""

    holding: Holding
    domain: Domain
    contract: Contract
    purpose: Purpose
    day: date
    zone: tzinfo
    #: Last day on which both the post is held as now and the purpose is valid.
    last_day: date

    def query(self, field: str, action: str, kind: str) -> Query:
        return Query(
            post=self.holding.post,
            home=self.holding.domain,
            kind=kind,
            domain=self.domain.code,
            dataset=self.contract.dataset,
            field=field,
            purpose=self.purpose.purpose,
            action=action,
            on=self.day.isoformat(),
        )

    def end_of(self, day: date) -> datetime:
        """The last instant of an inclusive local day."""
        return datetime.combine(day, time.max, self.zone)


def stand(
    policies: Policies,
    contracts: Mapping[str, Contract],
    post: str,
    domain: str,
    dataset: str,
    purpose: str,
    at: datetime,
) -> Standing | Disorder:
    """The standing of a request, or the first thing not in order. ``at`` is in the district's zone."""
    if at.tzinfo is None or at.utcoffset() is None:
        return _not_canonical("at", Text("it has no offset from UTC", "缺少与 UTC 的时差"))
    if purpose == "":
        return Disorder(
            "no_purpose",
            Text("no purpose is given: nothing is read without one", "未说明用途：没有用途不得读取"),
            Text("name a purpose of policies/purposes.yaml", "请指明 policies/purposes.yaml 中登记的用途"),
        )
    named: tuple[tuple[str, str, Collection[str]], ...] = (
        ("post", post, policies.posts),
        ("domain", domain, policies.domains.by_code),
        ("dataset", dataset, contracts),
        ("purpose", purpose, policies.purposes),
    )
    for member, token, known in named:
        if (disorder := check_token(member, token, known)) is not None:
            return disorder
    day = at.date()
    holdings = policies.holders(post, at)
    if not holdings:
        return _unheld(policies, post, day)
    chosen = policies.purposes[purpose]
    if not chosen.valid_from <= day <= chosen.valid_until:
        return _invalid_purpose(chosen, day)
    if dataset not in chosen.datasets:
        return Disorder(
            "purpose_elsewhere",
            Text(
                f"purpose {purpose} is not registered for dataset {dataset}",
                f"用途“{chosen.title.zh}”（{purpose}）未登记用于数据集 {dataset}",
            ),
            Text(
                f"use a purpose that names {dataset} ({chosen.where})",
                f"请使用登记了 {dataset} 的用途（{chosen.where}）",
            ),
        )
    # The earliest end among present holders: nobody's time is stretched by a colleague's.
    held_until = min(holding.valid_until for holding in holdings)
    return Standing(
        holding=holdings[0],
        domain=policies.domains[domain],
        contract=contracts[dataset],
        purpose=chosen,
        day=day,
        zone=at.tzinfo,
        last_day=min(held_until, chosen.valid_until),
    )


def check_field(standing: Standing, field: str, action: str) -> Disorder | None:
    """Whether one field and what is asked of it are in order."""
    return check_token("field", field, standing.contract.by_name) or check_token("action", action, _ACTIONS)


def check_token(member: str, token: object, known: Collection[str]) -> Disorder | None:
    """An identifier exactly as it is registered; the token itself is never repeated."""
    if not isinstance(token, str):
        return _not_canonical(member, Text("it is not text", "不是文本"))
    if _IDENTIFIER.fullmatch(token) is None:
        return _misshapen(member, token)
    if token not in known:
        zh = _MEMBERS[member]
        return Disorder("unknown", Text(f"no such {member} exists here", f"没有这个{zh}"), hint(token, known))
    return None


def _misshapen(member: str, token: str) -> Disorder:
    for position, character in enumerate(token, 1):
        if character not in _ALPHABET:
            return _not_canonical(
                member,
                Text(
                    f"character {position} is none of a-z 0-9 _ .",
                    f"第 {position} 个字符不属于 a-z、0-9、_、.（全角、空格、大写、通配符等一律不接受）",
                ),
            )
    return _not_canonical(member, Text("it has not the shape of an identifier", "不符合标识的格式"))


def _not_canonical(member: str, why: Text) -> Disorder:
    zh = _MEMBERS[member]
    return Disorder(
        "not_canonical",
        Text(f"the {member} is not written canonically: {why.en}", f"{zh}的写法不规范：{why.zh}"),
        Text(
            "write it exactly as it is registered in policies/ and contracts",
            "请与 policies/ 和数据契约中登记的写法完全一致",
        ),
    )


def _unheld(policies: Policies, post: str, day: date) -> Disorder:
    mine = [holding for holding in policies.holdings if holding.post == post]
    ended = [holding for holding in mine if holding.valid_until < day]
    if ended:
        last = max(ended, key=lambda holding: holding.valid_until)
        what = Text(
            f"nobody holds {post} on {day}: it was last held until {last.valid_until} ({last.where})",
            f"{day} 无人在岗 {post}：最近一次任职至 {last.valid_until}（{last.where}）",
        )
    else:
        first = min(mine, key=lambda holding: holding.valid_from)
        what = Text(
            f"nobody holds {post} on {day}: it is held only from {first.valid_from} ({first.where})",
            f"{day} 无人在岗 {post}：自 {first.valid_from} 起方有任职（{first.where}）",
        )
    return Disorder(
        "no_holding",
        what,
        Text(
            "have security staff enter a holder with dates in policies/posts.csv",
            "请安全人员在 policies/posts.csv 登记任职人及起止日期",
        ),
    )


def _invalid_purpose(purpose: Purpose, day: date) -> Disorder:
    name = purpose.purpose
    if purpose.valid_until < day:
        what = Text(
            f"purpose {name} ended on {purpose.valid_until} ({purpose.where})",
            f"用途“{purpose.title.zh}”（{name}）已于 {purpose.valid_until} 终止（{purpose.where}）",
        )
    else:
        what = Text(
            f"purpose {name} begins only on {purpose.valid_from} ({purpose.where})",
            f"用途“{purpose.title.zh}”（{name}）自 {purpose.valid_from} 起方生效（{purpose.where}）",
        )
    return Disorder(
        "purpose_invalid",
        what,
        Text(
            "use a purpose that is valid today, or have it renewed", "请使用当前有效的用途，或申请延长该用途"
        ),
    )

"""Why, in two languages: the deciding rule of an allow, the nearest miss of a denial and the smallest grant.

Invariant 3: every denial explains itself from the rules and the asker's own grants. The same predicates that
Casbin called are asked again, rule by rule, to find the allow rule that lacks least; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

from huanshu.access.decisions import Decision, MissKind, NearestMiss
from huanshu.access.nearest import NEARNESS, Nearest
from huanshu.access.query import Disorder, Query, Standing
from huanshu.access.rulebook import kind_of
from huanshu.access.terms import READS, Terms, offers
from huanshu.catalog.nouns import Rule, Rung
from huanshu.errors import Text

#: Kinds that are said only of fields that exist.
OF_KNOWN_FIELDS: Final = frozenset({"not_offered", "explicit_deny", "no_role", *NEARNESS})
_ACTION_ZH: Final = {
    "count": "计数",
    "match": "比对",
    "mask": "脱敏查看",
    "reveal": "查看原值",
    "write": "写入",
    "propose": "提出更正",
    "approve": "审批",
    "trace": "追查",
}
_ACTION_EN: Final = {
    "count": "to count",
    "match": "to match",
    "mask": "to see masked",
    "reveal": "to see the value of",
    "write": "to write",
    "propose": "to propose a correction of",
    "approve": "to approve a correction of",
    "trace": "to trace who saw",
}
_KIND_ZH: Final = {
    "district": "区级",
    "subdistrict": "街道",
    "community": "社区",
    "grid": "网格",
    "department": "部门",
}
#: Of a proposed grant that has no like; any would do, since no deny stands against it.
_STANDARD_PRIORITY: Final = 500


def disordered(disorder: Disorder) -> Decision:
    """The denial of a question that is not in order."""
    return _denied(disorder.what, NearestMiss(disorder.kind), disorder.remedy)


def allowed(standing: Standing, query: Query, rule: Rule, granted: Rung | None, last_day: date) -> Decision:
    """The allow, with its rule and its end."""
    return Decision(
        allowed=True,
        rule=rule,
        granted=granted,
        explanation=Text(
            f"{_subject(standing, query).en}: allowed by {rule.where} until {last_day}",
            f"{_subject(standing, query).zh}：依据 {rule.where} 允许，至 {last_day} 止",
        ),
        nearest=None,
        valid_until=standing.end_of(last_day),
        remedy=None,
    )


def not_offered(standing: Standing, query: Query, granted: Rung | None) -> Decision:
    """The denial of a rung that the field has not got, whatever the rules say."""
    action, field = query.action, query.field
    offered = [word for word in READS if offers(standing.contract.field(field), word)]
    subject = _subject(standing, query)
    contract = standing.contract.where.file
    return _denied(
        Text(
            f"{subject.en}: denied, the contract offers no {action} of this field ({contract})",
            f"{subject.zh}：拒绝，数据契约未为该字段提供{_ACTION_ZH[action]}（{contract}）",
        ),
        NearestMiss("not_offered"),
        _or_granted(
            granted,
            Text(
                f"ask for a rung that the field has: {', '.join(offered)}",
                f"请申请该字段具有的可见程度：{'、'.join(_ACTION_ZH[word] for word in offered)}",
            ),
        ),
        granted=granted,
    )


def denied_by(standing: Standing, query: Query, rule: Rule, granted: Rung | None) -> Decision:
    """The denial by an explicit rule. No grant is proposed against it: a person decided this."""
    subject = _subject(standing, query)
    from_rung = rule.action in READS
    talk = Text(
        f"talk to security staff about {rule.where}; a grant beside it would not help",
        f"请与安全人员商议 {rule.where}；另行授权无效",
    )
    return _denied(
        Text(
            f"{subject.en}: denied explicitly by {rule.where} (priority {rule.priority}"
            + (f", from {rule.action} up)" if from_rung else ")"),
            f"{subject.zh}：{rule.where} 明确禁止（优先级 {rule.priority}"
            + (f"，自“{_ACTION_ZH[rule.action]}”起）" if from_rung else "）"),
        ),
        NearestMiss("explicit_deny", rule),
        _or_granted(granted, talk),
        rule=rule,
        granted=granted,
    )


def unmatched(standing: Standing, query: Query, nearest: Nearest, granted: Rung | None) -> Decision:
    """The denial because no rule says yes: the nearest miss, and the smallest grant that would do."""
    role = standing.holding.role
    miss = nearest.miss(query, role)
    subject = _subject(standing, query)
    near: Rule | None
    kind: MissKind
    also: tuple[MissKind, ...]
    if miss is not None:
        lacks, rule = miss
        reasons = [_REASONS[kind](rule) for kind in lacks]
        what = Text(
            f"{subject.en}: denied. The nearest rule, {rule.where}, " + " and ".join(r.en for r in reasons),
            f"{subject.zh}：拒绝。最接近的规则 {rule.where} " + "，且".join(r.zh for r in reasons),
        )
        near, kind, also = rule, lacks[0], tuple(lacks[1:])
    else:
        near, kind, also = nearest.held_by_others(query), "no_role", ()
        what = _no_role(subject, role, query, near)
    file = f"policies/rules/{query.kind}.csv"
    grant = _smallest_grant(standing, query, near)
    add = _grant_words(standing, query, file, grant)
    return _denied(
        what, NearestMiss(kind, near, also, grant, file), _or_granted(granted, add), granted=granted
    )


def starts_later(rule: Rule, query: Query, terms: Terms) -> bool:
    """True when only its beginning keeps a candidate (``Rulebook.candidates``) from speaking to this question.

    A candidate has the question's dataset, purpose, kind, role, field and reach."""
    return rule.valid_from.isoformat() > query.on and terms.serves(rule.effect, rule.action, query.action)


# -- the grant ----------------------------------------------------------------------------------------


def _smallest_grant(standing: Standing, query: Query, near: Rule | None) -> str:
    """One field, one domain, one purpose, this rung, no longer than post and purpose last."""
    reach = "own" if query.domain == query.home else query.domain
    grantee = standing.holding.role if _for_role(query) else query.post
    return ", ".join(
        (
            "p",
            str(near.priority if near else _STANDARD_PRIORITY),
            grantee,
            reach,
            query.dataset,
            query.field,
            query.purpose,
            query.action,
            query.on,
            standing.last_day.isoformat(),
            "allow",
        )
    )


def _for_role(query: Query) -> bool:
    """A role is granted its holders' own domains alone: a domain by its code, or whatever a department is given, would
    go to every post of that role."""
    return query.kind != "department" and query.domain == query.home


def _grant_words(standing: Standing, query: Query, file: str, grant: str) -> Text:
    """The smallest grant as a sentence first, then as the line to write."""
    field, purpose, day = standing.contract.field(query.field), standing.purpose, standing.last_day
    if not _for_role(query):
        whom = Text(f"the post {query.post}", f"岗位 {query.post} ")
    else:
        role, kind = standing.holding.role, query.kind
        whom = Text(f"{kind} posts of role {role}", f"{_KIND_ZH[kind]}角色 {role} ")
    where = Text("their own domain", "本域") if _for_role(query) else standing.domain.name
    return Text(
        f"have security staff allow {whom.en} {_ACTION_EN[query.action]} “{field.title.en}” in {where.en} for"
        f" “{purpose.title.en}” until {day} (one line in {file}: {grant})",
        f"请安全人员允许{whom.zh}在{where.zh}为“{purpose.title.zh}”对“{field.title.zh}”{_ACTION_ZH[query.action]}，"
        f"至 {day} 止"
        f"（在 {file} 增加一行：{grant}）",
    )


# -- words --------------------------------------------------------------------------------------------


def _subject(standing: Standing, query: Query) -> Text:
    """Who may not do what to which field where, and what for: titles first, the words of the files in brackets."""
    holding, domain, purpose = standing.holding, standing.domain, standing.purpose
    contract, field = standing.contract, standing.contract.field(query.field)
    return Text(
        f"{holding.title.en} ({query.post}), {_ACTION_EN[query.action]} “{field.title.en}” ({query.field}) of"
        f" “{contract.title.en}” ({query.dataset}) in {domain.name.en} ({domain.code})"
        f" for “{purpose.title.en}” ({query.purpose})",
        f"{holding.title.zh}（{query.post}）为“{purpose.title.zh}”（{query.purpose}）在{domain.name.zh}（{domain.code}）"
        f"对“{contract.title.zh}”（{query.dataset}）的“{field.title.zh}”（{query.field}）{_ACTION_ZH[query.action]}",
    )


def _reach_words(reach: str) -> Text:
    named = {"own": Text("its own domain", "本域"), "below": Text("the domains below its own", "下级域")}
    return named.get(reach, Text(reach, f"域 {reach}"))


_REASONS: Final[dict[MissKind, Callable[[Rule], Text]]] = {
    "expired": lambda rule: Text(f"expired on {rule.valid_until}", f"已于 {rule.valid_until} 到期"),
    "not_yet": lambda rule: Text(f"is valid only from {rule.valid_from}", f"自 {rule.valid_from} 起方生效"),
    "rung": lambda rule: Text(f"grants only up to {rule.action}", f"最高只授予到“{_ACTION_ZH[rule.action]}”"),
    "reach": lambda rule: Text(
        f"reaches only {_reach_words(rule.reach).en}", f"只及于{_reach_words(rule.reach).zh}"
    ),
    "purpose": lambda rule: Text(f"is for purpose {rule.purpose}", f"只用于用途 {rule.purpose}"),
    "field": lambda rule: Text(f"covers {rule.field}, not this field", f"只涉及 {rule.field}，不含该字段"),
    "action": lambda rule: Text(f"grants {rule.action}, not this", f"授予的是“{_ACTION_ZH[rule.action]}”"),
}


def _no_role(subject: Text, role: str, query: Query, other: Rule | None) -> Text:
    kind, dataset = _KIND_ZH[query.kind], query.dataset
    holder = f"the role {role} of a {query.kind} post"
    en = f"{subject.en}: denied. No rule grants anything of {dataset} to {holder}"
    zh = f"{subject.zh}：拒绝。没有任何规则将 {dataset} 授予{kind}岗位的角色 {role}"
    if other is None:
        return Text(en, zh)
    theirs = kind_of(other)
    named = "." in other.role  # one post by its id
    return Text(
        f"{en}; {other.where} grants it to "
        + (f"the post {other.role}" if named else f"the role {other.role} of {theirs} posts"),
        f"{zh}；{other.where} 将其授予"
        + (f"岗位 {other.role}" if named else f"{_KIND_ZH[theirs]}岗位的角色 {other.role}"),
    )


def _or_granted(granted: Rung | None, otherwise: Text) -> Text:
    if granted is None:
        return otherwise
    return Text(
        f"ask for {granted.word}, which is granted; or {otherwise.en}",
        f"可申请已授予的“{_ACTION_ZH[granted.word]}”；或{otherwise.zh}",
    )


def _denied(
    what: Text, nearest: NearestMiss, remedy: Text, *, rule: Rule | None = None, granted: Rung | None = None
) -> Decision:
    return Decision(
        allowed=False,
        rule=rule,
        granted=granted,
        explanation=what,
        nearest=nearest,
        valid_until=None,
        remedy=remedy,
    )

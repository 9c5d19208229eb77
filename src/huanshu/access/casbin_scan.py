"""Casbin behind one method, and the only import of casbin.

Casbin is the authority: the model of the home (``policies/model.conf``) and its rules decide, by pycasbin's
own ``enforce_ex``. What this module adds is strictness around it:

- The model must be the one the rest of the engine explains: the same definitions, the priority effect, and a
  matcher that is exactly the conjunction below. A weaker one is a ContentError, not a weaker platform.
- The rules are fed sorted: deny before allow at equal priority, then file order. Casbin's own sort by
  priority is stable, so this is the order it decides in, and the rule it names is one of ours, with its line.
- A rule's kind — which posts it speaks to — is the name of its file, appended as the last policy token.
- Casbin logs every request; its loggers are filtered shut, because ``logging.config`` of a host re-enables
  loggers that were merely disabled.

Cost: every ``enforce_ex`` parses the matcher again (0.12 ms), then scans its rules (3-5 us each). So each
(dataset, purpose, kind) has a Casbin of its own over the rules that name exactly these: the matcher demands
all three by equality, so no other rule could match. Whatever replaces it has the same two members, ``decide``
and ``rules``.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Final, get_args

import casbin
from casbin.config import Config
from casbin.persist import Adapter

from huanshu.access.query import Query
from huanshu.access.terms import READS, WRITES, Terms
from huanshu.catalog.nouns import DomainKind, Holding, Rule
from huanshu.errors import ContentError, Text, Where

MODEL: Final = Where("policies/model.conf")

_RULE_TOKENS: Final = (
    "priority", "role", "reach", "dataset", "field", "purpose", "action", "from", "until", "eft", "kind",
)  # fmt: skip
_DEFINITIONS: Final = {
    "request_definition": ("r", ", ".join(Query._fields)),
    "policy_definition": ("p", ", ".join(_RULE_TOKENS)),
    "role_definition": ("g", "_, _, _"),
    "policy_effect": ("e", "priority(p.eft) || deny"),
}
_CONJUNCTS: Final = (
    "r.dataset == p.dataset",
    "r.purpose == p.purpose",
    "r.kind == p.kind",
    "g(r.post, p.role, r.home)",
    "p.from <= r.on",
    "r.on <= p.until",
    "covers(p.field, r.dataset, r.field)",
    "serves(p.eft, p.action, r.action)",
    "reaches(p.reach, r.home, r.domain)",
)
_TOKEN: Final = re.compile(r"@?[a-z0-9][a-z0-9_.]*")
_KINDS: Final = frozenset(get_args(DomainKind))


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return False


_SILENCE: Final = _Silence()
for _name in ("casbin", "casbin.policy", "casbin.enforcer", "casbin.role"):
    logging.getLogger(_name).addFilter(_SILENCE)


class CasbinScan:
    """Decides one query by letting Casbin scan the rules of its dataset, purpose and kind of post. ``rules`` are
    all rules, in the order Casbin decides in."""

    def __init__(self, model: str, rules: Iterable[Rule], holdings: Sequence[Holding], terms: Terms) -> None:
        self._model = model
        self._terms = terms
        _check_posts(holdings)
        ordered = sorted(rules, key=lambda rule: (rule.priority, rule.effect == "allow"))
        by_tokens: dict[tuple[str, ...], Rule] = {}
        for rule in ordered:
            by_tokens.setdefault(_tokens(rule), rule)
        self._links = sorted({(holding.post, holding.role, holding.domain) for holding in holdings})
        self._by_tokens = by_tokens
        whole = self._casbin([*by_tokens])
        self.rules = tuple(by_tokens[tuple(line)] for line in whole.get_policy())
        self._candidates: dict[tuple[str, str, str], list[tuple[str, ...]]] = {}
        for line in whole.get_policy():
            rule = by_tokens[tuple(line)]
            key = (rule.dataset, rule.purpose, kind_of(rule))
            self._candidates.setdefault(key, []).append(tuple(line))
        self._engines: dict[tuple[str, str, str], Any] = {}

    def decide(self, query: Query) -> tuple[bool, Rule | None]:
        """(allowed, the rule that decided); no rule when none matched, which is a denial."""
        key = (query.dataset, query.purpose, query.kind)
        if key not in self._candidates:
            return False, None
        engine = self._engines.get(key)
        if engine is None:
            engine = self._engines[key] = self._casbin(self._candidates[key])
        allowed, line = engine.enforce_ex(*query)
        return allowed is True, self._by_tokens[tuple(line)] if line else None

    def _casbin(self, lines: Sequence[tuple[str, ...]]) -> Any:
        engine = casbin.Enforcer(_model(self._model), _Lines(lines, self._links))
        for name in ("covers", "serves", "reaches"):
            engine.add_function(name, getattr(self._terms, name))
        return engine


def kind_of(rule: Rule) -> str:
    """The kind of the domains whose posts a rule speaks to: the name of its file."""
    return PurePosixPath(rule.where.file).stem


class _Lines(Adapter):  # type: ignore[misc]
    """Hands lists to Casbin; its own ``add_policies`` is quadratic."""

    def __init__(self, rules: Sequence[tuple[str, ...]], links: Sequence[tuple[str, str, str]]) -> None:
        self._rules = rules
        self._links = links

    def load_policy(self, model: Any) -> None:
        model["p"]["p"].policy = [list(rule) for rule in self._rules]
        model["g"]["g"].policy = [list(link) for link in self._links]


def _tokens(rule: Rule) -> tuple[str, ...]:
    """A rule as Casbin reads it. What Casbin or Python would read as something else is refused."""
    kind = kind_of(rule)
    words = (rule.role, rule.reach, rule.dataset, rule.field, rule.purpose, rule.action)
    sound = (
        kind in _KINDS
        and rule.priority >= 0  # Casbin sorts "-1" as text among numbers
        and rule.effect in ("allow", "deny")
        and (rule.action in READS or rule.action in WRITES)
        and all(_TOKEN.fullmatch(word) for word in words)
    )
    if not sound:
        raise ContentError(
            "access.rule.not_canonical",
            Text("the rule holds a word that no rule may hold", "规则中有不允许的写法"),
            remedy=Text(
                "no wildcards, no blanks; file named after a domain kind; priority from 0; allow or deny",
                "不得使用通配符或空格；文件以域的类别命名；优先级不小于 0；结论为 allow 或 deny",
            ),
            where=rule.where,
        )
    dates = (rule.valid_from.isoformat(), rule.valid_until.isoformat())
    return (str(rule.priority), *words, *dates, rule.effect, kind)


def _check_posts(holdings: Sequence[Holding]) -> None:
    """A post stands in one domain with one role, and no post is called like a role.

    Casbin's ``g(x, x, d)`` holds always and roles inherit: a post named like a role would have its rights."""
    roles = {holding.role for holding in holdings}
    first: dict[str, Holding] = {}
    for holding in holdings:
        known = first.setdefault(holding.post, holding)
        if holding.post in roles or (known.domain, known.role) != (holding.domain, holding.role):
            raise ContentError(
                "access.post.ambiguous",
                Text(
                    f"{holding.post} is called like a role, or stands for two roles or domains",
                    f"{holding.post} 与角色同名，或对应了两个角色或域",
                ),
                remedy=Text(
                    "one post: one domain, one role, a name of its own", "一岗一域一角色，且名称不与角色相同"
                ),
                where=holding.where,
            )


def _model(text: str) -> Any:
    """The parsed model. ContentError ``access.model.altered`` names what is not as it must be."""
    try:
        sections: dict[str, dict[str, str]] = Config.new_config_from_text(text)._data
        model = casbin.Model()
        model.load_model_from_text(text)
    except Exception as error:  # Foreign text, and Casbin raises whatever comes: one error type out of here.
        raise _altered("it does not parse", "无法解析") from error
    if set(sections) != {*_DEFINITIONS, "matchers"}:
        raise _altered("its sections are not the five there must be", "段落不是应有的五个")
    for section, (key, expected) in _DEFINITIONS.items():
        if {option: _spaced(value) for option, value in sections[section].items()} != {key: expected}:
            raise _altered(
                f"[{section}] must be: {key} = {expected}", f"[{section}] 应为：{key} = {expected}"
            )
    if set(sections["matchers"]) != {"m"}:
        raise _altered("[matchers] must hold one matcher m", "[matchers] 只能有一个 m")
    if _shapes(" && ".join(_CONJUNCTS)) != _shapes(model["m"]["m"].value):
        must = " && ".join(_CONJUNCTS)
        raise _altered(f"the matcher must be the conjunction of: {must}", f"匹配式应为以下各项之合取：{must}")
    return model


def _shapes(matcher: str) -> set[str]:
    """The conjuncts of a matcher as Casbin will evaluate them."""
    escaped = re.sub(r"\b([rp])\.", r"\1_", matcher)
    try:
        tree = casbin.Enforcer._get_expression(escaped, {}).ast_parsed_value
    except (SyntaxError, AttributeError, IndexError):
        return {"not an expression"}
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return {ast.dump(part) for part in parts}


def _spaced(tokens: str) -> str:
    return ", ".join(token.strip() for token in tokens.split(","))


def _altered(en: str, zh: str) -> ContentError:
    return ContentError(
        "access.model.altered",
        Text(f"the access model was altered: {en}", f"访问模型被改动：{zh}"),
        remedy=Text("restore the model that this version came with", "请恢复本版本自带的模型"),
        where=MODEL,
    )

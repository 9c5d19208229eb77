"""``policies/model.conf``: the one model that this platform explains, accepted exactly or not at all.

The same definitions, the priority effect, and a matcher that is exactly the conjunction below, as Casbin parses it:
comments, order and spacing are free. A weaker model is a ContentError, not a weaker platform.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from huanshu.access.casbin_door import parse_matcher, parse_model, parse_sections
from huanshu.access.query import Query
from huanshu.errors import ContentError, Text, Where

MODEL: Final = Where("policies/model.conf")

RULE_TOKENS: Final = (
    "priority", "role", "reach", "dataset", "field", "purpose", "action", "from", "until", "eft", "kind",
)  # fmt: skip
_DEFINITIONS: Final = {
    "request_definition": ("r", ", ".join(Query._fields)),
    "policy_definition": ("p", ", ".join(RULE_TOKENS)),
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


def read_model(text: str) -> Any:
    """The parsed model. ContentError ``access.model.altered`` names what is not as it must be."""
    try:
        sections = parse_sections(text)
        model = parse_model(text)
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
        tree = parse_matcher(escaped)
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

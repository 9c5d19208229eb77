"""What is compiled is what Casbin's walk comes to; whatever else a matcher holds is left to the walk."""

from __future__ import annotations

import ast
from typing import Any

import casbin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.access.casbin_door import IndexedCasbin, parse_matcher, parse_model
from huanshu.access.matchers import compiled

NAMES = ("r_sub", "r_act", "p_sub", "p_act", "p_eft")
FUNCTIONS = {"same": lambda a, b: a == b, "longer": lambda a, b: len(a) > len(b)}
WORDS = st.sampled_from(["a", "b", "ab", ""])

_leaves = st.one_of(
    st.sampled_from(NAMES), WORDS.map(repr), st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(
        lambda pair: f"same({pair[0]}, {pair[1]})"
    ),
)  # fmt: skip
_compared = st.tuples(
    _leaves, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.sampled_from(NAMES)
).map(lambda three: f"str_({three[0]}) {three[1]} {three[2]}".replace("str_", ""))
_matchers = st.recursive(
    _compared,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " && ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " || ".join(parts) + ")"),
        inner.map(lambda part: f"!({part})"),
    ),
    max_leaves=6,
)


def _told(ask: Any) -> object:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, both raise it
        return type(error)


@given(_matchers, st.fixed_dictionaries(dict.fromkeys(NAMES, WORDS)))
def test_compiled_comes_to_what_the_walk_comes_to(matcher: str, values: dict[str, str]) -> None:
    walked = casbin.Enforcer._get_expression(matcher, dict(FUNCTIONS))
    ours = compiled(walked.ast_parsed_value, FUNCTIONS, NAMES)
    assert ours is not None
    there, here = _told(lambda: walked.eval(values)), _told(lambda: ours.eval(values))
    assert (type(here), here) == (type(there), there)


@pytest.mark.parametrize(
    "matcher",
    [
        "r_sub + p_sub == 'a'",
        "r_sub.owner == p_sub",
        "r_sub[0] == p_sub",
        "r_sub in p_sub",
        "r_sub is p_sub",
        "same(r_sub, b=p_sub)",
        "same(*r_sub)",
        "unknown(r_sub)",
        "r_other == p_sub",
        "same == p_sub",
        "eval(p_sub)",
        "r_sub == 1",
        "(lambda: True)()",
        "[r_sub][0] == p_sub",
        "r_sub == p_sub if r_act else p_act",
        f"r_sub == '{'a' * 2000}'",
    ],
)
def test_anything_else_is_left_to_the_walk(matcher: str) -> None:
    assert compiled(parse_matcher(matcher), FUNCTIONS, NAMES) is None


def test_a_function_called_as_a_value_is_left_to_the_walk() -> None:
    tree = ast.parse("same(r_sub, p_sub)", mode="eval").body
    assert compiled(tree, FUNCTIONS, (*NAMES, "same")) is None


def test_the_code_sees_no_builtins() -> None:
    tree = ast.parse("same(r_sub, p_sub)", mode="eval").body
    ours = compiled(tree, {"same": lambda a, b: a == b}, NAMES)
    assert ours is not None
    assert ours._globals["__builtins__"] == {}


def test_a_matcher_with_eval_is_still_casbin_s_own() -> None:
    """Its text comes from the rule: it keeps its name, and is parsed with the rule's text in it."""
    model = (
        "[request_definition]\nr = sub, act\n[policy_definition]\np = rule, act\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = eval(p.rule) && r.act == p.act\n"
    )
    engine = IndexedCasbin(parse_model(model), [["r.sub == 'a'", "read"]], {})
    assert engine.enforce_ex("a", "read")[0]
    assert not engine.enforce_ex("b", "read")[0]
    assert not engine.enforce_ex("a", "write")[0]

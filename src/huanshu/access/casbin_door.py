"""Casbin behind one class, and the only import of casbin: any model, decided over the candidates of the index.

Casbin is the authority: pycasbin's own ``enforce_ex`` asks the matcher of each rule and applies the effect. What is
done here is only to spare it work that cannot change its answer:

- the matcher is parsed once an enforcer, not once a request (0.12 ms each), and where Python is sure to come to the
  same it is compiled (``matchers``), not walked node by node for each rule;
- before it is asked, its policy is the candidates alone (``candidates``), in the order they had among all rules;
- a list is handed to it as a list: its own ``add_policies`` is quadratic.

Where no rule is a candidate, Casbin still decides, over the first rule, which cannot match. One question at a time: the
policy and the evaluator's names are Casbin's state.
"""

from __future__ import annotations

import ast
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import casbin
from casbin import util
from casbin.config import Config
from casbin.persist import Adapter

from huanshu.access.candidates import Candidates, Condition, Inverse, conditions_of
from huanshu.access.matchers import compiled

#: Casbin logs every request. Filtered shut, because ``logging.config`` of a host re-enables disabled loggers.
_LOGGERS: Final = ("casbin", "casbin.policy", "casbin.enforcer", "casbin.role")


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return False


_SILENCE: Final = _Silence()
#: Of an enforcer of our own: it does not so much as make the line that the filter would drop.
_MUTE: Final = logging.Logger("casbin", logging.CRITICAL + 1)  # noqa: LOG001 - not for the host to configure
#: No matcher is called so: it parses, and names nothing.
_SHORT: Final = "_"
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_SILENCE)


def parse_model(text: str) -> Any:
    """Casbin's own reading of a model. Raises whatever Casbin raises."""
    model = casbin.Model()
    model.load_model_from_text(text)
    return model


def parse_sections(text: str) -> dict[str, dict[str, str]]:
    """The sections of a model's file, options and values as they stand. Raises whatever Casbin raises."""
    sections: dict[str, dict[str, str]] = Config.new_config_from_text(text)._data
    return sections


def parse_matcher(matcher: str) -> ast.expr:
    """The matcher as Casbin will evaluate it. Raises SyntaxError, IndexError or AttributeError."""
    tree: ast.expr = casbin.Enforcer._get_expression(matcher, {}).ast_parsed_value
    return tree


class IndexedCasbin:
    """pycasbin over one model, its rules and its role links (by the name of the role definition)."""

    def __init__(
        self,
        model: Any,
        rules: Iterable[Sequence[str]],
        links: Mapping[str, Sequence[Sequence[str]]],
        functions: Mapping[str, Callable[..., bool]] | None = None,
        inverses: Mapping[str, Inverse] | None = None,
    ) -> None:
        self._engine = _Parsed(model, _Lines(rules, links))
        for name, function in (functions or {}).items():
            self._engine.add_function(name, function)
        self.policy: list[Sequence[str]] = self._engine.get_policy()
        conditions = _conditions(self._engine.model, links, inverses or {})
        self._engine.settle()
        self.candidates = Candidates(conditions, self.policy)
        self._lock = threading.Lock()

    def enforce_ex(self, *request: object) -> tuple[bool, Sequence[str]]:
        """Casbin's answer, and the rule that it names; as ``enforce_ex`` over all rules."""
        return self.enforce_over(self.candidates.of(request) or self.candidates.everything[:1], request)

    def enforce_over(self, numbers: Sequence[int], request: Sequence[object]) -> tuple[bool, Sequence[str]]:
        """Casbin's answer over these rules alone. The rule is the very object of ``policy``."""
        policy = self.policy
        with self._lock:
            self._engine.model["p"]["p"].policy = [policy[number] for number in numbers]
            allowed, line = self._engine.enforce_ex(*request)
        return allowed is True, line


class _Parsed(casbin.Enforcer):  # type: ignore[misc]
    """An enforcer that remembers its parsed matcher. Its functions are told apart by nothing but their names, and those
    of ``g`` are made anew for each request over the same role manager: the first will do."""

    def settle(self) -> None:
        """The policy and the model are as they stay. Casbin searches the matcher's text for ``eval`` at every request;
        a matcher without one goes by a short name from here on."""
        self.logger = _MUTE
        matcher = self.model["m"]["m"]
        if not util.has_eval(matcher.value):
            self._text, matcher.value = matcher.value, _SHORT

    def _get_expression(self, expr: str, functions: Any = None) -> Any:
        if expr == _SHORT:
            expr = self._text
        known = self.__dict__.setdefault("_expressions", {})
        if expr not in known:
            walked = casbin.Enforcer._get_expression(expr, functions)
            names = {*self.model["r"]["r"].tokens, *self.model["p"]["p"].tokens}
            known[expr] = compiled(walked.ast_parsed_value, functions or {}, names) or walked
        return known[expr]

    def add_function(self, name: str, func: Callable[..., bool]) -> None:
        self.__dict__.pop("_expressions", None)
        super().add_function(name, func)


class _Lines(Adapter):  # type: ignore[misc]
    """Hands lists to Casbin."""

    def __init__(self, rules: Iterable[Sequence[str]], links: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._rules, self._links = rules, links

    def load_policy(self, model: Any) -> None:
        model["p"]["p"].policy = list(self._rules)
        for name, links in self._links.items():
            model["g"][name].policy = [list(link) for link in links]


def _conditions(
    model: Any, links: Mapping[str, Sequence[Sequence[str]]], inverses: Mapping[str, Inverse]
) -> list[Condition]:
    try:
        matcher = parse_matcher(model["m"]["m"].value)
    except (SyntaxError, AttributeError, IndexError):
        return []
    return conditions_of(matcher, model["r"]["r"].tokens, model["p"]["p"].tokens, links, inverses)

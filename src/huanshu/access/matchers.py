"""A matcher as a code object of Python, for the matchers of which that is sure to be the same.

pycasbin walks a matcher's tree node by node for every rule (simpleeval). Of what is compiled here the walk can only
come to what Python comes to: ``and``, ``or``, ``not``, comparisons, calls of Casbin's functions by name, the request's
and the rule's values by name, constant texts. Whatever else a matcher holds (arithmetic, attributes, subscripts,
``eval``, a name that nobody gives, keywords), it is not compiled and Casbin walks it, with its own limits and errors.

The code sees no builtins, and no names but these.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from types import CodeType
from typing import Any, Final

_CONNECTIVES: Final = (ast.And, ast.Or)
_COMPARISONS: Final = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
#: simpleeval refuses constants beyond a length of its own, far above this one.
_LONGEST: Final = 1_000


class Compiled:
    """Stands where Casbin has its evaluator of a matcher."""

    def __init__(self, code: CodeType, functions: Mapping[str, Callable[..., object]]) -> None:
        self._code = code
        self._globals = {**functions, "__builtins__": {}}

    def eval(self, names: Mapping[str, object]) -> Any:
        """What the matcher comes to for one request and one rule."""
        return eval(self._code, self._globals, names)  # noqa: S307 - of the nodes below, without builtins


def compiled(
    matcher: ast.expr, functions: Mapping[str, Callable[..., object]], names: Collection[str]
) -> Compiled | None:
    """None for a matcher that Casbin is to walk itself. ``names``: of the request's and the rule's values."""
    if functions.keys() & set(names) or not _plain(matcher, functions.keys(), names):
        return None
    return Compiled(compile(ast.Expression(matcher), "<matcher>", "eval"), functions)


def _plain(node: ast.expr, functions: Collection[str], names: Collection[str]) -> bool:
    match node:
        case ast.BoolOp(op, values):
            return isinstance(op, _CONNECTIVES) and all(_plain(v, functions, names) for v in values)
        case ast.UnaryOp(ast.Not(), operand):
            return _plain(operand, functions, names)
        case ast.Compare(left, ops, comparators):
            sides = (left, *comparators)
            return all(isinstance(op, _COMPARISONS) for op in ops) and all(
                _plain(side, functions, names) for side in sides
            )
        case ast.Call(ast.Name(called), args, []):
            return called in functions and all(_plain(arg, functions, names) for arg in args)
        case ast.Name(named):
            return named in names
        case ast.Constant(str() as text):
            return len(text) <= _LONGEST
        case _:
            return False

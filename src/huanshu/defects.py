"""The last net: what we did not foresee, told by its class and its place in our code, never in its own words.

The text of a foreign exception may quote a resident's value, and so may a local variable. Therefore neither is
rendered anywhere: a face, the keeper and a worker ask here what may be said. A developer who needs more asks for
``frames`` (``huanshu --frames …``): classes, modules, lines and functions, which cannot hold a value.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Final

from huanshu.errors import DefectError, HuanshuError, Text

_OURS: Final = re.compile(r"huanshu(_verify)?(\.|$)")
_NAME: Final = re.compile(r"[A-Za-z0-9_.<>]{1,120}")


def unforeseen(error: BaseException) -> DefectError:
    """What everybody may be told of an exception that is none of ours."""
    kind, place = kind_of(error), place_of(error)
    return DefectError(
        "program.defect.unforeseen",
        Text(f"a fault of the program: {kind} at {place}", f"程序内部错误：{kind}，位于 {place}"),
        remedy=Text(
            "report class and place to the maintainers; “huanshu --frames …” shows them the way there, without values",
            "请将类名与位置报告开发者；huanshu --frames … 可列出调用路径，不含任何数据值",
        ),
    )


def kind_of(error: BaseException) -> str:
    """The exception's class, as a name and nothing else."""
    return _named(type(error).__qualname__)


def place_of(error: BaseException) -> str:
    """``module:line`` of our code nearest to where it arose; of any code when ours is not on the way."""
    places = [(module, line) for module, line, _ in _calls(error.__traceback__)]
    ours = [place for place in places if _OURS.match(place[0])]
    module, line = (ours or places or [("?", 0)])[-1]
    return f"{module}:{line}"


def frames(error: BaseException) -> list[str]:
    """The way to the exception and to those before it, call by call: no text, no value, no source line."""
    lines: list[str] = []
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        lines.append(kind_of(error))
        lines += [f"  {module}:{line} {function}" for module, line, function in _calls(error.__traceback__)]
        error = error.__cause__ or error.__context__ or error
    return lines


def silence() -> None:
    """For a process of our own: what Python itself would print of an exception nobody caught is said as above."""
    sys.excepthook = lambda _kind, error, _trace: _tell(error)
    threading.excepthook = lambda told: _tell(told.exc_value)
    sys.unraisablehook = lambda told: _tell(told.exc_value)
    logging.raiseExceptions = False  # it would print a record's arguments


def _tell(error: BaseException | None) -> None:
    if error is not None and sys.stderr is not None:
        told = error if isinstance(error, HuanshuError) else unforeseen(error)
        sys.stderr.write(f"✗ {told.explain('en')}\n")


def _calls(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    walked: Iterator[tuple[FrameType, int]] = traceback.walk_tb(trace)
    for frame, line in walked:
        module: Any = frame.f_globals.get("__name__", "?")
        yield _named(module), line, _named(frame.f_code.co_name)


def _named(name: object) -> str:
    """Names are made by programmers; one that is not shaped like a name is not repeated."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "?"

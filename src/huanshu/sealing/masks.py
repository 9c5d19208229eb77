"""The ``mask`` rung: what remains readable of a value. Format-preserving, one function per mask name.

A mask keeps what a person needs to recognise a record beside another paper, never enough to identify
someone alone. An absent value stays absent; a value of unexpected shape is masked whole (fail closed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

_STAR = "*"


def _keep(value: str, head: int, tail: int) -> str:
    """Keep ``head`` and ``tail`` characters; mask all when fewer than two would be hidden."""
    hidden = len(value) - head - tail
    if hidden < 2:
        return _STAR * len(value)
    return value[:head] + _STAR * hidden + value[len(value) - tail :]


def _citizen_number(value: str) -> str:
    return _keep(value, 6, 4)


def _name(value: str) -> str:
    return value[:1] + _STAR * (len(value) - 1) if len(value) > 1 else _STAR * len(value)


def _phone(value: str) -> str:
    return _keep(value, 3, 4)


def _birth_date(value: str) -> str:
    return value[:4] + "-**-**" if len(value) == 10 and value[4] == "-" else _STAR * len(value)


def _household_number(value: str) -> str:
    return _keep(value, 0, 3)


def _address(value: str) -> str:
    """Down to the road or community, hiding house and room."""
    ends = [value.find(mark) for mark in ("路", "街道", "社区", "村")]
    cut = min((end for end in ends if end > 0), default=-1)
    if cut < 0:
        return _STAR * len(value)
    return _keep(value, cut + (2 if value[cut : cut + 2] in {"街道", "社区"} else 1), 0)


MASKS: Final[Mapping[str, Callable[[str], str]]] = {
    "citizen_number": _citizen_number,
    "name": _name,
    "phone": _phone,
    "birth_date": _birth_date,
    "household_number": _household_number,
    "address": _address,
    "all": lambda value: _STAR * len(value),
}


def mask(name: str, value: str | None) -> str | None:
    """``value`` at the mask rung. ``KeyError`` for an unknown mask name."""
    return None if value is None else MASKS[name](value)

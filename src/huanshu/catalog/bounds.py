"""``expect:`` of a delivery flow → Bounds: how much a run may change before a person has to look at it.

Required of every delivery: a flow that expects nothing would let a swapped file through at night, and nobody
would have decided that it may. Refused of an intake, whose own limits stand in the suite (scope ``batch``).
"""

from __future__ import annotations

import re
from typing import Final

from huanshu.catalog.documents import Node
from huanshu.catalog.nouns import Bounds
from huanshu.errors import ContentError, Text

_PERCENT: Final = re.compile(r"(0|[1-9][0-9]{0,2}) ?%")
_REMEDY: Final = Text(
    "expect: {subjects: 10 %, per_receiver: 30 %}", "expect: {subjects: 10 %, per_receiver: 30 %}"
)


def bounds(root: Node, node: Node | None, kind: str) -> Bounds | None:
    """The bounds of a delivery; None for an intake. Raises ContentError ``flow.expect.*``."""
    if kind == "intake":
        if node is not None:
            raise ContentError(
                "flow.expect.idle",
                Text("bounds are for deliveries", "期望范围仅用于交付流向"),
                remedy=Text(
                    "remove expect; limit an intake by a batch rule of the suite",
                    "请删除 expect；报送的限度写在规则集的 batch 规则中",
                ),
                where=node.where,
            )
        return None
    if node is None:
        raise ContentError(
            "flow.expect.missing",
            Text("a delivery must say what it expects", "交付必须写明期望范围"),
            remedy=_REMEDY,
            where=root.where,
        )
    members = node.mapping(("subjects", "per_receiver"), ("at_least",))
    return Bounds(
        subjects=_percent(members["subjects"]),
        per_receiver=_percent(members["per_receiver"]),
        at_least=members["at_least"].integer(1, 1_000_000) if "at_least" in members else 1,
    )


def _percent(node: Node) -> int:
    match = _PERCENT.fullmatch(node.scalar or "")
    if match is None:
        raise ContentError(
            "flow.expect.malformed",
            Text("a bound is a whole number of per cent", "期望范围应为整数百分比"),
            remedy=_REMEDY,
            where=node.where,
        )
    return int(match[1])

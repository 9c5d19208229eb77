"""policies/limits.yaml: how much one person may see before a second person has to agree. May be left out.

What is written may be stricter than the ceilings below, never laxer: no setting weakens a defence.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from huanshu.catalog import words
from huanshu.catalog.documents import Node, document
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Emergency, Limits
from huanshu.errors import Text

LIMITS: Final = "policies/limits.yaml"

_CEILINGS: Final = {
    "subjects_per_day": 1_000,
    "subjects_per_month": 2_000,
    "export_alone": 10_000,
    "misses_per_day": 200,
}
#: Of later date: a file without them has the strict ones, so that what was adopted before can still be read.
_LATER: Final = {"deliver_alone": 200_000}
_HOURS: Final = {"hours": 4, "review_hours": 24}


def read_limits(folder: Folder, roles: Collection[str]) -> Limits:
    """The limits of a home; the strict ones when it says nothing. ``roles`` may be empty when posts are at fault."""
    if not folder.holds(LIMITS):
        return Limits()
    root = document(folder, LIMITS)
    said = root.mapping((*_CEILINGS, "emergency"), tuple(_LATER))
    known = {name: most for name, most in {**_CEILINGS, **_LATER}.items() if name in said}
    numbers = {name: said[name].integer(1, most) for name, most in known.items()}
    return Limits(**numbers, emergency=_emergency(said["emergency"], roles))


def _emergency(node: Node, roles: Collection[str]) -> Emergency:
    said = node.mapping(("roles", *_HOURS))
    named = tuple(_role(each, roles) for each in said["roles"].items or ())
    return Emergency(named, **{name: said[name].integer(1, most) for name, most in _HOURS.items()})


def _role(node: Node, roles: Collection[str]) -> str:
    role = node.identifier()
    if roles and role not in roles:
        raise words.unknown("limits.role.unknown", Text("role", "角色"), role, roles, node.where)
    return role

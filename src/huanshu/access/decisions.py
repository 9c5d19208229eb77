"""What is asked of the access engine and what it answers. Frozen; nothing here decides.

An explanation is made from the rules and the asker's own grants only, never from whether a record exists.
A token that names nothing known is never repeated in an answer: it could be a value that somebody pasted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from huanshu.catalog.nouns import Rule, Rung
from huanshu.errors import Text

MissKind = Literal[
    # The question itself is not in order: no rule is looked at.
    "not_canonical",  # a token not written as identifiers are (full-width, blank, upper case, *, %2e …)
    "unknown",  # a canonical token that names nothing in this home
    "no_purpose",  # no purpose given
    "no_holding",  # nobody holds the post at that instant
    "purpose_invalid",  # the purpose has ended or has not begun
    "purpose_elsewhere",  # the purpose is not registered for this dataset
    "not_offered",  # the field has no mask, or is no identifier to match
    # A rule says no.
    "explicit_deny",
    # No rule says yes; the nearest one lacks this.
    "no_role",
    "reach",
    "purpose",
    "field",
    "rung",
    "action",
    "expired",
    "not_yet",
]


@dataclass(frozen=True, slots=True)
class Request:
    """One field, asked at one instant. ``action``: a rung's word or a write action; ``at`` has an offset."""

    post: str
    domain: str
    dataset: str
    field: str
    purpose: str
    action: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """Why not, and what is nearest. ``rule``: the one that almost allowed it, or that denied it."""

    kind: MissKind
    rule: Rule | None = None
    #: What else that rule lacks.
    also: tuple[MissKind, ...] = ()
    #: The smallest grant that would do: one line of Casbin CSV, and the rule file it belongs in.
    grant: str | None = None
    grant_file: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one field.

    ``rule`` decided (also a denial, when it is an explicit one). ``granted`` is the highest rung that may be
    read, None for writes and when there is none. ``valid_until`` is the last instant of the last local day
    on which this allow holds; None for a denial. ``nearest`` and ``remedy`` belong to denials."""

    allowed: bool
    rule: Rule | None
    granted: Rung | None
    explanation: Text
    nearest: NearestMiss | None
    valid_until: datetime | None
    remedy: Text | None


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """All fields of one access, each with the rung it needs (or its word, or a write action's word)."""

    post: str
    domain: str
    dataset: str
    fields: Mapping[str, Rung | str]
    purpose: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer for all fields, decided once. Good only under ``policy_digest`` and until ``valid_until``.

    ``allowed`` only when there is a field and every field is allowed. ``valid_until`` of a plan that is not
    allowed is the instant it was asked: nothing lasts."""

    policy_digest: str
    asked: Mapping[str, Rung | str]
    decisions: Mapping[str, Decision]
    allowed: bool
    valid_until: datetime
    explanation: Text
    remedy: Text | None

    @property
    def denials(self) -> Mapping[str, Decision]:
        """The denied fields, in the order asked."""
        return {name: decision for name, decision in self.decisions.items() if not decision.allowed}

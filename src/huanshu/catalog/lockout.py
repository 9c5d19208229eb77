"""Whether a bundle that only narrows would shut other people out of guarding the platform. Pure; the instant is given.

    guards     security officers, chief data officers and auditors, by posts that they hold and an account of their own
    seconds    those of them who may agree to another bundle: security officers, and the district's chief data officer

Taking away is one person's to do, at once: so somebody who was taken over can be stopped. But whoever takes away the
guards is alone with the platform, and nobody is left to give anything back, for that takes two. Therefore one person
alone shuts out one guard at a time, and leaves two who can be the second and somebody who audits. Everything beyond
that takes two persons, as if it widened.

An end that is brought forward shuts out, even where it lies ahead: otherwise everybody could be made to end tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from huanshu.catalog.narrowing import Widened
from huanshu.catalog.nouns import Holding, Policies

GUARDS: Final = frozenset({"security_officer", "cdo", "auditor"})
_POSTS: Final = "policies/posts.csv"
_LEAST: Final = 2


def seconds_bundles(policies: Policies, holding: Holding) -> bool:
    """Whether a post is one in which somebody may agree to another bundle."""
    of_district = holding.domain == policies.domains.district.code
    return holding.role == "security_officer" or (holding.role == "cdo" and of_district)


def locked_out(old: Policies, new: Policies, at: datetime) -> list[Widened]:
    """Guards whom one person alone may not shut out by this change; [] when it shuts out nobody, or one of many."""
    out = {(holding.person, holding.role) for holding in _shut_out(old, new, at)}
    if not out:
        return []
    persons, roles = ({pair[place] for pair in out} for place in (0, 1))
    left = [holding for holding in _guarding(new, at) if holding.person not in persons]
    seconds = {holding.person for holding in left if seconds_bundles(new, holding)}
    audited = "auditor" not in roles or any(holding.role == "auditor" for holding in left)
    if len(persons) == 1 and len(seconds) >= _LEAST and audited:
        return []
    return [Widened(_POSTS, f"- {person}, {role}") for person, role in sorted(out)]


def _shut_out(old: Policies, new: Policies, at: datetime) -> Iterator[Holding]:
    """Posts of guards that have not ended and that the new bundle takes away, shortens or leaves without account."""
    for held in old.holdings:
        if held.role not in GUARDS or held.valid_until < at.date() or not _account(old, held):
            continue
        same = (h for h in new.holdings if (h.post, h.role, h.person) == (held.post, held.role, held.person))
        whole = any(h.valid_from <= held.valid_from and h.valid_until >= held.valid_until for h in same)
        if not whole or _account(new, held) != _account(old, held):
            yield held


def _guarding(policies: Policies, at: datetime) -> Iterator[Holding]:
    day = at.date()
    for held in policies.holdings:
        if held.role in GUARDS and held.valid_from <= day <= held.valid_until and _account(policies, held):
            yield held


def _account(policies: Policies, holding: Holding) -> str:
    person = policies.persons.get(holding.person)
    return "" if person is None else person.os_account

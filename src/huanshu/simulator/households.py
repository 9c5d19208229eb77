"""Who lives together: patterns of households, and the ages that make one plausible.

A household is a head and others in a fixed order of roles. The age of the head comes first, everyone else's follows
from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from huanshu.simulator.columns import Numbers

HEAD, SPOUSE, CHILD, PARENT = range(4)

#: (share, roles, head's age from, to). The shares of sizes and ages give the age pyramid.
_PATTERNS: Final = (
    (0.060, (HEAD,), 22, 40),
    (0.055, (HEAD,), 62, 90),
    (0.055, (HEAD, SPOUSE), 24, 36),
    (0.165, (HEAD, SPOUSE), 50, 84),
    (0.050, (HEAD, CHILD), 28, 55),
    (0.030, (HEAD, PARENT), 30, 60),
    (0.155, (HEAD, SPOUSE, CHILD), 26, 44),
    (0.095, (HEAD, SPOUSE, CHILD), 44, 58),
    (0.025, (HEAD, SPOUSE, PARENT), 40, 62),
    (0.135, (HEAD, SPOUSE, CHILD, CHILD), 29, 48),
    (0.065, (HEAD, SPOUSE, CHILD, PARENT), 30, 52),
    (0.060, (HEAD, SPOUSE, CHILD, CHILD, PARENT), 30, 50),
    (0.050, (HEAD, SPOUSE, CHILD, PARENT, PARENT), 30, 50),
)
_SIZES: Final = np.array([len(roles) for _, roles, _, _ in _PATTERNS])
_SHARES: Final = np.array([share for share, *_ in _PATTERNS]) / sum(share for share, *_ in _PATTERNS)
_LOW: Final = np.array([low for *_, low, _ in _PATTERNS])
_HIGH: Final = np.array([high for *_, high in _PATTERNS])
_ROLES: Final = np.array([[*roles, *[-1] * (5 - len(roles))] for _, roles, _, _ in _PATTERNS])


@dataclass(frozen=True, slots=True)
class Households:
    """``count`` households of ``len(household)`` people, who stand in the order of their households."""

    count: int
    #: Per person: the household, the role, years of age.
    household: Numbers
    role: Numbers
    age: Numbers
    sex: Numbers
    #: Per person: the first row of the household, its head.
    head: Numbers
    #: Per person: the spouse of the head, or -1.
    spouse: Numbers


def form(rng: np.random.Generator, people: int) -> Households:
    """Households of exactly this many people; the last is cut short if need be."""
    mean = float(_SIZES @ _SHARES)
    pattern = rng.choice(len(_PATTERNS), int(people / mean * 1.05) + 20, p=_SHARES)
    ends = np.cumsum(_SIZES[pattern])
    count = int(np.searchsorted(ends, people)) + 1
    pattern = pattern[:count]
    starts = ends[:count] - _SIZES[pattern]
    household = np.repeat(np.arange(count), _SIZES[pattern])[:people]
    place = np.arange(people) - starts[household]
    role = _ROLES[pattern[household], place]
    head = starts[household]
    second = np.minimum(head + 1, people - 1)
    spouse = np.where((role[second] == SPOUSE) & (household[second] == household), second, -1)
    sex = _sexes(rng, role, head, place)
    return Households(count, household, role, _ages(rng, pattern, household, role), sex, head, spouse)


def _sexes(rng: np.random.Generator, role: Numbers, head: Numbers, place: Numbers) -> Numbers:
    luck = rng.random(len(role))
    sex = np.where(luck < np.where(role == HEAD, 0.62, np.where(role == CHILD, 0.53, 0.45)), 1, 2)
    sex = np.where(role == SPOUSE, 3 - sex[head], sex)
    # A second parent is married to the first, who stands before.
    before = np.maximum(np.arange(len(role)) - 1, 0)
    second = (role == PARENT) & (place > 0) & (role[before] == PARENT)
    return np.where(second, 3 - sex[before], sex).astype(np.uint8)


def _ages(rng: np.random.Generator, pattern: Numbers, household: Numbers, role: Numbers) -> Numbers:
    width = _HIGH[pattern] - _LOW[pattern]
    head_age = (_LOW[pattern] + rng.random(len(pattern)) * width)[household]
    luck = rng.random(len(role))
    spouse = np.maximum(22, head_age + np.round((luck - 0.5) * 9))
    child = head_age - 21 - luck * 15
    # Who would not be born yet is a small child.
    child = np.where(child < 0, luck * 3, np.minimum(child, 45))
    parent = np.minimum(head_age + 21 + luck * 11, 98)
    return np.select([role == HEAD, role == SPOUSE, role == CHILD], [head_age, spouse, child], parent)

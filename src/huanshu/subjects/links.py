"""Links by the million, as numbers: equal ones found by sorting, never by a Python object each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Links = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different links among many, ascending, and which of them each row has."""

    links: Links
    #: Place of each row's link in ``links``: equal exactly where the links are equal.
    codes: Numbers


def distinct(links: Links) -> Distinct:
    """``links`` is ``uint8[n, 16]``."""
    words = np.ascontiguousarray(links).view(">u8").astype(np.uint64).reshape(-1, 2)
    order = np.argsort(words[:, 0], kind="stable")
    high, low = words[order, 0], words[order, 1]
    same_high = high[1:] == high[:-1]
    if (
        same_high & (low[1:] != low[:-1])
    ).any():  # links are CMACs: halves that agree by chance are next to never
        order = np.lexsort((words[:, 1], words[:, 0]))
        high, low = words[order, 0], words[order, 1]
        same_high = high[1:] == high[:-1]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = ~(same_high & (low[1:] == low[:-1]))
    codes = np.empty(len(order), np.int64)
    codes[order] = np.cumsum(begins) - 1
    return Distinct(np.take(links, order[begins], axis=0), codes)  # row by row, indexing is slower


def among(given: Distinct, rows: NDArray[np.bool_]) -> Distinct:
    """The distinct links of these rows only."""
    codes = given.codes[rows]
    had = np.zeros(len(given.links), np.bool_)
    had[codes] = True
    return Distinct(given.links[had], (np.cumsum(had) - 1)[codes])


def places(wanted: Links, known: Links) -> Numbers:
    """For each of ``wanted`` (distinct) its place in ``known`` (distinct, any order); -1 where it is not there."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    both = distinct(np.concatenate([wanted, known]))
    place = np.full(len(both.links), -1, np.int64)
    place[both.codes[len(wanted) :]] = np.arange(len(known))
    found: Numbers = place[both.codes[: len(wanted)]]
    return found

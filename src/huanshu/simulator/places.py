"""Where people live: the home's communities and grids, some large and some small.

A place is the number of a grid, in the order of domains.csv; its community follows. ``shown`` maps the grid where
something is to the grid whose codes are written: the identity, unless someone swapped two communities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from huanshu.catalog import DomainTree
from huanshu.catalog.words import hint
from huanshu.errors import ContentError, InputError, Text, Where
from huanshu.simulator.columns import Numbers, pick

#: Sizes of communities against their mean: at 1.3 M residents in 146 communities about 2 000 to 20 000.
_SMALLEST, _LARGEST = 0.24, 2.2
_SPREAD: Final = 0.65


@dataclass(frozen=True, slots=True)
class Places:
    """The tree's lowest two levels as columns."""

    district: str
    communities: tuple[str, ...]
    names: tuple[str, ...]
    grids: tuple[str, ...]
    #: Grid → its community, as positions.
    community_of: Numbers
    shown: Numbers
    departments: tuple[str, ...]
    #: First six digits of every code: the district's place code.
    code: int

    @classmethod
    def of(cls, tree: DomainTree) -> Places:
        """ContentError when there is no grid to live in."""
        by_community = {d.code: tree.below(d.code, "grid") for d in tree if d.kind == "community"}
        found = [code for code, grids in by_community.items() if grids]
        if len(found) < 2:
            raise ContentError(
                "simulator.home.small",
                Text("residents need two communities with grids", "至少需要两个设有网格的社区"),
                remedy=Text("add them to policies/domains.csv", "请在 policies/domains.csv 中登记"),
                where=Where("policies/domains.csv"),
            )
        grids = [(grid.code, place) for place, code in enumerate(found) for grid in by_community[code]]
        return cls(
            tree.district.name.zh,
            tuple(found),
            tuple(tree[code].name.zh for code in found),
            tuple(code for code, _ in grids),
            np.array([place for _, place in grids], dtype=np.int32),
            np.arange(len(grids), dtype=np.int32),
            tuple(d.code for d in tree if d.kind == "department"),
            int(tree.district.code[:6]),
        )

    def shares(self, rng: np.random.Generator) -> Numbers:
        """How much of the district lives in each grid; sums to 1."""
        sizes = np.clip(rng.lognormal(0, _SPREAD, len(self.communities)), _SMALLEST, _LARGEST)
        inside = rng.uniform(0.5, 1.5, len(self.grids))
        share = sizes[self.community_of] * inside / np.bincount(self.community_of, inside)[self.community_of]
        return np.asarray(share / share.sum())

    def settle(self, rng: np.random.Generator, shares: Numbers, count: int) -> Numbers:
        """A grid for each of ``count`` households or firms; every community gets one as soon as they suffice."""
        grids = rng.choice(len(self.grids), count, p=shares).astype(np.int32)
        first = np.unique(self.community_of, return_index=True)[1]
        few = min(len(first), count)
        grids[rng.permutation(count)[:few]] = rng.permutation(first)[:few]
        return grids

    def swapped(self, one: str, other: str) -> Places:
        """The codes of two communities exchanged, as a slip in a sender's table would do. Raises InputError."""
        for code in (one, other):
            if code not in self.communities:
                raise InputError(
                    "simulator.swap.unknown",
                    Text(f"{code[:20]} is no community with grids", f"{code[:20]} 不是设有网格的社区"),
                    remedy=hint(code, self.communities),
                )
        shown = self.shown.copy()
        a, b = self.communities.index(one), self.communities.index(other)
        for here, there in ((a, b), (b, a)):
            mine, theirs = (
                np.flatnonzero(self.community_of == here),
                np.flatnonzero(self.community_of == there),
            )
            shown[mine] = theirs[np.arange(len(mine)) % len(theirs)]
        return replace(self, shown=shown)

    def community_codes(self, grid: Numbers) -> pa.Array:
        return pick(self.communities, self.community_of[self.shown[grid]])

    def grid_codes(self, grid: Numbers) -> pa.Array:
        return pick(self.grids, self.shown[grid])

    def community_names(self, grid: Numbers) -> pa.Array:
        """By where it is, whatever code is shown: nobody's address changes by a slip in a table of codes."""
        return pick(self.names, self.community_of[grid])

    def counted(self, grid: Numbers) -> Numbers:
        """How many of these places each community has, by the codes shown."""
        return np.bincount(self.community_of[self.shown[grid]], minlength=len(self.communities))

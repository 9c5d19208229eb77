"""A contract may name only masks that exist: the catalog cannot know them, the sealing engine does.

That a flow asks only for rungs its contract offers is refused already by ``huanshu.catalog.flows``.
"""

from __future__ import annotations

from collections.abc import Iterator

from huanshu.catalog import Home
from huanshu.catalog.words import unknown
from huanshu.errors import ContentError, Text
from huanshu.sealing.masks import MASKS


def existing_masks(home: Home) -> Iterator[ContentError]:
    """An error for every ``huanshu.mask`` that no mask bears."""
    for contract in home.contracts.values():
        for field in contract.fields:
            if field.mask is not None and field.mask not in MASKS:
                yield unknown(
                    "contract.mask.unknown", Text("mask", "脱敏方式"), field.mask, MASKS, field.where
                )

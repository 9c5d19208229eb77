"""A contract may name only masks and link kinds that exist: the catalog cannot know them, the sealing engine does.

That a flow asks only for rungs its contract offers is refused already by ``huanshu.catalog.flows``.
"""

from __future__ import annotations

from collections.abc import Iterator

from huanshu.catalog import Home
from huanshu.catalog.words import unknown
from huanshu.errors import ContentError, Text
from huanshu.sealing.links import LINK_KINDS
from huanshu.sealing.masks import MASKS


def existing_masks(home: Home) -> Iterator[ContentError]:
    """An error for every ``huanshu.mask`` that no mask bears."""
    for contract in home.contracts.values():
        for field in contract.fields:
            if field.mask is not None and field.mask not in MASKS:
                yield unknown(
                    "contract.mask.unknown", Text("mask", "脱敏方式"), field.mask, MASKS, field.where
                )


def existing_links(home: Home) -> Iterator[ContentError]:
    """An error for every ``huanshu.link`` that is no kind of identifier: it would fail at intake."""
    for contract in home.contracts.values():
        for field in contract.fields:
            if field.link_kind is not None and field.link_kind not in LINK_KINDS:
                yield unknown(
                    "contract.link.unknown", Text("kind of link", "标识种类"), field.link_kind, LINK_KINDS,
                    field.where,
                )  # fmt: skip

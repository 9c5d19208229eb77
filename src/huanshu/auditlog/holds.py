"""What is held, released and recalled, and what each receiver has had so far: a pure fold over entries.

Rules
    - A run held for its content (``exchange.run.held``) stands until a person releases exactly that content; a later
      hold of the same flow replaces it, and with it every release before.
    - A flow held by hand (``exchange.flow.held``) stands until a holder of the same post releases it.
    - A recall stands until a later delivery has arrived at the receiver whose entry says that it replaces it: the
      keeper says so of one after which none of the recalled records is left as it was brought.
    - Content that was recalled does not come again, whatever the delivery's id (that changes with policy and chunk).
No I/O, no clock: the keeper and everybody else who folds the log see the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huanshu.auditlog.entries import Entry
from huanshu.catalog import Rung

#: Hex digits of a delivery's id that a hold names: 128 bits, so that a thousand receivers fit into one entry.
NAMED = 32


def content_digest(deliveries: Mapping[str, str]) -> str:
    """What a release is bound to: SHA-256 over the lines ``receiver SP delivery LF`` in order of the receivers."""
    lines = "".join(f"{code} {deliveries[code]}\n" for code in sorted(deliveries))
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold that stands, or the content that was last released. ``run`` is "" for a hold by hand."""

    flow: str
    index: int
    person: str
    post: str
    at: str
    run: str = ""
    digest: str = ""
    deliveries: Mapping[str, str] | None = None
    detail: Mapping[str, Any] | None = None

    @property
    def by_hand(self) -> bool:
        return self.deliveries is None

    def covers(self, receiver: str, delivery: str) -> bool:
        """Whether exactly this delivery is in the content that was held."""
        return self.deliveries is not None and self.deliveries.get(receiver) == delivery[:NAMED]


@dataclass(frozen=True, slots=True)
class Recall:
    """A delivery taken back. ``records`` is the bitmap of its record numbers, as entry ``index`` binds it."""

    delivery: str
    flow: str
    dataset: str
    receiver: str
    person: str
    index: int
    authorised: int
    records: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Authorised:
    flow: str
    dataset: str
    receiver: str
    fields: Mapping[str, str]
    replaces: frozenset[int]


class Holds:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self) -> None:
        self._by_hand: dict[tuple[str, str], Hold] = {}
        self._held: dict[str, Hold] = {}
        self._released: dict[str, Hold] = {}
        self._recalled: dict[str, Recall] = {}
        self._pending: dict[str, Recall] = {}
        self._all_recalls: dict[int, Recall] = {}
        self._ever_recalled: set[str] = set()  # ids, and digests of contents
        self._under_way: dict[int, _Authorised] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._slices: dict[tuple[str, str], str] = {}
        self._fields: dict[tuple[str, str], dict[str, Rung]] = {}

    def apply(self, entry: Entry) -> None:
        body, detail = entry.body, entry.body["detail"]
        match entry.event:
            case "exchange.run.held":
                held = self._hold(entry, detail["deliveries"])
                self._held[held.flow] = held
                self._released.pop(held.flow, None)
            case "exchange.run.released":
                standing = self._held.pop(body["flow"]["id"], None)
                if standing is not None:
                    self._released[standing.flow] = standing
            case "exchange.flow.held":
                self._by_hand[body["flow"]["id"], body["post"]] = self._hold(entry, None)
            case "exchange.flow.released":
                self._by_hand.pop((body["flow"]["id"], body["post"]), None)
            case "exchange.delivery.recalled":
                self._recall(entry)
            case "exchange.delivery.authorised":
                self._under_way[entry.index] = _Authorised(
                    body["flow"]["id"],
                    body["dataset"],
                    body["domain"],
                    body["fields"],
                    frozenset(map(int, detail.get("replaces", ()))),
                )
            case "exchange.delivery.stopped":
                self._under_way.pop(int(detail["authorised"]), None)
                self._pending.pop(str(detail.get("delivery")), None)
            case "exchange.delivery.arrived":
                self._arrived(self._under_way.pop(int(detail["authorised"]), None), entry)
            case _:
                pass

    # -- questions ------------------------------------------------------------------------------

    def standing(self, flow: str | None = None) -> list[Hold]:
        """Holds that stand (of one flow), oldest first."""
        found = [*self._by_hand.values(), *self._held.values()]
        return sorted((h for h in found if flow in (None, h.flow)), key=lambda h: h.index)

    def released(self, flow: str) -> Hold | None:
        """The content of the flow that a person released last, unless something was held since."""
        return self._released.get(flow)

    def is_released(self, flow: str, receiver: str, delivery: str) -> bool:
        content = self._released.get(flow)
        return content is not None and content.covers(receiver, delivery)

    def recalls(self) -> list[Recall]:
        """Recalls that no later delivery has superseded, oldest first."""
        return list(self._recalled.values())

    def recall(self, index: int) -> Recall | None:
        """The recall of that entry, whether it still stands or not."""
        return self._all_recalls.get(index)

    def was_recalled(self, delivery: str, content: str = "") -> bool:
        """Whether this delivery, or one of the same content, was ever recalled: it does not come again."""
        return not self._ever_recalled.isdisjoint({delivery, content})

    def held_by(self, flow: str, receiver: str) -> int | None:
        """Records that the receiver said it holds when a delivery last arrived; None before the first."""
        return self._last.get((flow, receiver))

    def slice_of(self, flow: str, receiver: str) -> str | None:
        """Digest (hex) of the receiver's slice when a delivery last arrived; None before the first."""
        return self._slices.get((flow, receiver))

    def unseen(self, dataset: str, receiver: str, fields: Mapping[str, Rung]) -> list[str]:
        """Fields that the receiver has never had, or only at a lower rung. Empty before its first delivery: there is
        nothing to compare with, and a person has just approved the flow."""
        known = self._fields.get((dataset, receiver))
        if known is None:
            return []
        return sorted(name for name, rung in fields.items() if known.get(name, 0) < rung)

    # -- the fold -------------------------------------------------------------------------------

    @staticmethod
    def _hold(entry: Entry, deliveries: Mapping[str, str] | None) -> Hold:
        body = entry.body
        return Hold(
            flow=body["flow"]["id"],
            index=entry.index,
            person=body["person"],
            post=body["post"],
            at=body["at"],
            run=body["flow"].get("run", ""),
            digest=body["detail"].get("digest", ""),
            deliveries=deliveries,
            detail=body["detail"],
        )

    def _recall(self, entry: Entry) -> None:
        body, detail = entry.body, entry.body["detail"]
        recall = Recall(
            delivery=str(detail["delivery"]),
            flow=body["flow"]["id"],
            dataset=body["dataset"],
            receiver=body["domain"],
            person=body["person"],
            index=entry.index,
            authorised=int(detail["authorised"]),
            records=body["records"],
        )
        self._ever_recalled |= {recall.delivery, str(detail.get("content", recall.delivery))}
        self._all_recalls[entry.index] = recall
        # What has not arrived is in no slice yet; should it have taken effect untold, its arrival makes it count.
        (self._recalled if detail["arrived"] else self._pending)[recall.delivery] = recall

    def _arrived(self, authorised: _Authorised | None, entry: Entry) -> None:
        if authorised is None:
            return
        place, detail = (authorised.flow, authorised.receiver), entry.body["detail"]
        self._last[place] = int(detail["holds"])
        self._slices[place] = str(detail["slice_digest"])
        had = self._fields.setdefault((authorised.dataset, authorised.receiver), {})
        for name, word in authorised.fields.items():
            had[name] = max(had.get(name, Rung.COUNT), Rung.of(word))
        if (recalled := self._pending.pop(str(detail["delivery"]), None)) is not None:
            self._recalled[recalled.delivery] = recalled
        for recall in list(self._recalled.values()):
            if (recall.flow, recall.receiver) == place and recall.index in authorised.replaces:
                del self._recalled[recall.delivery]

"""What a ticket (入链凭据) is good for: a pure fold over entries, and the rule of lending.

Rules
    - An ``*.authorised`` entry opens a ticket; the entry that settles it (``arrived``, ``stopped``,
      ``promoted``, ``refused``, ``judged``, ``accepted``, or the end of its validity) closes it for good.
    - Keys are lent only under the policy digest, the flow digest and the approval the entry names, while all
      three are still current, and while neither the flow is held nor the delivery recalled: a running export
      stops within one chunk of any change.
    - Only keys that the entry's own members name: its domains, dataset, fields, and for an intake the link
      kinds and marks of its contract.
No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huanshu.auditlog import Entry, Register
from huanshu.auditlog.rotations import CELLS, LINKS
from huanshu.catalog.nouns import Contract, Home
from huanshu.errors import DeniedError, Text
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.holding import require_moving
from huanshu.sealing import keys
from huanshu.sealing.keys import KeyName

SETTLING = {
    "exchange.delivery.arrived",
    "exchange.delivery.stopped",
    "exchange.intake.promoted",
    "exchange.intake.refused",
    "quarantine.repair.promoted",
    "quarantine.repair.refused",
    "correction.batch.judged",
    "correction.change.accepted",
    "correction.change.conflicted",
    "keys.rotation.completed",
    "keys.rotation.stopped",
}


#: Slashes in the name of a link's key of a later generation.
_GENERATION_AT = 2

#: What brings records into the district store: an extract, or one quarantined row as its steward repaired it.
INTAKES = {"exchange.intake.authorised", "quarantine.repair.authorised"}


@dataclass(frozen=True, slots=True)
class Ticket:
    """Index and leaf hash (hex) of a durable entry: what keys are lent against."""

    index: int
    leaf_hash: str


class OpenTickets:
    """Authorised entries that are not settled, by index. Fold every entry through ``apply``, in order."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Ticket, Mapping[str, Any]]] = {}
        self._values_opened: dict[int, int] = {}
        self._arrived: dict[str, Entry] = {}
        self._proposers: dict[str, set[str]] = {}

    def apply(self, ticket: Ticket, entry: Entry) -> None:
        if entry.event.endswith(".authorised"):
            self._open[entry.index] = (ticket, entry.body)
            if entry.event == "correction.batch.authorised":
                batch = str(entry.body["detail"]["batch"])
                self._proposers.setdefault(batch, set()).add(str(entry.body["person"]))
        elif entry.event in SETTLING:
            self._open.pop(int(entry.body["detail"]["authorised"]), None)
            if entry.event == "exchange.delivery.arrived":
                self._arrived[str(entry.body["detail"].get("delivery"))] = entry

    def arrived(self, delivery: str) -> Entry | None:
        """The entry by which a delivery arrived, or None: nobody signs for what did not."""
        return self._arrived.get(delivery)

    def proposers(self, batch: str) -> frozenset[str]:
        """Who proposed a batch of corrections (more than one, when it was begun again): nobody answers himself."""
        return frozenset(self._proposers.get(batch, ()))

    def about(self, event: str, about: str) -> Ticket | None:
        """The open ticket of an event whose delivery or batch is ``about``."""
        for ticket, body in self._open.values():
            detail = body["detail"]
            named = (
                detail.get("delivery"), detail.get("batch"), detail.get("change"), detail.get("rotation")
            )  # fmt: skip
            if body["event"] == event and about in named:
                return ticket
        return None

    def entry(self, ticket: Ticket) -> Mapping[str, Any]:
        """The body behind an open ticket. DeniedError when it is settled, unknown or its hash differs."""
        known = self._open.get(ticket.index)
        if known is None or known[0] != ticket:
            raise DeniedError(
                "keeper.ticket.unknown",
                Text("this ticket is settled or was never issued", "该入链凭据已了结或从未签发"),
                remedy=Text("ask the gate again", "请重新向闸口申请"),
            )
        return known[1]

    def opened_before(self, index: int, values: int) -> None:
        """What was opened against an entry before this process began counts too."""
        self._values_opened[index] = values

    def count_opening(self, ticket: Ticket, values: int, limit: int) -> None:
        """Counts values opened against one ticket; at most ``limit`` over its life (never twice)."""
        total = self._values_opened.get(ticket.index, 0) + values
        if total > limit:
            raise refused("keeper.open.too_many", f"more than {limit} values", f"超过 {limit} 个值")
        self._values_opened[ticket.index] = total


def still_valid(body: Mapping[str, Any], home: Home, register: Register, at: datetime) -> None:
    """Invariant 4 at every chunk: policy, flow digest, approval and validity are those of now."""
    if body["policy"] != home.policies.digest or register.policy_digest != home.policies.digest:
        raise refused("keeper.ticket.policy_changed", "the policy changed since", "策略此后已变更")
    if datetime.fromisoformat(body["detail"]["until"]) < at:
        raise refused("keeper.ticket.expired", "its validity has passed", "有效期已过")
    named = body.get("flow")
    if named is not None:
        flow = home.flows.get(named["id"])
        if flow is None or flow.digest != named["digest"]:
            raise refused("keeper.ticket.flow_changed", "the flow file changed since", "流向文件此后已变更")
        approval = register.approval(flow.flow, flow.digest)
        if approval is None or approval.until < at:
            raise refused("keeper.ticket.approval_ended", "the approval has ended", "批准已失效")
        require_moving(register, flow, body["detail"])


def lendable(body: Mapping[str, Any], home: Home) -> frozenset[str]:
    """Prefixes (without epoch, where a key has one) of every key that the entry names."""
    contract = home.contracts[body["dataset"]]
    if body["event"] == "exchange.delivery.authorised":
        return frozenset(_for_delivery(body, home, contract))
    if body["event"] in INTAKES:
        return frozenset(_for_intake(body, home, contract))
    if body["event"] == ROTATION:
        return frozenset(_for_rotation(body, home, contract))
    if body["event"] in ("correction.batch.authorised", "access.workbook.authorised"):
        return frozenset(_for_community(body, contract))
    return frozenset()


def require_lendable(names: Iterable[KeyName], body: Mapping[str, Any], home: Home) -> None:
    """Raises DeniedError unless the entry names every key. Of a data key also the epochs before the one in
    force: records that have not changed since are still sealed under them."""
    allowed = lendable(body, home)
    for name in names:
        use = name.split("/", 1)[0]
        prefix, _, epoch = name.rpartition("/")
        current = home.policies.keys.epoch
        if use == "data":
            known = prefix in allowed and epoch in {str(past) for past in range(1, current + 1)}
        elif use == "quarantine":
            # A repair opens what an earlier extract left, and a rotation seals it anew.
            past = range(1 if body["event"] != "exchange.intake.authorised" else current, current + 1)
            known = prefix in allowed and epoch in {str(age) for age in past}
        elif use == "link" and name.count("/") == _GENERATION_AT:
            later = {str(age) for age in range(2, home.policies.keys.link_generation + 1)}
            known = name in allowed or (prefix in allowed and epoch in later)
        else:
            known = name in allowed
        if not known:
            raise refused("keeper.lend.not_named", f"the entry does not name {name}", f"条目未载明 {name}")


def _data_prefixes(domains: Iterable[str], contract: Contract, fields: Iterable[str]) -> Iterable[str]:
    sealed = {f.name for f in contract.sealed_fields}
    wanted = [name for name in fields if name in sealed]
    return (f"data/{domain}/{contract.dataset}/{name}" for domain in domains for name in wanted)


def _for_delivery(body: Mapping[str, Any], home: Home, contract: Contract) -> Iterable[str]:
    receiver = body["domain"]
    homes = [receiver, *(d.code for d in home.policies.domains.below(receiver, "community"))]
    yield from _data_prefixes(homes, contract, body["fields"])
    for name, rung in body["fields"].items():
        kind = contract.field(name).link_kind
        if rung == "match" and kind is not None:
            yield keys.token_key(body["purpose"], kind)


def _for_intake(body: Mapping[str, Any], home: Home, contract: Contract) -> Iterable[str]:
    homes = [d.code for d in home.policies.domains.below(body["domain"], "community")]
    yield from _data_prefixes(homes, contract, body["fields"])
    yield f"quarantine/{contract.dataset}"
    yield keys.content_key(contract.dataset)
    for field in contract.fields:
        if field.link_kind is not None:
            yield keys.link_key(field.link_kind)


def _for_rotation(body: Mapping[str, Any], home: Home, contract: Contract) -> Iterable[str]:
    """Of cells, data and quarantine keys; of links, those of the later generations, which open nothing."""
    if body["detail"].get("what", CELLS) == LINKS:
        for kind in {field.link_kind for field in contract.fields if field.link_kind is not None}:
            yield from keys.link_keys(kind, int(body["detail"]["generation"]))[1:]
        return
    district = home.policies.domains.district.code
    homes = [d.code for d in home.policies.domains.below(district, "community")]
    for domain in (
        district,
        *homes,
    ):  # a plain field's too: a correction's value is sealed whatever its level
        yield from (f"data/{domain}/{contract.dataset}/{name}" for name in body["fields"])
    yield f"quarantine/{contract.dataset}"


def _for_community(body: Mapping[str, Any], contract: Contract) -> Iterable[str]:
    """A community's corrections and workbooks: its own data keys of the entry's fields (a proposed value is sealed
    whatever its field's level)."""
    for name, word in body["fields"].items():
        if word == "propose" or contract.field(name).sealed:
            yield f"data/{body['domain']}/{contract.dataset}/{name}"


def refused(code: str, en: str, zh: str) -> DeniedError:
    """The one shape of a refusal to lend or open."""
    return DeniedError(
        code,
        Text(f"the ticket is no longer good: {en}", f"入链凭据不再有效：{zh}"),
        remedy=Text("run the flow again under the rules of now", "请按现行规则重新运行该流向"),
    )

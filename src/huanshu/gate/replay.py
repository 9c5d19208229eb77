"""A past decision, made again under the rules that were current then, and under those of now.

1. The entry, and the adoption of its bundle, must lie byte for byte under the log's published checkpoint: a decision
   that was changed in the database is not replayed, it is told.
2. The entry names post, domain, dataset, fields, purpose, instant and the digest of the bundle in force. The last
   ``policy.bundle.adopted`` before it must name the same digest: that entry made the bundle current.
3. The bundle kept beside the log must have this digest; it is unpacked into a folder of its own and read as any home.
4. The same decider decides, at the same instant. What it says now is compared with what the log says it said then.

Replaying opens nothing and changes nothing. What is younger than the published checkpoint waits for the next one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from huanshu.access import Enforcer, PlanRequest
from huanshu.access.terms import READS, WRITES
from huanshu.auditlog import Entry, PublishedLog
from huanshu.catalog import Home, Rung, read_bundle
from huanshu.catalog.bundle import unpack_bundle
from huanshu.errors import InputError, TamperedError, Text, UnavailableError
from huanshu.gate.proofs import prove
from huanshu.store.queries import load

_QUERIES = load(__package__, "replay.sql")


@dataclass(frozen=True, slots=True)
class Decided:
    """One field's decision: what was asked of it, and why it was or was not allowed."""

    dataset: str
    field: str
    asked: str
    allowed: bool
    rule: str
    why: Text


@dataclass(frozen=True, slots=True)
class Replayed:
    """``logged``: what the entry says happened. ``then`` and ``now``: the fields under the rules of then and of now."""

    entry: int
    event: str
    at: str
    person: str
    post: str
    domain: str
    purpose: str
    digest: str
    adopted: int
    logged: bool
    reason: str
    then: tuple[Decided, ...]
    now: tuple[Decided, ...]

    @property
    def allowed_then(self) -> bool:
        return all(each.allowed for each in self.then)

    @property
    def allowed_now(self) -> bool:
        return all(each.allowed for each in self.now)

    @property
    def agrees(self) -> bool:
        """Whether the rules explain the log: what was refused by rule is refused again, what was allowed is allowed. A
        refusal for another reason (a post not held, a ticket expired), or a broken glass, is not theirs to explain."""
        return self.logged == self.allowed_then or self.reason not in ("", "access.request.denied")


def replay(
    home: Home, published: PublishedLog, vkey: str, connection: psycopg.Connection, index: int
) -> Replayed:
    """Replay the decision of one entry. InputError when it is none, or its bundle was never kept; TamperedError when
    the published log has another entry there; UnavailableError while it is younger than the published checkpoint."""
    body, adoption = _proven(published, vkey, connection, index)
    requests = list(requests_of(body))
    if not requests:
        raise InputError(
            "audit.replay.no_decision",
            Text(
                f"entry {index} records no decision about fields",
                f"条目 {index} 不是对字段访问的判定",
            ),
            remedy=Text(
                "give an entry *.authorised, *.asked or access.request.denied", "请给出授权或拒绝类条目"
            ),
        )
    digest = str(body["policy"])
    adopted = _adopted(adoption, index, digest)
    zone = ZoneInfo(home.timezone)
    now = Enforcer(home.policies, home.contracts, zone=zone)
    with kept_bundle(connection, digest) as folder:
        policies, contracts = read_bundle(Path(folder))
        then = Enforcer(policies, contracts, zone=zone)
        decided = tuple(decide_again(then, requests))
    return Replayed(
        entry=index,
        event=str(body["event"]),
        at=str(body["at"]),
        person=str(body["person"]),
        post=str(body.get("post", "")),
        domain=str(body.get("domain", "")),
        purpose=str(body.get("purpose", "")),
        digest=digest,
        adopted=adopted,
        logged=body["event"] != "access.request.denied",
        reason=_reason(body),
        then=decided,
        now=tuple(decide_again(now, requests)),
    )


def _reason(body: Mapping[str, Any]) -> str:
    """Why it was refused; or, where no rule but a broken glass allowed it, that."""
    if body["event"] == "access.request.denied":
        return str(body["detail"].get("reason", ""))
    return "access.emergency.declared" if "emergency" in body["detail"] else ""


def _proven(
    published: PublishedLog, vkey: str, connection: psycopg.Connection, index: int
) -> tuple[Mapping[str, Any], Entry | None]:
    """The body of the entry, and the adoption that was in force when it was appended; both as they were published."""
    there, adopted = connection.execute(_QUERIES["there"], (index, index)).fetchone() or (False, None)
    if not there:
        raise InputError(
            "audit.entry.unknown",
            Text(f"the log has no entry {index}", f"日志中没有条目 {index}"),
            remedy=Text("see: huanshu status for its size", "日志长度见：huanshu status"),
        )
    found = prove(published, vkey, connection, [index] if adopted is None else [index, adopted])
    if found.pending:
        raise UnavailableError(
            "audit.replay.unpublished",
            Text(
                f"entry {index} is younger than the published checkpoint of {found.size} entries",
                f"条目 {index} 晚于已公布的检查点（{found.size} 条）",
            ),
            remedy=Text("the keeper publishes every second: run again", "钥匙保管每秒公布，请稍后重试"),
        )
    entries = {proven.index: Entry.of(proven.leaf) for proven in found.proven}
    return entries[index].body, None if adopted is None else entries[adopted]


def requests_of(body: Mapping[str, Any]) -> Iterator[PlanRequest]:
    """What was asked, by dataset. A word that is no right (``compare``, ``reseal``) was not decided upon."""
    if not {"post", "domain", "purpose", "fields"} <= body.keys():
        return
    asked: dict[str, dict[str, str | Rung]] = {}
    for name, word in body["fields"].items():
        dataset, _, field = name.rpartition(".")
        if word in READS or word in WRITES:
            asked.setdefault(dataset or str(body.get("dataset", "")), {})[field] = READS.get(word, word)
    at = datetime.fromisoformat(str(body["at"]))
    for dataset, fields in asked.items():
        yield PlanRequest(body["post"], body["domain"], dataset, fields, body["purpose"], at)


def decide_again(enforcer: Enforcer, requests: Sequence[PlanRequest]) -> Iterator[Decided]:
    for request in requests:
        plan = enforcer.plan(request)
        for field, decision in plan.decisions.items():
            asked = request.fields[field]
            yield Decided(
                dataset=request.dataset,
                field=field,
                asked=asked.word if isinstance(asked, Rung) else asked,
                allowed=decision.allowed,
                rule=str(decision.rule.where) if decision.rule else "",
                why=decision.explanation,
            )


def _adopted(entry: Entry | None, index: int, digest: str) -> int:
    """The column says where to look; what is there speaks for itself."""
    if entry is None or entry.event != "policy.bundle.adopted" or entry.body["detail"]["digest"] != digest:
        raise TamperedError(
            "audit.replay.other_policy",
            Text(
                f"entry {index} names a policy that was not the current one",
                f"条目 {index} 所载策略并非当时生效的策略",
            ),
            remedy=Text("run huanshu verify, tell security staff", "请运行 huanshu verify 并通知安全人员"),
        )
    return entry.index


@contextmanager
def kept_bundle(connection: psycopg.Connection, digest: str) -> Iterator[str]:
    """The kept bundle, unpacked in a folder that is gone afterwards."""
    row = connection.execute(_QUERIES["bundle"], (bytes.fromhex(digest),)).fetchone()
    if row is None:
        raise InputError(
            "audit.bundle.missing",
            Text(
                f"the policies of {digest[:12]} were not kept: they were in force before bundles were kept",
                f"策略 {digest[:12]} 未留存：其生效早于策略包留存功能",
            ),
            remedy=Text(
                "check out that version of policies/ and expectations/, and compare digests",
                "请取出该版本的 policies/ 与 expectations/ 并核对摘要",
            ),
        )
    with tempfile.TemporaryDirectory(prefix="huanshu-replay-") as folder:
        unpack_bundle(bytes(row[0]), digest, Path(folder))
        yield folder

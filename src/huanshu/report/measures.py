"""Measures: what the entries say, in figures that carry their evidence. Pure; the window and time are given.

A ``Figure`` is a number and the indices of the entries it was counted from, so that whoever signs a page can be
shown what lies under each number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huanshu.catalog import Home
from huanshu.catalog.working_days import due

Body = Mapping[str, Any]
SIGNATURE_DUE = "signature_due"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its evidence."""

    value: int
    entries: tuple[int, ...] = ()

    @property
    def cited(self) -> str:
        """Indices as people cite them: ``#3–#5, #9``; neighbours are joined, long lists are cut."""
        runs: list[tuple[int, int]] = []
        for index in sorted(set(self.entries)):
            if runs and runs[-1][1] == index - 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((index, index))
        shown = [f"#{a}" if a == b else f"#{a}–#{b}" for a, b in runs[:8]]
        return ", ".join(shown) + (" …" if len(runs) > 8 else "")


@dataclass(frozen=True, slots=True)
class ReceiverLine:
    """One receiver over the whole log up to now; ``sent`` and ``withdrawn`` within the window."""

    code: str
    sent: Figure
    withdrawn: Figure
    holds: int
    arrivals: int
    last_arrived: str
    unsigned: Figure
    signature_due: str
    overdue: bool
    signed_by: tuple[str, ...]
    finding: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: what, who, how often, evidence."""

    what: str
    who: str
    note: str
    count: Figure


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the page shows."""

    intakes: Figure
    good: Figure
    quarantined: Figure
    unchanged: Figure
    left: Figure
    rules: tuple[tuple[str, int], ...]
    warnings: tuple[tuple[str, int], ...]
    deliveries: Figure
    sent: Figure
    withdrawn: Figure
    stopped: Figure
    refused: Figure
    refusals: tuple[Line, ...]
    viewed: Figure
    reads: tuple[Line, ...]
    missed: Figure
    findings: tuple[Body, ...]
    receivers: tuple[ReceiverLine, ...]
    approvals: tuple[Line, ...]
    adoptions: Figure
    fields: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, int], ...]

    @property
    def unsigned(self) -> int:
        return sum(line.unsigned.value for line in self.receivers)

    @property
    def overdue(self) -> int:
        return sum(line.overdue for line in self.receivers)

    @property
    def all_arrived(self) -> bool:
        return bool(self.receivers) and all(line.arrivals and not line.finding for line in self.receivers)


def summarise(
    entries: Iterable[Body], home: Home, window: tuple[datetime, datetime], now: datetime
) -> Summary:
    """The summary of a log. ``entries`` are all entries in order; counts are of those within ``window``."""
    everything = list(entries)
    inside = [body for body in everything if window[0] <= _at(body) <= window[1]]
    intakes = _of(inside, "exchange.intake.promoted")
    arrived = _of(inside, "exchange.delivery.arrived")
    refused = _of(inside, "access.request.denied")
    reads = _of(inside, "access.record.authorised")
    return Summary(
        intakes=_count(intakes),
        good=_sum(intakes, "good"),
        quarantined=_sum(intakes, "quarantined"),
        unchanged=_sum(intakes, "unchanged"),
        left=_sum(intakes, "withdrawn"),
        rules=_rules(intakes, "rules"),
        warnings=_rules(intakes, "warnings"),
        deliveries=_count(arrived),
        sent=_sum(arrived, "count"),
        withdrawn=_sum(arrived, "withdrawn"),
        stopped=_count(_of(inside, "exchange.delivery.stopped")),
        refused=_count(refused),
        refusals=_grouped(
            refused, lambda b: (str(b["detail"]["reason"]), str(b["person"]), str(b.get("domain", "")))
        ),
        viewed=_count(reads),
        reads=_grouped(reads, lambda b: (str(b["purpose"]), str(b["person"]), str(b["domain"]))),
        missed=_count(_of(inside, "access.record.missed")),
        findings=tuple(_open_findings(everything)),
        receivers=_receivers(everything, inside, home, now),
        approvals=_approvals(everything, now),
        adoptions=_count(_of(inside, "policy.bundle.adopted")),
        fields=_fields(_of(inside, "exchange.delivery.authorised")),
        days=_days(inside),
    )


def _at(body: Body) -> datetime:
    return datetime.fromisoformat(body["at"])


def _of(entries: Iterable[Body], event: str) -> list[Body]:
    return [body for body in entries if body["event"] == event]


def _count(entries: Sequence[Body]) -> Figure:
    return Figure(len(entries), tuple(int(body["index"]) for body in entries))


def _sum(entries: Sequence[Body], member: str) -> Figure:
    return Figure(sum(int(b["detail"][member]) for b in entries), tuple(int(b["index"]) for b in entries))


def _rules(intakes: Sequence[Body], member: str) -> tuple[tuple[str, int], ...]:
    totals: dict[str, int] = {}
    for body in intakes:
        for rule, failed in body["detail"][member].items():
            totals[rule] = totals.get(rule, 0) + int(failed)
    return tuple(sorted(totals.items(), key=lambda pair: (-pair[1], pair[0])))


def _grouped(entries: Sequence[Body], key: Any) -> tuple[Line, ...]:
    groups: dict[tuple[str, str, str], list[int]] = {}
    for body in entries:
        groups.setdefault(key(body), []).append(int(body["index"]))
    lines = (Line(what, who, note, Figure(len(at), tuple(at))) for (what, who, note), at in groups.items())
    return tuple(sorted(lines, key=lambda line: (-line.count.value, line.what, line.who)))


def _open_findings(entries: Iterable[Body]) -> list[Body]:
    found: dict[str, Body] = {}
    for body in entries:
        if body["event"] == "finding.case.opened":
            found[str(body["detail"]["finding"])] = body
        elif body["event"] == "finding.case.settled":
            found.pop(str(body["detail"]["finding"]), None)
    return list(found.values())


def _receivers(
    everything: Sequence[Body], inside: Sequence[Body], home: Home, now: datetime
) -> tuple[ReceiverLine, ...]:
    signed = {str(b["detail"]["delivery"]): b for b in _of(everything, "exchange.delivery.signed")}
    findings = {str(b["detail"]["about"]): str(b["detail"]["kind"]) for b in _open_findings(everything)}
    codes = [code for flow in home.flows.values() if flow.kind == "delivery" for code in flow.receivers]
    lines = []
    for code in dict.fromkeys(codes):
        ever = [b for b in _of(everything, "exchange.delivery.arrived") if b["domain"] == code]
        lately = [b for b in _of(inside, "exchange.delivery.arrived") if b["domain"] == code]
        waiting = [b for b in ever if str(b["detail"]["delivery"]) not in signed]
        deadline = due(_at(waiting[0]), home.obligations[SIGNATURE_DUE], home.calendar) if waiting else None
        by = [str(signed[d]["person"]) for b in ever if (d := str(b["detail"]["delivery"])) in signed]
        lines.append(
            ReceiverLine(
                code=code,
                sent=_sum(lately, "count"),
                withdrawn=_sum(lately, "withdrawn"),
                holds=int(ever[-1]["detail"]["holds"]) if ever else 0,
                arrivals=len(ever),
                last_arrived=_at(ever[-1]).strftime("%Y-%m-%d %H:%M") if ever else "",
                unsigned=_count(waiting),
                signature_due=deadline.strftime("%Y-%m-%d") if deadline else "",
                overdue=deadline is not None and deadline < now,
                signed_by=tuple(dict.fromkeys(by)),
                finding=findings.get(code, ""),
            )
        )
    return tuple(lines)


def _approvals(entries: Sequence[Body], now: datetime) -> tuple[Line, ...]:
    standing: dict[tuple[str, str], Body] = {}
    for body in entries:
        if body["event"] == "approval.flow.granted":
            standing[body["detail"]["flow"], body["detail"]["digest"]] = body
        elif body["event"] == "approval.flow.revoked":
            standing.pop((body["detail"]["flow"], body["detail"]["digest"]), None)
    return tuple(
        Line(
            str(b["detail"]["flow"]),
            str(b["person"]),
            str(b["detail"]["until"])[:10],
            Figure(1, (int(b["index"]),)),
        )
        for b in standing.values()
        if datetime.fromisoformat(b["detail"]["until"]) > now
    )


def _fields(authorised: Sequence[Body]) -> tuple[tuple[str, str], ...]:
    fields: dict[str, str] = {}
    for body in authorised:
        fields.update({str(name): str(rung) for name, rung in body["fields"].items()})
    return tuple(fields.items())


def _days(entries: Sequence[Body]) -> tuple[tuple[str, int], ...]:
    """Entries per day of the window that has any, or per minute when all fall on one day."""
    spans = {str(body["at"])[:10] for body in entries}
    cut = 10 if len(spans) > 1 else 16
    counts: dict[str, int] = {}
    for body in entries:
        counts[str(body["at"])[:cut]] = counts.get(str(body["at"])[:cut], 0) + 1
    return tuple(sorted(counts.items()))[-24:]

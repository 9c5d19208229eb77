"""What is wrong with a flow or a run, who waits for whom until when, and the commands that are safe now. Changes
nothing, and goes on where a part is down: what cannot be asked is told as such, everything else is still looked at.

Looked at, in this order: the keeper and its log · the adopted policies · post, approval and grants of each flow ·
what waits to come in · batches · findings · deliveries under way. ``failures`` has the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg

from huanshu.access import Enforcer, PlanRequest
from huanshu.auditlog import Entry
from huanshu.auditlog.reader import read_by_event, read_entries
from huanshu.catalog import Flow
from huanshu.catalog.schedules import last_tick
from huanshu.errors import ContentError, HuanshuError, InputError, Text
from huanshu.exchange.extract import read_extract
from huanshu.exchange.failures import of
from huanshu.exchange.ground import Ground
from huanshu.exchange.manifest import read_manifest
from huanshu.exchange.receiving import Receiving
from huanshu.exchange.symptoms import ONLY_MOST, Symptom, Teller
from huanshu.exchange.turn import require_signed, require_turn

_CODE: Final = re.compile(r"\[([a-z_]+\.[a-z_]+\.[a-z_]+)\]")
_STOPPED: Final = frozenset(
    {"home_broken", "keeper_down", "key_missing", "store_down", "log_unwritable", "log_stale", "disk_full"}
)


@dataclass(frozen=True, slots=True)
class Host:
    """What only this machine can say of the keeper: what is wrong with its root key file, and its last words."""

    root_key: Text | None = None
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A run as the log tells it."""

    run: str
    flow: str
    began: str
    person: str
    completed: bool
    counts: dict[str, int]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``run`` is None when a flow was asked about, or when the log knows no such run (then ``known`` is False)."""

    subject: str
    known: bool
    run: Told | None
    symptoms: tuple[Symptom, ...]


def diagnose(
    ground: Ground, subject: str, folder: Callable[[str], Path], host: Host | None = None
) -> Diagnosis:
    """Symptoms of a flow, or of a run's flow, what stops everything first; none means nothing is wrong and nothing
    under way. A run the log does not know never began: then every flow is looked at."""
    return _Diagnosis(ground, folder, host or Host()).of(subject)


def classified(error: HuanshuError) -> str:
    """The row that an error belongs to."""
    if isinstance(error, ContentError) and not error.code.startswith(("assembly.", "store.", "exchange.")):
        return "home_broken"
    row = of(error.code)
    return row.key if row else "not_delivered"


@dataclass(slots=True)
class _Diagnosis:
    ground: Ground
    folder: Callable[[str], Path]
    host: Host
    status: dict[str, Any] | None = None
    found: list[Symptom] = field(default_factory=list)

    def of(self, subject: str) -> Diagnosis:
        flows = self.ground.home.flows
        try:
            self.status = self.ground.keeper.status()
            troubles = self._keeper_troubles(None)
        except HuanshuError as error:
            troubles = self._keeper_troubles(error)
        try:
            district = self.ground.district()
        except HuanshuError as error:
            run, chosen = None, [flows[subject]] if subject in flows else list(flows.values())
            troubles.append((classified(error), error))
            self._general(chosen[0], troubles)
            return Diagnosis(subject, subject in flows, run, tuple(self.found))
        with district:
            run = None if subject in flows else _told(district, subject, flows)
            name = run.flow if run else subject
            chosen = [flows[name]] if name in flows else list(flows.values())
            self._general(chosen[0], troubles)
            for flow in chosen:
                self._people(district, flow)
                if flow.kind == "intake":
                    self._incoming(district, flow)
                else:
                    self._outgoing(district, flow)
                self._unfinished(district, flow)
        return Diagnosis(subject, run is not None or subject in flows, run, tuple(self.found))

    # -- what stops everything ------------------------------------------------------------------

    def _keeper_troubles(self, error: HuanshuError | None) -> list[tuple[str, HuanshuError | Text]]:
        found: list[tuple[str, HuanshuError | Text]] = []
        if error is not None:
            key = classified(error)
            if key == "keeper_down":
                said = _CODE.findall(self.host.last_words)
                row = of(said[-1]) if said else None
                key = row.key if row else key
                if row:
                    found.append((key, Text(self.host.last_words, self.host.last_words)))
                elif self.host.root_key is None:
                    found.append((key, error))
            else:
                found.append((key, error))
        elif self.status is not None:
            try:
                self.ground.keeper.probe()
            except HuanshuError as refused:
                found.append((classified(refused), refused))
        if self.host.root_key is not None and "key_missing" not in dict(found):
            found.append(("key_missing", self.host.root_key))
        return found

    def _general(self, flow: Flow, troubles: Sequence[tuple[str, HuanshuError | Text]]) -> None:
        for key, trouble in troubles:
            if key not in {symptom.failure for symptom in self.found}:
                what = trouble if isinstance(trouble, Text) else _explained(trouble)
                self.found.append(self._teller.tell(key, flow, "", what=what))
        status = self.status
        if status is not None and status["adopted"] != status["policy"]:
            self.found.append(self._teller.tell("policies_unadopted", flow, str(status["policy"])[:12]))

    # -- people ---------------------------------------------------------------------------------

    def _people(self, district: psycopg.Connection, flow: Flow) -> None:
        policies = self.ground.home.policies
        holders = policies.holders(flow.accountable_post, self._now)
        if not holders:
            self._add("post_vacant", flow, flow.accountable_post)
            return
        granted = [
            e
            for e in read_by_event(district, "approval.flow.granted")
            if e.body["detail"]["flow"] == flow.flow
        ]
        if self.status is not None:
            approval = self.ground.keeper.approval(flow.flow, flow.digest)
            if approval is None or approval["person"] not in {h.person for h in holders}:
                newest = granted[-1].body["detail"] if granted else None
                changed = newest is not None and newest["digest"] != flow.digest
                ended = str(newest["until"]) if newest and not changed else ""
                self._add(
                    "flow_changed" if changed else "approval_ended", flow, flow.digest[:12], state=ended
                )
            elif self.status["adopted"] == self.status["policy"]:
                self._grants(flow)

    def _grants(self, flow: Flow) -> None:
        home = self.ground.home
        enforcer = Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
        asked: dict[str, Any] = dict(flow.fields)
        if flow.kind == "intake":
            asked = {f.name: "write" for f in home.contracts[flow.dataset].fields}
        code = flow.receivers[
            0
        ]  # a receiver denied for itself has a finding; a rule is usually missing for all
        request = PlanRequest(flow.accountable_post, code, flow.dataset, asked, flow.purpose, self._now)
        plan = enforcer.plan(request)
        if not plan.allowed:
            self._add("not_granted", flow, code, what=plan.explanation)

    # -- what comes in --------------------------------------------------------------------------

    def _incoming(self, district: psycopg.Connection, flow: Flow) -> None:
        batches = district.execute(
            "SELECT batch, sequence, state, verdict, entry_index FROM district.batch"
            " WHERE dataset = %s AND sender = %s ORDER BY entry_index",
            (flow.dataset, flow.source),
        ).fetchall()
        promoted = max((int(b[4]) for b in batches if b[2] == "promoted"), default=-1)
        for batch, sequence, state, verdict, index in batches:
            about = f"batch {sequence} ({batch[:12]})"
            if state == "staging":
                self._add("intake_interrupted", flow, about)
            elif state == "refused" and index > promoted:
                rules = ", ".join(sorted((verdict or {}).get("log", {}).get("rules", {})))
                self._add(
                    "verdict_failed", flow, about, what=Text(f"refused by: {rules}", f"未通过的规则：{rules}")
                )
        settled = {b[0] for b in batches if b[2] != "staging"}
        waiting = self._waiting(district, flow, settled)
        if not waiting:
            self._refused(district, flow, promoted)
            self._late(district, flow, promoted)

    def _waiting(self, district: psycopg.Connection, flow: Flow, settled: set[str]) -> bool:
        """Extracts in the folder that no run has settled yet: is it their turn, and are they what they say?"""
        waiting = False
        told = read_by_event(district, "exchange.intake.refused")
        refused = {str(entry.body["detail"]["batch"]) for entry in told}
        for path in sorted(self.folder(flow.flow).glob("*.manifest.json")):
            try:
                manifest = read_manifest(path)
                if manifest.batch in settled:
                    continue
                waiting = True
                if self.status is not None:
                    require_signed(self.ground.keeper, flow, manifest)
                require_turn(district, flow, manifest)
                if manifest.batch in refused:  # only then: reading a register takes its time
                    for _ in read_extract(path.parent, manifest, self.ground.contract(flow)):
                        pass
            except InputError as error:
                waiting = True
                self._add(classified(error), flow, path.name, what=_explained(error))
        return waiting

    def _refused(self, district: psycopg.Connection, flow: Flow, promoted: int) -> None:
        """The newest extract was refused, and is no longer where it could be looked at again."""
        told = [
            e for e in read_by_event(district, "exchange.intake.refused") if e.body["flow"]["id"] == flow.flow
        ]
        if told and told[-1].index > promoted:
            reason = str(told[-1].body["detail"]["reason"])
            row = of(reason)
            if row is not None and row.key != "verdict_failed":
                self._add(
                    row.key, flow, f"entry {told[-1].index}", what=Text(reason, reason), since=_at(told[-1])
                )

    def _late(self, district: psycopg.Connection, flow: Flow, promoted: int) -> None:
        tick = last_tick(flow.schedule, self._now)
        before = last_tick(flow.schedule, tick) if tick else None
        if tick is None or before is None:
            return
        newest = next(read_entries(district, promoted, promoted + 1), None) if promoted >= 0 else None
        if newest is None or _at(newest) < before:
            since = f"{tick:%Y-%m-%d %H:%M}"
            what = Text(f"expected by {since}; nothing was taken in", f"应于 {since} 前报送，尚未接收")
            self._add("source_late", flow, flow.source, what=what, since=tick)

    # -- what goes out --------------------------------------------------------------------------

    def _outgoing(self, district: psycopg.Connection, flow: Flow) -> None:
        told: set[str] = set()
        if self.status is not None:
            told = self._findings(flow)
            for hold in self.ground.keeper.holds(flow.flow):
                about = f"entry {hold.index}" + (f", run {hold.run}" if hold.run else "")
                self._add("held", flow, about, since=datetime.fromisoformat(hold.at), post=hold.post)
        rows = district.execute(
            "SELECT receiver, delivery, state FROM district.delivery"
            " WHERE flow = %s AND state IN ('frozen', 'authorised') ORDER BY receiver, frozen_at",
            (flow.flow,),
        ).fetchall()
        states: dict[str, list[str]] = {}
        for receiver, delivery, state in rows:
            key = self._state(flow, receiver, delivery)
            if receiver not in told or key == "interrupted_after":
                states.setdefault(f"{key}/{state}", []).append(receiver)
        for named, receivers in sorted(states.items()):
            key, _, state = named.partition("/")
            self._add(key, flow, _listed(receivers), state=f"{key} ({state})", receivers=receivers)

    def _state(self, flow: Flow, receiver: str, delivery: str) -> str:
        try:
            with self.ground.receiver(receiver) as store:
                line = Receiving(store, self.ground.contract(flow), flow, receiver).inbox(delivery)
        except HuanshuError:
            return "receiver_unreachable"
        return "interrupted_after" if line is not None else "interrupted_before"

    def _findings(self, flow: Flow) -> set[str]:
        """Open findings by cause; returns the receivers they are about."""
        mine = [
            f for f in self.ground.keeper.findings() if str(f["finding"]).startswith(f"receipt/{flow.flow}/")
        ]
        for kind, group in groupby(sorted(mine, key=lambda f: str(f["kind"])), key=lambda f: str(f["kind"])):
            findings = list(group)
            receivers = [str(f["about"]) for f in findings]
            row = of(kind)
            key = row.key if row else "not_delivered"
            # The district's own store answered: what could not be reached is the receiver's.
            key = "receiver_unreachable" if key == "store_down" else key
            self._add(
                key,
                flow,
                _listed(receivers),
                state=kind,
                what=Text(f"not delivered: {kind}", f"未送达：{kind}") if key == "not_delivered" else None,
                until=min(str(f["due"]) for f in findings),
                receivers=receivers,
            )
        return {str(f["about"]) for f in mine}

    def _unfinished(self, district: psycopg.Connection, flow: Flow) -> None:
        """A delivery's newest run that did not complete, when nothing else says why."""
        if flow.kind != "delivery" or any(s.flow == flow.flow or s.failure in _STOPPED for s in self.found):
            return
        row = district.execute(
            "SELECT leaf FROM log.entry WHERE event = 'exchange.run.started' AND starts_with(once, %s)"
            " ORDER BY index DESC LIMIT 1",
            (f"exchange.run.started/{flow.flow}/",),
        ).fetchone()
        if row is None:
            return
        began = Entry.of(bytes(row[0]))
        run = str(began.body["flow"]["run"])
        done = district.execute(
            "SELECT 1 FROM log.entry WHERE once = %s", (f"exchange.run.completed/{flow.flow}/{run}",)
        ).fetchone()
        if done is None:
            self._add("interrupted_before", flow, run, state="run not completed", since=_at(began))

    # -- pieces ---------------------------------------------------------------------------------

    @property
    def _now(self) -> datetime:
        return self.ground.clock()

    @property
    def _teller(self) -> Teller:
        return Teller(self.ground.home, self._now, bool(self.status and self.status["sandbox"]))

    def _add(self, key: str, flow: Flow, about: str, **told: Any) -> None:
        self.found.append(self._teller.tell(key, flow, about, **told))


def _told(district: psycopg.Connection, run: str, flows: Mapping[str, Flow]) -> Told | None:
    """A run's own entries: from the one that began it on, those that name it."""
    row = district.execute(
        "SELECT leaf FROM log.entry WHERE once = ANY(%s) ORDER BY index DESC LIMIT 1",
        ([f"exchange.run.started/{flow}/{run}" for flow in flows],),
    ).fetchone()
    if row is None:
        return None
    began = Entry.of(bytes(row[0]))
    mine = list(_of_run(district, began.index, run))
    events = [entry.event for entry in mine]
    flow = str(began.body["flow"]["id"])
    completed = "exchange.run.completed" in events
    if flow in flows and flows[flow].kind == "intake":  # nothing says so of an intake but its batches
        settled = events.count("exchange.intake.promoted") + events.count("exchange.intake.refused")
        completed = events.count("exchange.intake.authorised") == settled
    return Told(
        run=run,
        flow=flow,
        began=str(began.body["at"]),
        person=str(began.body["person"]),
        completed=completed,
        counts={event: events.count(event) for event in sorted(set(events))},
        reasons=tuple(
            sorted(
                {str(entry.body["detail"]["reason"]) for entry in mine if "reason" in entry.body["detail"]}
            )
        ),
    )


def _of_run(district: psycopg.Connection, start: int, run: str) -> Iterator[Entry]:
    return (e for e in read_entries(district, start) if (e.body.get("flow") or {}).get("run") == run)


def _listed(receivers: Sequence[str]) -> str:
    return ", ".join(receivers) if len(receivers) <= ONLY_MOST else f"{receivers[0]} +{len(receivers) - 1}"


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(str(entry.body["at"]))


def _explained(error: HuanshuError) -> Text:
    return Text(error.explain("en"), error.explain("zh"))

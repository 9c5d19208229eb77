"""Intake: a department's extract → quality in memory → sealed into the district store, all or nothing.

Order of effects, with what a crash leaves behind:
    (a) read       manifest: signature of the enrolled sender, sequence, digest.     Nothing.
    (b) authorised the log entry; its ticket.           The log names an intake that may not happen.
    (c) staging    judged by workers, decided as a whole, sealed by workers.
                                                         Staging and quarantine rows, dropped by the next run.
    (d) promoted   one district transaction by the verdict: new versions in, old ones out, the batch's line.
                                                         The effect is there; the next run sees the line.
    (e) promoted   the log entry.                        (written by the next run when it is missing)

Plaintext lives in the memory of the workers (``staging``), never on disk, never across a task boundary. What the
extract as a whole decides needs none of it (``deciding``), nor does the promotion (``versions``). A quarantined row is
sealed whole, with the rules it failed; a record already in the store keeps its last good version meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psycopg

from huanshu import telemetry
from huanshu.catalog import Contract, Flow, Suite
from huanshu.errors import ContentError, InputError
from huanshu.exchange import batches, quarantine, repairs, written
from huanshu.exchange.chutes import LoadingEndedError, chutes, let_go
from huanshu.exchange.corrections import standing
from huanshu.exchange.deciding import (
    Bad,
    Decided,
    Parts,
    decide,
    judge_whole,
    only_quarantine,
    without_erased,
)
from huanshu.exchange.extract import open_extract
from huanshu.exchange.ground import Ground
from huanshu.exchange.loading import Loading
from huanshu.exchange.manifest import Manifest, read_manifest
from huanshu.exchange.staging import Stages, Staging, Task
from huanshu.exchange.tables import create, district_tables, generation
from huanshu.exchange.turn import require_signed, require_turn
from huanshu.exchange.versions import Versions
from huanshu.exchange.workers import Workers
from huanshu.exchange.written import Lists
from huanshu.keeper.tickets import Ticket
from huanshu.quality import Verdict, preload
from huanshu.store import available

State = Literal["promoted", "refused", "known"]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of one extract. ``known``: it had been taken in before, nothing was opened or written."""

    batch: str
    sequence: int
    state: State
    good: int = 0
    quarantined: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    #: Where the time went: stage → seconds, of all workers together.
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IntakeOutcome:
    """What one run of an intake flow did, extract by extract."""

    flow: str
    batches: tuple[BatchOutcome, ...]

    @property
    def promoted(self) -> int:
        return sum(batch.state == "promoted" for batch in self.batches)


def run_intake(ground: Ground, name: str, run: str, folder: Path) -> IntakeOutcome:
    """Take in every extract in ``folder`` whose turn has come, in sequence. Raises InputError for a manifest
    that is replayed with other content, out of sequence, unsigned or not what it says."""
    flow = ground.flow(name, "intake")
    ground.begin(flow, run)
    with (
        telemetry.span("huanshu.exchange.intake", flow=name),
        available(),
        ground.district() as district,
    ):
        with district.transaction():
            district.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"intake/{flow.dataset}",))
            create(district, *district_tables(ground.contract(flow)))
        found = sorted(
            (read_manifest(path) for path in sorted(folder.glob("*.manifest.json"))), key=lambda m: m.sequence
        )
        repairs.apply(ground, flow, run, district)
        done = tuple(_Intake(ground, flow, run, district, folder, manifest).run() for manifest in found)
        quarantine.reconcile(ground, flow, run, district)
        return IntakeOutcome(name, done)


class _Intake:
    def __init__(
        self,
        ground: Ground,
        flow: Flow,
        run: str,
        district: psycopg.Connection,
        folder: Path,
        manifest: Manifest,
    ) -> None:
        self._ground = ground
        self._flow = flow
        self._run = run
        self._district = district
        self._folder = folder
        self._manifest = manifest
        self._contract: Contract = ground.contract(flow)
        self._suite: Suite = ground.home.suites[flow.dataset]
        self._epoch = ground.home.policies.keys.epoch
        self._versions = Versions(self._contract)
        self._batch = manifest.batch
        self._stages = Stages()

    def run(self) -> BatchOutcome:
        known = self._known()
        if known is not None:
            return known
        require_signed(self._ground.keeper, self._flow, self._manifest)
        require_turn(self._district, self._flow, self._manifest)
        ticket = self._authorise()
        self._ground.pause("intake:authorised")
        self._begin(ticket)
        try:
            verdict, decided, lists = self._stage(ticket)
        except (InputError, ContentError) as error:
            self._forget(ticket, error.code)
            raise
        self._ground.pause("intake:staged")
        if not verdict.batch_ok:
            return self._refuse(ticket, verdict)
        with self._stages.of("promote"):
            told = self._promote(verdict, decided, lists)
        self._ground.pause("intake:promoted")
        self._append(ticket, "promoted", told)
        return BatchOutcome(
            self._batch, self._manifest.sequence, "promoted", decided.good, decided.quarantined,
            decided.unchanged, decided.withdrawn, told["rules"], self._stages.seconds,
        )  # fmt: skip

    # -- (a) ------------------------------------------------------------------------------------

    def _known(self) -> BatchOutcome | None:
        """A batch whose line says promoted or refused has happened; tell the log if it was not told."""
        with self._district.transaction():
            settled = batches.settled(self._district, self._batch)
        if settled is None:
            return None
        state, verdict = settled
        ticket = self._ground.keeper.open_ticket("exchange.intake.authorised", self._batch)
        if ticket is not None:
            self._append(ticket, state, verdict["log"])
        return BatchOutcome(self._batch, self._manifest.sequence, "known")

    # -- (b) ------------------------------------------------------------------------------------

    def _authorise(self) -> Ticket:
        found = self._ground.keeper.open_ticket("exchange.intake.authorised", self._batch)
        return found or self._ground.keeper.append(
            {
                "event": "exchange.intake.authorised",
                "policy": self._ground.home.policies.digest,
                "flow": {"id": self._flow.flow, "run": self._run},
                "detail": {
                    "batch": self._batch,
                    "sequence": self._manifest.sequence,
                    "sender": self._manifest.sender,
                    "records": self._manifest.records,
                },
            }
        )

    def _begin(self, ticket: Ticket) -> None:
        """Forget what earlier, interrupted attempts staged; then say that this one is under way."""
        with self._district.transaction():
            self._versions.prepare(self._district)
            batches.forget_interrupted(self._district, self._flow.dataset)
            batches.begin(
                self._district,
                self._batch,
                self._flow.dataset,
                self._manifest.sender,
                self._manifest.sequence,
                ticket.index,
            )

    # -- (c) ------------------------------------------------------------------------------------

    def _stage(self, ticket: Ticket) -> tuple[Verdict, Decided, Lists]:
        """Fill the staging, whatever the verdict: of a refused extract it is dropped, the quarantine stays."""
        with self._stages.of("open"):
            extract = open_extract(self._folder, self._manifest, self._contract)
            parts = extract.parts(self._ground.workers_for(self._manifest.records))
            preload()
        done = 0

        def report(records: int) -> None:
            nonlocal done
            done += records  # each record twice: judged, then staged
            self._ground.progress(self._flow.dataset, done // 2, self._manifest.records)

        with ExitStack() as stack:
            task = Task(
                self._ground, self._contract, self._suite, ticket, self._batch, self._epoch, len(parts),
                generation(self._district), stack.enter_context(chutes(len(parts))),
            )  # fmt: skip
            made = [partial(Staging, task, part, number) for number, part in enumerate(parts)]
            workers = stack.enter_context(Workers(made, report))
            if task.workers > 1:
                parts[0].release()  # the workers have theirs
            del extract, parts, made
            judged = Parts(workers.ask("judge", [()] * task.workers))
            with self._loading(task) as loaded:
                with self._stages.of("decide"):
                    verdict, bad = judge_whole(self._contract, self._suite, judged)
                    verdict, bad = without_erased(self._district, self._contract, judged, verdict, bad)
                    decided = self._decide(workers, judged, verdict, bad)
                try:
                    staged = workers.answers()
                except LoadingEndedError:
                    loaded()  # why
                    raise
                for part in staged:
                    self._stages.add(part.seconds)
                lists = written.whole(
                    (part.written for part in staged), decided.ended, decided.ended_versions
                )
                with self._stages.of("index"):
                    loaded()
        return verdict, decided, lists

    @contextmanager
    def _loading(self, task: Task) -> Iterator[Callable[[], object]]:
        """Whoever loads what the workers seal; to be called to wait for its end. A single worker does it itself."""
        if not task.chutes:
            yield lambda: None
            return
        with Workers([lambda _: Loading(task)], lambda _: None, apart=True) as loader:
            let_go(task.chutes)
            loader.begin("load", [()])
            yield loader.answers

    def _decide(self, workers: Workers, judged: Parts, verdict: Verdict, bad: Bad) -> Decided:
        """Let the workers begin as soon as every number is known; it is stored while they seal."""
        if not verdict.batch_ok:
            decided = only_quarantine(judged, bad)
            workers.begin("stage", decided.orders)
            return decided
        full = self._manifest.mode == "full"
        with self._district.transaction():
            decided = decide(self._district, self._contract, self._versions, judged, bad, full=full)
            workers.begin("stage", decided.orders)
            decided.store(self._district)
        return decided

    # -- (d), (e) -------------------------------------------------------------------------------

    def _promote(self, verdict: Verdict, decided: Decided, lists: Lists) -> dict[str, Any]:
        """The one transaction with effect."""
        with self._district.transaction():
            self._versions.promote(self._district, self._batch, decided.ended)
            standing.end(self._district, self._contract, self._batch)
            told = {
                "good": decided.good,
                "quarantined": decided.quarantined,
                "unchanged": decided.unchanged,
                "withdrawn": decided.withdrawn,
                "rules": _counts(verdict, "error"),
                "warnings": _counts(verdict, "warning"),
                "written": written.store(self._district, self._batch, lists),
            }
            settled = quarantine.settle(
                self._district, self._contract, self._batch, full=self._manifest.mode == "full"
            )
            told |= {"settled": settled} if settled else {}
            self._settle("promoted", verdict, told)
        with self._stages.of("analyse"):
            self._versions.analyse(self._district)
        return told

    def _refuse(self, ticket: Ticket, verdict: Verdict) -> BatchOutcome:
        """A batch rule failed: nothing of it is promoted; its quarantine stays, sealed, for the steward."""
        told = {"reason": "quality.batch.failed", "rules": _counts(verdict, "error")}
        with self._district.transaction():
            self._versions.drop(self._district)
            self._settle("refused", verdict, told)
        self._append(ticket, "refused", told)
        return BatchOutcome(self._batch, self._manifest.sequence, "refused", rules=told["rules"])  # type: ignore[arg-type]

    def _forget(self, ticket: Ticket, reason: str) -> None:
        """The extract itself is faulty: nothing of it is kept, so that a mended one may come in its place."""
        with self._district.transaction():
            self._versions.drop(self._district)
            batches.forget(self._district, self._batch)
        self._append(ticket, "refused", {"reason": reason, "rules": {}})

    def _settle(
        self, state: Literal["promoted", "refused"], verdict: Verdict, told: Mapping[str, Any]
    ) -> None:
        batches.settle(self._district, self._batch, state, {"log": told, "quality": verdict.as_json()})

    def _append(self, ticket: Ticket, state: str, told: Mapping[str, Any]) -> None:
        self._ground.keeper.append(
            {
                "event": f"exchange.intake.{state}",
                "once": f"exchange.intake.{state}/{ticket.index}",
                "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                "detail": dict(told),
            }
        )


def _counts(verdict: Verdict, severity: str) -> dict[str, int]:
    return {r.rule: r.failed_count for r in verdict.rules if r.severity == severity and not r.passed}

"""Intake: a department's extract → quality in memory → sealed into the district store, all or nothing.

Order of effects, with what a crash leaves behind:
    (a) read       manifest: signature of the enrolled sender, sequence, digest.     Nothing.
    (b) authorised the log entry; its ticket.           The log names an intake that may not happen.
    (c) staging    batch by batch: validate, link, seal. Staging rows, dropped by the next run.
    (d) promoted   one district transaction by the verdict: new versions in, old ones out, the batch's line.
                                                         The effect is there; the next run sees the line.
    (e) promoted   the log entry.                        (written by the next run when it is missing)

Plaintext lives in this function's frames, never on disk, never across a task boundary. A quarantined row is
sealed whole, with the rules it failed; a record already in the store keeps its last good version meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from huanshu import subjects, telemetry
from huanshu.catalog import Contract, Flow, Suite
from huanshu.errors import ContentError, InputError
from huanshu.exchange.corrections import standing
from huanshu.exchange.extract import read_extract
from huanshu.exchange.ground import Ground
from huanshu.exchange.manifest import Manifest, read_manifest
from huanshu.exchange.tables import create, district_tables
from huanshu.exchange.turn import require_signed, require_turn
from huanshu.gate import intake as gate
from huanshu.keeper.tickets import Ticket
from huanshu.quality import Uniqueness, Verdict, dataset_rules, validate, whole
from huanshu.quality.verdict import Rows
from huanshu.sealing import Keyring
from huanshu.sealing.arrow import as_bytes, as_matrix
from huanshu.store import available
from huanshu.store.copying import copy_in, copy_out

Columns = dict[str, pa.Array]
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
        done = tuple(_Intake(ground, flow, run, district, folder, manifest).run() for manifest in found)
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
        versions, staging = district_tables(self._contract)
        self._versions = sql.Identifier("district", versions.name)
        self._staging = sql.Identifier("district", staging.name)
        self._batch = manifest.batch
        self._good = self._unchanged = self._quarantined = 0

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
            verdict = self._stage(ticket)
        except (InputError, ContentError) as error:
            self._forget(ticket, error.code)
            raise
        self._ground.pause("intake:staged")
        if not verdict.batch_ok:
            return self._refuse(ticket, verdict)
        told = self._promote(verdict)
        self._ground.pause("intake:promoted")
        self._append(ticket, "promoted", told)
        return BatchOutcome(
            self._batch, self._manifest.sequence, "promoted", self._good, self._quarantined, self._unchanged,
            told["withdrawn"], told["rules"],
        )  # fmt: skip

    # -- (a) ------------------------------------------------------------------------------------

    def _known(self) -> BatchOutcome | None:
        """A batch whose line says promoted or refused has happened; tell the log if it was not told."""
        with self._district.transaction():
            row = self._district.execute(
                "SELECT state, verdict FROM district.batch WHERE batch = %s AND state <> 'staging'",
                (self._batch,),
            ).fetchone()
        if row is None:
            return None
        ticket = self._ground.keeper.open_ticket("exchange.intake.authorised", self._batch)
        if ticket is not None:
            self._append(ticket, str(row[0]), row[1]["log"])
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
            self._district.execute(sql.SQL("TRUNCATE {}").format(self._staging))
            # This session's own: what the extract mentions is known to the run that promotes it, or to none.
            self._district.execute("CREATE TEMPORARY TABLE IF NOT EXISTS present (record bigint NOT NULL)")
            self._district.execute("TRUNCATE present")
            self._district.execute(
                "DELETE FROM district.quarantine WHERE batch IN"
                " (SELECT batch FROM district.batch WHERE dataset = %s AND state = 'staging')",
                (self._flow.dataset,),
            )
            self._district.execute(
                "DELETE FROM district.batch WHERE dataset = %s AND state = 'staging'", (self._flow.dataset,)
            )
            self._district.execute(
                "INSERT INTO district.batch (batch, dataset, sender, sequence, state, entry_index)"
                " VALUES (%s, %s, %s, %s, 'staging', %s)",
                (
                    self._batch,
                    self._flow.dataset,
                    self._manifest.sender,
                    self._manifest.sequence,
                    ticket.index,
                ),
            )

    # -- (c) ------------------------------------------------------------------------------------

    def _stage(self, ticket: Ticket) -> Verdict:
        uniques = [Uniqueness(rule) for rule in dataset_rules(self._suite)]
        repeated: list[list[Rows]] = [[] for _ in uniques]
        verdicts: list[Verdict] = []
        done = 0
        for chunk, batch in enumerate(read_extract(self._folder, self._manifest, self._contract)):
            table = batch.table
            verdict = validate(table, self._suite, self._contract, self._ground.home.policies.domains)
            verdicts.append(verdict)
            later = self._stage_batch(ticket, chunk, batch.first_row, table, verdict, uniques)
            for parts, rows in zip(repeated, later, strict=True):
                parts.append(rows + done)
            done += table.num_rows
            self._ground.progress(self._flow.dataset, done, self._manifest.records)
        overall = whole(verdicts, self._suite)
        for unique, parts in zip(uniques, repeated, strict=True):
            overall = overall.with_rule(unique.result(), np.concatenate(parts))
        return overall

    def _stage_batch(
        self,
        ticket: Ticket,
        chunk: int,
        first: int,
        table: pa.Table,
        verdict: Verdict,
        uniques: Sequence[Uniqueness],
    ) -> list[Rows]:
        """Seal one batch into the staging; returns, per uniqueness rule, the rows that repeat an identifier."""
        columns: Columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        district = self._flow.receivers[0]
        communities = {d.code for d in self._ground.home.policies.domains.below(district, "community")}
        homes = sorted(communities.intersection(columns[self._contract.home_field].unique().to_pylist()))
        keys = gate.borrow(self._ground.keeper, ticket, chunk, self._contract, homes, self._epoch)
        linked = gate.linked(keys, self._contract, columns)
        bad: dict[int, tuple[str, ...]] = dict(verdict.quarantine)
        later = []
        for unique in uniques:
            rows = unique.later(_listed(linked.links[unique.field]), bad)
            later.append(rows)
            for row in rows.tolist():
                bad[row] = (*bad.get(row, ()), unique.expectation.rule)
        good = np.setdiff1d(np.arange(table.num_rows), np.fromiter(bad, np.int64, len(bad)))
        with self._district.transaction():
            self._quarantine(keys, first, columns, bad)
            if len(good):
                self._stage_good(ticket, chunk, keys, first, good, columns, linked)
            self._note_present(linked, columns)
        self._ground.pause(f"intake:batch:{chunk}")
        return later

    def _quarantine(
        self, keys: Keyring, first: int, columns: Columns, bad: Mapping[int, tuple[str, ...]]
    ) -> None:
        rows = pa.table(dict(columns)).take(pa.array(bad, pa.int64())).to_pylist()
        with self._district.cursor().copy(
            "COPY district.quarantine (batch, row, rules, sealed) FROM STDIN"
        ) as copy:
            for (place, rules), cells in zip(bad.items(), rows, strict=True):
                source = json.dumps(cells, ensure_ascii=False).encode()
                number = first + place
                sealed = gate.seal_quarantined(keys, self._contract, self._epoch, self._batch, number, source)
                copy.write_row((self._batch, number, list(rules), sealed))
        self._quarantined += len(bad)

    def _stage_good(
        self,
        ticket: Ticket,
        chunk: int,
        keys: Keyring,
        first: int,
        good: Rows,
        columns: Columns,
        linked: gate.Linked,
    ) -> None:
        """Seal the changed ones among the good rows as their next version; unchanged ones stay as they are."""
        key = self._contract.primary_key.name
        records = subjects.records(self._district, self._contract.dataset, linked.links[key][good])
        last, same = self._current(records, linked.marks[good])
        self._good += len(good)
        self._unchanged += int(same.sum())
        rows, records, last = good[~same], records[~same], last[~same]
        if not len(rows):
            return
        picked: Columns = {name: cells.take(pa.array(rows)) for name, cells in columns.items()}
        # What the department has not changed stays as it was corrected; its mark stays the department's own.
        picked = standing.keep(
            self._district, self._ground.keeper, ticket, chunk, self._contract, self._batch, records, picked
        )
        versions = (last + 1).astype(np.int32)
        homes = picked[self._contract.home_field]
        cells = gate.seal_rows(
            keys, self._contract, self._epoch, gate.Places(homes, records, versions), picked
        )
        staged = {
            "batch": pa.repeat(self._batch, len(rows)),
            "row": pa.array((first + rows).astype(np.int32)),
            "record": pa.array(records),
            "version": pa.array(versions),
            "home": homes,
            "epoch": pa.repeat(pa.scalar(self._epoch, pa.int32()), len(rows)),
            "mark": as_bytes(linked.marks[rows]),
            "subjects": self._subjects(linked, columns, rows),
            **{f"link_{name}": as_bytes(links[rows]) for name, links in linked.links.items()},
            **cells,
        }
        copy_in(self._district, self._staging, staged)

    def _current(self, records: Rows, marks: NDArray[np.uint8]) -> tuple[Rows, NDArray[np.bool_]]:
        """Each record's last version, 0 for a new one, and whether its current content has this mark."""
        wanted = sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS wanted (record bigint NOT NULL)")
        self._district.execute(wanted)
        self._district.execute("TRUNCATE wanted")
        copy_in(self._district, sql.Identifier("wanted"), {"record": pa.array(np.unique(records))})
        self._district.execute("ANALYZE wanted")
        query = sql.SQL(
            "SELECT DISTINCT ON (record) record, version, CASE WHEN batch_out IS NULL THEN mark END"
            " FROM wanted JOIN {} USING (record) ORDER BY record, version DESC"
        ).format(self._versions)
        types = {"record": pa.int64(), "version": pa.int32(), "mark": pa.large_binary()}
        found = pa.Table.from_batches(
            list(copy_out(self._district, query, types)), pa.schema(list(types.items()))
        )
        last = np.zeros(len(records), np.int64)
        same = np.zeros(len(records), np.bool_)
        if found.num_rows:
            known = found.column("record").to_numpy()
            place = np.searchsorted(known, records).clip(max=len(known) - 1)
            hit = known[place] == records
            last[hit] = found.column("version").to_numpy()[place[hit]]
            ended = found.column("mark").is_null().to_numpy()
            current = as_matrix(pc.fill_null(found.column("mark").combine_chunks(), bytes(16)))
            same[hit] = ~ended[place[hit]] & (current[place[hit]] == marks[hit]).all(axis=1)
        return last, same

    def _subjects(self, linked: gate.Linked, columns: Columns, rows: Rows) -> pa.Array:
        """The ordinals of each row's subjects, as lists; a subject field that is absent names nobody."""
        shape = (len(rows), len(self._contract.subjects))
        about, named = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        for n, subject in enumerate(self._contract.subjects):
            here = columns[subject.field].is_valid().to_numpy(zero_copy_only=False)[rows]
            named[:, n] = here
            if here.any():
                links = linked.links[subject.field][rows[here]]
                about[here, n] = subjects.ordinals(self._district, subject.kind, links)
        offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(named.sum(axis=1))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(about[named]))

    def _note_present(self, linked: gate.Linked, columns: Columns) -> None:
        """Every record the extract mentions is present, quarantined or not: a faulty row withdraws nobody."""
        key = self._contract.primary_key.name
        mentioned = columns[key].is_valid().to_numpy(zero_copy_only=False)
        _, found = subjects.known_records(
            self._district, self._contract.dataset, linked.links[key][mentioned]
        )
        copy_in(self._district, sql.Identifier("present"), {"record": pa.array(found)})

    # -- (d), (e) -------------------------------------------------------------------------------

    def _promote(self, verdict: Verdict) -> dict[str, Any]:
        """The one transaction with effect."""
        versions, staging = self._versions, self._staging
        with self._district.transaction():
            execute = self._district.execute
            execute(
                sql.SQL(
                    "UPDATE {} v SET batch_out = %s FROM {} s WHERE v.record = s.record AND v.batch_out IS NULL"
                ).format(versions, staging),
                (self._batch,),
            )
            withdrawn = 0
            if self._manifest.mode == "full":
                withdrawn = execute(
                    sql.SQL(
                        "UPDATE {} SET batch_out = %s WHERE batch_out IS NULL AND batch_in <> %s"
                        " AND NOT EXISTS (SELECT 1 FROM present WHERE present.record = {}.record)"
                    ).format(versions, versions),
                    (self._batch, self._batch),
                ).rowcount
            names = [name for name in self._columns if name not in ("batch", "row")]
            listed = sql.SQL(", ").join(map(sql.Identifier, names))
            execute(
                sql.SQL("INSERT INTO {} (batch_in, {}) SELECT batch, {} FROM {}").format(
                    versions, listed, listed, staging
                )
            )
            execute(sql.SQL("TRUNCATE {}").format(staging))
            standing.end(self._district, self._contract, self._batch)
            told = {
                "good": self._good,
                "quarantined": self._quarantined,
                "unchanged": self._unchanged,
                "withdrawn": withdrawn,
                "rules": _counts(verdict, "error"),
                "warnings": _counts(verdict, "warning"),
            }
            self._settle("promoted", verdict, told)
        self._district.execute(sql.SQL("ANALYZE {}").format(versions))
        return told

    def _refuse(self, ticket: Ticket, verdict: Verdict) -> BatchOutcome:
        """A batch rule failed: nothing of it is promoted; its quarantine stays, sealed, for the steward."""
        told = {"reason": "quality.batch.failed", "rules": _counts(verdict, "error")}
        with self._district.transaction():
            self._district.execute(sql.SQL("TRUNCATE {}").format(self._staging))
            self._settle("refused", verdict, told)
        self._append(ticket, "refused", told)
        return BatchOutcome(self._batch, self._manifest.sequence, "refused", rules=told["rules"])  # type: ignore[arg-type]

    def _forget(self, ticket: Ticket, reason: str) -> None:
        """The extract itself is faulty: nothing of it is kept, so that a mended one may come in its place."""
        with self._district.transaction():
            self._district.execute(sql.SQL("TRUNCATE {}").format(self._staging))
            self._district.execute("DELETE FROM district.quarantine WHERE batch = %s", (self._batch,))
            self._district.execute("DELETE FROM district.batch WHERE batch = %s", (self._batch,))
        self._append(ticket, "refused", {"reason": reason, "rules": {}})

    def _settle(self, state: str, verdict: Verdict, told: Mapping[str, Any]) -> None:
        self._district.execute(
            "UPDATE district.batch SET state = %s, verdict = %s, settled_at = now() WHERE batch = %s",
            (state, json.dumps({"log": told, "quality": verdict.as_json()}, ensure_ascii=False), self._batch),
        )

    def _append(self, ticket: Ticket, state: str, told: Mapping[str, Any]) -> None:
        self._ground.keeper.append(
            {
                "event": f"exchange.intake.{state}",
                "once": f"exchange.intake.{state}/{ticket.index}",
                "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                "detail": dict(told),
            }
        )

    @property
    def _columns(self) -> list[str]:
        return [column.name for column in district_tables(self._contract)[1].columns]


def _listed(links: NDArray[np.uint8]) -> list[bytes]:
    """Each 16-byte row as bytes."""
    listed: list[bytes] = np.ascontiguousarray(links).view("V16").ravel().tolist()
    return listed


def _counts(verdict: Verdict, severity: str) -> dict[str, int]:
    return {r.rule: r.failed_count for r in verdict.rules if r.severity == severity and not r.passed}

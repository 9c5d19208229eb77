"""One worker's part of an intake: judge its records, then seal them into the staging. Plaintext stays in here.

``judge`` reads the part, runs the suite and answers with what names no one: the verdict, the links, the content marks.
Whoever has those of all parts decides what no part can know alone (which repeats an earlier record, which is new,
which has changed) and answers with an ``Order``; ``stage`` obeys it. Rows are numbered from 0 within the part.

A loan is for one batch when records are judged, and for the home communities of some ten thousand records when they
are sealed: many rows a key, and no key for longer than it is used.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.catalog import Contract, Suite
from huanshu.exchange.chutes import Chute, giving
from huanshu.exchange.corrections import standing
from huanshu.exchange.extract import Part
from huanshu.exchange.ground import Ground
from huanshu.exchange.repeats import coded, together, whole
from huanshu.exchange.versions import Put, Versions
from huanshu.exchange.workers import Report
from huanshu.exchange.written import Lists, RowDigests
from huanshu.gate import intake as gate
from huanshu.keeper.tickets import Ticket
from huanshu.keeper.vouched import bound_columns
from huanshu.quality import Verdict, validate
from huanshu.quality import whole as whole_verdict
from huanshu.sealing import Keyring
from huanshu.store.images import FIELD_COUNT, Image, lists, numbers

Numbers = NDArray[np.int64]

#: Records sealed against one loan, at least; the last home's all belong to it.
_SEALED_AT_ONCE = 32_768


@dataclass(slots=True)
class Stages:
    """Where the time goes: stage → seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add({stage: time.perf_counter() - begun})

    def add(self, seconds: Mapping[str, float]) -> None:
        for stage, more in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + more


@dataclass(frozen=True, slots=True)
class Judged:
    """What a part turned out to be, in row order."""

    verdict: Verdict
    links: Mapping[str, NDArray[np.uint8]]  # by identifier field, [n, 16]
    given: Mapping[str, NDArray[np.bool_]]  # by identifier field: is there one?
    marks: NDArray[np.uint8]  # [n, 16]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with a part: which rows to seal, as which versions of which records; which to quarantine, and why."""

    rows: Numbers
    records: Numbers
    versions: Numbers
    #: By subject of the contract: the ordinal of each of ``rows``; 0 for nobody.
    subjects: tuple[Numbers, ...]
    quarantine: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Staged:
    """What a worker has staged: the seconds of its every stage, and its rows' digests by home."""

    seconds: Mapping[str, float]
    written: Lists


@dataclass(frozen=True, slots=True)
class Task:
    """What all workers of one intake share."""

    ground: Ground
    contract: Contract
    suite: Suite
    ticket: Ticket
    batch: str
    epoch: int
    workers: int
    #: Of the store's links; nobody changes it while the intake's lock is held.
    generation: int = 1
    #: One a worker, down to the process that loads; none where a single worker loads its rows itself.
    chutes: Sequence[Chute] = ()


class Staging:
    """Worker ``number`` (from 0) over one part."""

    def __init__(self, task: Task, part: Part, number: int, report: Report) -> None:
        self._task, self._part, self._report = task, part, report
        if task.workers > 1:  # in a process of its own, where nothing came from another pool before
            # The others give pages back between two stretches and take them anew: half as long again as the reading.
            pa.set_memory_pool(pa.system_memory_pool())
        self._contract = task.contract
        self._chute = giving(task.chutes, number) if task.chutes else None
        # Connections of its own: those of the process it was forked from are that one's.
        self._keeper = task.ground.keeper.another()
        self._loan = number
        self._first_row = 1
        self._table: pa.Table
        self._judged: Judged
        self._keys: Keyring
        self._stages = Stages()

    def judge(self) -> Judged:
        """Read and judge every record. Raises InputError ``extract.*``."""
        tables: list[pa.Table] = []
        verdicts: list[Verdict] = []
        linked: list[gate.Linked] = []
        batches = self._part.batches(self._task.ground.batch)
        while True:
            with self._stages.of("read"):
                batch = next(batches, None)
                if batch is None:
                    break
                table, first_row = coded(batch.table), batch.first_row
                del batch
            if not tables:
                self._first_row = first_row
            with self._stages.of("quality"):
                verdicts.append(
                    validate(table, self._task.suite, self._contract, self._task.ground.home.policies.domains)
                )
            self._keys = gate.borrow_marks(
                self._keeper,
                self._task.ticket,
                self._next_loan(),
                self._contract,
                self._task.epoch,
                self._task.generation,
            )
            with self._stages.of("links"):
                columns = {name: whole(table.column(name)) for name in table.column_names}
                linked.append(gate.linked(self._keys, self._contract, columns, self._task.generation))
            tables.append(table)
            self._report(table.num_rows)
            del table
        self._part.release()
        self._table = together(tables)
        fields = [f.name for f in self._contract.fields if f.link_kind]
        self._judged = Judged(
            whole_verdict(verdicts, self._task.suite),
            {name: np.concatenate([part.links[name] for part in linked]) for name in fields},
            {name: _given(self._table, name) for name in fields},
            np.concatenate([part.marks for part in linked]),
        )
        return self._judged

    def stage(self, order: Order) -> Staged:
        """Write what is ordered."""
        written: dict[str, bytes] = {}
        with self._filling() as put, self._task.ground.district() as district:
            with self._stages.of("quarantine"), district.transaction():
                self._quarantine(district, order.quarantine)
            for number, chunk in enumerate(self._chunks(order)):
                with self._stages.of("borrow"):
                    keys = gate.borrow_homes(
                        self._keeper, self._task.ticket, self._next_loan(), self._contract, chunk.homes,
                        self._task.epoch,
                    )  # fmt: skip
                with self._stages.of("seal"), district.transaction():
                    image = self._sealed(district, keys, order, chunk)
                with self._stages.of("copy in"):
                    digests = RowDigests()
                    for rows in _noted(image, digests):
                        put(rows)
                # A home's rows all lie in one chunk.
                written |= digests.lists(
                    chunk.homes, chunk.starts, order.records[chunk.places], order.versions[chunk.places]
                )
                self._task.ground.pause(f"intake:batch:{number}")
                self._report(len(chunk.places))
        return Staged(self._stages.seconds, written)

    @contextmanager
    def _filling(self) -> Iterator[Put]:
        """Where the rows go."""
        if self._chute is not None:
            yield self._chute.put
            self._chute.end()
            return
        names = bound_columns(self._contract)
        with (
            self._task.ground.district() as district,
            Versions(self._contract).filling(district, names) as put,
        ):
            yield put

    def _next_loan(self) -> int:
        """Loans are numbered through all workers."""
        self._loan += self._task.workers
        return self._loan - self._task.workers

    def _quarantine(self, district: psycopg.Connection, bad: Mapping[int, tuple[str, ...]]) -> None:
        rows = self._table.take(pa.array(bad, pa.int64())).to_pylist()
        key = self._contract.primary_key.name
        links, given = self._judged.links[key], self._judged.given[key]
        with district.cursor().copy(
            "COPY district.quarantine (batch, row, rules, sealed, link, epoch) FROM STDIN"
        ) as copy:
            for (place, rules), cells in zip(bad.items(), rows, strict=True):
                source = json.dumps(cells, ensure_ascii=False).encode()
                row, task = self._first_row + place, self._task
                sealed = gate.seal_quarantined(
                    self._keys, self._contract, task.epoch, task.batch, row, source
                )
                link = links[place].tobytes() if given[place] else None
                copy.write_row((task.batch, row, list(rules), sealed, link, task.epoch))

    def _chunks(self, order: Order) -> Iterator[_Chunk]:
        """The ordered rows by home community, the rows of some homes at a time."""
        homes = whole(self._table.column(self._contract.home_field)).take(pa.array(order.rows))
        coded = homes.dictionary_encode()
        codes = coded.indices.to_numpy()
        counts = np.bincount(codes, minlength=len(coded.dictionary))
        rank = np.argsort(coded.dictionary.to_pylist()) if len(counts) else np.empty(0, np.int64)
        named = [(str(coded.dictionary[n]), int(counts[n])) for n in rank.tolist() if counts[n]]
        # Small numbers are sorted by counting them.
        places = np.argsort(
            np.argsort(rank)[codes].astype(np.uint16 if len(rank) < 1 << 16 else np.int64), kind="stable"
        )
        first, starts = 0, [0]
        homes_here: list[str] = []
        for name, count in named:
            homes_here.append(name)
            starts.append(starts[-1] + count)
            if starts[-1] >= _SEALED_AT_ONCE or name == named[-1][0]:
                yield _Chunk(homes_here, starts, places[first : first + starts[-1]])
                first, starts, homes_here = first + starts[-1], [0], []

    def _sealed(self, district: psycopg.Connection, keys: Keyring, order: Order, chunk: _Chunk) -> Image:
        """The staging's rows."""
        task, contract, rows = self._task, self._contract, order.rows[chunk.places]
        picked = pa.array(rows)
        columns = {name: whole(self._table.column(name)).take(picked) for name in self._table.column_names}
        records = order.records[chunk.places]
        # What the department has not changed stays as it was corrected; its mark stays the department's own.
        columns = standing.keep(
            district, self._keeper, task.ticket, self._loan, contract, task.batch, records, columns
        )
        versions = order.versions[chunk.places].astype(np.int32)
        links = {f"link_{name}": np.take(links, rows, axis=0) for name, links in self._judged.links.items()}
        about = lists([ordinals[chunk.places] for ordinals in order.subjects], len(rows))
        bound = {
            "record": numbers(records, 8),
            "version": numbers(versions, 4),
            "batch_in": np.frombuffer(task.batch.encode(), np.uint8),
            "epoch": numbers(np.array(task.epoch), 4),
            "mark": np.take(self._judged.marks, rows, axis=0),
            **links,
        }
        cell_widths = gate.cell_widths(contract, keys)
        widths = {name: cells.shape[-1] for name, cells in bound.items()} | cell_widths
        plain = {f.name: columns[f.name] for f in contract.fields if not f.sealed}
        text = {"home": columns[contract.home_field], **plain, "subjects": about}
        image = Image(len(rows), widths, text)
        assert image.names == bound_columns(contract)  # a row's digest covers them in this order
        for name, cells in bound.items():
            image.fill(name, cells)
        sealed = {name: image.cells(name) for name in cell_widths}
        places = gate.Places(chunk.homes, chunk.starts, records, versions)
        gate.seal_rows(keys, contract, task.epoch, places, columns, sealed)
        return image


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some homes, where each one's rows begin, and the places of these rows in the order."""

    homes: list[str]
    starts: list[int]
    places: Numbers


def _noted(image: Image, digests: RowDigests) -> Iterator[memoryview]:
    """The image's rows for a COPY, each noted as it goes."""
    for rows, offsets in image.parts():
        digests.add(rows, offsets[:-1] + FIELD_COUNT, offsets[1:])
        yield rows


def _given(table: pa.Table, name: str) -> NDArray[np.bool_]:
    given: NDArray[np.bool_] = table.column(name).is_valid().to_numpy()
    return given

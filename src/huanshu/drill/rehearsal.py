"""A flow rehearsed: the dataset's samples through intake and delivery in a throw-away district, and what came of it.

The range is made from a copy of the home with the patch of ``huanshu flow plan`` applied, so that a flow can be
rehearsed before its policies are written. Passing samples are taken in and delivered; the samples that fail a
record's or the dataset's rule are taken in together, to be quarantined; those that fail a rule over the whole
extract are judged one by one, because one of them would refuse the others.

Values are shown: samples hold invented people. They are opened with the range's own throw-away root key, which no
real value was ever sealed under. No store, log or key of a real deployment is touched, and nothing stays.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from huanshu.authoring.proposal import complete
from huanshu.authoring.scratch import Scratch, scratch_of
from huanshu.catalog import Contract, Expectation, Flow, Home, Rung, Suite, read_home
from huanshu.catalog.flows import FOLDER, flow_files
from huanshu.catalog.folder import Folder
from huanshu.drill.range import Range
from huanshu.errors import ContentError, Text, Where
from huanshu.exchange.due import homes_of
from huanshu.exchange.runs import run_delivery
from huanshu.exchange.tables import delivered_fields, receiver_schema, stored_plain
from huanshu.keeper.vault import Vault, load_root
from huanshu.quality.samples import judged, sample
from huanshu.sealing import CellContext
from huanshu.sealing.cells import open_column
from huanshu.sealing.keys import data_key
from huanshu.store import connect

#: Records shown of each receiver.
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one receiver would hold: how many records, and of the first few each field's value at its rung."""

    flow: str
    receiver: str
    name: Text
    records: int
    #: Field → (rung, values). A token is shown as such: it is bytes, and says nothing.
    fields: dict[str, tuple[str, tuple[str | None, ...]]]


@dataclass(frozen=True, slots=True)
class RuleTried:
    """What became of a rule's failing sample: rows quarantined or warned of, or the whole extract refused."""

    rule: str
    scope: str
    severity: str
    caught: bool
    rows: int


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything that was seen. ``patch`` is what the home lacked and the range was given."""

    flows: tuple[str, ...]
    patch: str
    good: int
    arrived: tuple[Arrived, ...]
    idle_receivers: int
    rules: tuple[RuleTried, ...]
    quarantined: int
    entries: dict[str, int]


def rehearse(home: Path, name: str, at: datetime) -> Rehearsal:
    """Rehearse one flow; an intake with all deliveries of its dataset. ContentError for what cannot be rehearsed."""
    with scratch_of(home) as scratch:
        intake, deliveries = _prepared(scratch, name, at)
        patch = scratch.patch()
        batch_rules = _without_batch_rules(scratch, intake.dataset)
        with Range(scratch.path, blank=False) as range_:  # one range: nothing to copy, nothing left behind
            range_.take_in(intake.flow)
            arrived = [found for delivery in deliveries for found in _delivered(range_, delivery)]
            good = sum(len(range_.due_records(intake.dataset, code)) for code in range_.homes(intake.dataset))
            quarantined, rules = _failing(range_, intake)
            entries = Counter(entry.event for entry in range_.entries())
            return Rehearsal(
                flows=(intake.flow, *(delivery.flow for delivery in deliveries)),
                patch=patch,
                good=good,
                arrived=tuple(arrived),
                idle_receivers=sum(len(delivery.receivers) for delivery in deliveries) - len(arrived),
                rules=(*rules, *_judged_alone(read_home(scratch.path), intake.dataset, batch_rules)),
                quarantined=quarantined,
                entries=dict(sorted(entries.items())),
            )


# -- the range's home -----------------------------------------------------------------------------------


def _prepared(scratch: Scratch, name: str, at: datetime) -> tuple[Flow, list[Flow]]:
    """(the intake, the deliveries), with the home complete for them and every other flow taken away."""
    home = complete(scratch, name, at)
    dataset = home.flows[name].dataset
    ours = [flow for flow in home.flows.values() if flow.dataset == dataset]
    intakes = [flow for flow in ours if flow.kind == "intake"]
    if not intakes:
        raise ContentError(
            "rehearsal.intake.none",
            Text(f"no intake brings {dataset} in", f"没有报送 {dataset} 的流向"),
            remedy=Text(
                f"huanshu flow new {dataset} --from {home.contracts[dataset].domain} --to"
                f" {home.policies.domains.district.code}",
                f"huanshu flow new {dataset} --from {home.contracts[dataset].domain} --to"
                f" {home.policies.domains.district.code}",
            ),
            where=Where(FOLDER),
        )
    deliveries = [f for f in ours if f.kind == "delivery" and (f.flow == name or name == intakes[0].flow)]
    chosen = {intakes[0].flow, *(flow.flow for flow in deliveries)}
    for flow in chosen:
        complete(scratch, flow, at)
    for file in flow_files(Folder(scratch.path)):
        if Path(file).stem not in chosen:
            (scratch.path / file).unlink()
    _one_server(scratch)
    return intakes[0], deliveries


def _one_server(scratch: Scratch) -> None:
    """Every slice in the district's own server: where stores lie is not what is rehearsed."""
    lines = []
    for line in scratch.text("policies/domains.csv").splitlines():
        comment = line.startswith(("#", "code,")) or not line.strip()
        lines.append(line if comment else line.rpartition(",")[0] + ",")
    (scratch.path / "policies/domains.csv").write_text("\n".join(lines) + "\n", "utf-8")


def _without_batch_rules(scratch: Scratch, dataset: str) -> tuple[Expectation, ...]:
    """Take the rules over whole extracts out of the range's suite; returns them."""
    suite = read_home(scratch.path).suites[dataset]
    taken = tuple(rule for rule in suite.expectations if rule.scope == "batch")
    kept = [rule for rule in suite.expectations if rule.scope != "batch"]
    if taken and kept:
        document = {"dataset": dataset, "expectations": [_written(rule) for rule in kept]}
        (scratch.path / suite.where.file).write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return taken


def _written(rule: Expectation) -> dict[str, object]:
    meta = {"rule": rule.rule, "scope": rule.scope, "severity": rule.severity, "title": rule.title._asdict()}
    return {"type": rule.type, "kwargs": dict(rule.kwargs), "meta": meta}


# -- what arrived ---------------------------------------------------------------------------------------


def _delivered(range_: Range, flow: Flow) -> Iterator[Arrived]:
    """Deliver to every receiver that a sample record belongs to, and look."""
    running = range_.acting()
    contract, taken = running.home.contracts[flow.dataset], set(range_.homes(flow.dataset))
    served = [code for code in flow.receivers if taken.intersection(homes_of(running.home, code))]
    run_delivery(running.ground(), flow.flow, "rehearsal", served)
    with connect(running.deployment.roles["huanshu_keeper"]) as keys:
        vault = Vault(load_root(range_.settings.keeper_folder / "root.key"), keys)
        for code in served:
            yield Arrived(
                flow.flow,
                code,
                running.home.policies.domains[code].name,
                len(range_.slice_records(flow.dataset, code)),
                _fields(range_, vault, contract, flow, code),
            )


def _fields(
    range_: Range, vault: Vault, contract: Contract, flow: Flow, code: str
) -> dict[str, tuple[str, tuple[str | None, ...]]]:
    fields = delivered_fields(contract, flow)
    names = ", ".join(f'"{field.name}"' for field in fields)
    query = (
        f"SELECT record, version, epoch, {names} FROM {receiver_schema(code)}.{flow.dataset}"
        f" ORDER BY record LIMIT {SHOWN}"
    )
    with range_.acting().receiver(code) as store:
        rows = store.execute(query.encode()).fetchall()
    found: dict[str, tuple[str, tuple[str | None, ...]]] = {}
    for place, field in enumerate(fields, 3):
        rung = flow.fields[field.name]
        cells = [row[place] for row in rows]
        if rung is Rung.MATCH:
            values: list[str | None] = ["(token)"] * len(cells)
        elif stored_plain(field, rung):
            values = cells
        else:
            values = [
                _opened(vault, CellContext(code, flow.dataset, field.name, rung.word, row[2]), row, cell)
                for row, cell in zip(rows, cells, strict=True)
            ]
        found[field.name] = (rung.word, tuple(values))
    return found


def _opened(vault: Vault, context: CellContext, row: tuple[int, int, int], cell: bytes) -> str | None:
    key = vault.key(data_key(context.domain, context.dataset, context.field, context.epoch), born=False)
    return open_column(key, context, [row[0]], [row[1]], [cell])[0]


# -- what failed ----------------------------------------------------------------------------------------


def _failing(range_: Range, intake: Flow) -> tuple[int, list[RuleTried]]:
    """All failing samples of record and dataset rules as one more extract: (rows quarantined, rule by rule)."""
    home = range_.acting().home
    suite = home.suites[intake.dataset]
    content = _together(home, suite)
    if content is None:
        return 0, []
    (batch,) = range_.take_in(intake.flow, 2, content, mode="changes").batches[-1:]
    told = next(
        e.body["detail"] for e in reversed(range_.entries()) if e.event.startswith("exchange.intake.")
    )
    rows = {**told["rules"], **told.get("warnings", {})}
    return batch.quarantined, [
        RuleTried(rule.rule, rule.scope, rule.severity, rule.rule in rows, rows.get(rule.rule, 0))
        for rule in suite.expectations
    ]


def _together(home: Home, suite: Suite) -> bytes | None:
    """The failing samples' rows under one header; None when there is no sample."""
    folder = Folder(Path(home.path))
    place = f"expectations/{suite.dataset}/samples"
    present = set(folder.names(place))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([field.name for field in home.contracts[suite.dataset].fields])
    rows = 0
    for rule in suite.expectations:
        if (name := f"failing.{rule.rule}.csv") in present:
            for row in list(csv.reader(folder.text(f"{place}/{name}").splitlines()))[1:]:
                writer.writerow(row)
                rows += 1
    return written.getvalue().encode() if rows else None


def _judged_alone(home: Home, dataset: str, rules: tuple[Expectation, ...]) -> Iterator[RuleTried]:
    """Each rule over whole extracts against its own sample; a failure refuses the extract."""
    folder, contract = Folder(Path(home.path)), home.contracts[dataset]
    for rule in rules:
        name = f"failing.{rule.rule}.csv"
        if name not in folder.names(f"expectations/{dataset}/samples"):
            continue
        frame = sample(folder, f"expectations/{dataset}/samples/{name}", contract)
        suite = replace(home.suites[dataset], expectations=(rule,))
        verdict = judged(frame, suite, contract, home.policies.domains)
        failed = any(result.rule == rule.rule for result in verdict.rules if not result.passed)
        yield RuleTried(rule.rule, rule.scope, rule.severity, failed, frame.num_rows)

"""Making a workbook: a gate access like any other, in the name of the person who asks.

Order of effects: (a) the slice's ciphertext is read and counted; (b) entry ``access.workbook.authorised`` with fields,
rungs, records and the subjects' bitmap; (c) the platform opens, the spreadsheet is made in memory; (d) the district
notes which versions it shows. A crash after (b) leaves an access in the log that nobody had.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg import sql
from pyroaring import BitMap

from huanshu.catalog import Contract, Flow, Rung
from huanshu.errors import DeniedError, InputError, Text
from huanshu.exchange.corrections import books
from huanshu.exchange.corrections.books import Correction
from huanshu.exchange.corrections.rights import Rights, contract_of, domain_of
from huanshu.exchange.formulas import shown
from huanshu.exchange.ground import Ground
from huanshu.exchange.tables import delivered_fields, exists, receiver_tables
from huanshu.exchange.workbooks import writing
from huanshu.exchange.workbooks.shape import MAX_ROWS, Shape
from huanshu.gate.workbooks import Lines, opened
from huanshu.keeper.corrections import correctable
from huanshu.keeper.tickets import Ticket

_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Issued:
    """A workbook that was made (``content`` never prints), or would be: then without content and entry."""

    workbook: str
    domain: str
    dataset: str
    sequence: int
    rows: int
    fields: Mapping[str, str]
    proposable: tuple[str, ...]
    answers: int
    entry_index: int | None
    content: bytes = field(repr=False)


def issue(
    ground: Ground,
    dataset: str,
    post: str,
    *,
    changes: bool = False,
    language: str = "zh",
    dry_run: bool = False,
    neutral: Callable[[str], str] = shown,
) -> Issued:
    """The slice of the post's own domain — or only what its workbooks have not shown yet — as a workbook."""
    contract = contract_of(ground, dataset)
    domain = domain_of(ground, post)
    flow = _flow(ground, dataset, domain)
    rights = Rights(ground, contract, post, domain)
    with books.opened(ground) as district:
        lines = _slice(ground, district, contract, flow, domain, changes=changes)
        upkeep = rights.purpose([f.name for f in contract.fields if correctable(contract, f.name)], "propose")
        proposable = {
            f.name
            for f in contract.fields
            if upkeep and correctable(contract, f.name) and rights.allows(f.name, "propose", upkeep)
        }
        asked = _asked(contract, flow, rights)
        if not asked:
            raise DeniedError(
                "access.workbook.nothing",
                Text("this post may see no field of the slice", "该岗位不能查看切片中的任何字段"),
                remedy=Text("see: huanshu access explain", "参见：huanshu access explain"),
            )
        columns = [f.name for f in contract.fields if f.name in asked or f.name in proposable]
        fields = {name: asked[name].word if name in asked else "" for name in columns}
        last = _last(district, dataset, domain)
        answers = _answers(district, dataset, domain)
        shape = Shape(
            workbook=secrets.token_hex(8),
            dataset=dataset,
            domain=domain,
            sequence=last + 1,
            contract=contract.digest,
            purpose=flow.purpose,
            recipient=str(ground.keeper.status()["person"] or ""),
            issued=ground.clock().isoformat(timespec="seconds"),
            fields=fields,
        )
        told = (shape.workbook, domain, dataset, shape.sequence, len(lines.record), fields)
        if dry_run:
            return Issued(*told, tuple(sorted(proposable)), len(answers), None, b"")
        ticket = _authorise(ground, district, contract, post, shape, lines, asked)
        content = _made(
            ground, ticket, contract, shape, lines, asked, frozenset(proposable), answers, language, neutral
        )
        _note(district, shape, post, ticket, lines, changes=changes)
    return Issued(*told, tuple(sorted(proposable)), len(answers), ticket.index, content)


def _flow(ground: Ground, dataset: str, domain: str) -> Flow:
    for flow in ground.home.flows.values():
        if flow.kind == "delivery" and flow.dataset == dataset and domain in flow.receivers:
            return flow
    raise InputError(
        "correction.workbook.no_slice",
        Text(f"no flow gives {dataset} to {domain}", f"没有流向把 {dataset} 交付给 {domain}"),
        remedy=Text("see: huanshu flow list", "参见：huanshu flow list"),
    )


def _asked(contract: Contract, flow: Flow, rights: Rights) -> dict[str, Rung]:
    """Each delivered field at the lower of what the slice holds and what the post may see for the flow's purpose."""
    asked = {}
    for f in delivered_fields(contract, flow):
        may = rights.rung(f.name, flow.purpose)
        if may is not None and flow.fields[f.name] in (Rung.MASK, Rung.REVEAL):
            asked[f.name] = min(may, flow.fields[f.name])
    return asked


def _slice(
    ground: Ground,
    district: psycopg.Connection,
    contract: Contract,
    flow: Flow,
    domain: str,
    *,
    changes: bool,
) -> Lines:
    """What the community holds, as ciphertext."""
    names = [f.name for f in delivered_fields(contract, flow)]
    seen: dict[int, int] = {}
    if changes:
        seen = dict(
            district.execute(
                "SELECT record, version FROM district.workbook_shown WHERE dataset = %s AND domain = %s",
                (contract.dataset, domain),
            ).fetchall()
        )
    with ground.receiver(domain) as store:
        table = receiver_tables(contract, flow, domain).slice
        query = sql.SQL("SELECT record, version, epoch, {} FROM {} ORDER BY record").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), table
        )
        # Before the first delivery there is no slice.
        held = store.execute(query) if exists(store, table) else ()
        rows = [row for row in held if seen.get(row[0]) != row[1]]
    if len(rows) > MAX_ROWS:
        raise InputError(
            "correction.workbook.oversize",
            Text(f"the slice has more than {MAX_ROWS} records", f"切片超过 {MAX_ROWS} 条记录"),
            remedy=Text("ask for the changes only", "请只导出变更部分"),
        )
    columns = list(zip(*rows, strict=True)) or [()] * (3 + len(names))
    cells = dict(zip(names, columns[3:], strict=True))
    return Lines(domain, columns[0], columns[1], columns[2], flow.fields, cells)


def _last(district: psycopg.Connection, dataset: str, domain: str) -> int:
    row = district.execute(
        "SELECT coalesce(max(sequence), 0) FROM district.workbook WHERE dataset = %s AND domain = %s",
        (dataset, domain),
    ).fetchone()
    return int(row[0]) if row else 0


def _answers(district: psycopg.Connection, dataset: str, domain: str) -> list[Correction]:
    """Open ones, and all that was judged or answered since the last workbook was made."""
    row = district.execute(
        "SELECT max(issued_at) FROM district.workbook WHERE dataset = %s AND domain = %s", (dataset, domain)
    ).fetchone()
    since = row[0] if row else None
    judged: dict[str, datetime | None] = dict(
        district.execute(
            "SELECT batch, judged_at FROM district.correction_batch WHERE dataset = %s AND sender = %s",
            (dataset, domain),
        ).fetchall()
    )
    found = []
    for c in books.find(district, dataset=dataset, home=domain):
        when = c.answered_at or judged[c.batch]
        if c.is_open or since is None or (when is not None and when >= since):
            found.append(c)
    return found


def _authorise(
    ground: Ground,
    district: psycopg.Connection,
    contract: Contract,
    post: str,
    shape: Shape,
    lines: Lines,
    asked: Mapping[str, Rung],
) -> Ticket:
    subjects = BitMap(
        s for now in books.places(district, contract, lines.record).values() for s in now.subjects
    )
    return ground.keeper.append(
        {
            "event": "access.workbook.authorised",
            "policy": ground.home.policies.digest,
            "post": post,
            "domain": shape.domain,
            "dataset": shape.dataset,
            "purpose": shape.purpose,
            "fields": {name: rung.word for name, rung in asked.items()},
            "subjects": len(subjects),
            "detail": {
                "workbook": shape.workbook,
                "sequence": shape.sequence,
                "records": len(lines.record),
            },
        },
        subjects.serialize(),
    )


def _made(
    ground: Ground,
    ticket: Ticket,
    contract: Contract,
    shape: Shape,
    lines: Lines,
    asked: Mapping[str, Rung],
    proposable: frozenset[str],
    answers: list[Correction],
    language: str,
    neutral: Callable[[str], str],
) -> bytes:
    rows = list(zip(lines.record, lines.version, strict=True))
    values: dict[str, list[str | None]] = {name: [] for name in shape.fields}
    platform = ground.keeper.acting_as(None)
    try:
        for chunk, first in enumerate(range(0, len(rows), _CHUNK)):
            part = slice(first, first + _CHUNK)
            here = Lines(
                lines.domain, lines.record[part], lines.version[part], lines.epoch[part], lines.rungs,
                {name: lines.cells[name][part] for name in asked},
            )  # fmt: skip
            plain = opened(platform, ticket, chunk, contract, here, asked)
            for name in shape.fields:
                values[name] += plain.get(name, [None] * len(here.record))
        mark = platform.mark(ticket, shape.bound(rows))
    finally:
        platform.close()
    suite, domains = ground.home.suites[contract.dataset], ground.home.policies.domains
    found = {name: writing.choices(suite, domains, name) for name in shape.fields if name in proposable}
    lists = {name: values_ for name, values_ in found.items() if values_}
    content = writing.Content(shape, mark, contract.title, rows, values, proposable, lists, answers)
    return writing.write(content, contract, language, neutral)


def _note(
    district: psycopg.Connection,
    shape: Shape,
    post: str,
    ticket: Ticket,
    lines: Lines,
    *,
    changes: bool,
) -> None:
    with district.transaction():
        district.execute(
            "INSERT INTO district.workbook (workbook, dataset, domain, sequence, contract, rows, person, post,"
            " purpose, entry_index) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                shape.workbook, shape.dataset, shape.domain, shape.sequence, shape.contract, len(lines.record),
                shape.recipient, post, shape.purpose, ticket.index,
            ),
        )  # fmt: skip
        if not changes:
            district.execute(
                "DELETE FROM district.workbook_shown WHERE dataset = %s AND domain = %s",
                (shape.dataset, shape.domain),
            )
        district.execute(
            "INSERT INTO district.workbook_shown (dataset, domain, record, version)"
            " SELECT %s, %s, * FROM unnest(%s::bigint[], %s::int[])"
            " ON CONFLICT (dataset, domain, record) DO UPDATE SET version = excluded.version",
            (shape.dataset, shape.domain, list(lines.record), list(lines.version)),
        )

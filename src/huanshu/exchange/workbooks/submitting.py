"""A workbook comes back: each changed cell becomes one correction, whatever becomes of the cell beside it.

What was changed is found by comparing with the district's own record at the version the row shows — never with
anything the file says. The file names rows and versions; that they are the ones given out is what its mark proves.
"""

from __future__ import annotations

import hashlib

import psycopg

from huanshu.catalog import Contract, Rung
from huanshu.errors import InputError
from huanshu.exchange.corrections import books
from huanshu.exchange.corrections.message import MAX_CHANGES, MAX_REFERENCE, Wanted
from huanshu.exchange.corrections.origin import ALTERED, FOREIGN, hold, last_sequence, told
from huanshu.exchange.corrections.proposing import Batch, Receipt, Source, judged_now, let_in, receipt
from huanshu.exchange.corrections.rights import contract_of, domain_of, require_held
from huanshu.exchange.formulas import meant, shown
from huanshu.exchange.ground import Ground
from huanshu.exchange.workbooks.reading import Row, Upload, read
from huanshu.exchange.workbooks.shape import Shape, no_workbook
from huanshu.gate import workbooks as gate
from huanshu.gate.workbooks import Lines, Pending
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import mask

_CHUNK = 4_096


def submit(ground: Ground, raw: bytes, post: str) -> Receipt:
    """Take in an uploaded workbook, in the person and post that submit. The same file again changes nothing.

    InputError when it is no workbook, too large, another community's or altered (held with a finding then)."""
    name = hashlib.sha256(raw).hexdigest()
    domain = domain_of(ground, post)
    with books.opened(ground) as district:
        known = receipt(district, name, domain)
        if known is not None:
            require_held(ground, post)
            return known
        upload = read(raw)
        contract = contract_of(ground, upload.shape.dataset)
        batch = Batch(name, "workbook", upload.shape.sequence, post, domain, contract)
        try:
            _require_ours(ground, district, upload, contract, domain)
        except InputError as error:
            if error.code in (FOREIGN, ALTERED):
                hold(ground, batch.held, error)
            raise
        turn = last_sequence(district, contract.dataset, domain, "workbook") + 1
        batch = Batch(name, "workbook", turn, post, domain, contract)
        platform = ground.keeper.acting_as(None)
        try:
            source = Source(
                fields=list(upload.shape.fields),
                records={row.record for row in upload.rows},
                changes=lambda ticket: _changes(platform, ticket, district, contract, upload),
                compared=[name for name, word in upload.shape.fields.items() if word],
            )
            let_in(ground, district, batch, source)
        finally:
            platform.close()
    return judged_now(ground, name, domain)


def _require_ours(
    ground: Ground, district: psycopg.Connection, upload: Upload, contract: Contract, domain: str
) -> None:
    """Given out here, to this community, and its hidden part as it was."""
    shape = upload.shape
    row = district.execute(
        "SELECT domain, dataset, sequence, contract FROM district.workbook WHERE workbook = %s",
        (shape.workbook,),
    ).fetchone()
    if row is None or shape.domain != domain or row[0] != domain:
        raise told(FOREIGN)
    bound = shape.bound((r.record, r.version) for r in upload.rows)
    known = set(shape.fields) <= {f.name for f in contract.fields}
    if not known or row[1:] != (shape.dataset, shape.sequence, shape.contract):
        raise told(ALTERED)
    if not ground.keeper.marked(domain, contract.dataset, bound, upload.mark):
        raise told(ALTERED)


def _changes(
    platform: Keeper, ticket: Ticket, district: psycopg.Connection, contract: Contract, upload: Upload
) -> list[Wanted]:
    shape = upload.shape
    asked = {name: rung for name in shape.fields if (rung := shape.rung(name)) is not None}
    wanted: list[Wanted] = []
    for chunk, first in enumerate(range(0, len(upload.rows), _CHUNK)):
        rows = upload.rows[first : first + _CHUNK]
        given = books.versions(
            district, contract, shape.domain, {(r.record, r.version) for r in rows}, sorted(asked)
        )
        here = [row for row in rows if (row.record, row.version) in given]
        found = [given[row.record, row.version] for row in here]
        lines = Lines(
            shape.domain,
            [row.record for row in here],
            [row.version for row in here],
            [version.epoch for version in found],
            dict.fromkeys(asked, Rung.REVEAL),
            {name: [version.cells[name] for version in found] for name in asked},
        )
        values = gate.opened(platform, ticket, chunk, contract, lines, dict.fromkeys(asked, Rung.REVEAL))
        for place, row in enumerate(here):
            before = {name: values[name][place] for name in asked}
            wanted += _of_row(row, shape, contract, before)
        if len(wanted) > MAX_CHANGES:
            raise no_workbook()
    waiting = [
        Pending(c.correction, c.record, c.field, c.base, c.epoch, c.value)
        for c in books.find(district, dataset=contract.dataset, home=shape.domain, states=("received", "proposed"))
        if c.value is not None and c.field in shape.fields
    ]  # fmt: skip
    named = {w.field for w in wanted}
    known = gate.proposed(
        platform, ticket, len(upload.rows) // _CHUNK + 1, contract, shape.domain,
        [p for p in waiting if p.name in named],
    )  # fmt: skip
    return [w for w in wanted if w.refused or w.value not in known.get((w.record, w.field), ())]


def _of_row(row: Row, shape: Shape, contract: Contract, before: dict[str, str | None]) -> list[Wanted]:
    wanted = []
    reference = row.evidence.strip()[:MAX_REFERENCE] or shape.workbook
    for name, cell in zip(shape.fields, row.cells, strict=True):
        rung = shape.rung(name)
        value = before.get(name)
        if rung is Rung.MASK:
            value = mask(contract.field(name).mask or "all", value)
        given = "" if value is None or rung is None else value
        if cell.refused is None:
            if cell.text in (given, shown(given)):
                continue
            if not cell.text and rung is not Rung.REVEAL:
                continue  # an emptied mask says nothing about the value behind it
        text = meant(cell.text) or None
        wanted.append(
            Wanted(row.record, name, row.version, text, "workbook", reference, refused=cell.refused)
        )
    return wanted

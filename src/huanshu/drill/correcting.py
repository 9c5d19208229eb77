"""Attacks on the communities' way back: a batch out of turn or of another's, and formulas in a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import openpyxl

from huanshu.assembly.sandbox import enrol_community, sign_corrections
from huanshu.drill.careless import BelievesEverySender, leaves_formulas
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import HuanshuError, InputError, Text
from huanshu.exchange.corrections import Origin, propose
from huanshu.exchange.formulas import DANGEROUS, meant
from huanshu.exchange.ground import Ground
from huanshu.exchange.workbooks import issue, submit
from huanshu.exchange.workbooks.shape import HEAD, REGISTER

_HELD = ("correction.sequence.replayed", "correction.sequence.gap", "correction.origin.foreign")


def correction_out_of_turn(home: Path, drill: Drill) -> list[Arm]:
    """A used number with other content, a number ahead, a neighbour's name over the own signature."""
    actors = drill.actors
    mine, theirs, dataset = actors["domain"], actors["victim"], actors["dataset"]
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        signer = enrol_community(range_.settings, mine)
        enrol_community(range_.settings, theirs)
        due = range_.due_records(dataset, mine)
        if not due:
            raise AssertionError(f"the range holds no record for {mine}")
        record, version = due[0]

        def batch(sequence: int, sender: str = mine) -> bytes:
            evidence = {"kind": "visit", "reference": "drill"}
            change = {"record": record, "field": actors["field"], "base": version, "value": actors["value"]}
            return sign_corrections(signer, sender, dataset, sequence, [{**change, "evidence": evidence}])

        def attempt(raw: bytes, origin: Callable[[Ground], Origin] = Origin) -> HuanshuError | None:
            try:
                propose(range_.acting(actors["person"]).ground(), raw, actors["post"], origin)
            except HuanshuError as error:
                return error
            return None

        twin = Arm(
            TWIN,
            attempt(batch(1)) is None and attempt(batch(2)) is None and _kept(range_) == 2,
            Text("the community's own batches are let in, one after another", "本社区批次按序接收"),
        )
        size, loans, kept = len(range_.acts()), range_.loans(), _kept(range_)
        attacks = (batch(1), batch(9), batch(3, theirs))
        codes = [error.code for raw in attacks if isinstance(error := attempt(raw), InputError)]
        events = [entry.event for entry in range_.acts()[size:]]
        stopped = (
            tuple(codes) == _HELD
            and events == ["correction.batch.held", "finding.case.opened"] * 3
            and (_kept(range_), range_.loans()) == (kept, loans)
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "all three are held, each with an entry and a finding; nothing was kept or opened",
                "三种攻击均被扣留，各有日志与发现；未留存、未开启任何内容",
            )
            if stopped
            else Text(f"not stopped as it must be: {codes} {events}", f"未按要求阻止：{codes} {events}"),
        )
        with range_.administrator() as administrator:  # the table's own rule is a second defence
            administrator.execute(
                "ALTER TABLE district.correction_batch"
                " DROP CONSTRAINT correction_batch_dataset_sender_channel_sequence_key"
            )
        got_in = [attempt(raw, BelievesEverySender) is None for raw in attacks]
        control = Arm(
            CONTROL,
            all(got_in) and _kept(range_) == kept + 3,
            Text("without the judge of origins all three are let in", "撤去来源核对则三种攻击均被接收"),
        )
    return [attack, control, twin]


def workbook_formula(home: Path, drill: Drill) -> list[Arm]:
    """A register holds text that a spreadsheet computes; and an upload brings a formula."""
    actors = drill.actors
    with Range(home) as range_:
        planted = _planted(range_, actors)
        range_.take_in(actors["intake"], content=planted[0])
        range_.deliver(actors["delivery"])
        ground = range_.acting(actors["person"]).ground()
        made = issue(ground, actors["dataset"], actors["post"], language="en")
        book = openpyxl.load_workbook(io.BytesIO(made.content))
        sheet = book[REGISTER]
        column = list(made.fields).index(actors["field"]) + 3
        texts = [str(cell.value) for (cell,) in sheet.iter_rows(HEAD + 1, None, column, column) if cell.value]
        formulas = [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
        harmless = not formulas and not any(text.startswith(DANGEROUS) for text in texts)
        unchanged = {meant(text) for text in texts} >= set(planted[1])
        sheet.cell(HEAD + 1, column).value = "=1+1"
        raw = io.BytesIO()
        book.save(raw)
        receipt = submit(ground, raw.getvalue(), actors["post"])
        refused = [c.reason for c in receipt.corrections] == ["correction.value.formula"]
        stopped = harmless and unchanged and refused and len(planted[1]) > 0
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"{len(planted[1])} planted texts come out as text, unchanged inside; a formula coming in is refused",
                f"植入的 {len(planted[1])} 段文本均以文本导出且内容不变；上传的公式被拒",
            )
            if stopped
            else Text(f"harmless {harmless}, unchanged {unchanged}, refused {refused}", "未按要求阻止"),
        )
        again = issue(ground, actors["dataset"], actors["post"], language="en")
        twin = Arm(
            TWIN,
            submit(ground, again.content, actors["post"]).corrections == (),
            Text(
                "the workbook comes back as it went out: nothing is changed", "原样交回的工作簿没有任何改动"
            ),
        )
        careless = issue(ground, actors["dataset"], actors["post"], language="en", neutral=leaves_formulas)
        cells = [
            c
            for row in openpyxl.load_workbook(io.BytesIO(careless.content))[REGISTER].iter_rows()
            for c in row
        ]
        control = Arm(
            CONTROL,
            any(cell.data_type == "f" for cell in cells),
            Text(
                "without it the spreadsheet computes what was planted", "不作处理则电子表格会执行植入的公式"
            ),
        )
    return [attack, control, twin]


def _kept(range_: Range) -> int:
    with range_.acting().district() as district:
        row = district.execute("SELECT count(*) FROM district.correction_batch").fetchone()
    return int(row[0]) if row else 0


def _planted(range_: Range, actors: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """The dataset's sample with dangerous text in one field of the community's records, and those texts."""
    sample = range_.settings.home / "expectations" / actors["dataset"] / "samples" / "passing.csv"
    rows = list(csv.DictReader(io.StringIO(sample.read_text())))
    contract = range_.acting().home.contracts[actors["dataset"]]
    ours = [row for row in rows if row[contract.home_field] == actors["domain"]]
    texts = []
    for row, text in zip(ours, actors["texts"], strict=False):
        row[actors["field"]] = text
        texts.append(text)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(), texts


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "correction_out_of_turn": correction_out_of_turn,
    "workbook_formula": workbook_formula,
}

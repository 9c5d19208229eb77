"""Workbooks end to end: out through the gate, edited with openpyxl as a clerk would, back in cell by cell."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from huanshu.assembly import Running
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError
from huanshu.exchange.corrections import accept, refuse
from huanshu.exchange.corrections.books import find
from huanshu.exchange.workbooks import Issued, issue, submit
from huanshu.exchange.workbooks.reading import MAX_BYTES
from huanshu.exchange.workbooks.shape import ANSWERS, HEAD, HIDDEN, REGISTER

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
A, B = "990101001001", "990101001002"
CLERK, STEWARD, THEIRS = (
    ("p.tang", "yulan.data_clerk"),
    ("p.he", "psb.steward"),
    ("p.luo", "wangjiang.data_clerk"),
)


class Place:
    def __init__(self, made: Range) -> None:
        self.range = made
        self._running: dict[str | None, Running] = {}
        made.take_in(INTAKE)
        made.deliver(DELIVERY)

    def ground(self, person: str | None) -> Any:
        if person not in self._running:
            self._running[person] = self.range.acting(person)
        return self._running[person].ground()

    def issue(self, **how: Any) -> Issued:
        return issue(self.ground(CLERK[0]), "resident", CLERK[1], language="en", **how)

    def submit(self, raw: bytes, by: tuple[str, str] = CLERK) -> Any:
        return submit(self.ground(by[0]), raw, by[1])

    def corrections(self) -> int:
        with self.range.acting().district() as district:
            return len(find(district))


class Book:
    """A workbook in a clerk's hands."""

    def __init__(self, raw: bytes) -> None:
        self.book = openpyxl.load_workbook(io.BytesIO(raw))
        self.sheet: Worksheet = self.book[REGISTER]
        names = ["record", "version", *json.loads(str(self.book[HIDDEN]["A1"].value))["fields"], "evidence"]
        self.columns = {name: n for n, name in enumerate(names, 1)}
        self.rows = range(HEAD + 1, self.sheet.max_row + 1)

    def cell(self, row: int, name: str) -> Any:
        return self.sheet.cell(row, self.columns[name])

    def saved(self) -> bytes:
        raw = io.BytesIO()
        self.book.save(raw)
        return raw.getvalue()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Range(ROOT) as made:
        yield Place(made)


def test_making_one_is_a_logged_access_and_shows_each_field_at_its_rung(place: Place) -> None:
    size = len(place.range.acts())
    made = place.issue()
    (entry,) = place.range.acts()[size:]
    assert entry.event == "access.workbook.authorised"
    assert (entry.body["person"], entry.body["how"], entry.body["purpose"]) == (
        CLERK[0],
        "viewed",
        "grassroots_service",
    )
    assert entry.body["fields"]["citizen_number"] == "mask"
    assert entry.body["fields"]["birth_date"] == "mask"  # the slice holds it whole, this clerk sees the year
    assert "care_status" not in entry.body["fields"]
    assert entry.body["subjects"]["count"] == entry.body["detail"]["records"] == made.rows > 2
    book = Book(made.content)
    first = book.rows[0]
    assert book.cell(first, "citizen_number").value.count("*") == 8
    assert book.cell(first, "birth_date").value.endswith("-**-**")
    assert {book.cell(row, "name").data_type for row in book.rows} == {"s"}
    assert book.cell(first, "phone").protection.locked is False
    assert book.cell(first, "name").protection.locked is True
    assert book.sheet.protection.sheet
    assert book.sheet.column_dimensions["A"].hidden
    assert book.book[HIDDEN].sheet_state == "veryHidden"
    column = book.sheet.cell(HEAD + 1, book.columns["education"]).column_letter
    rules = book.sheet.data_validations.dataValidation
    (choice,) = [v for v in rules if str(v.sqref).startswith(f"{column}{HEAD + 1}")]
    sheet, _, area = str(choice.formula1).partition("!")
    offered = [str(cell.value) for (cell,) in book.book[sheet][area.replace("$", "")]]
    assert offered[:3] == ["10", "20", "30"]  # the suite's own values
    assert CLERK[0] in str(book.sheet.oddHeader.center.text)
    assert made.workbook in str(book.sheet.cell(1, 3).value)
    assert place.range.verify().problems == []


def test_a_dry_run_opens_and_logs_nothing(place: Place) -> None:
    size, loans = len(place.range.acts()), place.range.loans()
    made = place.issue(dry_run=True)
    assert (made.content, made.entry_index) == (b"", None)
    assert made.rows > 2
    assert "phone" in made.proposable
    assert (len(place.range.acts()), place.range.loans()) == (size, loans)


def test_twelve_edits(place: Place) -> None:
    """Nine good ones, a bad check digit, a formula, a stale base; the same file again; from another community."""
    made = place.issue()
    # Meanwhile one telephone number is corrected: the workbook's base for it is stale.
    book = Book(place.issue().content)
    a, b, c, d = list(book.rows)[:4]
    book.cell(a, "phone").value = "13700000001"
    first = place.submit(book.saved())
    assert first.count("proposed") == 1
    accept(place.ground(STEWARD[0]), first.corrections[0].correction, STEWARD[1])

    book = Book(made.content)
    book.cell(a, "phone").value = "13700000009"  # stale
    for n, row in enumerate((b, c, d)):
        book.cell(row, "phone").value = f"1370000001{n}"
        book.cell(row, "residence_address").value = f"清禾区玉兰社区新路{n + 1}号"
        book.cell(row, "education").value = 90  # a number: its digits
    book.cell(a, "citizen_number").value = "990101197104042231"  # a bad check digit, in a locked column
    book.cell(a, "residence_address").value = "=1+1"
    book.cell(b, "evidence").value = "入户登记第7页"
    raw = book.saved()
    receipt = place.submit(raw)
    told = {(x.record, x.field): (x.state, x.reason) for x in receipt.corrections}
    assert len(told) == 12, told
    assert [receipt.count(state) for state in ("proposed", "refused", "conflict")] == [9, 2, 1], told
    reasons = {x.field: x.reason for x in receipt.corrections if x.state != "proposed"}
    assert reasons == {
        "citizen_number": "correction.field.fixed",
        "residence_address": "correction.value.formula",
        "phone": "correction.field.changed",
    }

    size, count = len(place.range.acts()), place.corrections()
    again = place.submit(raw)
    assert again.known
    assert again.corrections == receipt.corrections
    assert (len(place.range.acts()), place.corrections()) == (size, count)
    for by, error in ((THEIRS, InputError), ((THEIRS[0], CLERK[1]), DeniedError)):
        with pytest.raises(error):  # nobody else learns what became of it
            place.submit(raw, by)
    # Saved again by a program that writes other bytes: what waits already is not proposed twice.
    other = io.BytesIO()
    openpyxl.load_workbook(io.BytesIO(raw)).save(other)
    assert other.getvalue() != raw
    assert place.submit(other.getvalue()).count("proposed") == 0

    size = len(place.range.acts())
    with pytest.raises(InputError, match=r"correction\.origin\.foreign"):
        place.submit(Book(made.content).saved(), THEIRS)
    assert [e.event for e in place.range.acts()[size:]] == ["correction.batch.held", "finding.case.opened"]
    assert place.corrections() >= count

    # Answered in the next workbook, and the corrected record is in it after the ordinary delivery.
    one = next(x for x in receipt.corrections if x.state == "proposed" and x.field == "phone")
    two = next(x for x in receipt.corrections if x.state == "proposed" and x.field == "education")
    accept(place.ground(STEWARD[0]), one.correction, STEWARD[1])
    holder = next(h.person for h in place.ground(None).home.policies.holdings if h.post == two.steward)
    refuse(place.ground(holder), two.correction, two.steward, "register_right")
    place.range.deliver(DELIVERY)
    following = Book(place.issue(changes=True).content)
    assert two.steward != one.steward  # the field's own authority answers
    answers = {row[0]: row for row in following.book[ANSWERS].iter_rows(min_row=2, values_only=True)}
    assert answers[one.correction][4] == "accepted"
    assert answers[two.correction][4:6] == ("refused", "the register is right")
    assert "the value would be taken for a formula" in {row[5] for row in answers.values()}
    shown = {following.cell(row, "record").value for row in following.rows}
    assert str(one.record) in shown
    assert len(shown) < made.rows
    assert Book(place.issue(changes=True).content).sheet.max_row == HEAD
    assert place.range.verify().problems == []


def test_a_changed_hidden_part_is_refused_whole(place: Place) -> None:
    made = place.issue()
    for spoil in (
        lambda book: setattr(book.cell(book.rows[0], "version"), "value", "77"),
        lambda book: setattr(book.cell(book.rows[0], "record"), "value", "1000000"),
        lambda book: book.sheet.delete_rows(book.rows[0]),
        lambda book: setattr(
            book.book[HIDDEN]["A1"], "value", str(book.book[HIDDEN]["A1"].value).replace('"mask"', '"reveal"')
        ),
        lambda book: setattr(book.book[HIDDEN]["A2"], "value", "00" * 16),
    ):
        book = Book(made.content)
        spoil(book)
        count = place.corrections()
        with pytest.raises(InputError, match=r"correction\.workbook\.altered"):
            place.submit(book.saved())
        assert place.corrections() == count


def test_an_emptied_mask_changes_nothing_and_an_emptied_value_does(place: Place) -> None:
    book = Book(place.issue().content)
    row = next(r for r in book.rows if book.cell(r, "education").value)
    book.cell(row, "citizen_number").value = None
    book.cell(row, "education").value = None
    (only,) = place.submit(book.saved()).corrections
    assert (only.field, only.state) == ("education", "proposed")


def test_nothing_changed_is_nothing_proposed(place: Place) -> None:
    receipt = place.submit(place.issue().content)
    assert receipt.corrections == ()
    assert receipt.judged


def test_who_may_not_see_gets_no_workbook(place: Place) -> None:
    with pytest.raises(DeniedError):
        issue(place.ground("p.he"), "resident", CLERK[1])
    with pytest.raises(InputError, match="no_slice"):
        issue(place.ground("p.he"), "resident", "psb.steward")


def bomb() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("xl/worksheets/sheet1.xml", b"0" * (300 * 1024 * 1024))
    return raw.getvalue()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "foreign"),
        (b"PK\x03\x04 no zip", "foreign"),
        (b"\0" * (MAX_BYTES + 1), "oversize"),
        (bomb(), "oversize"),
    ],
    ids=["empty", "no zip", "large", "bomb"],
)
def test_what_is_no_workbook_is_refused_early(place: Place, raw: bytes, code: str) -> None:
    size = len(place.range.acts())
    with pytest.raises(InputError, match=rf"correction\.workbook\.{code}"):
        place.submit(raw)
    assert len(place.range.acts()) == size


def test_a_foreign_spreadsheet_is_refused(place: Place) -> None:
    raw = io.BytesIO()
    book = openpyxl.Workbook()
    book.save(raw)
    with pytest.raises(InputError, match=r"correction\.workbook\.foreign"):
        place.submit(raw.getvalue())


_opened: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Every file that this process makes, by whatever call."""
    if event == "open" and _opened is not None and int(arguments[2] or 0) & os.O_CREAT:
        _opened.append(str(arguments[0]))


def test_two_megabytes_leave_no_file(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    global _opened  # an audit hook cannot be taken out again
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    book = Book(place.issue().content)
    book.cell(book.rows[0], "building_code").value = "B77"
    notes = book.book.create_sheet("notes")
    for row in range(1, 600):
        notes.cell(row, 1).value = os.urandom(3500).hex()
    raw = book.saved()
    assert len(raw) > 2 * 1024 * 1024
    sys.addaudithook(_watch)
    _opened = []
    try:
        with tempfile.NamedTemporaryFile() as seen:  # the watch sees what it should see
            assert seen.name in _opened
        _opened.clear()
        receipt = place.submit(raw)
        place.issue()
        # The keeper lives in this process here; its head and the published log are no plaintext.
        settings = place.range.settings
        made = [
            path
            for path in _opened
            if Path(path).parent != settings.keeper_folder and settings.log_folder not in Path(path).parents
        ]
    finally:
        _opened = None
    assert receipt.count("proposed") == 1
    assert made == []
    assert os.listdir(tmp_path) == []

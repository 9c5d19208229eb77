"""An uploaded workbook, from memory: bounded before it is unpacked, and never believed.

Size, number of parts, unpacked size, rows and columns have limits. A cell that is a formula, or no text, whole number
or date, spoils its own change and nothing else. One InputError for whatever the library raises, and none of its words:
they may quote cells.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import openpyxl

from huanshu.errors import InputError, Text
from huanshu.exchange.workbooks.shape import HEAD, HIDDEN, MAX_ROWS, REGISTER, Shape, no_workbook

MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_UNPACKED: Final = 256 * 1024 * 1024
_MAX_PARTS: Final = 64
_MAX_CELL: Final = 4_000
_EXACT: Final = 10**15

FORMULA: Final = "correction.value.formula"
NO_TEXT: Final = "correction.value.type"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text ("" when empty), or why it cannot be taken."""

    text: str = field(repr=False)
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One record's row: ``cells`` in the order of the shape's fields."""

    record: int
    version: int
    cells: tuple[Cell, ...] = field(repr=False)
    evidence: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """A workbook as it came back. ``mark``: what it claims to bear."""

    shape: Shape
    mark: bytes
    rows: tuple[Row, ...]


def read(raw: bytes) -> Upload:
    """Raises InputError ``correction.workbook.*``."""
    _require_harmless(raw)
    trouble: str
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, keep_links=False)
        try:
            return _upload(book)
        finally:
            book.close()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it raises may quote cells
        trouble = type(error).__name__
    # Outside the handler: nothing of the library's exception may hang on ours.
    raise _wrong(
        "unreadable", Text(f"this workbook cannot be read ({trouble})", f"无法读取该工作簿（{trouble}）")
    )


def _require_harmless(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise _wrong(
            "oversize", Text(f"the file is larger than {MAX_BYTES} bytes", f"文件超过 {MAX_BYTES} 字节")
        )
    try:
        parts = zipfile.ZipFile(io.BytesIO(raw)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        parts = []
    if not parts:
        raise no_workbook()
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise _wrong("oversize", Text("the file unpacks to too much", "文件解压后过大"))


def _upload(book: Any) -> Upload:
    if HIDDEN not in book.sheetnames or REGISTER not in book.sheetnames:
        raise no_workbook()
    said = [row[0].value for row in book[HIDDEN].iter_rows(max_row=2, max_col=1)]
    shape = Shape.of_text(said[0] if said else None)
    try:
        mark = bytes.fromhex(str(said[1]))
    except (IndexError, ValueError):
        raise no_workbook() from None
    return Upload(shape, mark, tuple(_rows(book[REGISTER], shape)))


def _rows(sheet: Any, shape: Shape) -> Iterator[Row]:
    sheet.reset_dimensions()  # what the file says of its size is not believed
    width = len(shape.fields) + 3
    for number, row in enumerate(sheet.iter_rows(min_row=HEAD + 1), 1):
        if number > MAX_ROWS:
            raise _wrong("oversize", Text(f"more than {MAX_ROWS} rows", f"超过 {MAX_ROWS} 行"))
        cells = [_spelt(cell) for cell in row[:width]]
        cells += [Cell("")] * (width - len(cells))
        if not any(cell.text or cell.refused for cell in cells):
            continue
        record, version = (_number(cell.text) for cell in cells[:2])
        yield Row(record, version, tuple(cells[2:-1]), cells[-1].text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        return 0  # no record has this number: the mark will not fit
    return int(text)


def _spelt(cell: Any) -> Cell:
    value, kind = cell.value, cell.data_type
    if value is None:
        return Cell("")
    if kind == "f":
        return Cell("", FORMULA)
    if isinstance(value, str) and kind != "e":
        return Cell(value) if len(value) <= _MAX_CELL and "\0" not in value else Cell("", NO_TEXT)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
        return Cell(str(int(value))) if abs(value) < _EXACT else Cell("", NO_TEXT)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return Cell(value.date().isoformat())
    return Cell("", NO_TEXT)


def _wrong(problem: str, what: Text) -> InputError:
    return InputError(
        f"correction.workbook.{problem}",
        what,
        remedy=Text("make a new one: huanshu workbook export", "请重新生成：huanshu workbook export"),
    )

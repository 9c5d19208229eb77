"""Parquet and XLSX extracts → a header and text columns: the cells as a CSV of the same rows would hold them.

Text stays as it is, a whole number becomes its digits, a date its ISO form; every other type is refused, for how it
would be spelt is the sender's to say. A spreadsheet's number of more than 15 digits is refused too: the program that
wrote it has already rounded it. One InputError ``extract.*`` for whatever the libraries raise, and none of their words:
they quote cells. An XLSX is opened in memory, without macros, links or entities, and never unpacked beyond
``MAX_UNPACKED``.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from openpyxl.utils import get_column_letter

from huanshu.errors import InputError, Text, Where

MAX_UNPACKED: Final = 1024**3
MAX_PARTS: Final = 1000
MAX_SHEET_ROWS: Final = 50_000
MAX_COLUMNS: Final = 256
_EXACT: Final = 10**15
_PIECE: Final = 65_536
_FOREIGN: Final = ("vbaproject", "externallinks/", "activex/", "embeddings/")


@dataclass(frozen=True, slots=True)
class Cells:
    """``columns[n]`` is ``large_string``, null where empty, under ``header[n]``; all of one length."""

    header: Sequence[str]
    columns: Sequence[pa.Array]


def read(raw: bytes, form: Literal["parquet", "xlsx"], file: str, max_cell: int) -> Cells:
    """The cells of one file's bytes. Raises InputError ``extract.*``."""
    if form == "xlsx":
        found = _xlsx(raw, file)
        return Cells(
            found.header, [_checked(column, n, file, max_cell, 0) for n, column in enumerate(found.columns)]
        )
    parquet = Parquet(raw, file, max_cell)
    pieces = list(parquet.pieces(range(len(parquet.groups)), 0))
    none = pa.array([], pa.large_string())
    columns = [pa.concat_arrays([none, *(piece[n] for piece in pieces)]) for n in range(len(parquet.header))]
    return Cells(parquet.header, columns)


def _checked(column: pa.Array, number: int, file: str, max_cell: int, above: int) -> pa.Array:
    """What a CSV may not hold, nothing may. Row *n* of the data stands on line *n* + 1; ``above`` rows came before."""
    for problem, pattern, what in (
        ("text.nul", "\\x00", Text("a cell holds a NUL character", "单元格含有空字符")),
        ("cell.break", "[\\r\\n]", Text("a cell holds a line break", "单元格内含换行")),
    ):
        bad = pc.index(pc.match_substring_regex(column, pattern), True).as_py()
        if bad >= 0:
            raise wrong(problem, what, file, above + bad + 2, _named(number))
    over = pc.index(pc.greater(pc.utf8_length(column), max_cell), True).as_py()
    if over >= 0:
        what = Text(f"a cell has more than {max_cell} characters", f"有单元格超过 {max_cell} 个字符")
        raise wrong("cell.oversize", what, file, above + over + 2, _named(number))
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)


def _named(number: int) -> str:
    return f"column {get_column_letter(number + 1)}"


# -- Parquet --------------------------------------------------------------------------------------------


class Parquet:
    """A Parquet file's bytes, read some ten thousand rows at a time. InputError ``extract.*`` for what is none."""

    def __init__(self, raw: bytes, file: str, max_cell: int) -> None:
        self._raw, self._file, self._max_cell = raw, file, max_cell
        try:
            found = self._opened()
            schema, groups = found.schema_arrow, found.metadata
            counts = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError):
            schema = None
        if schema is None:
            raise self._unreadable()
        if len(schema.names) > MAX_COLUMNS:
            raise _too_wide(file)
        for number, kind in enumerate(schema.types):
            _require_spelt(kind, number, file)
        self.header: Sequence[str] = schema.names
        #: Rows of each row group.
        self.groups: Sequence[int] = counts

    def pieces(self, groups: Sequence[int], above: int) -> Iterator[list[pa.Array]]:
        """The columns of these row groups, before which ``above`` rows come."""
        batches = self._opened().iter_batches(_PIECE, row_groups=list(groups), use_threads=False)
        end = above + sum(self.groups[group] for group in groups)
        while True:
            batch: pa.RecordBatch | None = None
            try:
                batch = next(batches, None)
                ended = batch is None and above == end  # as many rows as the file says it has
            except (pa.ArrowException, OSError, ValueError):
                ended = False
            if ended:
                return
            if batch is None:
                raise self._unreadable()
            texts = [_text(column, self._file) for column in batch.columns]
            yield [_checked(text, n, self._file, self._max_cell, above) for n, text in enumerate(texts)]
            above += batch.num_rows

    def _opened(self) -> pq.ParquetFile:
        return pq.ParquetFile(pa.BufferReader(self._raw))

    def _unreadable(self) -> InputError:
        what = Text("this is no Parquet file that can be read", "不是可读取的 Parquet 文件")
        return wrong("file.format", what, self._file)


def _require_spelt(type_: pa.DataType, number: int, file: str) -> None:
    kind = type_.value_type if pa.types.is_dictionary(type_) else type_
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_date32(kind)
        or pa.types.is_null(kind)
    ):
        what = Text(
            f"column {number + 1} holds neither text nor whole numbers nor dates",
            f"第 {number + 1} 列既非文本、整数，也非日期",
        )
        raise wrong("column.type", what, file)


def _text(column: pa.Array, file: str) -> pa.Array:
    try:
        made = column.cast(pa.large_string())
        made.validate(full=True)
    except pa.ArrowInvalid:
        made = None
    if made is None:
        raise wrong("text.encoding", Text("a column is not UTF-8", "有列不是 UTF-8 编码"), file)
    return made


# -- XLSX -----------------------------------------------------------------------------------------------


def _xlsx(raw: bytes, file: str) -> Cells:
    _require_harmless(raw, file)
    trouble: str
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, keep_links=False)
        sheets = [list(_rows(sheet, file)) for sheet in book.worksheets]
        book.close()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it raises may quote cells
        trouble = type(error).__name__
    else:
        filled = [rows for rows in sheets if rows]
        if len(filled) != 1:
            what = Text(
                f"{len(filled)} sheets have content, one must",
                f"有 {len(filled)} 个工作表含内容，应恰有 1 个",
            )
            raise wrong("sheet.count", what, file)
        return _columns(filled[0], file)
    # Outside the handler: nothing of the library's exception may hang on ours.
    what = Text(f"this is no XLSX file that can be read ({trouble})", f"不是可读取的 XLSX 文件（{trouble}）")
    raise wrong("file.format", what, file)


def _require_harmless(raw: bytes, file: str) -> None:
    try:
        parts = zipfile.ZipFile(io.BytesIO(raw)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        parts = []
    if not parts:
        raise wrong("file.format", Text("this is no XLSX file", "不是 XLSX 文件"), file)
    # The library stops at the declared size of a part, so the sum of these bounds what can be unpacked.
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise wrong("file.oversize", Text("the file unpacks to too much", "文件解压后过大"), file)
    if any(word in part.filename.lower() for part in parts for word in _FOREIGN):
        what = Text("the file holds macros, links or objects", "文件含有宏、外部链接或嵌入对象")
        raise wrong("file.active", what, file)


def _rows(sheet: Any, file: str) -> Iterator[list[str | None]]:
    """The sheet's rows as text, without the empty ones at its end."""
    sheet.reset_dimensions()  # what the file says of its size is not believed
    empty = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        if number > MAX_SHEET_ROWS + 1:
            what = Text(f"more than {MAX_SHEET_ROWS} rows", f"超过 {MAX_SHEET_ROWS} 行")
            raise wrong("sheet.oversize", what, file)
        if len(row) > MAX_COLUMNS:
            raise _too_wide(file)
        cells = [_spelt(cell, number, n, file) for n, cell in enumerate(row)]
        if not any(cells):
            empty += 1
            continue
        yield from ([] for _ in range(empty))
        empty = 0
        yield cells


def _spelt(cell: Any, row: int, column: int, file: str) -> str | None:
    value, kind = cell.value, cell.data_type
    if value is None:
        return None
    if kind == "f":
        raise wrong(
            "cell.formula", Text("a cell holds a formula", "单元格含有公式"), file, row, _named(column)
        )
    if isinstance(value, str) and kind != "e":
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
        if abs(value) < _EXACT:
            return str(int(value))
        what = Text(
            "a number has more than 15 digits, so the spreadsheet has rounded it",
            "数字超过 15 位，电子表格已将其舍入",
        )
        raise wrong("cell.rounded", what, file, row, _named(column))
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    what = Text("a cell is no text, whole number or date", "单元格既非文本、整数，也非日期")
    raise wrong("cell.type", what, file, row, _named(column))


def _columns(rows: Sequence[Sequence[str | None]], file: str) -> Cells:
    header = [cell or "" for cell in rows[0]]
    while header and not header[-1]:
        header.pop()
    for number, row in enumerate(rows[1:], 2):
        if any(row[len(header) :]):
            what = Text("a row has cells beyond the header", "该行有超出表头的单元格")
            raise wrong("row.ragged", what, file, number)
    columns = [
        pa.array([row[n] if n < len(row) else None for row in rows[1:]], pa.large_string())
        for n in range(len(header))
    ]
    return Cells(header, columns)


def _too_wide(file: str) -> InputError:
    what = Text(f"more than {MAX_COLUMNS} columns", f"超过 {MAX_COLUMNS} 列")
    return wrong("header.oversize", what, file, 1)


def wrong(
    problem: str, what: Text, file: str, line: int | None = None, field: str | None = None
) -> InputError:
    """``extract.<problem>`` at a line (or row) of the file; the file comes again as a whole."""
    return InputError(
        f"extract.{problem}",
        what,
        remedy=Text("correct the extract and send it with a new manifest", "请更正文件并重新生成清单报送"),
        where=Where(file, line, field),
    )

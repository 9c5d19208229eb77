"""CSV content files: a header, then one thing a line.

Strict on purpose: columns are exactly the known ones, no cell holds a line break or surrounding blanks, no
row comes twice. A line that starts with ``#`` is a comment; an empty line is nothing. Every row remembers
its line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from huanshu.catalog import words
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import MAX_SHEET, Folder
from huanshu.errors import ContentError, Text, Where

#: Characters of one line; a rule has about a hundred.
MAX_LINE: Final = 64 * 1024
_FORMULA: Final = ("=", "+", "-")
#: RFC 4180, 2.5–2.7: a cell is quoted as a whole, or holds no quotation mark. The library takes more.
_QUOTED: Final = re.compile(r' *+(?:"(?:[^"]|"")*+"|[^",]*+)(?:, *+(?:"(?:[^"]|"")*+"|[^",]*+))*+')


@dataclass(frozen=True, slots=True)
class Row:
    """One row: cells by column name, and where it stands."""

    file: str
    line: int
    cells: dict[str, str]

    def where(self, column: str | None = None) -> Where:
        return Where(self.file, self.line, column)

    def optional(self, column: str) -> str:
        """The cell as it stands, perhaps empty."""
        return self.cells[column]

    def text(self, column: str) -> str:
        """The cell, which must not be empty."""
        if not (cell := self.cells[column]):
            raise ContentError(
                "content.cell.empty",
                Text(f"column {column} is empty", f"{column} 列为空"),
                remedy=Text("fill it", "请填写"),
                where=self.where(column),
            )
        return cell

    def identifier(self, column: str) -> str:
        return words.identifier(self.text(column), self.where(column))

    def name(self, column: str) -> str:
        return words.name(self.text(column), self.where(column))

    def word(self, column: str, allowed: Collection[str]) -> str:
        return words.word(self.text(column), allowed, self.where(column))

    def day(self, column: str) -> date:
        return words.day(self.text(column), self.where(column))

    def period(self) -> tuple[date, date]:
        """``valid_from`` and ``valid_until``, both inclusive."""
        start, end = self.day("valid_from"), self.day("valid_until")
        words.period(start, end, self.where("valid_until"))
        return start, end

    def integer(self, column: str, low: int, high: int) -> int:
        return words.integer(self.text(column), self.where(column), low, high)


def well_quoted(line: str) -> bool:
    """Whether every quotation mark of a CSV line stands where one may."""
    return '"' not in line or _QUOTED.fullmatch(line) is not None


def lines(folder: Folder, file: str, *, blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is neither empty nor a comment.

    ``blanks`` allows a blank after a comma, as Casbin's own CSV files have it."""
    text = folder.text(file, MAX_SHEET)
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            raise ContentError(
                "content.cell.oversize",
                Text(f"the line has more than {MAX_LINE} characters", f"该行超过 {MAX_LINE} 个字符"),
                remedy=Text("shorten it", "请缩短"),
                where=Where(file, number),
            )
    kept = [
        (number, line.removesuffix("\r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader((line for _, line in kept), strict=True, skipinitialspace=blanks)
    read = 0
    try:
        for cells in reader:
            read += 1
            if reader.line_num != read:
                raise csv.Error
            if not well_quoted(kept[read - 1][1]):
                read -= 1
                raise csv.Error
            _plain(file, kept[read - 1][0], cells)
            yield kept[read - 1][0], cells
    except csv.Error:
        raise ContentError(
            "content.csv.malformed",
            Text("a quotation mark is not closed or stands in the wrong place", "引号未闭合或位置错误"),
            remedy=Text(
                "quote the whole cell, and double a quotation mark inside it", "整格加引号，格内引号写两个"
            ),
            where=Where(file, kept[min(read, len(kept) - 1)][0]),
        ) from None


def _plain(file: str, line: int, cells: Sequence[str]) -> None:
    """These files are opened in spreadsheets too: what such a program would reckon is refused."""
    for place, cell in enumerate(cells, 1):
        if cell.startswith(_FORMULA):
            raise ContentError(
                "content.cell.formula",
                Text(
                    f"cell {place} begins with {cell[0]}: a spreadsheet reckons it as a formula",
                    f"第 {place} 格以 {cell[0]} 开头，电子表格会当作公式计算",
                ),
                remedy=Text("write the value itself", "请填写值本身"),
                where=Where(file, line),
            )


def check_cells(file: str, line: int, columns: Sequence[str], cells: Sequence[str]) -> None:
    """Refuses a row of the wrong length, and blanks around a cell."""
    if len(cells) != len(columns):
        raise ContentError(
            "content.row.ragged",
            Text(
                f"the row has {len(cells)} cells instead of {len(columns)}",
                f"该行有 {len(cells)} 列，应为 {len(columns)} 列",
            ),
            remedy=Text(f"columns: {','.join(columns)}", f"各列为：{','.join(columns)}"),
            where=Where(file, line),
        )
    for column, cell in zip(columns, cells, strict=True):
        if cell != cell.strip():
            raise ContentError(
                "content.cell.blanks",
                Text(f"column {column} begins or ends with a blank", f"{column} 列首尾有空白"),
                remedy=Text("delete the blank", "请删除空白"),
                where=Where(file, line, column),
            )


def unique(seen: dict[tuple[str, ...], int], key: tuple[str, ...], where: Where) -> None:
    """Refuses a row whose key was seen before; ``seen`` maps keys to lines."""
    if (first := seen.setdefault(key, where.line or 0)) != where.line:
        raise ContentError(
            "content.row.duplicate",
            Text(f"this row repeats line {first}", f"与第 {first} 行重复"),
            remedy=Text("delete one of the two", "请删除其中一行"),
            where=where,
        )


def rows(
    folder: Folder, file: str, columns: Sequence[str], key: Sequence[str], faults: Faults
) -> Iterator[Row]:
    """The rows of a file with a header. ``key``: the columns that no two rows share.

    A bad row is noted in ``faults`` and left out; a bad header or file is raised."""
    source = lines(folder, file)
    first = next(source, None)
    if first is None:
        raise ContentError(
            "content.file.empty",
            Text("the file holds nothing but comments", "文件除注释外没有内容"),
            remedy=Text(f"columns: {','.join(columns)}", f"各列为：{','.join(columns)}"),
            where=Where(file),
        )
    header = first[1]
    _check_header(file, first[0], header, columns)
    seen: dict[tuple[str, ...], int] = {}
    for line, cells in source:
        row = None
        with faults.caught():
            check_cells(file, line, header, cells)
            row = Row(file, line, dict(zip(header, cells, strict=True)))
            unique(seen, tuple(row.cells[column] for column in key), row.where())
        if row is not None:
            yield row


def _check_header(file: str, line: int, header: Sequence[str], columns: Sequence[str]) -> None:
    for position, column in enumerate(header):
        if column in header[:position]:
            raise ContentError(
                "content.header.duplicate",
                Text(f"column {column} comes twice", f"{column} 列重复"),
                remedy=Text("delete one of the two", "请删除其中一列"),
                where=Where(file, line, column),
            )
        if column not in columns:
            raise ContentError(
                "content.header.unknown",
                Text(f"“{column}” is no column of this file", f"此文件没有“{column}”列"),
                remedy=words.hint(column, set(columns) - set(header)),
                where=Where(file, line, column),
            )
    for column in columns:
        if column not in header:
            raise ContentError(
                "content.header.missing",
                Text(f"column {column} is missing", f"缺少 {column} 列"),
                remedy=Text(f"columns: {','.join(columns)}", f"各列为：{','.join(columns)}"),
                where=Where(file, line, column),
            )

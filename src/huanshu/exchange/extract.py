"""A sender's extract → parts → batches of text columns, or one InputError and nothing kept.

The bytes are read once, compared with the manifest's digest, counted and checked as a whole before the first
batch is handed out. ``Extract.parts`` cuts them at line ends, so that several workers can read one part each; the
earliest part that raises holds the earliest line at fault.

Strict RFC 4180 with one narrowing: a record is one line. A line break inside a cell is refused, so that a missing
quotation mark is an error at its own line and never swallows the next record, and data row *n* always stands on line
*n* + 1. An empty cell is absent (null).

Parquet and XLSX have a header and cells too (``tabular``); what holds for a CSV's header, count and digest holds for
theirs.

No message quotes a cell, and none quotes a header cell that resembles no field: a file without a header
would show its first resident. Deliberately not here: the manifest's signature, whether values are right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from huanshu.catalog import Contract
from huanshu.catalog.words import hint, nearest
from huanshu.errors import InputError, Text, Where
from huanshu.exchange import tabular
from huanshu.exchange.cells import fast_cells
from huanshu.exchange.manifest import Dialect, Manifest, read_bytes
from huanshu.exchange.tabular import wrong

BATCH_RECORDS: Final = 250_000
MAX_EXTRACT: Final = 4 * 1024**3
#: Characters of one cell, and of one line: a register's cell is a few dozen.
MAX_CELL: Final = 64 * 1024
MAX_LINE: Final = 1024 * 1024

#: Bytes read at a time: what is made of them stays in the caches.
_STRETCH: Final = 4 * 1024 * 1024
_QUOTED: Final = re.compile(r'"([^"]*(?:""[^"]*)*)"')
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BOM: Final = "\ufeff"
#: Chinese text in GB18030 that is valid UTF-8 by accident is shorter than this.
_TELLING: Final = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records in file order. ``first_row`` is the 1-based data row of ``table``'s row 0."""

    first_row: int
    #: One ``large_string`` column per field of the contract, in its order; null where the cell is empty.
    table: pa.Table


class Part(Protocol):
    """Whole records that follow each other in an extract."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Its records in batches of ``size`` (the last is smaller). Raises InputError ``extract.*``."""
        ...

    def release(self) -> None:
        """Let go of the file's bytes in this process: they have been read, or another process reads them."""
        ...


class Extract(Protocol):
    """An extract whose bytes are in memory and whose header is right."""

    def parts(self, count: int) -> Sequence[Part]:
        """At most ``count`` parts of about equal size, at least one; together all of it, in order."""
        ...


def open_extract(folder: Path, manifest: Manifest, contract: Contract) -> Extract:
    """The extract of ``manifest`` in ``folder``. Raises InputError ``incoming.file.*`` and ``extract.*``."""
    if manifest.dataset != contract.dataset:
        raise ValueError("the manifest is of another dataset")
    raw = read_bytes(folder / manifest.file, MAX_EXTRACT)
    _require_digest(raw, manifest)
    fields = [field.name for field in contract.fields]
    if manifest.format == "xlsx":
        found = tabular.read(raw, manifest.format, manifest.file, MAX_CELL)
        order = _Header(manifest, contract).order(found.header)
        _require_count(len(found.columns[0]) if found.columns else 0, manifest)
        whole = pa.table({str(n): column for n, column in enumerate(found.columns)})
        return _Rows(_named([whole], order, fields))
    if manifest.format == "parquet":
        parquet = tabular.Parquet(raw, manifest.file, MAX_CELL)
        order = _Header(manifest, contract).order(parquet.header)
        _require_count(sum(parquet.groups), manifest)
        return _Groups([parquet], range(len(parquet.groups)), 1, order, fields)
    _Whole(raw, manifest).check()
    header, begins = _first_line(raw, manifest)
    order = _Header(manifest, contract).order(_cells(header, manifest.dialect, 1, manifest.file))
    return _Lines([raw], begins, len(raw), 2, manifest, order, fields)


def read_extract(
    folder: Path, manifest: Manifest, contract: Contract, *, batch_size: int = BATCH_RECORDS
) -> Iterator[Batch]:
    """The extract of ``manifest`` in ``folder``, in batches of ``batch_size`` records (the last is smaller).

    An extract of no records gives one empty batch, so that rules on the batch still see it. Raises InputError
    ``incoming.file.*`` and ``extract.*``, most of them before the first batch; a caller that gets one keeps
    nothing of what it was given before."""
    (part,) = open_extract(folder, manifest, contract).parts(1)
    return part.batches(batch_size)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A table that is in memory as a whole: an extract, and a part of one."""

    table: pa.Table
    first_row: int = 1

    def parts(self, count: int) -> Sequence[_Rows]:
        size = max(1, -(-self.table.num_rows // count))
        starts = range(0, max(1, self.table.num_rows), size)
        return [_Rows(self.table.slice(start, size), start + 1) for start in starts]

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, max(1, self.table.num_rows), size):
            yield Batch(self.first_row + start, self.table.slice(start, size).combine_chunks())

    def release(self) -> None:
        """A table has no bytes beside it."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a CSV from byte ``start`` to ``end``, which is a line's end: an extract, and a part of one."""

    held: list[bytes]  # the file's bytes; empty once released, for every part
    start: int
    end: int
    first_line: int
    manifest: Manifest
    order: Sequence[int]
    fields: Sequence[str]

    def parts(self, count: int) -> Sequence[_Lines]:
        """Cut at line ends: no character of UTF-8 or GB18030 holds the byte of a line feed."""
        found: list[_Lines] = []
        start, line = self.start, self.first_line
        (raw,) = self.held
        for place in range(1, count + 1):
            wanted = self.start + (self.end - self.start) * place // count
            end = (
                self.end if place == count else raw.find(b"\n", max(wanted, start), self.end) + 1 or self.end
            )
            if end > start or (place == count and not found):
                found.append(replace(self, start=start, end=end, first_line=line))
                line += raw.count(b"\n", start, end)
                start = end
        return found

    def batches(self, size: int) -> Iterator[Batch]:
        tables = map(self._read, self._stretches())
        return _cut(tables, self.first_line - 1, size, self.order, self.fields)

    def _stretches(self) -> Iterator[Stretch]:
        """Some whole lines at a time, decoded strictly."""
        start, line = self.start, self.first_line
        (raw,) = self.held
        while start < self.end:
            end = raw.find(b"\n", min(start + _STRETCH, self.end), self.end) + 1 or self.end
            piece = raw[start:end]
            if self.manifest.encoding != "utf-8" or not _is_utf8(piece):
                piece = _decoded(piece, self.manifest, line).encode()
            yield Stretch(line, piece)
            line += raw.count(b"\n", start, end)
            start = end

    def _read(self, stretch: Stretch) -> pa.Table:
        table = fast_cells(stretch.raw, self.manifest.dialect, len(self.fields), MAX_CELL)
        return _judged(stretch, self.manifest, len(self.fields)) if table is None else table

    def release(self) -> None:
        self.held.clear()


@dataclass(frozen=True, slots=True)
class _Groups:
    """Row groups of a Parquet file that follow each other: an extract, and a part of one."""

    held: list[tabular.Parquet]  # empty once released, for every part
    groups: Sequence[int]
    first_row: int
    order: Sequence[int]
    fields: Sequence[str]

    def parts(self, count: int) -> Sequence[_Groups]:
        """As even as row groups allow, which are read as a whole."""
        (parquet,) = self.held
        share = -(-sum(parquet.groups) // count)
        found: list[_Groups] = []
        mine: list[int] = []
        first = row = self.first_row
        for group in self.groups:
            mine.append(group)
            row += parquet.groups[group]
            if row - first >= share and len(found) < count - 1:
                found.append(replace(self, groups=mine, first_row=first))
                mine, first = [], row
        return [*found, replace(self, groups=mine, first_row=first)] if mine or not found else found

    def batches(self, size: int) -> Iterator[Batch]:
        (parquet,) = self.held
        tables = (
            pa.table({str(n): column for n, column in enumerate(columns)})
            for columns in parquet.pieces(self.groups, self.first_row - 1)
        )
        return _cut(tables, self.first_row, size, self.order, self.fields)

    def release(self) -> None:
        self.held.clear()


def _cut(
    tables: Iterator[pa.Table], first: int, size: int, order: Sequence[int], fields: Sequence[str]
) -> Iterator[Batch]:
    """Batches of ``size`` records, the last smaller; one empty batch when there is no record."""
    rows, given = 0, False
    held: list[pa.Table] = []
    for found in tables:
        table = found
        while rows + table.num_rows >= size:
            wanted = size - rows
            held.append(table.slice(0, wanted))
            table = table.slice(wanted)
            yield Batch(first, _named(held, order, fields))
            first, given, rows = first + size, True, 0
        held.append(table)
        rows += table.num_rows
    if rows or not given:
        yield Batch(first, _named(held, order, fields))


def _judged(stretch: Stretch, manifest: Manifest, width: int) -> pa.Table:
    """The stretch read line by line: what the fast road does not take is either unusual or wrong."""
    rows: list[list[str]] = []
    for line, text in enumerate(stretch.lines(), stretch.first_line):
        cells = _cells(text, manifest.dialect, line, manifest.file)
        if len(cells) != width:
            raise wrong(
                "row.ragged",
                Text(
                    f"the line has {len(cells)} cells instead of {width}",
                    f"该行有 {len(cells)} 列，应为 {width} 列",
                ),
                manifest.file,
                line,
            )
        rows.append(cells)
    columns: list[tuple[str, ...]] = list(zip(*rows, strict=True)) or [()] * width
    return pa.table(
        {str(n): pa.array([cell or None for cell in column], pa.string()) for n, column in enumerate(columns)}
    )


def _named(tables: list[pa.Table], order: Sequence[int], fields: Sequence[str]) -> pa.Table:
    """The fields' columns in the contract's order, each in one piece. Column by column, letting go of each: the text
    of an extract is never there twice."""
    columns = [[piece for table in tables for piece in table.column(place).chunks] for place in order]
    tables.clear()
    made: dict[str, pa.Array] = {}
    for name, pieces in zip(fields, columns, strict=True):
        whole = [piece.cast(pa.large_string()) for piece in pieces] or [pa.array([], pa.large_string())]
        made[name] = whole[0] if len(whole) == 1 else pa.concat_arrays(whole)
        pieces.clear()
    return pa.table(made)


def _require_digest(raw: bytes, manifest: Manifest) -> None:
    if hashlib.sha256(raw).hexdigest() != manifest.sha256:
        raise wrong(
            "file.digest",
            Text("the file is not the one that the manifest describes", "文件与清单所载摘要不符"),
            manifest.file,
        )


def _require_count(records: int, manifest: Manifest) -> None:
    if records != manifest.records:
        raise wrong(
            "file.count",
            Text(
                f"the file has {records} records, the manifest says {manifest.records}",
                f"文件有 {records} 条记录，清单称 {manifest.records} 条",
            ),
            manifest.file,
        )


@dataclass(frozen=True, slots=True)
class _Whole:
    """What can be said of an extract's bytes before any of it is decoded."""

    raw: bytes
    manifest: Manifest

    def check(self) -> None:
        raw, manifest = self.raw, self.manifest
        if (place := raw.find(b"\0")) >= 0:
            raise self._at("text.nul", Text("the line holds a NUL byte", "该行含有空字节"), place)
        if (returns := raw.count(b"\r")) and returns != raw.count(b"\r\n"):
            place = next(m.start() for m in re.finditer(rb"\r(?!\n)", raw))
            raise self._at("cell.break", Text("a cell holds a line break", "单元格内含换行"), place)
        if manifest.encoding == "gb18030" and _reads_as_utf8(raw[:_STRETCH]):
            raise wrong(
                "text.encoding",
                Text("the manifest says gb18030, the file is UTF-8", "清单称编码为 gb18030，文件却是 UTF-8"),
                manifest.file,
            )
        _require_count(raw.count(b"\n") - raw.endswith(b"\n"), manifest)

    def _at(self, problem: str, what: Text, place: int) -> InputError:
        return wrong(problem, what, self.manifest.file, self.raw.count(b"\n", 0, place) + 1)


def _reads_as_utf8(raw: bytes) -> bool:
    """True for text that is certainly UTF-8: its mark, or much that only UTF-8 would spell so."""
    if raw.startswith(_UTF8_BOM):
        return True
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return False
        text = raw[: error.start].decode("utf-8")
    return len(text.encode()) - len(text) >= _TELLING


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some whole lines of the file, in UTF-8."""

    first_line: int
    raw: bytes

    def lines(self) -> Iterator[str]:
        for piece in self.raw.decode().removesuffix("\n").split("\n"):
            yield piece.removesuffix("\r")


def _first_line(raw: bytes, manifest: Manifest) -> tuple[str, int]:
    """The header, and where the line after it begins."""
    start = len(_UTF8_BOM) if manifest.encoding == "utf-8" and raw.startswith(_UTF8_BOM) else 0
    end = raw.find(b"\n", start) + 1 or len(raw)
    text = _decoded(raw[start:end], manifest, 1)
    if manifest.encoding == "gb18030":
        text = text.removeprefix(_BOM)
    return text.removesuffix("\n").removesuffix("\r"), end


def _is_utf8(raw: bytes) -> bool:
    """Without making text of it, which would be twice as large."""
    ends = pa.py_buffer(np.array([0, len(raw)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(raw)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _decoded(raw: bytes, manifest: Manifest, line: int) -> str:
    try:
        return raw.decode(manifest.encoding)
    except UnicodeDecodeError as error:
        bad = line + raw.count(b"\n", 0, error.start)
    # Outside the handler: the decoder's error holds the whole stretch, and would hang on ours.
    what = Text(f"the line is not {manifest.encoding}", f"该行不是 {manifest.encoding} 编码")
    raise wrong("text.encoding", what, manifest.file, bad)


def _cells(text: str, dialect: Dialect, line: int, file: str) -> list[str]:
    """The cells of one line. Raises InputError ``extract.cell.*``."""
    if len(text) > MAX_LINE:
        raise _oversize(file, line)
    if '"' in text:
        cells = _quoted(text, dialect, line, file)
    else:
        cells = text.split(dialect.delimiter)
        if dialect.skip_initial_space:
            cells = [cell.lstrip(" ") for cell in cells]
    if len(text) > MAX_CELL and any(len(cell) > MAX_CELL for cell in cells):
        raise _oversize(file, line)
    return cells


def _quoted(text: str, dialect: Dialect, line: int, file: str) -> list[str]:
    """A line that holds quotation marks: a cell is quoted as a whole, or holds none (RFC 4180, 2.5–2.7)."""
    cells: list[str] = []
    place = 0
    while True:
        while dialect.skip_initial_space and text.startswith(" ", place):
            place += 1
        if text.startswith('"', place):
            match = _QUOTED.match(text, place)
            if match is None:
                raise _quotation(file, line)
            cells.append(match[1].replace('""', '"'))
            place = match.end()
        else:
            end = text.find(dialect.delimiter, place)
            cell = text[place:] if end < 0 else text[place:end]
            if '"' in cell:
                raise _quotation(file, line)
            cells.append(cell)
            place += len(cell)
        if place == len(text):
            return cells
        if not text.startswith(dialect.delimiter, place):
            raise _quotation(file, line)
        place += 1


@dataclass(frozen=True, slots=True)
class _Header:
    """The first line: exactly the contract's fields, each once, in any order, perhaps under source names."""

    manifest: Manifest
    contract: Contract

    def order(self, header: Sequence[str]) -> list[int]:
        """For each field of the contract, the position of its cell."""
        fields = [field.name for field in self.contract.fields]
        named = self._names(fields)
        found: dict[str, int] = {}
        for place, cell in enumerate(header):
            field = named.get(cell)
            if field is None:
                raise self._unknown(cell, place + 1, {n for n, f in named.items() if f not in found})
            if field in found:
                raise wrong(
                    "header.duplicate",
                    Text(
                        f"columns {found[field] + 1} and {place + 1} are both “{cell}”",
                        f"第 {found[field] + 1} 列与第 {place + 1} 列同为“{cell}”",
                    ),
                    self.manifest.file,
                    1,
                    field,
                )
            found[field] = place
        for name, field in named.items():
            if field not in found:
                raise wrong(
                    "header.missing",
                    Text(f"column “{name}” is missing", f"缺少列“{name}”"),
                    self.manifest.file,
                    1,
                    field,
                )
        return [found[field] for field in fields]

    def _names(self, fields: Sequence[str]) -> Mapping[str, str]:
        """Header as it must be → field."""
        if not self.manifest.columns:
            return {field: field for field in fields}
        for field in self.manifest.columns.values():
            if field not in fields:
                raise InputError(
                    "manifest.columns.unknown",
                    Text("columns maps to a name that is no field", "columns 映射到不存在的字段"),
                    remedy=hint(field, fields),
                    where=self.manifest.where,
                )
        if missing := [f for f in fields if f not in self.manifest.columns.values()]:
            raise InputError(
                "manifest.columns.missing",
                Text(f"columns maps nothing to {missing[0]}", f"columns 没有映射到字段 {missing[0]}"),
                remedy=Text(
                    "map every field of the contract, also where the header says the same",
                    "请映射契约的每个字段，表头同名的字段也要写上",
                ),
                where=self.manifest.where,
            )
        return self.manifest.columns

    def _unknown(self, cell: str, column: int, known: set[str]) -> InputError:
        right = nearest(cell, known) if len(cell) <= 64 and cell.isprintable() else None
        shown = f" “{cell}”" if right else ""
        return InputError(
            "extract.header.unknown",
            Text(
                f"column {column}{shown} is no field of the contract",
                f"第 {column} 列{shown}不是契约中的字段",
            ),
            remedy=hint(cell if right else "", known),
            where=Where(self.manifest.file, 1, right),
        )


def _oversize(file: str, line: int) -> InputError:
    what = Text(f"a cell has more than {MAX_CELL} characters", f"有单元格超过 {MAX_CELL} 个字符")
    return wrong("cell.oversize", what, file, line)


def _quotation(file: str, line: int) -> InputError:
    what = Text("a quotation mark is not closed or stands in the wrong place", "引号未闭合或位置错误")
    return wrong("cell.quotation", what, file, line)

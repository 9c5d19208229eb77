"""A table of administrative divisions → rows of domains.csv (``huanshu domains import FILE``).

The table is foreign: it comes as UTF-8, UTF-8 with BOM or GB18030, sometimes with a line of each. Levels are
inferred from the codes (GB/T 2260, GB/T 10114: 6, 9 or 12 significant digits); level, parent_code and kind
are compared with that where the table gives them. All problems are reported at once, by line, as
InputErrors; doubts that a person should look at but that stop nothing are ``remarks``. Nothing is corrected
silently.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huanshu.catalog import words
from huanshu.catalog.domains import COLUMNS, kind_of, parent_code
from huanshu.catalog.folder import invisible
from huanshu.catalog.nouns import DomainKind
from huanshu.errors import InputError, Text, Where

MAX_TABLE: Final = 64 * 1024 * 1024

_CODE: Final = re.compile(r"[0-9]{12}")
_REQUIRED: Final = ("code", "name")
_COLUMNS: Final = (*_REQUIRED, "level", "parent_code", "kind")
#: Levels as the statistics bureau counts them: 1 province, 2 city, 3 district, 4 subdistrict or town, 5
#: community.
_LEVEL: Final[dict[DomainKind, str]] = {"district": "3", "subdistrict": "4", "community": "5"}
_KIND: Final[dict[str, DomainKind]] = {
    "district": "district",
    "county": "district",
    "subdistrict": "subdistrict",
    "town": "subdistrict",
    "township": "subdistrict",
    "residents_committee": "community",
    "village_committee": "community",
    "community": "community",
}
#: How Chinese names of communities usually end; another ending is worth a look, it is no error.
_ENDINGS: Final = ("社区", "村", "居委会", "村委会", "居民委员会", "村民委员会", "小区", "苑", "湾")


@dataclass(frozen=True, slots=True)
class Division:
    """One unit of the table, its kind and parent by its code; ``line`` in the table."""

    code: str
    name: str
    kind: DomainKind
    parent: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Divisions:
    """What a table holds: sound rows in the order of their codes, problems that stop an import, and
    doubts."""

    encoding: str
    rows: tuple[Division, ...]
    problems: tuple[InputError, ...] = ()
    remarks: tuple[InputError, ...] = ()


@dataclass(slots=True)
class _Findings:
    file: str
    problems: list[InputError] = field(default_factory=list)
    remarks: list[InputError] = field(default_factory=list)

    def problem(self, code: str, line: int | None, column: str | None, what: Text, remedy: Text) -> None:
        self.problems.append(InputError(code, what, remedy=remedy, where=Where(self.file, line, column)))

    def remark(self, code: str, line: int, column: str, what: Text, remedy: Text) -> None:
        self.remarks.append(InputError(code, what, remedy=remedy, where=Where(self.file, line, column)))


def read_divisions(path: Path) -> Divisions:
    """Reads a division table; never raises for what the table says, only OSError when it cannot be read."""
    findings = _Findings(path.name)
    with path.open("rb") as file:
        raw = file.read(MAX_TABLE + 1)
    if len(raw) > MAX_TABLE:
        findings.problem(
            "division.table.oversize",
            None,
            None,
            Text(f"the table is larger than {MAX_TABLE} bytes", f"表格超过 {MAX_TABLE} 字节"),
            Text("import one district at a time", "请一次只导入一个区"),
        )
        return Divisions("", (), tuple(findings.problems))
    encoding, lines = _decode(raw, findings)
    rows = _rows(lines, findings)
    sound = _sound(rows, findings)
    _parents(sound, rows, findings)
    _order(findings.problems)
    _order(findings.remarks)
    ordered = tuple(sorted(sound.values(), key=lambda d: d.code))
    return Divisions(encoding, ordered, tuple(findings.problems), tuple(findings.remarks))


def domains_csv(divisions: Divisions) -> str:
    """The text of a domains.csv, parents first, English names and stores left empty for a person to fill.

    Raises InputError ``division.table.faulty`` while the table has problems."""
    if divisions.problems:
        raise InputError(
            "division.table.faulty",
            Text(
                f"the table has {len(divisions.problems)} problems",
                f"表格有 {len(divisions.problems)} 个问题",
            ),
            remedy=Text("settle them with whoever published the table", "请与发布方核对后再导入"),
            where=divisions.problems[0].where,
        )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in divisions.rows:
        writer.writerow((row.code, row.name, "", row.kind, row.parent or "", ""))
    return out.getvalue()


def _order(found: list[InputError]) -> None:
    found.sort(key=lambda e: (e.where.line or 0) if e.where else 0)


def _decode(raw: bytes, findings: _Findings) -> tuple[str, list[tuple[int, str]]]:
    """(encoding, [(line, text)]). A line in another encoding than the table's is reported and left out."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        findings.problem(
            "division.encoding.unsupported",
            None,
            None,
            Text("the table is UTF-16 or binary", "表格为 UTF-16 或二进制文件"),
            Text("save it as CSV in UTF-8 or GB18030", "请另存为 UTF-8 或 GB18030 编码的 CSV"),
        )
        return "", []
    bom = raw.startswith(b"\xef\xbb\xbf")
    split = (raw[3:] if bom else raw).split(b"\n")
    foreign = [line for line in split if not line.isascii()]
    utf8 = [line for line in foreign if _as_utf8(line) is not None]
    # Most lines decide; with a BOM the table says so itself.
    is_utf8 = bom or 2 * len(utf8) >= len(foreign)
    kept: list[tuple[int, str]] = []
    for number, line in enumerate(split, 1):
        text = _as_utf8(line) if is_utf8 else _as_gb18030(line)
        if text is None:
            findings.problem(
                "division.encoding.odd",
                number,
                None,
                Text(
                    f"the line is not {'UTF-8' if is_utf8 else 'GB18030'} like the rest",
                    f"该行不是 {'UTF-8' if is_utf8 else 'GB18030'} 编码，与其余各行不同",
                ),
                Text("type the line again", "请重新录入该行"),
            )
        else:
            kept.append((number, text.removesuffix("\r")))
    return ("utf-8-sig" if bom else "utf-8") if is_utf8 else "gb18030", kept


def _as_utf8(line: bytes) -> str | None:
    """The line as UTF-8, unless it is not, or only by accident: two-byte pairs of GB18030 often are valid
    UTF-8, but then spell no Chinese character."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    accident = not text.isascii() and all(ord(char) < 0x800 for char in text)
    return None if accident and _valid_gb(line) else text


def _as_gb18030(line: bytes) -> str | None:
    """The line as GB18030, unless it is not, or is Chinese when read as UTF-8."""
    if not _valid_gb(line) or (not line.isascii() and _as_utf8(line) is not None):
        return None
    return line.decode("gb18030")


def _valid_gb(line: bytes) -> bool:
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _rows(lines: Sequence[tuple[int, str]], findings: _Findings) -> list[tuple[int, dict[str, str]]]:
    """[(line, cells by column)] of the lines with as many cells as the header."""
    filled = [(number, text) for number, text in lines if text.strip()]
    if not filled:
        if not findings.problems:
            findings.problem(
                "division.table.empty",
                None,
                None,
                Text("the table is empty", "表格为空"),
                Text("send it again", "请重新提供"),
            )
        return []
    header = [cell.strip() for cell in _cells(filled[0][1]) or []]
    for column in header:
        if column not in _COLUMNS or header.count(column) > 1:
            findings.problem(
                "division.header.unknown",
                filled[0][0],
                column,
                Text(f"column “{column}” is unknown or comes twice", f"列“{column}”未知或重复"),
                words.hint(column, set(_COLUMNS) - set(header)),
            )
    for column in _REQUIRED:
        if column not in header:
            findings.problem(
                "division.header.missing",
                filled[0][0],
                column,
                Text(f"column {column} is missing", f"缺少 {column} 列"),
                Text(f"columns: {','.join(_COLUMNS)}", f"各列为：{','.join(_COLUMNS)}"),
            )
    if findings.problems and any(p.code.startswith("division.header.") for p in findings.problems):
        return []
    found: list[tuple[int, dict[str, str]]] = []
    for number, text in filled[1:]:
        cells = _cells(text)
        if cells is None or len(cells) != len(header):
            findings.problem(
                "division.row.ragged",
                number,
                None,
                Text(f"the row does not have {len(header)} cells", f"该行不是 {len(header)} 列"),
                Text("check its commas and quotation marks", "请检查逗号和引号"),
            )
        else:
            found.append((number, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return found


def _cells(text: str) -> list[str] | None:
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        return None


def _sound(rows: Sequence[tuple[int, dict[str, str]]], findings: _Findings) -> dict[str, Division]:
    """Rows with a well-formed, first-seen code, by code; everything else about them is reported."""
    found: dict[str, Division] = {}
    for line, cells in rows:
        code = cells["code"]
        if _CODE.fullmatch(code) is None:
            findings.problem(
                "division.code.malformed",
                line,
                "code",
                Text(f"“{code[:32]}” is not 12 digits", f"“{code[:32]}”不是 12 位数字"),
                Text(
                    "a spreadsheet may have cut or rounded it: keep codes as text",
                    "可能被表格软件截断或取整，请按文本保存",
                ),
            )
            continue
        if code in found:
            findings.problem(
                "division.code.duplicate",
                line,
                "code",
                Text(
                    f"{code} is already on line {found[code].line}",
                    f"{code} 已在第 {found[code].line} 行出现",
                ),
                Text("keep one of the two", "请保留其中一行"),
            )
            continue
        if code[4:6] == "00" or code.startswith("00"):
            findings.problem(
                "division.level.unsupported",
                line,
                "code",
                Text(f"{code} is a province or a city", f"{code} 为省级或市级"),
                Text("give the table of one district", "请提供一个区的表格"),
            )
            continue
        kind = kind_of(code)
        found[code] = Division(code, cells["name"], kind, parent_code(code), line)
        _name(cells["name"], kind, line, findings)
        _agrees(cells, kind, line, findings)
    return found


def _name(name: str, kind: DomainKind, line: int, findings: _Findings) -> None:
    if not name:
        findings.problem(
            "division.name.empty",
            line,
            "name",
            Text("the name is empty", "名称为空"),
            Text("fill it", "请填写"),
        )
    elif any(invisible(char) or char in "\t\ufffd" for char in name):
        findings.problem(
            "division.name.damaged",
            line,
            "name",
            Text(
                "the name holds a control, private or replacement character",
                "名称含有控制字符、自定义字符或乱码",
            ),
            Text("type the name again", "请重新录入名称"),
        )
    elif not unicodedata.is_normalized("NFC", name):
        findings.problem(
            "division.name.denormalised",
            line,
            "name",
            Text("the name holds a character written in pieces", "名称含有未规范化的字符"),
            Text("type the name again", "请重新录入名称"),
        )
    elif kind == "community" and not name.isascii() and not name.endswith(_ENDINGS):
        findings.remark(
            "division.name.cut_short",
            line,
            "name",
            Text(f"“{name}” does not end like a community's name", f"“{name}”不像社区或村的名称"),
            Text("it may be cut short in the source: compare", "可能在来源处被截断，请核对"),
        )


def _agrees(cells: dict[str, str], kind: DomainKind, line: int, findings: _Findings) -> None:
    """Compares level and kind, where given, with what the code says."""
    level = cells.get("level", "")
    if level and level != _LEVEL[kind]:
        findings.problem(
            "division.level.wrong",
            line,
            "level",
            Text(
                f"level {level[:8]}, but by its code it is {_LEVEL[kind]} ({kind})",
                f"级别为 {level[:8]}，按代码应为 {_LEVEL[kind]}（{kind}）",
            ),
            Text("correct the level or the code", "请更正级别或代码"),
        )
    word = cells.get("kind", "")
    if word and word not in _KIND:
        findings.problem(
            "division.kind.unknown",
            line,
            "kind",
            Text(f"“{word[:32]}” is no kind of unit", f"“{word[:32]}”不是已知的单位类型"),
            words.hint(word, _KIND),
        )
    elif word and _KIND[word] != kind:
        findings.problem(
            "division.kind.wrong",
            line,
            "kind",
            Text(f"{word}, but by its code it is a {kind}", f"类型为 {word}，按代码应为 {kind}"),
            Text("correct the kind or the code", "请更正类型或代码"),
        )


def _parents(
    sound: dict[str, Division], rows: Sequence[tuple[int, dict[str, str]]], findings: _Findings
) -> None:
    """Parents agree with the codes and exist; there is exactly one district."""
    claimed = {line: cells.get("parent_code", "") for line, cells in rows}
    for division in sound.values():
        # A district's parent, a city, lies outside the table.
        if division.parent is None:
            continue
        given = claimed[division.line]
        if given and given != division.parent:
            findings.problem(
                "division.parent.wrong",
                division.line,
                "parent_code",
                Text(
                    f"parent {given[:32]}, but by its code {division.parent}",
                    f"上级为 {given[:32]}，按代码应为 {division.parent}",
                ),
                Text("correct the parent or the code", "请更正上级或代码"),
            )
        if division.parent not in sound:
            findings.problem(
                "division.parent.missing",
                division.line,
                "code",
                Text(
                    f"its parent {division.parent} is not in the table", f"表中没有其上级 {division.parent}"
                ),
                Text("add the parent or correct the code", "请补上上级或更正代码"),
            )
    districts = [d for d in sound.values() if d.kind == "district"]
    if sound and len(districts) != 1:
        findings.problem(
            "division.district.count",
            districts[1].line if len(districts) > 1 else None,
            None,
            Text(f"the table has {len(districts)} districts", f"表中有 {len(districts)} 个区"),
            Text("give the table of one district", "请提供一个区的表格"),
        )

"""The spreadsheet itself, by xlsxwriter in memory (with files it would leave plaintext behind).

Every cell is text, also a number: an identifier stays as it is, and nothing is ever a formula. Columns that may be
proposed are unlocked and, where the suite knows the values, have a drop-down; the others are locked. Protection of a
sheet is a courtesy to the writer, not a defence: what comes back is compared with what was given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from unicodedata import east_asian_width

import xlsxwriter

from huanshu.catalog import Contract, DomainTree, Suite
from huanshu.errors import Text
from huanshu.exchange.corrections.books import Correction
from huanshu.exchange.corrections.reasons import sentence
from huanshu.exchange.formulas import shown
from huanshu.exchange.workbooks.shape import ANSWERS, HEAD, HIDDEN, LISTS, REGISTER, Shape

_IN_SET = "expect_column_values_to_be_in_set"
_STATES: Mapping[str, Text] = {
    "received": Text("being judged", "核对中"),
    "proposed": Text("waiting for its answer", "待答复"),
    "accepted": Text("accepted", "已采纳"),
    "refused": Text("refused", "未采纳"),
    "conflict": Text("conflict", "冲突"),
    "withdrawn": Text("withdrawn", "已撤回"),
}


@dataclass(frozen=True, slots=True)
class Content:
    """What goes in: rows as (record, version), shown values by field in that order, and the answers so far."""

    shape: Shape
    mark: bytes
    title: Text
    rows: Sequence[tuple[int, int]]
    values: Mapping[str, Sequence[str | None]] = field(repr=False)
    proposable: frozenset[str]
    lists: Mapping[str, Sequence[str]]
    answers: Sequence[Correction]


def choices(suite: Suite, domains: DomainTree, name: str) -> list[str]:
    """The values that the suite allows for a field; [] when it names none."""
    for rule in suite.expectations:
        values = rule.kwargs.get("value_set")
        if rule.type == _IN_SET and rule.kwargs.get("column") == name and rule.scope == "record":
            if isinstance(values, str) and values.startswith("@codes."):
                return [code.code for code in suite.codes[values.removeprefix("@codes.")]]
            if isinstance(values, str):
                kind = values.removeprefix("@domains.")
                return [d.code for d in domains if d.kind == kind]
            if isinstance(values, list):
                return [str(value) for value in values]
    return []


def write(
    content: Content, contract: Contract, language: str, neutral: Callable[[str], str] = shown
) -> bytes:
    """The workbook's bytes. (``neutral``: a drill's control arm puts one here that leaves text as it is.)"""
    raw = io.BytesIO()
    book = xlsxwriter.Workbook(
        raw,
        {
            "in_memory": True,
            "strings_to_formulas": neutral is not shown,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    shape = content.shape
    mark = f"{shape.recipient} · {shape.issued[:10]} · {shape.workbook}"
    book.set_properties({"title": content.title.in_language(language), "author": "", "comments": mark})
    locked = book.add_format({"num_format": "@", "bg_color": "#eeeeee"})
    opened = book.add_format({"num_format": "@", "locked": False, "border": 1})
    bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True})
    note = book.add_format({"italic": True, "font_color": "#9c0006"})

    sheet = book.add_worksheet(REGISTER)
    sheet.set_header(f"&C{mark.replace('&', '&&')}")
    sheet.set_footer(f"&C{mark.replace('&', '&&')}&R&P/&N")
    told = Text("to be changed: white columns only", "仅可修改白色列")
    sheet.write_string(0, 2, f"{mark} · {told.in_language(language)}", note)
    put = sheet.write_string if neutral is shown else sheet.write
    names = list(shape.fields)
    titles = ["record", "version", *(contract.field(n).title.in_language(language) for n in names)]
    titles.append(Text("evidence", "依据").in_language(language))
    for column, title in enumerate(titles):
        sheet.write_string(HEAD - 1, column, title, bold)
    sheet.set_column(0, 1, 8, locked, {"hidden": True})
    for column, name in enumerate(names, 2):
        width = _width((titles[column], *(value or "" for value in content.values[name])))
        sheet.set_column(column, column, width, opened if name in content.proposable else locked)
    sheet.set_column(len(names) + 2, len(names) + 2, 30, opened)
    for row, (record, version) in enumerate(content.rows, HEAD):
        sheet.write_string(row, 0, str(record), locked)
        sheet.write_string(row, 1, str(version), locked)
        for column, name in enumerate(names, 2):
            value = content.values[name][row - HEAD]
            form = opened if name in content.proposable else locked
            if value is None:
                sheet.write_blank(row, column, None, form)
            else:
                put(row, column, neutral(value), form)
        sheet.write_blank(row, len(names) + 2, None, opened)
    sheet.freeze_panes(HEAD, 3)
    sheet.set_landscape()
    sheet.set_paper(8)  # A3: some twenty columns
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, HEAD - 1)
    sheet.protect("", {"format_columns": True, "autofilter": True, "sort": False})
    _lists(book, sheet, content, names)
    _answers(book, content, contract, language, bold)
    hidden = book.add_worksheet(HIDDEN)
    hidden.write_string(0, 0, shape.as_text())
    hidden.write_string(1, 0, content.mark.hex())
    hidden.very_hidden()
    book.close()
    return raw.getvalue()


def _width(cells: Iterable[str]) -> int:
    """As wide as the widest cell, within reason; a Chinese character counts twice."""
    widest = max(len(cell) + sum(east_asian_width(c) in "WF" for c in cell) for cell in cells)
    return min(max(widest + 1, 5), 36)


def _lists(book: xlsxwriter.Workbook, sheet: object, content: Content, names: Sequence[str]) -> None:
    lists = book.add_worksheet(LISTS)
    for place, (name, values) in enumerate(content.lists.items()):
        for row, value in enumerate(values):
            lists.write_string(row, place, value)
        column = names.index(name) + 2
        letter = xlsxwriter.utility.xl_col_to_name(place)
        last = HEAD + max(len(content.rows), 1) - 1
        source = f"={LISTS}!${letter}$1:${letter}${len(values)}"
        sheet.data_validation(HEAD, column, last, column, {"validate": "list", "source": source})  # type: ignore[attr-defined]
    lists.very_hidden()


def _answers(
    book: xlsxwriter.Workbook, content: Content, contract: Contract, language: str, bold: object
) -> None:
    """What became of earlier proposals: never a value, and a rule only where it may be named."""
    sheet = book.add_worksheet(ANSWERS)
    heads = [
        Text("correction", "更正"),
        Text("row", "行"),
        Text("record", "记录"),
        Text("field", "字段"),
        Text("state", "状态"),
        Text("reason", "原因"),
        Text("rules", "规则"),
        Text("due", "期限"),
    ]
    for column, head in enumerate(heads):
        sheet.write_string(0, column, head.in_language(language), bold)
    names = {f.name: f.title for f in contract.fields}
    for row, answer in enumerate(content.answers, 1):
        due = answer.due.date().isoformat() if answer.due is not None and answer.is_open else ""
        title = names.get(answer.field, Text(answer.field, answer.field))
        told = [
            answer.correction,
            str(answer.row),
            str(answer.record),
            title.in_language(language),
            _STATES[answer.state].in_language(language),
            sentence(answer.reason).in_language(language),
            ", ".join(answer.rules),
            due,
        ]
        for column, text in enumerate(told):
            sheet.write_string(row, column, shown(text))
    sheet.set_column(0, len(heads) - 1, 18)
    sheet.protect("")

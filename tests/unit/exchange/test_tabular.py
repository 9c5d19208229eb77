"""Parquet and XLSX read as a CSV of the same rows would, and refused where they hold anything else."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import InputError
from huanshu.exchange import tabular

CANARY = "金丝雀甲"


def sheet(*rows: list[Any], extra: list[Any] | None = None) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    if extra is not None:
        book.create_sheet("other").append(extra)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def read(raw: bytes, form: Any) -> list[tuple[str | None, ...]]:
    found = tabular.read(raw, form, "x", 64)
    return [tuple(found.header), *zip(*(column.to_pylist() for column in found.columns), strict=True)]


def refusal(raw: bytes, form: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        tabular.read(raw, form, "x", 64)
    told = repr(caught.value) + str(caught.value.as_json()) + repr(caught.value.__context__)
    assert CANARY not in told
    return caught.value


def test_a_sheet_reads_as_text() -> None:
    raw = sheet(
        ["number", "name", "born"], ["0138", "张三", dt.date(2020, 2, 29)], [13800001234, None, " x"], []
    )
    assert read(raw, "xlsx") == [
        ("number", "name", "born"), ("0138", "张三", "2020-02-29"), ("13800001234", None, " x"),
    ]  # fmt: skip


def test_a_parquet_reads_as_text() -> None:
    raw = parquet(
        number=pa.array([1, None], pa.int32()),
        name=pa.array(["张三", ""]).dictionary_encode(),
        born=pa.array([dt.date(2020, 2, 29), None]),
    )
    assert read(raw, "parquet") == [
        ("number", "name", "born"),
        ("1", "张三", "2020-02-29"),
        (None, None, None),
    ]


CELLS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=9)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_text_comes_back_as_it_went_in(rows: list[tuple[str, str]]) -> None:
    head = ("a", "b")
    columns = dict(zip(head, ([row[n] for row in rows] for n in range(2)), strict=True))
    assert read(parquet(**columns), "parquet") == [head, *rows]
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        written = book.add_worksheet()
        for y, row in enumerate([head, *rows]):
            for x, cell in enumerate(row):
                written.write_string(y, x, cell)
    assert read(file.getvalue(), "xlsx") == [head, *rows]


@pytest.mark.parametrize(
    ("code", "line", "row"),
    [
        ("cell.formula", 3, ["=1+1", "b"]),
        ("cell.rounded", 3, [990101195001010021, "b"]),
        ("cell.type", 3, [True, "b"]),
        ("cell.type", 3, [1.5, "b"]),
        ("cell.type", 3, [dt.datetime(2020, 1, 1, 3, 4), "b"]),
        ("row.ragged", 3, ["a", "b", CANARY]),
        ("cell.oversize", 3, [CANARY * 20, "b"]),
        ("cell.break", 3, [f"{CANARY}\nb", "b"]),
    ],
)
def test_a_sheet_says_where_it_is_wrong(code: str, line: int, row: list[Any]) -> None:
    error = refusal(sheet(["a", "b"], ["1", "2"], row), "xlsx")
    assert error.code == f"extract.{code}"
    assert error.where is not None
    assert error.where.line == line


def _with_part(raw: bytes, name: str, content: bytes) -> bytes:
    file = io.BytesIO(raw)
    with zipfile.ZipFile(file, "a") as parts:
        parts.writestr(name, content)
    return file.getvalue()


def test_two_filled_sheets_and_none_are_refused() -> None:
    assert refusal(sheet(["a"], ["1"], extra=["b"]), "xlsx").code == "extract.sheet.count"
    assert refusal(sheet(), "xlsx").code == "extract.sheet.count"


@pytest.mark.parametrize(
    "name", ["xl/vbaProject.bin", "xl/externalLinks/externalLink1.xml", "xl/embeddings/o.bin"]
)
def test_active_content_is_refused(name: str) -> None:
    assert refusal(_with_part(sheet(["a"], ["1"]), name, b"x"), "xlsx").code == "extract.file.active"


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_UNPACKED", 100_000)
    raw = sheet(["a"], ["1"])
    assert read(raw, "xlsx") == [("a",), ("1",)]
    bomb = io.BytesIO(raw)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/big.xml", bytes(100_000))
    assert refusal(bomb.getvalue(), "xlsx").code == "extract.file.oversize"


def test_entities_are_refused() -> None:
    raw = sheet(["a"], ["1"])
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(file, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part == "xl/worksheets/sheet1.xml":
                content = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y "z">]>' + content
            new.writestr(part, content)
    assert refusal(file.getvalue(), "xlsx").code == "extract.file.format"


def test_a_parquet_of_other_types_is_refused() -> None:
    assert refusal(parquet(a=[1.5]), "parquet").code == "extract.column.type"
    assert refusal(parquet(a=[[1]]), "parquet").code == "extract.column.type"


@given(st.binary(max_size=60), st.integers(0, 10_000), st.sampled_from(["xlsx", "parquet"]))
def test_any_bytes_are_read_or_are_one_error(noise: bytes, place: int, form: Any) -> None:
    raw = sheet(["a", "b"], [CANARY, "2"]) if form == "xlsx" else parquet(a=[CANARY], b=["2"])
    place %= len(raw)
    for mutated in (raw[:place] + noise + raw[place + len(noise) :], raw[:place], noise):
        try:
            read(mutated, form)
        except InputError as error:
            assert CANARY not in repr(error)  # noqa: PT017 - reading is right too


def test_the_limits_on_rows_and_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_SHEET_ROWS", 3)
    assert len(read(sheet(["a"], *[["1"]] * 3), "xlsx")) == 4
    assert refusal(sheet(["a"], *[["1"]] * 4), "xlsx").code == "extract.sheet.oversize"
    monkeypatch.setattr(tabular, "MAX_COLUMNS", 2)
    assert refusal(sheet(["a", "b", "c"]), "xlsx").code == "extract.header.oversize"
    assert refusal(parquet(a=["1"], b=["1"], c=["1"]), "parquet").code == "extract.header.oversize"

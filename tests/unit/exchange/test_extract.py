"""An extract is read whole and exactly, or is one InputError that names file, line and field, and no cell."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from huanshu.catalog import Contract, Field
from huanshu.errors import InputError, Text, Where
from huanshu.exchange.extract import MAX_CELL, Batch, open_extract, read_extract
from huanshu.exchange.manifest import Dialect, Manifest

Encoding = Literal["utf-8", "gb18030"]
FIELDS = ("number", "name", "address")
CANARIES = ("10098765432", "金丝雀甲", "金丝雀巷九号")
HEADER = "number,name,address\n"


def contract(fields: Sequence[str] = FIELDS) -> Contract:
    here = Where("contract.yaml", 1)
    made = tuple(
        Field(name, Text(name, name), "string", False, i == 0, 1, False, None, None, None, "dept.trial", here)
        for i, name in enumerate(fields)
    )
    words = Text("trial", "试")
    return Contract(
        "trial", "1.0.0", words, words, "dept.trial", "p", "none", fields[0], (), made, "0" * 64, here
    )


def manifest(
    raw: bytes, encoding: Encoding = "utf-8", records: int | None = None, **changes: Any
) -> Manifest:
    lines = raw.count(b"\n") - raw.endswith(b"\n")
    made = Manifest(
        sender="dept.trial", dataset="trial", sequence=1, period="2026-09", mode="full", file="trial.csv",
        encoding=encoding, sha256=hashlib.sha256(raw).hexdigest(), records=lines if records is None else records,
        format="csv", dialect=Dialect(), columns={}, signature=b"", signed=b"", where=Where("trial.manifest.json"),
    )  # fmt: skip
    return replace(made, **changes)


def read(
    folder: Path, raw: bytes, *, size: int = 250_000, fields: Sequence[str] = FIELDS, **given: Any
) -> list[Batch]:
    (folder / "trial.csv").write_bytes(raw)
    return list(read_extract(folder, manifest(raw, **given), contract(fields), batch_size=size))


def rows(batches: Sequence[Batch]) -> list[tuple[str | None, ...]]:
    return [tuple(row[name] for name in FIELDS) for batch in batches for row in batch.table.to_pylist()]


def refusal(folder: Path, raw: bytes, **given: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        read(folder, raw, **given)
    error = caught.value
    told = repr(error) + str(error) + error.explain("zh") + str(error.as_json()) + repr(error.__context__)
    assert not [c for c in CANARIES if c in told]
    return error


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str, last: bool) -> None:
    lines = ["number,name,address", "1,阿依古丽·买买提,清禾区", '2,"𠮷,""野""",', "3,,"]
    raw = (end.join(lines) + (end if last else "")).encode(encoding)
    declared: Encoding = "gb18030" if encoding == "gb18030" else "utf-8"
    found = rows(read(tmp_path, raw, encoding=declared))
    assert found == [("1", "阿依古丽·买买提", "清禾区"), ("2", '𠮷,"野"', None), ("3", None, None)]


CELL = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from(["utf-8", "gb18030"]), st.integers(1, 9), st.booleans())
@example([("\ufeff", " ", '"')], "gb18030", 1, False)
def test_what_a_csv_writer_writes_is_read(
    tmp_path: Path, given_rows: list[tuple[str, str, str]], encoding: Encoding, size: int, quote_all: bool
) -> None:
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(file, lineterminator="\n", quoting=quoting)
    writer.writerows([FIELDS, *given_rows])
    batches = read(tmp_path, file.getvalue().encode(encoding), encoding=encoding, size=size)
    assert rows(batches) == [tuple(cell or None for cell in row) for row in given_rows]
    assert all(batch.table.num_rows == size for batch in batches[:-1])
    starts = [batch.first_row for batch in batches]
    assert starts == list(range(1, max(2, len(given_rows) + 1), size))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.sampled_from(["utf-8", "gb18030"]))
@example(b'1,"a\n2,b",c\n', "utf-8")
@example(b"1,a,b\n\n", "utf-8")
def test_any_bytes_are_read_or_are_one_error(tmp_path: Path, body: bytes, encoding: Encoding) -> None:
    raw = HEADER.encode() + body
    try:
        batches = read(tmp_path, raw, encoding=encoding)
    except InputError:
        return
    # Read: then it was exactly that text, cell for cell.
    text = body.decode(encoding)
    strict = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows(batches) == [tuple(c or None for c in row) for row in strict]


BAD = [
    ("extract.row.ragged", 3, HEADER + "1,a,b\n2,金丝雀甲\n3,a,b\n"),
    ("extract.row.ragged", 2, HEADER + "10098765432,金丝雀甲,金丝雀巷九号,x\n"),
    ("extract.row.ragged", 3, HEADER + "1,a,b\n\n3,a,b\n"),
    ("extract.cell.quotation", 2, HEADER + '1,"金丝雀甲,b\n2,a,b\n'),
    ("extract.cell.quotation", 2, HEADER + '1,金"丝雀甲,b\n'),
    ("extract.cell.quotation", 3, HEADER + '1,a,b\n1,"金丝雀甲"x,b\n'),
    ("extract.cell.quotation", 2, HEADER + '1,"金丝雀甲\n金丝雀甲",b\n'),
    ("extract.cell.break", 2, HEADER + "1,金丝雀甲\r,b\n"),
    ("extract.text.nul", 3, HEADER + "1,a,b\n1,金丝雀甲\0,b\n"),
    ("extract.cell.oversize", 2, HEADER + "1," + "金丝雀甲" * (MAX_CELL // 4 + 1) + ",b\n"),
    ("extract.cell.oversize", 2, HEADER + "1," + "x" * 10_000_000 + ",b\n"),
    ("extract.cell.oversize", 2, HEADER + '1,"' + "x" * 10_000_000 + '",b\n'),
    ("extract.header.unknown", 1, "number,nmae,address\n"),
    ("extract.header.unknown", 1, "10098765432,金丝雀甲,金丝雀巷九号\n"),
    ("extract.header.unknown", 1, "number,name,address,\n"),
    ("extract.header.unknown", 1, "Number,name,address\n"),
    ("extract.header.unknown", 1, "number, name,address\n"),
    ("extract.header.duplicate", 1, "number,name,name,address\n"),
    ("extract.header.missing", 1, "number,name\n"),
    ("extract.header.unknown", 1, "\n"),
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize(("code", "line", "text"), BAD, ids=[f"{b[0]}-{i}" for i, b in enumerate(BAD)])
def test_must_fail(tmp_path: Path, encoding: Encoding, code: str, line: int, text: str) -> None:
    error = refusal(tmp_path, text.encode(encoding), encoding=encoding)
    assert error.code == code
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("trial.csv", line)


def test_a_misspelt_column_gets_the_nearest_right_word(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"number,nmae,address\n")
    assert error.where == Where("trial.csv", 1, "name")
    assert "column 2" in error.what.en
    assert error.remedy is not None
    assert "“name”" in error.remedy.en
    assert refusal(tmp_path, b"number,address\n").where == Where("trial.csv", 1, "name")


@pytest.mark.parametrize(
    ("raw", "encoding", "line"),
    [
        (HEADER.encode() + b"1,a,b\n2,\xff,b\n", "utf-8", 3),
        (HEADER.encode() + b"1,\xed\xa0\x80,b\n", "utf-8", 2),  # a surrogate
        (HEADER.encode() + b"1,\xc0\xaf,b\n", "utf-8", 2),  # an overlong slash
        (HEADER.encode() + "1,王芳,b\n".encode("gb18030"), "utf-8", 2),
        (HEADER.encode() + b"1,a,b\n2,\xff,b\n", "gb18030", 3),
        (HEADER.encode() + b"1,a,\x81", "gb18030", 2),
        (codecs.BOM_UTF16_LE + HEADER.encode("utf-16-le"), "utf-8", None),
    ],
)
def test_undecodable_bytes(tmp_path: Path, raw: bytes, encoding: Encoding, line: int | None) -> None:
    error = refusal(tmp_path, raw, encoding=encoding)
    assert error.code in {"extract.text.encoding", "extract.text.nul"}
    assert error.where is not None
    if line is not None:
        assert error.where.line == line


def test_utf8_declared_as_gb18030_is_not_read_as_gibberish(tmp_path: Path) -> None:
    body = "".join(f"{i},王芳,清禾区柳岸街道\n" for i in range(9))
    assert refusal(tmp_path, (HEADER + body).encode(), encoding="gb18030").code == "extract.text.encoding"
    assert (
        refusal(tmp_path, codecs.BOM_UTF8 + HEADER.encode(), encoding="gb18030").code
        == "extract.text.encoding"
    )
    assert len(rows(read(tmp_path, (HEADER + body).encode("gb18030"), encoding="gb18030"))) == 9


def test_the_digest_is_of_the_bytes_that_are_read(tmp_path: Path) -> None:
    raw = HEADER.encode() + b"1,a,b\n"
    good = manifest(raw)
    (tmp_path / "trial.csv").write_bytes(raw)
    batches = read_extract(tmp_path, good, contract())
    (tmp_path / "trial.csv").write_bytes(raw.replace(b"1", b"2"))  # after the check, before the reading
    assert rows(list(batches)) == [("1", "a", "b")]
    with pytest.raises(InputError) as caught:
        read_extract(tmp_path, good, contract())
    assert caught.value.code == "extract.file.digest"


@pytest.mark.parametrize("records", [0, 1, 3])
def test_the_count_is_checked_before_anything_is_handed_out(tmp_path: Path, records: int) -> None:
    raw = HEADER.encode() + b"1,a,b\n2,a,b\n"
    (tmp_path / "trial.csv").write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_extract(tmp_path, manifest(raw, records=records), contract())
    assert caught.value.code == "extract.file.count"


def test_no_records_are_one_empty_batch(tmp_path: Path) -> None:
    batches = read(tmp_path, HEADER.encode())
    assert [(b.first_row, b.table.num_rows, tuple(b.table.column_names)) for b in batches] == [(1, 0, FIELDS)]


def test_columns_in_any_order_come_in_the_contracts(tmp_path: Path) -> None:
    assert rows(read(tmp_path, b"address,number,name\nb,1,a\n")) == [("1", "a", "b")]


MAPPED: Mapping[str, str] = {"证号": "number", "姓名": "name", "住址": "address"}


def test_source_names_are_mapped(tmp_path: Path) -> None:
    raw = "姓名;证号;住址\n王芳; 1;  清禾区\n".encode()
    found = rows(read(tmp_path, raw, columns=MAPPED, dialect=Dialect(";", True)))
    assert found == [("1", "王芳", "清禾区")]
    assert rows(read(tmp_path, raw, columns=MAPPED, dialect=Dialect(";", False)))[0][0] == " 1"
    assert refusal(tmp_path, HEADER.encode(), columns=MAPPED).code == "extract.header.unknown"


def test_blanks_before_a_quoted_cell(tmp_path: Path) -> None:
    raw = HEADER.encode() + b'1, "a, b", c\n'
    assert rows(read(tmp_path, raw, dialect=Dialect(",", True))) == [("1", "a, b", "c")]
    assert refusal(tmp_path, raw).code == "extract.cell.quotation"


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"证号": "number", "姓名": "nmae", "住址": "address"}, "manifest.columns.unknown"),
        ({"证号": "number", "姓名": "name"}, "manifest.columns.missing"),
    ],
)
def test_a_mapping_must_reach_every_field(tmp_path: Path, columns: dict[str, str], code: str) -> None:
    error = refusal(tmp_path, "证号,姓名,住址\n".encode(), columns=columns)
    assert error.code == code
    assert error.where == Where("trial.manifest.json")
    if code.endswith("missing"):
        assert error.remedy is not None
        assert "also where the header says the same" in error.remedy.en


def test_only_a_regular_file(tmp_path: Path) -> None:
    raw = HEADER.encode()
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_bytes(raw)
    place = tmp_path / "trial.csv"
    for make, problem in (
        (lambda: place.symlink_to(elsewhere), "irregular"), (place.mkdir, "irregular"), (place.touch, "empty"),
    ):  # fmt: skip
        make()
        with pytest.raises(InputError) as caught:
            read_extract(tmp_path, manifest(raw), contract())
        assert caught.value.code == f"incoming.file.{problem}"
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
    with pytest.raises(InputError) as caught:
        read_extract(tmp_path, manifest(raw), contract())
    assert caught.value.code == "incoming.file.missing"


REAL = Path(__file__).parents[4] / "shared" / "data" / "persons_febrl3.csv"


@pytest.mark.skipif(not REAL.exists(), reason="the real register is not on this machine")
def test_a_real_register(tmp_path: Path) -> None:
    """Nobody here wrote it: separators are a comma and a blank."""
    raw = REAL.read_bytes()
    fields = raw.split(b"\n", 1)[0].decode().replace(" ", "").strip().split(",")
    batches = read(tmp_path, raw, fields=fields, dialect=Dialect(",", True), size=999)
    table = [row for batch in batches for row in batch.table.to_pylist()]
    expected = list(csv.DictReader(io.StringIO(raw.decode()), skipinitialspace=True))
    assert len(expected) == 5000
    assert table == [{k: v or None for k, v in row.items()} for row in expected]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_parts_together_are_the_extract(tmp_path: Path, form: Any, encoding: Any, count: int) -> None:
    if form == "parquet" and encoding != "utf-8":
        return
    cells = [(str(n), f"名{n}" * (n % 5), "巷" * (n % 3)) for n in range(17)]
    if form == "csv":
        raw = HEADER.encode() + "".join(",".join(row) + "\n" for row in cells).encode(encoding)
    else:
        table = pa.table({name: [row[n] for row in cells] for n, name in enumerate(FIELDS)})
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=3)
        raw = sink.getvalue()
    (tmp_path / "trial.csv").write_bytes(raw)
    told = manifest(raw, encoding=encoding, records=17, format=form)
    parts = open_extract(tmp_path, told, contract()).parts(count)
    assert 1 <= len(parts) <= count
    assert len(parts) > 1 or count == 1
    batches = [batch for part in parts for batch in part.batches(4)]
    assert rows(batches) == [tuple(cell or None for cell in row) for row in cells]
    starts = [batch.first_row for batch in batches]
    assert starts == [1 + sum(b.table.num_rows for b in batches[:n]) for n in range(len(batches))]
    parts[0].release()
    with pytest.raises(ValueError, match="unpack"):  # gone for every part: the bytes are held once
        list(parts[-1].batches(4))


def test_a_parquet_of_no_records_is_one_empty_part(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in FIELDS}), sink)
    (batch,) = read(tmp_path, sink.getvalue(), format="parquet", records=0)
    assert (batch.first_row, batch.table.num_rows) == (1, 0)

"""Every kind of extract, and its manifest × every way one goes wrong, through a real intake into a real district.

Each is one InputError (exit code 4) with its file, in both languages, that quotes no cell; and afterwards no table of
the district and no file of the state folder differs, but for what the log says of the refusal.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huanshu.assembly import Running
from huanshu.drill.range import Range
from huanshu.errors import InputError
from huanshu.exchange.intake import run_intake

ROOT = Path(__file__).parents[2]
INTAKE = "resident.psb_to_district"
CANARY = "金丝雀甲"
LONG = 10_000_000
KINDS = ("csv", "gb18030", "xlsx", "parquet")
Rows = list[list[Any]]

SAMPLE: Rows = list(csv.reader(io.StringIO((ROOT / "expectations/resident/samples/passing.csv").read_text())))
SAMPLE[1][1] = CANARY


def built(kind: str, rows: Rows) -> bytes:
    """The rows as a file of that kind."""
    if kind in ("csv", "gb18030"):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
        return out.getvalue().encode("gb18030" if kind == "gb18030" else "utf-8")
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append([cell or None for cell in row])  # type: ignore[union-attr]
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()
    head, body = rows[0], rows[1:]
    arrays = [pa.array([row[n] if n < len(row) else None for row in body]) for n in range(len(head))]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=head), sink)
    return sink.getvalue()


# -- ways to go wrong: of the table -------------------------------------------------------------------


def unknown_column(rows: Rows) -> Rows:
    return [["unheard_of", *rows[0][1:]], *rows[1:]]


def extra_column(rows: Rows) -> Rows:
    return [[*rows[0], "unheard_of"], *([*row, "1"] for row in rows[1:])]


def missing_column(rows: Rows) -> Rows:
    return [row[:-1] for row in rows]


def column_twice(rows: Rows) -> Rows:
    return [[rows[0][1], *rows[0][1:]], *rows[1:]]


def no_header(rows: Rows) -> Rows:
    return rows[1:]


def cell_break(rows: Rows) -> Rows:
    return [*rows[:-1], [*rows[-1][:1], "甲\n乙", *rows[-1][2:]]]


TABLES = (unknown_column, extra_column, missing_column, column_twice, no_header, cell_break)

# -- of the bytes ------------------------------------------------------------------------------------


def emptied(raw: bytes, kind: str) -> bytes | None:
    return b""


def cut_off(raw: bytes, kind: str) -> bytes | None:
    return raw[: len(raw) - 60]


def other_encoding(raw: bytes, kind: str) -> bytes | None:
    return {
        "csv": lambda: raw.decode().encode("gb18030"),
        "gb18030": lambda: (raw * 3).decode("gb18030").encode(),
    }.get(kind, lambda: None)()


def utf_16(raw: bytes, kind: str) -> bytes | None:
    return (
        raw.decode("gb18030" if kind == "gb18030" else "utf-8").encode("utf-16")
        if kind in KINDS[:2]
        else None
    )


def nul(raw: bytes, kind: str) -> bytes | None:
    if kind == "parquet":
        return built(kind, [SAMPLE[0], [f"{CANARY}\0", *SAMPLE[1][1:]]])
    return (
        raw.replace(b",", b"\0,", 40)
        if kind != "xlsx"
        else raw[: len(raw) // 2] + bytes(9) + raw[len(raw) // 2 + 9 :]
    )


def huge_cell(raw: bytes, kind: str) -> bytes | None:
    long = CANARY + "x" * LONG
    if kind != "xlsx":
        return built(kind, [SAMPLE[0], [SAMPLE[1][0], long, *SAMPLE[1][2:]]])
    marked = built(kind, [SAMPLE[0], [SAMPLE[1][0], "HERE", *SAMPLE[1][2:]]])
    return _parts(marked, lambda name, part: part.replace(b"HERE", long.encode()))


def formula(raw: bytes, kind: str) -> bytes | None:
    return built(kind, [SAMPLE[0], [SAMPLE[1][0], "=1+1", *SAMPLE[1][2:]]]) if kind == "xlsx" else None


def wrong_type(raw: bytes, kind: str) -> bytes | None:
    if kind in KINDS[:2]:
        return None  # a CSV has no types: what its text means is the quality rules' question
    return built(kind, [SAMPLE[0], [1.5, *SAMPLE[1][1:]]])


def macro(raw: bytes, kind: str) -> bytes | None:
    if kind != "xlsx":
        return None
    file = io.BytesIO(raw)
    with zipfile.ZipFile(file, "a") as book:
        book.writestr("xl/vbaProject.bin", b"x")
    return file.getvalue()


def ragged(raw: bytes, kind: str) -> bytes | None:
    return raw.rstrip() + b",surplus\n" if kind in KINDS[:2] else None


def open_quote(raw: bytes, kind: str) -> bytes | None:
    return raw.rstrip() + b'"\n' if kind in KINDS[:2] else None


def garbage(raw: bytes, kind: str) -> bytes | None:
    return bytes(range(128, 256)) * 9


BYTES = (
    emptied, cut_off, other_encoding, utf_16, nul, huge_cell, formula, wrong_type, macro, ragged, open_quote, garbage,
)  # fmt: skip


def _parts(raw: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


# -- of the place, and of the manifest ---------------------------------------------------------------


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def gone(path: Path) -> None:
    path.unlink()


PLACES = (link, folder, pipe, gone)


def _said(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text())), ensure_ascii=False))


def _raw(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


MANIFESTS: dict[str, Callable[[Path], None]] = {
    "unknown_key": lambda p: _said(p, lambda said: {**said, "unheard_of": 1}),
    "key_missing": lambda p: _said(p, lambda said: {k: v for k, v in said.items() if k != "records"}),
    "wrong_type": lambda p: _said(p, lambda said: {**said, "records": "ten"}),
    "wrong_version": lambda p: _said(p, lambda said: {**said, "manifest": True}),
    "path_in_name": lambda p: _said(p, lambda said: {**said, "file": "../../../etc/passwd"}),
    "itself": lambda p: _said(p, lambda said: {**said, "file": p.name}),
    "huge_number": lambda p: _said(p, lambda said: {**said, "sequence": 10**400}),
    "other_signature": lambda p: _said(p, lambda said: {**said, "signature": "0" * 128}),
    "other_digest": lambda p: _said(p, lambda said: {**said, "sha256": "0" * 64}),
    "other_sender": lambda p: _said(p, lambda said: {**said, "sender": "dept.health"}),
    "list": lambda p: p.write_text("[1]"),
    "number": lambda p: p.write_text("1" * 5000),
    "deep": lambda p: p.write_text("[" * 30_000),
    "emptied": lambda p: p.write_bytes(b""),
    "cut_off": lambda p: _raw(p, lambda raw: raw[: len(raw) // 2]),
    "key_twice": lambda p: _raw(p, lambda raw: raw.rstrip()[:-1] + b',"records":1}'),
    "not_a_number": lambda p: _raw(p, lambda raw: raw.rstrip()[:-1] + b',"dialect":NaN}'),
    "gb18030": lambda p: _raw(p, lambda raw: raw.replace(b"2026-09", "二〇二六".encode("gb18030"))),
    "utf_16": lambda p: _raw(p, lambda raw: raw.decode().encode("utf-16")),
    "nul": lambda p: _raw(p, lambda raw: raw[:40] + b"\0" + raw[40:]),
    "surrogate": lambda p: _raw(p, lambda raw: raw.replace(b"2026-09", b"\\ud800")),
    "huge_cell": lambda p: _raw(p, lambda raw: raw.replace(b"2026-09", b"x" * LONG)),
    "link": link,
    "folder": folder,
    "pipe": pipe,
}


# -- the district ------------------------------------------------------------------------------------


class Place(Range):
    """A range whose home is read once: nothing of it changes here."""

    def acting(self, person: str | None = None) -> Running:
        if person is not None:
            return super().acting(person)
        if not hasattr(self, "_here"):
            self._here = super().acting()
        return self._here


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Place(ROOT) as made:
        made.take_in(INTAKE)
        yield made


def send(place: Range, kind: str, raw: bytes, records: int = len(SAMPLE) - 1) -> tuple[Path, Path]:
    """Put an extract and its honest manifest into the intake folder; returns both paths."""
    folder = place.settings.intake_folder / INTAKE
    shutil.rmtree(folder, ignore_errors=True)
    form = {"xlsx": "xlsx", "parquet": "parquet"}.get(kind)
    name = f"bad.{form or 'csv'}"
    manifest = place.sandbox.write_extract(
        place.sandbox.home.flows[INTAKE], name, raw, sequence=2, period="2026-09", records=records,
        encoding="gb18030" if kind == "gb18030" else "utf-8", extra={"format": form} if form else None,
    )  # fmt: skip
    return folder / name, manifest


def stores(place: Range) -> str:
    """One digest over every table of the district but the log's and the wrapped keys."""
    digest = hashlib.sha256()
    with place.administrator() as admin:
        tables = admin.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname = 'district' OR schemaname LIKE 'receiver%' ORDER BY 1"
        ).fetchall()
        assert len(tables) >= 6
        for (table,) in tables:
            row = admin.execute(
                f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 7)), 0) FROM {table} t".encode()
            )
            digest.update(f"{table}{row.fetchone()}".encode())
    return digest.hexdigest()


def files(place: Range) -> dict[str, bytes]:
    """The state folder's files but the servers' own, the log's head, the published log, and what the sender put there."""
    state = place.settings.state
    theirs = {"servers", "intake", place.settings.log_folder.name}  # not even walked: their files come and go
    return {
        str(path.relative_to(state)): path.read_bytes()
        for top in sorted(state.iterdir())
        if top.name not in theirs
        for path in (sorted(top.rglob("*")) if top.is_dir() else [top])
        if path.is_file() and path.name != "head"
    }


TOLD = {"exchange.run.started", "exchange.intake.authorised", "exchange.intake.refused"}


def refused(place: Range, file: str) -> InputError:
    """Run the intake: it must refuse, name the file, quote nothing, and leave nothing."""
    before, kept, size = stores(place), files(place), len(place.acts())
    with pytest.raises(InputError) as caught:
        run_intake(place.acting().ground(), INTAKE, f"bad-{size}", place.settings.intake_folder / INTAKE)
    error = caught.value
    assert error.exit_code == 4
    assert error.what.zh != error.what.en
    assert error.remedy is not None
    assert error.where is not None
    assert error.where.file == file
    told = repr(error) + str(error) + error.explain("zh") + str(error.as_json()) + repr(error.__context__)
    assert CANARY not in told
    assert len(told) < 3000
    if error.code.startswith("extract."):  # the decoder's own error would hold what it could not decode
        assert not isinstance(error.__context__, UnicodeDecodeError)
    assert stores(place) == before
    assert files(place) == kept
    fresh = [entry.event for entry in place.acts()[size:]]
    assert set(fresh) <= TOLD, fresh
    if "exchange.intake.authorised" in fresh:
        assert fresh[-1] == "exchange.intake.refused"
    return error


SEEN: Counter[str] = Counter()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_in_as_it_should_be(place: Range, kind: str) -> None:
    """The twin of all that follows: the same rows, unharmed, are read."""
    from huanshu.exchange.extract import read_extract
    from huanshu.exchange.manifest import read_manifest

    _, manifest = send(place, kind, built(kind, SAMPLE))
    contract = place.sandbox.home.contracts["resident"]
    batches = list(read_extract(manifest.parent, read_manifest(manifest), contract))
    assert sum(batch.table.num_rows for batch in batches) == len(SAMPLE) - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", TABLES, ids=lambda change: change.__name__)
def test_tables(place: Range, kind: str, change: Callable[[Rows], Rows]) -> None:
    rows = change([list(row) for row in SAMPLE])
    extract, _ = send(place, kind, built(kind, rows), len(rows) - 1)
    SEEN[kind] += 1
    assert refused(place, extract.name).code.startswith("extract.")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", BYTES, ids=lambda change: change.__name__)
def test_bytes(place: Range, kind: str, change: Callable[[bytes, str], bytes | None]) -> None:
    raw = built(kind, SAMPLE)
    changed = change(raw, kind)
    if changed is None:
        return
    assert changed != raw
    SEEN[kind] += 1
    extract, _ = send(place, kind, changed)
    refused(place, extract.name)


@pytest.mark.parametrize("change", PLACES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_places(place: Range, kind: str, change: Callable[[Path], None]) -> None:
    extract, _ = send(place, kind, built(kind, SAMPLE))
    change(extract)
    SEEN[kind] += 1
    assert refused(place, extract.name).code.startswith("incoming.file.")


@pytest.mark.parametrize("change", MANIFESTS)
def test_manifests(place: Range, change: str) -> None:
    _, manifest = send(place, "csv", built("csv", SAMPLE))
    MANIFESTS[change](manifest)
    SEEN["manifest"] += 1
    error = refused(place, manifest.name)
    assert error.code.split(".")[0] in {"manifest", "incoming", "auditlog", "exchange"}


def test_all_of_them_were_seen() -> None:
    if len(SEEN) < 5:
        pytest.skip("only a part of this file was run")
    assert all(SEEN[kind] >= 14 for kind in KINDS), SEEN
    assert SEEN["manifest"] == len(MANIFESTS) >= 20

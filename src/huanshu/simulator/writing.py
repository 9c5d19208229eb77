"""An extract on disk, as a department's export would leave it: data, the truth about it, and a manifest to sign.

    resident.2026-09.csv                the extract (.csv, .xlsx, .parquet)
    resident.2026-09.truth.json         what was planted and what changed; nobody sends this
    resident.2026-09.unsigned.json      the manifest without its signature: the sender signs

Each file is written under a temporary name and renamed when it is whole, the manifest last: whatever is killed in
between, a manifest never names a file that is missing or half there. The same arguments write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, get_args

import pyarrow as pa

from huanshu.catalog import Home
from huanshu.errors import InputError, Text
from huanshu.simulator import forms, source
from huanshu.simulator.simulation import Extract

Form = Literal["csv", "gb18030", "xlsx", "parquet", "postgresql"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
#: As much as a spreadsheet of an office is expected to hold, and intake takes.
MAX_SHEET_ROWS: Final = 50_000
_SUFFIX: Final[Mapping[Form, str]] = {
    "csv": "csv",
    "gb18030": "csv",
    "xlsx": "xlsx",
    "parquet": "parquet",
    "postgresql": "csv",
}

Batches = Iterator[pa.Table]


@dataclass(frozen=True, slots=True)
class Written:
    """What lies where. ``manifest`` is without its signature."""

    dataset: str
    period: str
    file: Path
    truth: Path
    manifest: Path
    rows: int
    defects: int
    sha256: str


def write(
    home: Home,
    extract: Extract,
    folder: Path,
    form: Form = "csv",
    *,
    url: str = "",
    told: Callable[[int], None] | None = None,
) -> Written:
    """Write one extract into ``folder``. ``told``: called with the number of rows just written.

    ``url``: the department's database, for ``postgresql``: the table ``source.<dataset>`` is made anew there and the
    extract is what the database exports. Raises InputError."""
    if form == "xlsx" and extract.rows > MAX_SHEET_ROWS:
        raise InputError(
            "simulator.sheet.oversize",
            Text(
                f"{extract.dataset} has {extract.rows} rows; a spreadsheet takes {MAX_SHEET_ROWS}",
                f"{extract.dataset} 有 {extract.rows} 行，电子表格最多 {MAX_SHEET_ROWS} 行",
            ),
            remedy=Text("choose another format, or fewer residents", "请换一种格式或减少居民数"),
        )
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{extract.dataset}.{extract.period}"
    file = folder / f"{stem}.{_SUFFIX[form]}"
    with _whole(file) as (temporary, opened):
        batches = _counted(extract, told)
        if form == "parquet":
            forms.parquet(extract.fields, batches, opened)
        elif form == "xlsx":
            forms.xlsx(extract.fields, batches, opened)
        elif form == "postgresql":
            source.through_database(url, extract.dataset, extract.fields, batches, opened)
        else:
            forms.csv(extract.fields, batches, opened, "gb18030" if form == "gb18030" else "utf-8")
        opened.flush()
        digest = _digest(temporary)
    truth = _write_json(folder / f"{stem}.truth.json", extract.truth)
    manifest = _write_json(
        folder / f"{stem}.unsigned.json",
        {
            "manifest": 1,
            "sender": _sender(home, extract.dataset),
            "dataset": extract.dataset,
            "sequence": extract.sequence,
            "period": extract.period,
            "mode": "full",
            "file": file.name,
            **({"format": form} if form in ("xlsx", "parquet") else {}),
            "encoding": "gb18030" if form == "gb18030" else "utf-8",
            "sha256": digest,
            "records": extract.rows,
        },
    )
    planted = sum(1 for defect in extract.truth["defects"] if defect["rules"])
    return Written(extract.dataset, extract.period, file, truth, manifest, extract.rows, planted, digest)


def _counted(extract: Extract, told: Callable[[int], None] | None) -> Batches:
    for batch in extract.batches():
        yield batch
        if told is not None:
            told(batch.num_rows)


def _sender(home: Home, dataset: str) -> str:
    """Who sends this: the source of its intake flow, else the department whose register it is."""
    sources = [f.source for f in home.flows.values() if f.kind == "intake" and f.dataset == dataset]
    return sources[0] if sources else home.contracts[dataset].domain


@contextmanager
def _whole(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file that appears under its name only when the block has ended well, and leaves nothing otherwise."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as opened:
            yield temporary, opened
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write_json(path: Path, document: Mapping[str, Any]) -> Path:
    with _whole(path) as (_, opened):
        opened.write((json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode())
    return path

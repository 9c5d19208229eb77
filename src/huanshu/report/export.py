"""The log exported whole or in part: OCSF events as JSON lines, or columns as Parquet. Streams in bounded memory.

The form is for machines of others; the evidence stays the log. Each line says its index and the log's origin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from huanshu.report.ocsf import as_ocsf

Format = Literal["ocsf", "parquet"]
_ROWS: Final = 20_000  # of a Parquet row group: what is held at once
_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "index": pa.int64(),
    "at": pa.timestamp("us", "UTC"),
    "event": pa.string(),
    "person": pa.string(),
    "account": pa.string(),
    "post": pa.string(),
    "domain": pa.string(),
    "dataset": pa.string(),
    "purpose": pa.string(),
    "how": pa.string(),
    "flow": pa.string(),
    "run": pa.string(),
    "policy": pa.string(),
    "contract": pa.string(),
    "trace": pa.string(),
    "subjects": pa.int64(),
    "fields": pa.map_(pa.string(), pa.string()),
    "class_uid": pa.int32(),
    "activity_id": pa.int32(),
    "severity_id": pa.int32(),
    "status_id": pa.int32(),
    "detail": pa.string(),
}
_SCHEMA: Final = pa.schema(list(_COLUMNS.items()), metadata={"ocsf": "1.8.0"})


def export(bodies: Iterable[Mapping[str, Any]], origin: str, form: Format, out: Path) -> int:
    """Write entries to ``out`` (whole or not at all) and return how many there were."""
    new = out.with_name(out.name + ".new")
    counted = _Counted(bodies)
    try:
        _WRITERS[form](counted, origin, new)
        new.rename(out)
    finally:
        new.unlink(missing_ok=True)
    return counted.count


class _Counted:
    def __init__(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        self._bodies, self.count = bodies, 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for body in self._bodies:
            self.count += 1
            yield body


def _lines(bodies: Iterable[Mapping[str, Any]], origin: str, out: Path) -> None:
    with out.open("w", encoding="utf-8") as file:
        for body in bodies:
            event = json.dumps(as_ocsf(body, origin), ensure_ascii=False, separators=(",", ":"))
            file.write(event + "\n")


def _columns(bodies: Iterable[Mapping[str, Any]], origin: str, out: Path) -> None:
    left = iter(bodies)
    schema = _SCHEMA.with_metadata({**(_SCHEMA.metadata or {}), b"log": origin.encode()})
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while rows := [_row(body, origin) for body in islice(left, _ROWS)]:
            table = {name: [row[name] for row in rows] for name in _COLUMNS}
            writer.write_table(pa.table(table, schema=schema))


def _row(body: Mapping[str, Any], origin: str) -> dict[str, Any]:
    event = as_ocsf(body, origin)
    flow = body.get("flow", {})
    taken = {
        "at": event["time"] * 1000 + _micros(str(body["at"])),
        "account": body["established"]["account"],
        "flow": flow.get("id"),
        "run": flow.get("run"),
        "subjects": body.get("subjects", {}).get("count"),
        "fields": list(body["fields"].items()) if isinstance(body.get("fields"), Mapping) else None,
        "detail": json.dumps(body["detail"], ensure_ascii=False, sort_keys=True),
    }
    plain = {name: event[name] if name in event else body.get(name) for name in _COLUMNS if name not in taken}
    return {**plain, **taken}


def _micros(at: str) -> int:
    """What milliseconds leave out: the last three of the six digits."""
    return int(at[23:26])


_WRITERS: Final[Mapping[str, Callable[[Iterable[Mapping[str, Any]], str, Path], None]]] = {
    "ocsf": _lines,
    "parquet": _columns,
}

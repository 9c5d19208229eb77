"""Where entries come from: the log's database, or the bundles of the published folder. Both stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from huanshu_verify import merkle
from huanshu_verify.report import Entry

_BATCH = 2_000
WIDTH = 256
_ASTRAL = re.compile(rb"[\xf0-\xf4]")


def from_database(connection: psycopg.Connection, since: int) -> Iterator[Entry]:
    """Entries from index ``since`` on, in order of their indices."""
    with connection.cursor(name="entries") as rows:
        rows.itersize = _BATCH
        rows.execute(
            "SELECT index, leaf, leaf_hash, event FROM log.entry WHERE index >= %s ORDER BY index",
            (since,),
            binary=True,
        )
        for index, leaf, stored, event in rows:
            yield _entry(index, bytes(leaf), bytes(stored), event)


def from_bundles(folders: Sequence[Path], size: int, since: int) -> Iterator[Entry]:
    """Entries ``since`` ≤ index < ``size`` of a published log and its archive. ValueError, naming the file, for what is
    no bundle."""
    for number in range(since // WIDTH, -(-size // WIDTH)):
        width = min(size - number * WIDTH, WIDTH)
        path, leaves = bundle(folders, number, width)
        if leaves is None:
            raise ValueError(
                f"{path} is missing, or is no bundle of {width} entries (archived? name the archive)"
            )
        for place, leaf in enumerate(leaves):
            if number * WIDTH + place >= since:
                yield _entry(number * WIDTH + place, leaf, None, None)


def read_first(folders: Sequence[Path], name: str) -> bytes | None:
    """A file's bytes, from the first of the folders that has it."""
    for folder in folders:
        try:
            return (folder / name).read_bytes()
        except OSError:
            continue
    return None


def bundle(folders: Sequence[Path], number: int, width: int) -> tuple[str, list[bytes] | None]:
    """Path and leaves of a bundle; None when it is missing, or holds fewer than ``width`` entries."""
    path = f"tile/entries/{tile_number(number)}"
    for name in (f"{path}.p/{width}" if width < WIDTH else path, path):
        raw = read_first(folders, name)
        if raw is None:
            continue
        leaves: list[bytes] = []
        at = 0
        while at + 2 <= len(raw) and len(leaves) < width:
            end = at + 2 + int.from_bytes(raw[at : at + 2])
            leaves.append(raw[at + 2 : end])
            at = end
        whole = len(leaves) == width and at <= len(raw)
        return name, leaves if whole and (at == len(raw) or name == path != f"{path}.p/{width}") else None
    return path, None


def tile_number(number: int) -> str:
    """C2SP tlog-tiles: three digits a folder, all but the last behind an ``x``."""
    text = f"{number % 1000:03d}"
    while number := number // 1000:
        text = f"x{number % 1000:03d}/{text}"
    return text


def _entry(index: int, leaf: bytes, stored: bytes | None, event: str | None) -> Entry:
    body = parsed(leaf)
    fault = _fault(index, body)
    return Entry(index, leaf, merkle.leaf(leaf), stored, event, None if fault else body, fault)


def _fault(index: int, body: dict[str, Any] | None) -> str:
    if body is None:
        return "the leaf is not canonical JSON"
    if body.get("index") != index:
        return f"the leaf says it is entry {body.get('index')}"
    if not isinstance(body.get("event"), str) or not isinstance(body.get("detail"), dict):
        return "the leaf is no entry"
    return ""


def parsed(leaf: bytes) -> dict[str, Any] | None:
    """The object of a leaf that is exactly its own canonical form (RFC 8785; no floats, no null)."""
    try:
        text = leaf.decode()
        body = _decode(text)
        if not isinstance(body, dict):
            return None
        # Names in order of their UTF-16 code units (RFC 8785, 3.2.3): that of their code points, unless there are
        # characters beyond the first plane.
        again = _encode_as_is(_sorted(body)) if _ASTRAL.search(leaf) else _encode(body)
    except (ValueError, RecursionError):
        return None
    return body if again == text else None


def _never(_: str) -> None:
    raise ValueError("no floats in a leaf")


# Made once: it is a third of the time of a leaf.
_decode = json.JSONDecoder(parse_float=_never, parse_constant=_never).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_encode_as_is = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda n: n.encode("utf-16-be"))}
    return [_sorted(item) for item in value] if isinstance(value, list) else value

"""A drill as reviewed data: audit/drills/<id>.yaml, read strictly; an unknown or missing key is an error."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from huanshu.errors import ContentError, Text, Where

_KEYS: Final = (
    "id", "verb", "title", "class", "asset", "threat", "attack", "cwe", "asvs", "regulation", "actors", "steps",
    "oracle", "control", "twin", "restored_when", "idempotent", "timeout_s", "owner", "review_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. ``actors`` parametrises its verb; ``steps`` are for people."""

    id: str
    verb: str
    title: Text
    kind: Literal["P", "S"]
    technique: str
    steps: tuple[Text, ...]
    actors: Mapping[str, Any]
    switch_off: Text
    where: Where


def read_drills(home: Path) -> list[Drill]:
    """All drills of a home, by id. Raises ContentError for a malformed one."""
    return [_read(home, path) for path in sorted((home / "audit" / "drills").glob("*.yaml"))]


def _read(home: Path, path: Path) -> Drill:
    where = Where(str(path.relative_to(home)))
    try:
        given = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _wrong(where, Text("the file is no YAML", "文件不是有效 YAML")) from None
    if not isinstance(given, dict):
        raise _wrong(where, Text("a drill is a mapping", "演练文件应为映射"))
    for key in given:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1, cutoff=0.0)[0]
            raise _wrong(
                where, Text(f"unknown key {key}; did you mean {near}?", f"未知键 {key}；是否应为 {near}？")
            )
    missing = [key for key in _KEYS if key not in given]
    if missing:
        raise _wrong(where, Text(f"missing: {', '.join(missing)}", f"缺少：{'、'.join(missing)}"))
    if given["id"] != path.stem:
        raise _wrong(where, Text("the id is not the file's stem", "id 与文件名不一致"))
    try:
        return Drill(
            id=str(given["id"]),
            verb=str(given["verb"]),
            title=Text(**given["title"]),
            kind=given["class"],
            technique=str(given["attack"]["technique"]),
            steps=tuple(Text(**step) for step in given["steps"]),
            actors=dict(given["actors"]),
            switch_off=Text(**given["control"]["switch_off"]),
            where=where,
        )
    except (TypeError, KeyError):
        raise _wrong(
            where,
            Text("title, steps and switch_off need zh and en", "title、steps、switch_off 需含 zh 与 en"),
        ) from None


def _wrong(where: Where, what: Text) -> ContentError:
    return ContentError(
        "drill.file.malformed",
        what,
        remedy=Text("compare with the other drills", "请参照其他演练文件"),
        where=where,
    )

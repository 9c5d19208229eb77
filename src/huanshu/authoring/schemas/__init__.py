"""JSON Schemas (draft 7) of the YAML files that people edit, for their editors. The readers in ``huanshu.catalog``
and beside it stay the judges: a schema helps while typing and can say less, never more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

#: Where the schemas lie in a home; the first line of a new file points there.
FOLDER: Final = ".huanshu-schemas"

#: Schema → the files it is of, as a pattern below the home.
SCHEMAS: Final[Mapping[str, str]] = {
    "contract": "expectations/*/contract.yaml",
    "suite": "expectations/*/suite.yaml",
    "flow": "dags/flows/*.yaml",
    "purposes": "policies/purposes.yaml",
    "keys": "policies/keys.yaml",
    "limits": "policies/limits.yaml",
    "log": "audit/log.yaml",
    "obligations": "audit/obligations.yaml",
    "retention": "audit/retention.yaml",
    "report": "audit/reports/*/report.yaml",
    "drill": "audit/drills/*.yaml",
    "alert": "audit/alerts/*.yaml",
}


def schema(name: str) -> dict[str, Any]:
    """The schema of one kind of file. ``KeyError`` for a kind there is not."""
    if name not in SCHEMAS:
        raise KeyError(name)
    found: dict[str, Any] = json.loads(_text(name))
    return found


def write_schemas(folder: Path) -> list[str]:
    """Write all schemas into a folder, over older ones; returns their file names. They are made, never edited."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        new = folder / f".{name}.new"
        new.write_text(_text(name), encoding="utf-8")
        new.replace(folder / f"{name}.json")
    return [f"{name}.json" for name in SCHEMAS]


def _text(name: str) -> str:
    return (resources.files(__name__) / f"{name}.json").read_text("utf-8")

"""SQL lives in ``.sql`` files, a statement under each ``-- name: word`` line, and is asked for by that name.

Beside the module that uses it: ``queries = load(__package__, "receipts.sql")``, then ``queries["newest"]``. A file
that says a name twice, or has SQL before its first name, is an error when it is loaded, not when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"--\s*name:\s*(\S+)\s*")
_WORD = re.compile(r"[a-z][a-z0-9_]*")


def load(package: str, file: str) -> Mapping[str, bytes]:
    """Name → statement of one ``.sql`` file of a package; bytes, which psycopg takes as they are."""
    return parse(resources.files(package).joinpath(file).read_text(encoding="utf-8"), file)


def parse(text: str, file: str) -> Mapping[str, bytes]:
    """Name → statement. ValueError, with file and line, for text that does not keep to the form."""
    lines: dict[str, list[str]] = {}
    name: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if found := _NAME.fullmatch(line.strip()):
            name = found[1]
            if not _WORD.fullmatch(name) or name in lines:
                raise ValueError(f"{file}:{number}: {name!r} is no new lower-case word")
            lines[name] = []
        elif name is not None:
            lines[name].append(line)
        elif line.strip() and not line.strip().startswith("--"):
            raise ValueError(f"{file}:{number}: SQL before the first '-- name:'")
    statements = {name: "\n".join(body).strip() for name, body in lines.items()}
    for name, statement in statements.items():
        if not re.sub(r"(?m)--.*$", "", statement).strip():
            raise ValueError(f"{file}: nothing under {name!r}")
    return MappingProxyType({name: statement.encode() for name, statement in statements.items()})

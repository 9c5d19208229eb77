"""``audit/`` is evidence, declared by people who do not program: nothing in it is code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from huanshu.errors import ContentError, Text, Where

_CODE: Final = frozenset({".py", ".pyc", ".pyi", ".pyx", ".ipynb", ".so", ".sh", ".js"})


def declarative_audit(path: Path) -> Iterator[ContentError]:
    """An error for every file of code below ``audit/``."""
    folder = path / "audit"
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if file.suffix in _CODE:
            yield ContentError(
                "audit.file.code",
                Text("there is code in audit/", "audit/ 中含有程序代码"),
                remedy=Text(
                    "declare it in YAML or CSV; code belongs into src/",
                    "请以 YAML 或 CSV 声明；代码放在 src/",
                ),
                where=Where(file.relative_to(path).as_posix()),
            )

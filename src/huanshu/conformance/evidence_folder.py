"""``audit/`` is evidence, declared by people who do not program: nothing in it is code; and the witnesses that it names
can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from huanshu.auditlog.witnesses import POLICY, check_urls
from huanshu.errors import ContentError, Text, Where
from huanshu.tlog import parse_policy

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


def sound_witnesses(path: Path) -> Iterator[ContentError]:
    """The fault of ``audit/witnesses.policy``, if the file is there and has one."""
    file = path / POLICY
    if not file.exists():
        return
    try:
        check_urls(parse_policy(file.read_text(encoding="utf-8", errors="replace"), POLICY))
    except ContentError as error:
        yield error

"""New files of a home: all of a draft or nothing, and never over a file that is there.

A draft is written beside its place under a hidden name and then moved in one step. A crash leaves a hidden
``.huanshu-new-*`` in the home's root, which no reader reads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huanshu.errors import InputError, Text

_PREFIX = ".huanshu-new-"


@dataclass(frozen=True, slots=True)
class Draft:
    """Files to be: place in the home → text. They share ``root``, a file or a folder that must not be there yet."""

    root: str
    files: Mapping[str, str]


def write_drafts(home: Path, draft: Draft) -> None:
    """Put a draft into the home. InputError ``authoring.place.taken`` when something is there already."""
    target = home / draft.root
    if os.path.lexists(target):
        raise taken(draft.root)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=home) as hidden:
        put(Path(hidden), draft.files)
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(Path(hidden) / draft.root, target, draft.root)


@contextmanager
def new_home(target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target`` that becomes it when the block ends well; otherwise nothing stays.

    InputError when ``target`` is there and not an empty folder, or has no folder to be in."""
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise taken(target.name)
    if not target.parent.is_dir():
        raise InputError(
            "authoring.place.missing",
            Text(f"there is no folder {target.parent}", f"目录 {target.parent} 不存在"),
            remedy=Text("make it, or name another place", "请先创建，或另选位置"),
        )
    try:
        hidden = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
        try:
            yield hidden
            hidden.chmod(0o755)
            # Onto nothing or an empty folder, in one step; anything that came meanwhile makes it fail.
            hidden.rename(target)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise InputError(
            "authoring.place.unwritable",
            Text(f"the home cannot be written: {error.strerror}", f"无法写入治理目录：{error.strerror}"),
            remedy=Text("free the place, or name another one", "请清理该位置，或另选位置"),
        ) from None


def put(root: Path, files: Mapping[str, str]) -> None:
    """Write place → text below ``root``, which nobody else reads yet."""
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _move(source: Path, target: Path, place: str) -> None:
    """One step that fails when the target came into being meanwhile."""
    try:
        if source.is_dir():
            source.rename(target)
        else:
            os.link(source, target)
    except OSError:
        raise taken(place) from None


def taken(place: str) -> InputError:
    return InputError(
        "authoring.place.taken",
        Text(f"{place} is there already; nothing was written", f"{place} 已存在，未写入任何内容"),
        remedy=Text("edit it, or choose another name", "请直接修改该文件，或另起名称"),
    )

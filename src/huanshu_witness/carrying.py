"""The witness by files, where no line leads to it: ``<name>.add-checkpoint`` in, ``<name>.answer`` out (status, LF,
body). Of the requests only the newest is answered: the others are covered by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from huanshu_witness.deciding import LARGEST, Answer, add_checkpoint
from huanshu_witness.state import State, write_whole

_ASKED, _ANSWERED = ".add-checkpoint", ".answer"


def answer_files(
    state: State, folder: Path, clock: Callable[[], float] = time.time
) -> list[tuple[str, Answer]]:
    """Answer the newest request in the folder, unless it has its answer; (name, answer) when one was given."""
    asked = [path for path in folder.glob(f"*{_ASKED}") if path.is_file() and not path.is_symlink()]
    newest = max(asked, key=_order, default=None)
    if newest is None or newest.with_suffix(_ANSWERED).exists():
        return []
    with newest.open("rb") as file:
        body = file.read(LARGEST + 1)
    answer = add_checkpoint(state, body, clock)
    held = "" if answer.status == 200 else "\n" + (_held(state, body) or "")
    write_whole(newest.with_suffix(_ANSWERED), f"{answer.status}\n{answer.body}{held}")
    return [(newest.stem, answer)]


def _held(state: State, body: bytes) -> str | None:
    """What was signed last of the log that was asked about: shown where it was not signed on."""
    note = body.decode(errors="replace").partition("\n\n")[2]
    return state.held(note.split("\n")[0])


def _order(path: Path) -> tuple[int, str]:
    """Names are sizes; others come before all numbers."""
    return (int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1, path.name)

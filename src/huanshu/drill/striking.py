"""A process that is killed where it hurts: forked, and SIGKILLed by its own hand at a chosen statement or pause.

The child has one thread and no connection of its parent's: it makes its own. What it leaves behind is what a crash of
the machine's power would, short of the disk's own lies.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, Never

import psycopg


def struck(work: Callable[[], object], *, at_statement: int = 0) -> int:
    """Do ``work`` in a child; SIGKILL it before its ``at_statement``-th exchange with a database (0: never). Returns
    the child's exit code, 0 when it came to its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # other threads are there; the child uses none of theirs
        pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    try:
        if at_statement:
            _count_down(at_statement)
        work()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a child never returns into its parent's code
        os.write(2, f"the child ended with {type(error).__name__}\n".encode())
        os._exit(1)


def strike() -> Never:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody gets here")


def strike_at(point: str) -> Callable[[str], None]:
    """A ``Pause`` that does not go on."""

    def pause(reached: str) -> None:
        if reached == point:
            strike()

    return pause


def _count_down(left: int) -> None:
    waits: Any = psycopg.Connection.wait

    def wait(self: Any, generator: Any, *more: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            strike()
        return waits(self, generator, *more, **named)

    setattr(psycopg.Connection, "wait", wait)  # noqa: B010 - a child that is about to die changes a class

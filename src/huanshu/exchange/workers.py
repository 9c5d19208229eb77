"""Workers: one object in each of a few processes, forked from here once everything expensive is imported.

A worker owns its part of the work, plaintext included, from the fork to its end; what passes between it and its parent
is its arguments and answers, over a socket that has no name. So an answer must hold no value: links, marks, counts,
positions (``staging`` sees to that), and an error of ours, or only the class of a foreign one.

Whoever is killed:
    a worker    its parent gets ``exchange.worker.lost`` and stops the others.
    the parent  each worker ends at once (a pipe that only the parent holds open is watched). Until the last one has,
                the parent's database session lives on, for they share its socket, and with it the lock it holds: the
                next run waits, so nobody is left who could write into what that run makes anew.

With one worker there is no fork: the object lives here, and is asked here; unless it is to work while others
do (``apart``).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import struct
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from huanshu.defects import kind_of, place_of
from huanshu.errors import HuanshuError, Text, UnavailableError
from huanshu.store import available

_LENGTH: Final = struct.Struct(">Q")


class Report(Protocol):
    """Tells how much more is done."""

    def __call__(self, records: int) -> None: ...


class Workers:
    """``make[n](report)`` makes worker *n*'s object, in its process. Use as a context manager."""

    def __init__(
        self, make: Sequence[Callable[[Report], Any]], report: Report, *, apart: bool = False
    ) -> None:
        self._make, self._report, self._apart = make, report, apart
        self._here: Any = None
        self._kept: Any = None
        self._links: list[socket.socket] = []
        self._children: list[int] = []
        self._life = -1

    def __enter__(self) -> Workers:
        if len(self._make) == 1 and not self._apart:
            self._here = self._make[0](self._report)
        else:
            try:
                self._fork()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._here = None
        for child in self._children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for link in self._links:
            link.close()
        if self._life >= 0:
            os.close(self._life)
        self._children, self._links, self._life = [], [], -1

    def ask(self, method: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        """Call a method of every object, all at the same time; ``arguments[n]`` are worker *n*'s.

        Raises the error of the first worker (in their order) that has one, after all have ended the call."""
        self.begin(method, arguments)
        return self.answers()

    def begin(self, method: str, arguments: Sequence[Sequence[Any]]) -> None:
        """Like ``ask``, without waiting. Done here and now when the object lives here."""
        if not self._links:
            (given,) = arguments
            self._kept = _answer(self._here, method, given)
            return
        for link, given in zip(self._links, arguments, strict=True):
            with contextlib.suppress(OSError):  # a dead worker is found when it is asked for its answer
                _send(link, (method, tuple(given)))

    def answers(self) -> list[Any]:
        """What ``begin`` asked for, in the workers' order."""
        if not self._links:
            kept, self._kept = self._kept, None
            return _told({0: kept})
        found: dict[int, tuple[str, Any]] = {}
        while missing := [n for n in range(len(self._links)) if n not in found]:
            ready, _, _ = select.select([self._links[n] for n in missing], [], [])
            for n in missing:
                if self._links[n] in ready:
                    kind, told = _receive(self._links[n]) or ("lost", 0)
                    if kind == "progress":
                        self._report(told)
                        continue
                    found[n] = kind, told
                    if kind == "lost":  # the others' work is in vain
                        raise _lost()
        return _told(found)

    def _fork(self) -> None:
        watched, self._life = os.pipe()
        for make in self._make:
            ours, theirs = socket.socketpair()
            with warnings.catch_warnings():
                # Said where other threads live (Arrow's, a tracer's). They hold no lock that a worker takes: it
                # computes on one thread of its own, and opens its own connections.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                os.close(self._life)
                for link in (*self._links, ours):
                    link.close()
                _live(theirs, watched, make)
            theirs.close()
            self._links.append(ours)
            self._children.append(child)
        os.close(watched)


def _live(link: socket.socket, watched: int, make: Callable[[Report], Any]) -> None:
    """A worker's life. Never returns: nothing of the parent's stack may run here."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who then stops its workers
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()
        made = make(lambda records: _send(link, ("progress", records)))
        while (asked := _receive(link)) is not None:
            method, given = asked
            _send(link, _answer(made, method, given))
    finally:
        os._exit(0)


def _answer(made: Any, method: str, given: Sequence[Any]) -> tuple[str, Any]:
    try:
        with available():
            return "answer", getattr(made, method)(*given)
    except HuanshuError as error:
        return "error", _parts(error)
    except Exception as error:  # noqa: BLE001 - its words may quote a value
        return "error", _parts(_failed(f"{kind_of(error)}, {place_of(error)}"))


def _parts(error: HuanshuError) -> tuple[Any, ...]:
    """What an error is made of; nothing that hangs on it."""
    return type(error), error.code, error.what, error.remedy, error.where


def _told(found: Mapping[int, tuple[str, Any]]) -> list[Any]:
    """The answers in the workers' order; the first one's error is raised anew."""
    for n in sorted(found):
        kind, told = found[n]
        if kind == "error":
            family, code, what, remedy, where = told
            raise family(code, what, remedy=remedy, where=where)
    return [found[n][1] for n in sorted(found)]


def _end_with_parent(watched: int) -> None:
    os.read(watched, 1)
    os._exit(1)


def _lost() -> UnavailableError:
    return UnavailableError(
        "exchange.worker.lost",
        Text("a worker of this run was killed", "本次运行的一个工作进程被终止"),
        remedy=Text("is there memory enough? Then run again", "请检查内存是否充足，然后重新运行"),
    )


def _failed(kind: str) -> UnavailableError:
    return UnavailableError(
        "exchange.worker.failed",
        Text(f"a worker of this run failed ({kind})", f"本次运行的一个工作进程失败（{kind}）"),
        remedy=Text(
            "are the database and the keeper up? Then run again", "请确认数据库与钥匙保管已启动，然后重新运行"
        ),
    )


def _send(link: socket.socket, message: object) -> None:
    raw = pickle.dumps(message, protocol=5)
    link.sendall(_LENGTH.pack(len(raw)) + raw)


def _receive(link: socket.socket) -> Any:
    """The next message, or None when the other side is gone. Both sides are this very program."""
    head = _exactly(link, _LENGTH.size)
    raw = None if head is None else _exactly(link, _LENGTH.unpack(head)[0])
    return None if raw is None else pickle.loads(raw)  # noqa: S301


def _exactly(link: socket.socket, size: int) -> bytearray | None:
    raw = bytearray(size)
    view, place = memoryview(raw), 0
    while place < size:
        try:
            count = link.recv_into(view[place:])
        except ConnectionError:
            return None
        if not count:
            return None
        place += count
    return raw

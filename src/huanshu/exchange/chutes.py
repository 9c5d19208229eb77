"""Chutes: how sealed rows get from several workers to the one process that loads them.

A chute is memory that two processes see, cut into slots, and a socket that says which slots are full and which are
free again. A worker is not held up by a load that is behind, until the slots are full, and a load is fed while a worker
seals.

Rules
    What goes in as one piece comes out without another worker's rows in between: a piece is whole rows, a slot is not.
    The end is said. A chute that closes without it belongs to a worker that was killed, and nothing is loaded.
    Each process keeps its own end and closes every other (``giving``, ``Arrivals``), or a dead one would go unseen.
Only sealed rows go through here: the same bytes that go to the database.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from huanshu.errors import Text, UnavailableError

_SLOT: Final = 1 << 20
_SLOTS: Final = 48  # together a little more than a loan's records
_FULL: Final = struct.Struct(">BIB")  # which slot, how many bytes, whether a piece ends with it


class LoadingEndedError(UnavailableError):
    """Nobody takes the rows any more; why, only the process that loads can tell."""


class Chute:
    """From one worker. Made before anybody is forked."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, _SLOT * _SLOTS))
        self._giving, self._taking = socket.socketpair()
        self._free = deque(range(_SLOTS))

    def put(self, given: bytes | memoryview) -> None:
        """Some whole rows. LoadingEndedError when nobody takes them."""
        rows = memoryview(given).cast("B")
        for start in range(0, len(rows), _SLOT):
            part = rows[start : start + _SLOT]
            slot = self._free.popleft() if self._free else self._freed()
            self._memory[slot * _SLOT : slot * _SLOT + len(part)] = part
            self._tell(slot, len(part), ends=start + _SLOT >= len(rows))

    def end(self) -> None:
        """There are no more rows."""
        self._tell(0, 0, ends=True)

    def piece(self) -> Iterator[memoryview]:
        """The next piece in parts, each to be used before the next is asked for; no part at all: the end was said."""
        ends = False
        while not ends:
            slot, length, ends = self._told()
            if length:
                yield self._memory[slot * _SLOT : slot * _SLOT + length]
                with contextlib.suppress(OSError):  # a dead worker is found at its next part
                    self._taking.send(bytes([slot]))

    def fileno(self) -> int:
        """Readable when a piece is there, or nobody gives any more."""
        return self._taking.fileno()

    def close(self, *, giving: bool = True, taking: bool = True) -> None:
        """Let go of these ends in this process."""
        for end, chosen in ((self._giving, giving), (self._taking, taking)):
            if chosen:
                end.close()

    def _freed(self) -> int:
        try:
            told = self._giving.recv(_SLOTS)
        except OSError:
            told = b""
        if not told:
            raise _ended()
        self._free.extend(told)
        return self._free.popleft()

    def _tell(self, slot: int, length: int, *, ends: bool) -> None:
        try:
            self._giving.sendall(_FULL.pack(slot, length, ends))
        except OSError:
            raise _ended() from None

    def _told(self) -> tuple[int, int, bool]:
        raw = b""
        while len(raw) < _FULL.size:
            more = self._taking.recv(_FULL.size - len(raw))
            if not more:
                raise _cut_off()
            raw += more
        slot, length, ends = _FULL.unpack(raw)
        return slot, length, bool(ends)


@contextmanager
def chutes(count: int) -> Iterator[Sequence[Chute]]:
    """One for each of several workers; none for a single one. In the process that forks the others."""
    made = [Chute() for _ in range(count)] if count > 1 else []
    try:
        yield made
    finally:
        let_go(made)


def let_go(chutes: Sequence[Chute]) -> None:
    """In a process that is at neither end."""
    for chute in chutes:
        chute.close()


def giving(chutes: Sequence[Chute], number: int) -> Chute:
    """In worker ``number``: its own chute, to put rows into."""
    for n, chute in enumerate(chutes):
        chute.close(giving=n != number)
    return chutes[number]


class Arrivals:
    """In the process that loads: all rows of all workers, as they come. Use as a context manager: after it, whoever
    still puts rows in is told that nobody takes them."""

    def __init__(self, chutes: Sequence[Chute]) -> None:
        self._chutes = chutes
        for chute in chutes:
            chute.close(taking=False)

    def __enter__(self) -> Iterator[memoryview]:
        return self._rows()

    def __exit__(self, *_: object) -> None:
        let_go(self._chutes)

    def _rows(self) -> Iterator[memoryview]:
        left = list(self._chutes)
        while left:
            for chute in select.select(left, [], [])[0]:
                given = False
                for part in chute.piece():
                    given = True
                    yield part
                if not given:
                    left.remove(chute)


def _ended() -> LoadingEndedError:
    return LoadingEndedError(
        "exchange.worker.lost",
        Text("the process that loads has ended", "装载进程已结束"),
        remedy=Text("run again", "请重新运行"),
    )


def _cut_off() -> UnavailableError:
    return UnavailableError(
        "exchange.worker.lost",
        Text("a worker of this run was killed", "本次运行的一个工作进程被终止"),
        remedy=Text("is there memory enough? Then run again", "请检查内存是否充足，然后重新运行"),
    )

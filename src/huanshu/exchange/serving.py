"""Deliveries side by side: forked workers, each with connections and a keeper's client of its own.

A worker is handed one receiver after the other and answers with its outcome or failure. Deliveries to different
receivers share nothing but the log, and the log has its one writer in the keeper. AES does not run beside itself in
threads, hence processes; forked, because a worker then needs no second reading of the home and no import.

Crash points: a killed worker leaves what a killed delivery leaves (``delivery``); its receiver is a failure of the
run, and the other workers go on. A worker whose parent is killed ends after the delivery it is at.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import cast

import pyarrow as pa

from huanshu import telemetry
from huanshu.catalog import Flow
from huanshu.defects import unforeseen
from huanshu.errors import HuanshuError, Text, UnavailableError
from huanshu.exchange.delivery import Outcome, deliver
from huanshu.exchange.ground import Ground
from huanshu.exchange.routes import Routes


@dataclass(frozen=True, slots=True)
class Failure:
    """One receiver that was not served, and why."""

    receiver: str
    error: HuanshuError


def each(ground: Ground, flow: Flow, run: str, receivers: Sequence[str]) -> Iterator[Outcome | Failure]:
    """Deliver to every receiver: in turn, or by as many workers as the ground has; in order of completion then."""
    count = min(ground.workers_serving(len(receivers)), len(receivers))
    if count > 1:
        yield from _side_by_side(ground, flow, run, list(receivers), count)
        return
    with Routes(ground) as routes:
        for receiver in receivers:
            yield _tried(ground, routes, flow, receiver, run)


def _tried(ground: Ground, routes: Routes, flow: Flow, receiver: str, run: str) -> Outcome | Failure:
    try:
        return deliver(ground, routes, flow, receiver, run)
    except HuanshuError as error:
        return Failure(receiver, error)


def _side_by_side(
    ground: Ground, flow: Flow, run: str, waiting: list[str], count: int
) -> Iterator[Outcome | Failure]:
    waiting.reverse()
    at: dict[Connection, str] = {}
    lines: list[Connection] = []
    processes: list[ForkProcess] = []
    try:
        for _ in range(count):
            line, process = _start(ground, flow, run, lines)
            processes.append(process)
            lines.append(line)
            at[line] = waiting.pop()
            line.send(at[line])
        while at:
            for ready in wait(list(at)):
                line = cast("Connection", ready)  # that is what was handed in
                receiver = at.pop(line)
                try:
                    found = line.recv()
                except (EOFError, OSError):
                    yield Failure(receiver, _lost())
                    continue
                if waiting:
                    at[line] = waiting.pop()
                    line.send(at[line])
                else:
                    line.close()
                ground.progress(receiver, 1, 1)
                yield found
        for receiver in waiting:  # every worker is gone
            yield Failure(receiver, _lost())
    finally:
        for line in lines:
            line.close()  # the end of its line is the end of a worker
        for process in processes:
            process.join()


def _start(
    ground: Ground, flow: Flow, run: str, others: Sequence[Connection]
) -> tuple[Connection, ForkProcess]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(ground, flow, run, theirs, (ours, *others)), daemon=True)
    with warnings.catch_warnings():
        # Python warns of forking beside threads. Those of the libraries (Arrow, BLAS, OpenTelemetry) start anew in
        # a child; threads of ours there are none.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    return ours, process


def _work(ground: Ground, flow: Flow, run: str, line: Connection, others: Sequence[Connection]) -> None:
    """A worker's life. Ctrl-C is for the parent, which lets the deliveries under way finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_memory_pool(
        pa.system_memory_pool()
    )  # the other one hands memory back to the kernel, and asks again
    for other in others:
        other.close()  # or a killed parent's lines would never end
    own = replace(ground, keeper=ground.keeper.another(), progress=_silent, workers=1)
    with contextlib.suppress(EOFError, OSError), Routes(own) as routes:
        while True:
            receiver = line.recv()
            try:
                found = _tried(own, routes, flow, receiver, run)
            except Exception as error:  # noqa: BLE001 - a defect: its class is told, never its text
                found = Failure(receiver, unforeseen(error))
            line.send(found)
    telemetry.flush()


def _silent(what: str, done: int, total: int) -> None:
    """A worker draws nothing; its parent tells of each receiver."""


def _lost() -> UnavailableError:
    return UnavailableError(
        "exchange.worker.lost",
        Text("the worker that served it was killed", "为其交付的工作进程被终止"),
        remedy=Text("run again: it goes on where it stopped", "请重新运行，将从中断处继续"),
    )

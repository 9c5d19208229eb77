"""Rows through chutes: whole pieces, each worker's in its order, none lost; and whoever ends early is noticed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import UnavailableError
from huanshu.exchange import chutes as module
from huanshu.exchange.chutes import Arrivals, Chute, LoadingEndedError, chutes

SIZES = st.lists(st.integers(1, 9 * 16), min_size=1, max_size=8)


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    """Four slots of sixteen bytes, so that pieces are longer than all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLOT", 16)
        patch.setattr(module, "_SLOTS", 4)
        yield


class Both(Arrivals):
    """Both ends in one process: none is closed by the other."""

    def __init__(self, chutes: Sequence[Chute]) -> None:
        self._chutes = chutes


def piece(worker: int, number: int, size: int) -> bytes:
    return bytes([worker, number]) * size


@given(st.lists(SIZES, min_size=2, max_size=3))
def test_pieces_arrive_whole_and_in_their_workers_order(sizes: list[list[int]]) -> None:
    with chutes(len(sizes)) as made:

        def give(worker: int) -> None:
            for number, size in enumerate(sizes[worker]):
                made[worker].put(piece(worker, number, size))
            made[worker].end()

        givers = [threading.Thread(target=give, args=(worker,), daemon=True) for worker in range(len(made))]
        for giver in givers:
            giver.start()
        with Both(made) as arriving:
            came = b"".join(map(bytes, arriving))
        for giver in givers:
            giver.join()
    pairs = [(came[n], came[n + 1]) for n in range(0, len(came), 2)]
    runs = [(worker, number, len(list(run))) for (worker, number), run in groupby(pairs)]
    for worker, wanted in enumerate(sizes):  # one run a piece: no other worker's bytes inside
        assert [(n, size) for w, n, size in runs if w == worker] == list(enumerate(wanted))


def test_a_single_worker_needs_none() -> None:
    with chutes(1) as made:
        assert made == []


def test_a_worker_that_ends_without_saying_so_is_no_end() -> None:
    with chutes(2) as made:
        for chute in made:
            chute.put(b"rows of a worker")
        made[0].end()
        made[1].close(taking=False)
        with Both(made) as arriving, pytest.raises(UnavailableError, match=r"exchange\.worker\.lost"):
            list(arriving)


def test_a_worker_is_told_when_nobody_takes_its_rows() -> None:
    with chutes(2) as made:
        with Both(made):
            made[0].put(bytes(4 * 16))  # all slots are full
        with pytest.raises(LoadingEndedError):
            made[0].put(bytes(16))
        with pytest.raises(LoadingEndedError):
            made[1].put(bytes(16))

"""A neighbour's resident and one who does not exist: the same answer, in the same time, and the reason only in the log.

The bounded test asks for some pairs, the long one for ten thousand. Time is judged by rank (Mann and Whitney): the chance
that a foreign one's answer takes longer than a missing one's must lie near one half.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from huanshu.catalog import Rung
from huanshu.drill.careless import CountsNothing
from huanshu.drill.range import Range
from huanshu.errors import InputError
from huanshu.gate.read import Asked, read
from huanshu.simulator.identifiers import citizen_number

ROOT = Path(__file__).parents[2]
OURS, THEIRS = "990101001001", ("990101001002", "990101001003")
SEED = 20260701


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    """Budgets are another defence: without them ten thousand answers can be compared."""
    with Range(ROOT, budgets=CountsNothing) as made:
        made.take_in("resident.psb_to_district")
        yield made


def foreign_numbers() -> list[str]:
    with (ROOT / "expectations/resident/samples/passing.csv").open(encoding="utf-8") as file:
        return [row["citizen_number"] for row in csv.DictReader(file) if row["community"] in THEIRS]


def missing_number(chance: random.Random) -> str:
    year, month, day = chance.randint(20, 59), chance.randint(1, 9), chance.randint(10, 28)
    return citizen_number(f"99010119{year}0{month}{day}{chance.randint(1, 999):03}")


def compared(
    place: Range, pairs: int, by: str
) -> tuple[set[tuple[Any, ...]], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(answers seen, times of foreign ones, times of missing ones), each pair in an order of its own."""
    chance = random.Random(SEED)
    numbers = foreign_numbers()
    records = [record for home in THEIRS for record, _ in place.due_records("resident", home)]
    assert len(numbers) > 5
    assert len(records) == len(numbers)
    running = place.acting("p.tang")
    district = running.district()
    district.autocommit = True
    answers: set[tuple[Any, ...]] = set()
    taken: dict[str, list[float]] = {"foreign": [], "missing": []}

    def ask(kind: str) -> None:
        if by == "identifier":
            given = {"identifier": chance.choice(numbers) if kind == "foreign" else missing_number(chance)}
        else:
            given = {"record": chance.choice(records) if kind == "foreign" else chance.randint(10**6, 10**9)}
        asked = Asked(
            "yulan.data_clerk", OURS, "resident", "grassroots_service", {"name": Rung.REVEAL}, **given
        )
        begin = time.perf_counter()
        try:
            read(running.home, running.keeper, lambda: nullcontext(district), asked)  # type: ignore[arg-type,return-value]
        except InputError as error:
            taken[kind].append(time.perf_counter() - begin)
            answers.add(
                (error.exit_code, error.code, error.explain("zh"), error.explain("en"), str(error.as_json()))
            )
        else:
            raise AssertionError("a value came back")

    for kind in ("foreign", "missing") * 5:  # warm
        ask(kind)
    taken = {"foreign": [], "missing": []}
    for _ in range(pairs):
        for kind in chance.sample(("foreign", "missing"), 2):
            ask(kind)
    district.close()
    running.keeper.close()
    return answers, np.array(taken["foreign"]), np.array(taken["missing"])


def longer(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    """Mann and Whitney's U as a share: the chance that one of the first is longer than one of the second."""
    ranks = np.empty(len(first) + len(second))
    ranks[np.argsort(np.concatenate([first, second]), kind="stable")] = np.arange(1, len(ranks) + 1)
    return float((ranks[: len(first)].sum() - len(first) * (len(first) + 1) / 2) / (len(first) * len(second)))


def told(place: Range, before: int) -> list[str]:
    return [
        str(entry.body["detail"]["reason"])
        for entry in place.entries()[before:]
        if entry.event == "access.record.missed" and entry.body["person"] == "p.tang"
    ]


def judge(place: Range, pairs: int, by: str, bound: float) -> None:
    before = len(place.entries())
    answers, foreign, missing = compared(place, pairs, by)
    assert len(answers) == 1, "status and body are one"
    share = longer(foreign, missing)
    assert abs(share - 0.5) < bound, f"{share:.3f} of foreign answers take longer"
    ratio = float(np.median(foreign) / np.median(missing))
    assert abs(ratio - 1) < 2 * bound, f"medians {ratio:.3f}"
    reasons = told(place, before)
    assert reasons.count("elsewhere") == reasons.count("absent") == pairs + 5


@pytest.mark.parametrize("by", ["identifier", "record"])
def test_pairs_are_one_answer_and_one_time(place: Range, by: str) -> None:
    """Of n pairs the share's own scatter is 0.41 / √n: the bound is four times that."""
    judge(place, 120, by, 0.15)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["identifier", "record"])
def test_ten_thousand_pairs_are_one_answer_and_one_time(place: Range, by: str) -> None:
    judge(place, 5_000, by, 0.03)


def test_the_measure_does_find_a_difference() -> None:
    """Or the bounds above would say nothing: three per cent more time, in a scatter of ten."""
    chance = np.random.default_rng(SEED)
    one, other = chance.normal(1.00, 0.1, 5_000), chance.normal(1.03, 0.1, 5_000)
    assert abs(longer(one, other) - 0.5) > 0.03
    assert abs(longer(one, chance.normal(1.00, 0.1, 5_000)) - 0.5) < 0.03

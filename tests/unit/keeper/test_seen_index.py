"""The index of who is in which entry answers as a scan over every bitmap does, whatever is done to its pages."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from planting import Planting
from pyroaring import BitMap

from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.catalog import Home, read_home
from huanshu.errors import TamperedError
from huanshu.keeper.bitmaps import BEGIN, Keys, chained, sightings
from huanshu.keeper.seen import SeenIndex
from huanshu.sealing.keys import bitmap_key
from huanshu.store import connect

HERE = "990101001001"
MOST = 12_000  # ordinals over three pages


class Log:
    """Some fifty entries about some thousands of subjects, and the plain scan beside the index."""

    def __init__(self, ground: Any, home: Home) -> None:
        self.ground = ground
        self.planted = Planting.fresh(ground, home)
        self.keys: Keys = [(bitmap_key(1), self.planted.key)]
        self.sets: dict[int, set[int]] = {}
        self.made: list[SeenIndex] = []
        self.chains: dict[int, bytes] = {}
        rng = random.Random(4)
        for n in range(50):
            start, length = rng.randrange(MOST), rng.choice([1, 3, 40, 3_000])
            some = (
                set(range(start, min(start + length, MOST)))
                if n % 2
                else set(rng.sample(range(MOST), length))
            )
            self.sets[self.planted.moved(HERE, some, arrived=n % 3 == 0)] = some
        self.end = self.planted.writer.size
        self.asked = [
            0,
            1,
            4_095,
            4_096,
            4_097,
            8_191,
            8_192,
            MOST - 1,
            MOST,
            3_000_000,
            *rng.sample(range(MOST), 60),
        ]

    def index(self, entries: int = 7) -> SeenIndex:
        self.made.append(SeenIndex(lambda: connect(self.ground.keeper_url), entries=entries))
        return self.made[-1]

    def answers(self, index: SeenIndex, before: int | None = None) -> list[list[int]]:
        end = self.end if before is None else before
        chain = self.chain(end)
        return [index.entries_about(self.keys, BitMap([one]), end, chain) for one in self.asked]

    def chain(self, before: int) -> bytes:
        """What the keeper's own fold of the entries below ``before`` comes to; taken before anybody changes a row."""
        if before not in self.chains:
            chain = BEGIN
            rows = self.ground.rows(f"SELECT leaf FROM log.entry WHERE index < {before} ORDER BY index")
            for (leaf,) in rows:
                chain = chained(chain, json.loads(bytes(leaf)))
            self.chains[before] = chain
        return self.chains[before]

    def truth(self, before: int | None = None) -> list[list[int]]:
        end = self.end if before is None else before
        return [[at for at, some in self.sets.items() if one in some and at < end] for one in self.asked]


@pytest.fixture(scope="module")
def home(root: Any) -> Home:
    return read_home(root)


@pytest.fixture
def log(ground: Any, home: Home) -> Iterator[Log]:
    with connect(ground.tamper_url) as admin:
        admin.execute(b"TRUNCATE seen.segment CASCADE")
    made = Log(ground, home)
    yield made
    for index in made.made:
        index.close()
    made.planted.done()
    made.planted.vault.close()


def test_answers_are_those_of_a_scan(log: Log) -> None:
    truth = log.truth()
    assert sum(map(len, truth)) > 100
    with connect(log.ground.keeper_url) as connection:
        scanned = [
            [at for at, _ in sightings(connection, log.keys, BitMap([one]), ABOUT_SUBJECTS, -1, log.end)]
            for one in log.asked[:20]
        ]
    assert scanned == truth[:20]
    cold = log.index()
    assert log.answers(cold) == truth
    assert log.answers(cold) == truth  # warm
    ((segments, pages),) = log.ground.rows("SELECT count(DISTINCT first), count(*) FROM seen.page")
    assert segments == 7
    assert pages > 14
    assert log.answers(log.index()) == truth  # from the pages of another keeper's life
    together = log.index().entries_about(log.keys, BitMap(log.asked), log.end, log.chain(log.end))
    assert together == sorted({at for each in truth for at in each})


def test_no_answer_knows_what_came_after_the_question(log: Log) -> None:
    middle = sorted(log.sets)[20]
    index = log.index()
    log.answers(index)
    assert log.answers(index, before=middle) == log.truth(before=middle)
    assert log.answers(log.index(), before=middle) == log.truth(before=middle)


def test_what_is_appended_later_is_in_the_next_answer(log: Log) -> None:
    index = log.index()
    log.answers(index)
    for _ in range(9):  # over the end of a segment
        log.sets[log.planted.accessed("viewed", HERE, log.asked[:5])] = set(log.asked[:5])
    log.end = log.planted.writer.size
    assert log.answers(index) == log.truth()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE seen.page SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)",
        "UPDATE seen.segment SET head = set_byte(head, 40, get_byte(head, 40) # 1) WHERE first > 0",
        "DELETE FROM seen.page WHERE first = 0",
        "DELETE FROM seen.segment WHERE first = (SELECT first FROM seen.segment ORDER BY first OFFSET 2 LIMIT 1)",
        "DELETE FROM seen.segment",
        "UPDATE seen.segment SET past = past + 1 WHERE first = (SELECT max(first) FROM seen.segment)",
        "UPDATE seen.page p SET sealed = o.sealed FROM seen.page o WHERE o.first = 0 AND o.page = 0 AND p.page = 1",
    ],
)
def test_a_harmed_page_costs_time_and_no_answer(log: Log, harm: str) -> None:
    log.answers(log.index())
    log.ground.tamper(harm)
    assert log.answers(log.index()) == log.truth()
    assert log.ground.rows("SELECT count(DISTINCT first) FROM seen.page") == [(7,)]  # made again


@pytest.mark.parametrize("kept", [True, False])
def test_a_missing_bitmap_is_an_error_and_never_an_absence(log: Log, kept: bool) -> None:
    """Unless a page has it: then the answer is still the whole one."""
    if kept:
        log.answers(log.index())
    first = min(log.sets)
    log.ground.tamper(
        "DELETE FROM log.bitmap WHERE sealed_sha256 = (SELECT decode(convert_from(leaf, 'UTF8')::jsonb"
        f" -> 'subjects' ->> 'sealed_sha256', 'hex') FROM log.entry WHERE index = {first})"
    )
    if kept:
        assert log.answers(log.index()) == log.truth()
    else:
        with pytest.raises(TamperedError, match=r"auditlog\.bitmap\.changed"):
            log.answers(log.index())


@pytest.mark.parametrize("hidden", ["its event", "its index", "its leaf"])
def test_a_row_hidden_while_a_segment_is_made_is_not_missing_for_ever(log: Log, hidden: str) -> None:
    """Whoever holds the database changes a row, lets the question be asked, and puts the row back."""
    log.chain(log.end)
    first = min(log.sets)
    ((event, leaf),) = log.ground.rows(f"SELECT event, leaf FROM log.entry WHERE index = {first}")
    change, back = {
        "its event": ("event = 'report.page.built'", f"event = '{event}'"),
        "its index": ("index = 900000", f"index = {first}"),
        "its leaf": (
            "leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'subjects', 'subjectz'), 'UTF8')",
            f"leaf = '\\x{bytes(leaf).hex()}'",
        ),
    }[hidden]
    log.ground.tamper(f"UPDATE log.entry SET {change} WHERE index = {first}")
    index = log.index()
    with pytest.raises(TamperedError, match=r"auditlog\.bitmap\.changed"):
        log.answers(index)
    where = 900_000 if hidden == "its index" else first
    log.ground.tamper(f"UPDATE log.entry SET {back} WHERE index = {where}")
    for each in (index, log.index()):
        assert log.answers(each) == log.truth()


def test_pages_of_another_log_are_not_believed(log: Log) -> None:
    """The same numbers under another history, as after a restored backup."""
    log.answers(log.index())
    log.ground.tamper("UPDATE log.entry SET leaf_hash = sha256(leaf_hash) WHERE index > 4")
    before = log.ground.rows("SELECT head FROM seen.segment ORDER BY first")
    assert log.answers(log.index()) == log.truth()
    after = log.ground.rows("SELECT head FROM seen.segment ORDER BY first")
    assert not set(before) & set(after)

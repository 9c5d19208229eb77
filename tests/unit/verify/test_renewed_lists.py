"""What renewals and batches under way may say of rows: the same, fewer, and not for ever."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from huanshu.store import connect
from huanshu_verify.written import Announced, Batch, announced_of, check

D, HOME = "nowhere", "990101001001"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
Items = list[tuple[int, int, bytes]]
BEFORE: Items = [(1, 1, b"a" * 32), (2, 1, b"b" * 32), (3, 2, b"c" * 32)]


def as_list(items: Items) -> bytes:
    return b"".join(struct.pack(">QI", record, version) + digest for record, version, digest in items)


@pytest.fixture
def store(ground: Any) -> Iterator[psycopg.Connection]:
    with connect(ground.tamper_url) as administrator:
        administrator.execute("TRUNCATE district.written")
        yield administrator


def lay(store: psycopg.Connection, index: int, name: str, home: str, items: Items) -> Batch:
    """A batch with one list, told by entry ``index``."""
    raw = as_list(items)
    store.execute("INSERT INTO district.written (batch, home, rows) VALUES (%s, %s, %s)", (name, home, raw))
    said = home.encode()
    digest = hashlib.sha256(struct.pack(">I", len(said)) + said + hashlib.sha256(raw).digest()).hexdigest()
    return Batch(index, name, D, {"rows": len(items), "ended": 0, "sha256": digest})


def found(
    store: psycopg.Connection, batches: list[Batch], *announced: Announced, now: datetime = NOW
) -> set[str]:
    problems: list[tuple[str, str]] = []
    check(store, batches, announced, now, lambda at, what: problems.append((at, what)))
    return {f"{at}: {what}" for at, what in problems if what != "the table of this dataset is gone"}


OTHER_ROWS = "entry 9: writes other rows anew than there were"


@pytest.mark.parametrize(
    ("renewal", "items", "wrong"),
    [
        ("rotation/1", [(r, v, b"x" * 32) for r, v, _ in BEFORE], False),
        ("rotation/1", BEFORE[1:], True),
        ("rotation/1", [*BEFORE, (4, 1, b"d" * 32)], True),
        ("rotation/1", [(1, 1, b"a" * 32), (2, 2, b"b" * 32), (3, 2, b"c" * 32)], True),
        ("erasure/8", BEFORE[1:], False),
        ("erasure/8", BEFORE, False),
        ("erasure/8", [*BEFORE[1:], (4, 1, b"d" * 32)], True),
        ("erasure/8", [(2, 1, b"x" * 32), BEFORE[2]], True),  # who erases one, changes no other
    ],
)  # fmt: skip
@pytest.mark.parametrize("told", [True, False], ids=["told", "under way"])
def test_a_rotation_names_the_same_rows_and_an_erasure_leaves_others_as_they_are(
    store: psycopg.Connection, renewal: str, items: Items, wrong: bool, told: bool
) -> None:
    batches = [lay(store, 5, "b1", HOME, BEFORE)]
    written = lay(store, 9, renewal, f"b1/{HOME}", items)
    announced = Announced(9, renewal, D, (NOW + timedelta(days=1)).isoformat())
    problems = found(store, [*batches, written]) if told else found(store, batches, announced)
    assert problems == ({OTHER_ROWS} if wrong else set())


def test_what_was_announced_and_not_told_is_under_way_for_a_while_and_then_found(
    store: psycopg.Connection,
) -> None:
    told = lay(store, 5, "b1", HOME, BEFORE)
    lay(store, 0, "b2", HOME, BEFORE)
    one = Announced(9, "b2", D, NOW.isoformat())
    assert found(store, [told], one) == set()
    late = found(store, [told], one, now=NOW + timedelta(seconds=1))
    assert {problem.partition(":")[0] for problem in late} == {"entry 9"}
    assert {problem.partition(":")[0] for problem in found(store, [told])} == {"batch b2"}


def test_nothing_is_under_way_for_longer_than_three_days(store: psycopg.Connection) -> None:
    assert store
    body = {
        "event": "exchange.intake.authorised", "index": 4, "at": NOW.isoformat(), "dataset": D,
        "detail": {"batch": "b2", "until": "2027-12-31T00:00:00+08:00"},
    }  # fmt: skip
    found = announced_of(body)
    assert found == Announced(4, "b2", D, (NOW + timedelta(days=3)).isoformat())
    soon = (NOW + timedelta(hours=1)).isoformat()
    sooner = announced_of({**body, "detail": {"batch": "b2", "until": soon}})
    assert sooner is not None
    assert sooner.until == soon
    confirmed = {**body, "event": "erasure.subject.confirmed", "detail": {"proposed": 3}}
    assert announced_of(confirmed) == Announced(4, "erasure/4", D, (NOW + timedelta(days=3)).isoformat())
    assert announced_of({**body, "event": "exchange.intake.promoted"}) is None

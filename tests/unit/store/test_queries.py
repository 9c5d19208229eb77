"""Named queries: found by their names; whatever does not keep to the form is an error with its line."""

from __future__ import annotations

import pytest

from huanshu.store.queries import parse

GOOD = """-- What the receipts page asks.

-- name: newest
SELECT 1  -- one
  FROM a;

-- name: oldest
-- The other end.
SELECT 2
"""


def test_by_name() -> None:
    assert parse(GOOD, "receipts.sql") == {
        "newest": b"SELECT 1  -- one\n  FROM a;",
        "oldest": b"-- The other end.\nSELECT 2",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1", "x.sql:1: SQL before"),
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "x.sql:3: 'a'"),
        ("-- name: A-b\nSELECT 1", "x.sql:1: 'A-b'"),
        ("-- name: a\n-- only words\n-- name: b\nSELECT 1", "x.sql: nothing under 'a'"),
        ("-- name: a\n", "x.sql: nothing under 'a'"),
    ],
)
def test_malformed(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text, "x.sql")

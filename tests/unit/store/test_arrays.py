"""bigint[] goes in and comes out as numpy arrays, whatever its length and numbers."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.store import connect
from huanshu.store.arrays import _NumbersDumper, _NumbersLoader, arrays

BIG = st.integers(-(2**63), 2**63 - 1)


@given(numbers=st.lists(BIG, max_size=50))
def test_what_is_written_is_read(numbers: list[int]) -> None:
    given_ = np.array(numbers, np.int64)
    raw = _NumbersDumper(np.ndarray).dump(given_)
    assert _NumbersLoader(1016).load(raw).tolist() == numbers


@pytest.mark.parametrize("count", [0, 1, 9, 20_000])
def test_the_server_reads_and_writes_the_same(roles: dict[str, str], count: int) -> None:
    numbers = np.arange(count, dtype=np.int64) * -(2**40) + 7
    with connect(roles["huanshu_app"]) as connection, arrays(connection) as cursor:
        query = "SELECT a, cardinality(a), a[1], array_agg(n ORDER BY ord) FROM (SELECT %s::bigint[] AS a) x, unnest(a) WITH ORDINALITY AS u (n, ord) GROUP BY a"
        row = cursor.execute(query, (numbers,)).fetchone()
        if not count:
            assert row is None
            row = cursor.execute("SELECT %s::bigint[], 0, NULL, %s", (numbers, numbers)).fetchone()
        assert row is not None
        assert row[0].tolist() == row[3].tolist() == numbers.tolist()
        assert row[1:3] == (count, numbers[0] if count else None)


@pytest.mark.parametrize("other", ["ARRAY[1, NULL]::bigint[]", "ARRAY[[1, 2], [3, 4]]::bigint[]"])
def test_other_arrays_are_refused(roles: dict[str, str], other: str) -> None:
    with (
        connect(roles["huanshu_app"]) as connection,
        arrays(connection) as cursor,
        pytest.raises((ValueError, psycopg.Error)),
    ):
        cursor.execute(f"SELECT {other}".encode()).fetchone()

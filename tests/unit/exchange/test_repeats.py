"""With a dictionary or without, cut or whole: the same values."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from huanshu.exchange.repeats import coded, together, whole

ROWS = st.lists(st.tuples(st.none() | st.sampled_from("ab"), st.none() | st.text(max_size=5)), max_size=30)


def _table(rows: Sequence[tuple[str | None, str | None]]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[n] for row in rows], pa.large_string()) for n, name in enumerate("xy")}
    )


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_same_values(parts: list[list[tuple[str | None, str | None]]]) -> None:
    made = together([coded(_table(part)) for part in parts])
    rows = [row for part in parts for row in part]
    for n, name in enumerate("xy"):
        assert whole(made.column(name)).to_pylist() == [row[n] for row in rows]


def test_what_repeats_has_a_dictionary_and_what_does_not_has_none() -> None:
    made = coded(_table([(str(n % 7), str(n)) for n in range(100_000)]))
    assert pa.types.is_dictionary(made.schema.field("x").type)
    assert made.schema.field("y").type == pa.large_string()

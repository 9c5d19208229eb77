"""A verdict does not depend on how columns are kept: with a dictionary, each value is judged once, to the same end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import Home
from huanshu.exchange.repeats import coded
from huanshu.quality import Verdict, engine, validate
from huanshu.quality.distinct import combinations
from huanshu.simulator import Scale, Simulation

DATASETS = ("resident", "enterprise", "grid_event", "vaccination_due")


def _same(one: Verdict, other: Verdict) -> None:
    assert one.rules == other.rules
    assert one.failed_rows.keys() == other.failed_rows.keys()
    for rule, rows in one.failed_rows.items():
        assert rows.tolist() == other.failed_rows[rule].tolist(), rule


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_suite_says_the_same(home: Home, dataset: str) -> None:
    table = Simulation(home, 12, Scale.of(1500), DATASETS).extract(dataset).table()
    table = pa.table({name: _spoilt(table.column(name), n) for n, name in enumerate(table.column_names)})
    kept = coded(table)
    assert any(pa.types.is_dictionary(kind) for kind in kept.schema.types)
    every = pa.table(
        {name: table.column(name).combine_chunks().dictionary_encode() for name in table.column_names}
    )
    suite, contract, domains = home.suites[dataset], home.contracts[dataset], home.policies.domains
    plain = validate(table, suite, contract, domains)
    assert len(plain.failed) >= 8
    for other in (kept, every):
        _same(plain, validate(other, suite, contract, domains))


def _spoilt(column: pa.ChunkedArray, seed: int) -> pa.Array:
    """Some cells absent, some wrong, some another row's."""
    values = column.to_pylist()
    made = np.random.default_rng(seed)
    for row in made.integers(0, len(values), 12).tolist():
        values[row] = made.choice(["", "0", "2026-02-30", "张３", "x" * 300, values[row - 1] or "9"]) or None
    return pa.array(values, pa.large_string())


def test_each_value_is_judged_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Simulation(home, 12, Scale.of(1500), ("resident",)).extract("resident").table()
    seen: dict[str, int] = {}
    judged = engine.evaluate

    def noted(
        session: engine.Session, kind: str, kwargs: object, columns: object, records: int, **rest: object
    ) -> object:
        seen["/".join(columns)] = records  # type: ignore[arg-type]
        return judged(session, kind, kwargs, columns, records, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "evaluate", noted)
    validate(coded(table), home.suites["resident"], home.contracts["resident"], home.policies.domains)
    assert seen["sex"] <= 4
    assert seen["marital_status"] <= 7
    assert seen["citizen_number"] == table.num_rows


@given(st.lists(st.tuples(*[st.sampled_from([None, "", "a", "b"])] * 3), min_size=1, max_size=200))
def test_combinations_are_the_rows(rows: Sequence[tuple[str | None, ...]]) -> None:
    columns = [pa.array([row[n] for row in rows], pa.large_string()).dictionary_encode() for n in range(3)]
    found = combinations(columns)
    if found is None:
        assert len(rows) < 4**3
        return
    values, codes = found
    listed = list(zip(*(column.to_pylist() for column in values), strict=True))
    assert [listed[code] for code in codes.tolist()] == list(rows)
    assert len(listed) == len(set(rows))

"""A verdict is what Great Expectations counted, row by row, and does not depend on how the batch was cut."""

from __future__ import annotations

import itertools
import json
import logging
import traceback
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from huanshu.catalog import Home
from huanshu.errors import ContentError
from huanshu.quality import validate, whole
from huanshu.quality.rules import ready
from huanshu.quality.samples import judged
from huanshu.simulator import Extract, Scale, Simulation

CANARIES = ("10098765432", "金丝雀甲", "金丝雀巷九号")


@pytest.fixture(scope="module")
def extract(home: Home) -> Extract:
    return Simulation(home, 11, Scale.of(1000), ("resident",)).extract("resident", canaries=CANARIES)


@pytest.fixture(scope="module")
def rows(extract: Extract) -> pa.Table:
    return extract.table()


def test_a_simulated_extract_fails_exactly_where_it_was_spoilt(
    home: Home, extract: Extract, rows: pa.Table
) -> None:
    verdict = judged(rows, home.suites["resident"], home.contracts["resident"], home.policies.domains)
    planted = {d["row"] - 1: set(d["rules"]) for d in extract.truth["defects"] if d["rules"]}
    assert len(planted) >= 15
    assert {row: set(rules) for row, rules in verdict.quarantine.items()} == planted
    warned = {
        (rule, row)
        for rule, found in verdict.failed_rows.items()
        for row in found.tolist()
        if next(r for r in verdict.rules if r.rule == rule).severity == "warning"
    }
    assert warned == {(rule, d["row"] - 1) for d in extract.truth["defects"] for rule in d["warnings"]}
    assert verdict.batch_ok


def test_quarantine_is_exactly_what_the_expectations_counted(home: Home, rows: pa.Table) -> None:
    """Against Great Expectations run plainly: the whole suite at once, on one frame of all columns."""
    import great_expectations as gx
    from great_expectations.expectations import registry

    suite, contract, domains = home.suites["resident"], home.contracts["resident"], home.policies.domains
    verdict = validate(rows, suite, contract, domains)
    rules = [r for r in ready(suite, contract, domains) if r.expectation.scope == "record"]
    assert len(rules) >= 20
    everything = {name: rows.column(name).to_pandas() for name in rows.column_names}
    everything |= {c.written: c.cells(rows).to_pandas() for r in rules for c in r.columns if c.derivation}
    import pandas as pd

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("plain").add_dataframe_asset("plain")
    batch = asset.add_batch_definition_whole_dataframe("plain").get_batch(
        {"dataframe": pd.DataFrame(everything)}
    )
    counted: set[int] = set()
    failing = 0
    for rule in rules:
        expectation = registry.get_expectation_impl(rule.expectation.type)(**rule.kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = batch.validate(expectation, result_format="COMPLETE")
        mine = next(r for r in verdict.rules if r.rule == rule.expectation.rule)
        assert mine.passed == result.success
        assert mine.failed_count == result.result["unexpected_count"]
        positions = sorted(result.result["unexpected_index_list"])
        assert verdict.failed_rows.get(mine.rule, np.array([], dtype=np.int64)).tolist() == positions
        if mine.severity == "error":
            counted.update(positions)
        failing += not result.success
    assert failing >= 8
    by_contract = {
        row
        for rule, found in verdict.failed_rows.items()
        if rule.startswith("contract_")
        for row in found.tolist()
    }
    assert set(verdict.quarantine) == counted | by_contract
    assert verdict.quarantined_rows().tolist() == sorted(counted | by_contract)


@pytest.mark.parametrize("cuts", [(1,), (37, 38, 800), (500, 500)])
def test_verdict_does_not_depend_on_the_cuts(home: Home, rows: pa.Table, cuts: tuple[int, ...]) -> None:
    suite, contract, domains = home.suites["resident"], home.contracts["resident"], home.policies.domains
    at_once = validate(rows, suite, contract, domains)
    edges = [0, *cuts, rows.num_rows]
    parts = [rows.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    merged = whole([validate(part, suite, contract, domains) for part in parts], suite)
    assert merged.as_json() == at_once.as_json()
    assert {k: v.tolist() for k, v in merged.failed_rows.items()} == {
        k: v.tolist() for k, v in at_once.failed_rows.items()
    }


def test_warning_is_counted_and_not_quarantined(make: Any) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule(
            "code_form",
            "expect_column_values_to_match_regex",
            severity="warning",
            column="code",
            regex="^[0-9]$",
        )
    )
    verdict = validate(make.frame(code=["1", "x", None]), checks, trial)
    assert verdict.failed_rows["code_form"].tolist() == [1]
    assert verdict.quarantine == {}
    assert verdict.batch_ok


@pytest.mark.parametrize(("cells", "passed"), [(["1", "2", "x", None], True), (["1", "x", "y", None], False)])
def test_proportion_is_over_the_whole_batch(make: Any, cells: list[str | None], passed: bool) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule(
            "mostly_digits",
            "expect_column_values_to_match_regex",
            "batch",
            column="code",
            regex="^[0-9]$",
            mostly=0.5,
        )
    )
    at_once = validate(make.frame(code=cells), checks, trial)
    assert at_once.batch_ok is passed
    assert at_once.quarantine == {}
    assert (at_once.rules[-1].failed_count, at_once.rules[-1].counted) == (
        cells.count("x") + cells.count("y"),
        3,
    )
    # A part alone may fail although the whole passes, and the other way round.
    parts = [validate(make.frame(code=[c]), checks, trial) for c in cells]
    assert whole(parts, checks).batch_ok is passed


def test_row_count_is_summed(make: Any) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule("size", "expect_table_row_count_to_be_between", "batch", min_value=3, max_value=4)
    )
    part = validate(make.frame(code=["1", "2"]), checks, trial)
    assert not part.batch_ok
    assert whole([part, part], checks).batch_ok
    assert not whole([part, part, part], checks).batch_ok


def test_empty_frame_is_judged(make: Any) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^[0-9]$"),
        make.rule("size", "expect_table_row_count_to_be_between", "batch", min_value=1),
    )
    verdict = validate(make.frame(code=[]), checks, trial)
    assert [r.rule for r in verdict.failed] == ["size"]


def test_contract_rules_guard_presence_width_and_type(make: Any) -> None:
    trial = make.contract(
        make.field("home", required=True),
        make.field("name", width=6, level=3),
        make.field("born", logical_type="date"),
        make.field("size", logical_type="integer"),
        make.field("rate", logical_type="number"),
        make.field("open", logical_type="boolean"),
        make.field("seen", logical_type="timestamp"),
    )
    good = {
        "home": "h",
        "name": "王芳",
        "born": "2024-02-29",
        "size": "-12",
        "rate": "0.5",
        "open": "true",
        "seen": "2026-01-31T08:00:00+08:00",
    }
    bad = {
        "home": None,
        "name": "王芳x",
        "born": "2023-02-29",
        "size": "012",
        "rate": "1e5",
        "open": "yes",
        "seen": "2026-02-30T08:00:00Z",
    }
    rows = [
        good,
        dict.fromkeys(good) | {"home": "h"},
        *({**good, name: value} for name, value in bad.items()),
    ]
    verdict = validate(make.frame(**{n: [r[n] for r in rows] for n in good}), make.suite(), trial)
    assert verdict.quarantine == {i: (f"contract_{name}",) for i, name in enumerate(bad, 2)}


def test_a_line_break_does_not_slip_past_the_end_of_a_pattern(make: Any) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^[0-9]{2}$")
    )
    verdict = validate(make.frame(code=["12", "12\n", "\n12", "１２"]), checks, trial)
    assert verdict.failed_rows["code_form"].tolist() == [1, 2, 3]


def test_alternatives_are_anchored_together(make: Any) -> None:
    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^1|2$")
    )
    assert validate(make.frame(code=["1", "2", "1x", "x2"]), checks, trial).failed_rows[
        "code_form"
    ].tolist() == [2, 3]


def test_a_rule_that_raises_is_an_error_and_keeps_quiet(
    make: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    trial = make.contract(make.field("code"))
    # Text compared with numbers: the library raises inside a metric and reports no unexpected value.
    checks = make.suite(
        make.rule(
            "code_between", "expect_column_values_to_be_between", column="code", min_value=1, max_value=9
        )
    )
    # In a variable, because a traceback quotes its source lines.
    spoilt = make.frame(code=list(CANARIES))
    with pytest.raises(ContentError) as caught:
        validate(spoilt, checks, trial)
    assert caught.value.code == "quality.rule.broken"
    assert caught.value.where == checks.where
    assert caught.value.__context__ is None
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    assert not [c for c in CANARIES if c in told]


def test_a_batch_rule_that_raises_is_an_error_too(make: Any) -> None:
    checks = make.suite(
        make.rule(
            "mostly_between",
            "expect_column_values_to_be_between",
            "batch",
            column="code",
            min_value=1,
            mostly=0.5,
        )
    )
    with pytest.raises(ContentError, match=r"quality\.rule\.broken"):
        validate(make.frame(code=["x"]), checks, make.contract(make.field("code")))


def test_no_value_is_told(
    home: Home, rows: pa.Table, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    verdict = validate(rows, home.suites["resident"], home.contracts["resident"], home.policies.domains)
    assert len(verdict.failed) >= 10
    told = [repr(verdict), str(verdict), json.dumps(verdict.as_json(), ensure_ascii=False), caplog.text]
    told += capfd.readouterr()
    cells = {
        c
        for name in ("citizen_number", "name", "phone")
        for c in rows.column(name).to_pylist()
        if c and len(c) > 1
    }
    assert {
        c
        for c in CANARIES
        if any(c in rows.column(n).to_pylist() for n in ("phone", "name", "residence_address"))
    } == set(CANARIES)
    for text in told:
        assert not [value for value in {*CANARIES, *cells} if value in text]


def test_no_frame_is_kept(make: Any) -> None:
    import gc

    import pandas as pd

    trial = make.contract(make.field("code"))
    checks = make.suite(
        make.rule("code_form", "expect_column_values_to_match_regex", column="code", regex="^[0-9]$")
    )
    verdict = validate(make.frame(code=["金丝雀甲"] * 7), checks, trial)
    assert not verdict.rules[-1].passed
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, pd.DataFrame) and len(o) == 7]


def test_a_frame_without_the_fields_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="lacks code"):
        validate(make.frame(other=["1"]), make.suite(), make.contract(make.field("code")))

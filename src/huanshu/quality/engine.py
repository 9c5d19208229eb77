"""Great Expectations itself: loaded once, kept silent, given one small frame at a time, and emptied after.

Invariants: no outbound connection, no file, no progress bar, no log line, no Data Docs; of a result only
"passed", counts and row positions are taken, and when the library raises, not even its message (it quotes
values, GX#8780). A rule that raised inside the library is an error here, never a pass (soda#2810).

Each rule sees a frame of just its own columns, because the library copies whole frames to drop nulls, and a
validation has a context of its own, because a context remembers its last frame.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from huanshu.errors import ContentError, Text, Where
from huanshu.quality.verdict import NO_ROWS, Rows

#: The library keeps one "current project" per process.
_ONE_AT_A_TIME: Final = threading.Lock()

#: Arguments every expectation takes that have no place in a suite here.
_NOT_OFFERED: Final = frozenset({"batch_id", "row_condition", "condition_parser"})


class Outcome(NamedTuple):
    """What one evaluation said. ``counted`` are the rows that had the value."""

    passed: bool
    failed: int
    counted: int
    rows: Rows


@cache
def _library() -> Any:
    """The great_expectations module; seconds at the first call. Silenced before it can speak."""
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(), _left_out("rfc3987_syntax"):
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import great_expectations.expectations
        from great_expectations.execution_engine import pandas_execution_engine

    # Otherwise every validation hashes the whole frame, twice.
    pandas_execution_engine.HASH_THRESHOLD = 0
    gx.get_context(mode="ephemeral", project_config=_configuration())
    return gx


@contextmanager
def _left_out(name: str) -> Iterator[None]:
    """For the time of an import, a module that cannot be imported: jsonschema takes this one when it is there, which
    reads a grammar of IRIs, a third of the library's import, for a format that nobody asks for."""
    there = name in sys.modules
    if not there:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not there:
            del sys.modules[name]


def preload() -> None:
    """Import the library now, so that processes forked from this one need not (seconds, and 260 MB each)."""
    known_types()


def _configuration() -> Any:
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )


@cache
def known_types() -> Mapping[str, Any]:
    """Expectation type → its class, everything this version of the library knows."""
    _library()
    from great_expectations.expectations import registry

    return {
        name: registry.get_expectation_impl(name)
        for name in registry.list_registered_expectation_implementations()
        if name.startswith("expect_")
    }


def is_row_by_row(kind: str) -> bool:
    """True when the type judges each row (or pair, or tuple) of its columns."""
    _library()
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    return issubclass(
        known_types()[kind], (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    )


def known_kwargs(kind: str) -> frozenset[str]:
    """The arguments a suite may give to this type."""
    declared = known_types()[kind]
    return frozenset({*declared.domain_keys, *declared.success_keys}) - _NOT_OFFERED


def refused_kwargs(kind: str, kwargs: Mapping[str, object]) -> list[str]:
    """Names of arguments that the library will not take for this type (missing or of a wrong type)."""
    from pydantic.v1 import ValidationError

    try:
        known_types()[kind](**kwargs)
    except ValidationError as error:
        return sorted({str(problem["loc"][0]) for problem in error.errors()})
    return []


class Session:
    """The library's memory for one validation; drop it afterwards, for it keeps the last frame it saw."""

    def __init__(self) -> None:
        with _ONE_AT_A_TIME:
            _library()
            from great_expectations.data_context.data_context.ephemeral_data_context import (
                EphemeralDataContext,
            )

            context = EphemeralDataContext(_configuration())
            asset = context.data_sources.add_pandas("memory").add_dataframe_asset("frame")
            self._batches = asset.add_batch_definition_whole_dataframe("whole")

    def run(self, kind: str, kwargs: Mapping[str, object], frame: Any, form: str) -> Any:
        """The library's own result object: it holds values, so it must not leave ``evaluate``."""
        return self._batches.get_batch({"dataframe": frame}).validate(
            known_types()[kind](**kwargs),
            result_format={"result_format": form, "partial_unexpected_count": 0},
        )


def evaluate(
    session: Session,
    kind: str,
    kwargs: Mapping[str, object],
    columns: Mapping[str, pa.Array],
    records: int,
    *,
    find_rows: bool,
    where: Where,
) -> Outcome:
    """One rule over its columns (name → ``records`` cells). ``find_rows``: also which rows failed it.

    Raises ContentError ``quality.rule.broken`` when the library could not judge; without its words."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frame = _pandas(columns, records)
            if not find_rows:
                return _outcome(_told(session.run(kind, kwargs, frame, "BASIC")), records)
            # Cheapest first: most rules pass, and passing needs no list of rows.
            if _told(session.run(kind, kwargs, frame, "BOOLEAN_ONLY"))["success"]:
                return Outcome(True, 0, records, NO_ROWS)
            return _with_rows(_told(session.run(kind, kwargs, frame, "COMPLETE")), records)
        except Exception as error:  # noqa: BLE001 - whatever it raises may quote values
            trouble = type(error).__name__
    # Outside the handler: nothing of the library's exception may hang on ours, not even as its context.
    raise ContentError(
        "quality.rule.broken",
        Text(
            f"Great Expectations could not evaluate this rule ({trouble})",
            f"Great Expectations 无法执行该规则（{trouble}）",
        ),
        remedy=Text("check its type and arguments against the columns", "请核对规则类型、参数与列是否相符"),
        where=where,
    )


def _pandas(columns: Mapping[str, pa.Array], records: int) -> Any:
    import pandas as pd

    # int64, float64, bool and pandas' own str: on other types the library falls back to Python per row.
    return pd.DataFrame(
        {name: cells.to_pandas() for name, cells in columns.items()}, index=pd.RangeIndex(records)
    )


class _RaisedInsideError(Exception):
    """The library caught an exception of a metric and put it into the result, or contradicts itself."""


def _told(result: Any) -> Mapping[str, Any]:
    """``success`` and ``result`` of an evaluation that really took place."""
    # After an exception this is {metric: {…}}, so anything but a plain False means that one was raised.
    if result.exception_info.get("raised_exception") is not False:
        raise _RaisedInsideError
    return {"success": bool(result.success), **result.result}


def _outcome(told: Mapping[str, Any], records: int) -> Outcome:
    if "unexpected_count" not in told:  # a rule on the table
        return Outcome(told["success"], 0, records, NO_ROWS)
    counted = int(told["element_count"]) - int(told.get("missing_count") or 0)
    return Outcome(told["success"], int(told["unexpected_count"]), counted, NO_ROWS)


def _with_rows(told: Mapping[str, Any], records: int) -> Outcome:
    rows = np.unique(np.array(told["unexpected_index_list"], dtype=np.int64))
    if told["success"] or len(rows) == 0 or len(rows) != int(told["unexpected_count"]):
        raise _RaisedInsideError
    return Outcome(False, len(rows), records, rows)

"""What the contract itself demands of a record: given where required, within its sealed width, of its type.

These rules are declared in the contract and nowhere else; a suite need not, and cannot, repeat them. They
guard what comes after: a value wider than its field could not be sealed, a record without a known home could
not be routed. One rule per field, ``contract_<field>``, scope record, severity error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from huanshu.catalog import Contract, DomainTree, Field
from huanshu.errors import Text
from huanshu.quality.dates import Bools, bools, iso_dates, present
from huanshu.quality.derived import text_cells
from huanshu.quality.distinct import distinct, has_dictionary
from huanshu.quality.verdict import Rows, RuleResult

PREFIX: Final = "contract_"

#: How the logical types other than string and date are written in an extract (timestamps: RFC 3339).
_WRITTEN: Final = {
    "integer": r"^-?(0|[1-9][0-9]{0,17})\z",
    "number": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?\z",
    "boolean": r"^(true|false)\z",
    "timestamp": (
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})\z"
    ),
}
_TYPE_WORDS: Final = {
    "string": Text("text", "文本"),
    "integer": Text("a whole number", "整数"),
    "number": Text("a number", "数字"),
    "boolean": Text("true or false", "true 或 false"),
    "date": Text("an ISO date", "ISO 日期"),
    "timestamp": Text("an RFC 3339 time", "RFC 3339 时间"),
}


class Judged(NamedTuple):
    """One contract rule over one frame, and the rows that fail it."""

    result: RuleResult
    rows: Rows


def judge(frame: pa.Table, contract: Contract, domains: DomainTree | None) -> Iterator[Judged]:
    """One result per field, in the contract's order."""
    for field in contract.fields:
        cells = text_cells(frame, field.name)
        known = domains if field.name == contract.home_field else None
        if has_dictionary(cells):
            once = distinct(cells)
            good = _good(once.values, field, known)[once.codes]
        else:
            good = _good(cells, field, known)
        rows = np.flatnonzero(~good).astype(np.int64)
        result = RuleResult(
            PREFIX + field.name, "record", "error", _title(field), len(rows) == 0, len(rows), len(frame)
        )
        yield Judged(result, rows)


def _good(cells: pa.Array, field: Field, domains: DomainTree | None) -> Bools:
    """``domains``: when the field says where a record is at home."""
    absent = ~present(cells)
    good = np.ones(len(cells), dtype=np.bool_)
    if field.width is not None:
        good &= bools(pc.less_equal(pc.binary_length(cells), field.width))
    if field.logical_type == "date":
        good &= iso_dates(cells).valid
    elif field.logical_type in _WRITTEN:
        good &= bools(pc.match_substring_regex(cells, _WRITTEN[field.logical_type]))
        if field.logical_type == "timestamp":
            good &= iso_dates(pc.utf8_slice_codeunits(cells, 0, 10)).valid
    if domains is not None:
        codes = pa.array([d.code for d in domains], pa.large_string())
        good &= bools(pc.is_in(cells, value_set=codes)) | absent
    return ~absent & good | absent & (not field.required)


def _title(field: Field) -> Text:
    words = _TYPE_WORDS[field.logical_type]
    given = Text("given and ", "必填，") if field.required else Text("", "")
    width = (
        Text(f" of at most {field.width} bytes", f"，不超过 {field.width} 字节")
        if field.width
        else Text("", "")
    )
    return Text(
        f"{field.title.en}: {given.en}{words.en}{width.en}",
        f"{field.title.zh}：{given.zh}须为{words.zh}{width.zh}",
    )

"""The samples beside a suite, run: ``passing.csv`` fails nothing, every row of ``failing.<rule>.csv`` fails
its rule.

For a rule of scope dataset the file as a whole must fail it; samples have no keys, so the identifiers
themselves stand in for their links here (they are fictional). Whether the files exist and are headed right is
``huanshu.conformance``'s question. No cell is ever quoted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from huanshu.catalog import Contract, DomainTree, Expectation, Home, Suite
from huanshu.catalog.folder import MAX_SHEET, Folder
from huanshu.catalog.sheets import well_quoted
from huanshu.errors import ContentError, Text, Where
from huanshu.quality.dates import present
from huanshu.quality.derived import text_cells
from huanshu.quality.uniqueness import dataset_rules, repeated, unique_field
from huanshu.quality.validation import validate
from huanshu.quality.verdict import NO_ROWS, Verdict


def run_samples(home: Home) -> Iterator[ContentError]:
    """What the samples disprove, one error each; nothing when every rule passes and fails as it should."""
    folder = Folder(Path(home.path))
    for dataset, suite in home.suites.items():
        yield from _dataset(folder, suite, home.contracts[dataset], home.policies.domains)


def _dataset(folder: Folder, suite: Suite, contract: Contract, domains: DomainTree) -> Iterator[ContentError]:
    place = f"expectations/{suite.dataset}/samples"
    present = set(folder.names(place))
    try:
        if "passing.csv" in present:
            yield from _passing(folder, f"{place}/passing.csv", suite, contract, domains)
        for rule in suite.expectations:
            name = f"failing.{rule.rule}.csv"
            if name in present:
                yield from _failing(folder, f"{place}/{name}", rule, suite, contract, domains)
    except ContentError as error:
        yield error


def sample(folder: Folder, file: str, contract: Contract) -> pa.Table:
    """A sample as a frame for ``validate``. Raises ContentError ``sample.*`` and ``content.*``."""
    names = [field.name for field in contract.fields]
    text = folder.text(file, MAX_SHEET)
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    reader = csv.reader(lines, strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        rows = []
    if not rows or not all(map(well_quoted, lines)):
        raise ContentError(
            "content.csv.malformed",
            Text(
                "a quotation mark stands in the wrong place, or a cell is too long",
                "引号位置错误，或单元格过长",
            ),
            remedy=Text(
                "quote the whole cell, and double a quotation mark inside it", "整格加引号，格内引号写两个"
            ),
            where=Where(file, reader.line_num),
        )
    for line, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise ContentError(
                "sample.row.ragged",
                Text(
                    f"the row has {len(row)} cells instead of {len(names)}",
                    f"该行有 {len(row)} 列，应为 {len(names)} 列",
                ),
                remedy=Text("write one cell a field", "每个字段写一格"),
                where=Where(file, line),
            )
    if rows[0] != names:
        raise ContentError(
            "sample.header.wrong",
            Text("the header is not the contract's fields in their order", "表头与契约字段及其顺序不一致"),
            remedy=Text("copy the header of the contract's fields", "请按契约字段顺序填写表头"),
            where=Where(file, 1),
        )
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    return pa.table(
        {
            name: pa.array([cell or None for cell in cells], pa.large_string())
            for name, cells in zip(rows[0], columns, strict=True)
        }
    )


def judged(frame: pa.Table, suite: Suite, contract: Contract, domains: DomainTree) -> Verdict:
    """The verdict of every rule, those of scope dataset too."""
    verdict = validate(frame, suite, contract, domains)
    counted = np.ones(frame.num_rows, np.bool_)
    counted[verdict.quarantined_rows()] = False
    for rule in dataset_rules(suite, contract):
        cells = text_cells(frame, unique_field(rule))
        codes = cells.dictionary_encode("encode").indices.to_numpy(zero_copy_only=False).astype(np.int64)
        result, rows = repeated(rule, codes, counted & present(cells))
        verdict = verdict.with_rule(result, rows)
        if rule.severity == "error":
            counted[rows] = False
    return verdict


def _passing(
    folder: Folder, file: str, suite: Suite, contract: Contract, domains: DomainTree
) -> Iterator[ContentError]:
    verdict = judged(sample(folder, file, contract), suite, contract, domains)
    for result in verdict.failed:
        rows = verdict.failed_rows.get(result.rule, NO_ROWS)
        yield ContentError(
            "sample.passing.failed",
            Text(f"the passing sample fails rule {result.rule}", f"合格样例未通过规则 {result.rule}"),
            remedy=Text("correct the sample or the rule", "请更正样例或规则"),
            # Data row 0 stands on line 2, under the header.
            where=Where(file, int(rows[0]) + 2 if len(rows) else None),
        )


def _failing(
    folder: Folder, file: str, rule: Expectation, suite: Suite, contract: Contract, domains: DomainTree
) -> Iterator[ContentError]:
    frame = sample(folder, file, contract)
    # That rule alone: what else a bad row breaks is not the question, and 35 suites would take half a minute.
    verdict = judged(frame, replace(suite, expectations=(rule,)), contract, domains)
    result = next(r for r in verdict.rules if r.rule == rule.rule)
    every_row = rule.scope == "record"
    passed = np.setdiff1d(np.arange(frame.num_rows), verdict.failed_rows.get(rule.rule, NO_ROWS))
    if not result.passed and not (every_row and len(passed)):
        return
    yield ContentError(
        "sample.failing.passed",
        Text(f"this sample does not fail rule {rule.rule}", f"该样例没有触发规则 {rule.rule}"),
        remedy=Text(
            "a rule that cannot fail proves nothing: correct the sample or the rule",
            "不会失败的规则不足为凭，请更正样例或规则",
        ),
        where=Where(file, int(passed[0]) + 2 if every_row and len(passed) else None),
    )

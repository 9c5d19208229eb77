"""Every quality rule is shown to pass and shown to fail: ``samples/passing.csv`` and
``samples/failing.<rule>.csv``.

Here only that the files exist and carry the contract's fields as header; ``huanshu.quality`` runs them.
Cells of samples are never quoted in a message.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from huanshu.catalog import Contract, Home, Suite
from huanshu.catalog.folder import MAX_SHEET, Folder
from huanshu.catalog.words import hint
from huanshu.errors import ContentError, Text, Where

_PASSING: Final = "passing.csv"


def tested_rules(home: Home) -> Iterator[ContentError]:
    """An error for a missing, unknown or wrongly headed sample of any suite."""
    folder = Folder(Path(home.path))
    for dataset, suite in home.suites.items():
        yield from _samples(folder, home.contracts[dataset], suite)


def _samples(folder: Folder, contract: Contract, suite: Suite) -> Iterator[ContentError]:
    place = f"expectations/{suite.dataset}/samples"
    present = folder.names(place)
    wanted = {f"failing.{e.rule}.csv": e for e in suite.expectations}
    if _PASSING not in present:
        yield _missing(f"{place}/{_PASSING}", suite.where)
    for name, expectation in wanted.items():
        if name not in present:
            yield _missing(f"{place}/{name}", expectation.where)
    for name in present:
        if name != _PASSING and name not in wanted and name not in {"README.md", "README.zh-CN.md"}:
            yield ContentError(
                "sample.rule.unknown",
                Text("this sample belongs to no rule of the suite", "该样例不属于任何一条规则"),
                remedy=_rename_or_delete(name, {*wanted, _PASSING}),
                where=Where(f"{place}/{name}"),
            )
        elif name.endswith(".csv") and (error := _header(folder, f"{place}/{name}", contract)) is not None:
            yield error


def _rename_or_delete(name: str, wanted: set[str]) -> Text:
    meant = hint(name, wanted)
    return Text(f"delete it; or: {meant.en}", f"请删除；或：{meant.zh}")


def _missing(file: str, where: Where) -> ContentError:
    passing = file.endswith(f"/{_PASSING}")
    return ContentError(
        "sample.file.missing",
        Text(f"there is no {file}", f"缺少 {file}"),
        remedy=Text(
            "rules that were never seen passing may refuse everything: add rows that are right"
            if passing
            else "a rule that was never seen failing proves nothing: add it",
            "没有通过过的规则可能拒绝一切，请补上正确的行" if passing else "没有失败过的规则不足为凭，请补上",
        ),
        where=where,
    )


def _header(folder: Folder, file: str, contract: Contract) -> ContentError | None:
    try:
        first = folder.text(file, MAX_SHEET).split("\n", 1)[0].removesuffix("\r")
        header = next(csv.reader([first], strict=True))
    except ContentError as error:
        return error
    except csv.Error:
        header = []
    if header == [field.name for field in contract.fields]:
        return None
    return ContentError(
        "sample.header.wrong",
        Text("the header is not the contract's fields in their order", "表头与契约字段及其顺序不一致"),
        remedy=Text("copy the header of the contract's fields", "请按契约字段顺序填写表头"),
        where=Where(file, 1),
    )

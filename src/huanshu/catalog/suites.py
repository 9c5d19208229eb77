"""expectations/<dataset>/suite.yaml and codes/<list>.csv → Suite, in the vocabulary of Great Expectations 1.x.

``expectations: [{type, kwargs, meta: {rule, scope, severity, title: {zh, en}}}]``. Whether Great
Expectations knows the type and its arguments is judged by ``huanshu.quality``, the only importer of that
library. A code list is a file beside the suite: ``value_set: '@codes.<list>'`` names it.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.documents import Node, document
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Code, Expectation, Suite
from huanshu.catalog.sheets import rows
from huanshu.errors import ContentError, Text, Where

CODE_COLUMNS: Final = ("code", "title_zh", "title_en", "note")

_TYPE: Final = re.compile(r"expect_[a-z0-9_]+")


def read_suite(folder: Folder, dataset: str, faults: Faults) -> Suite:
    """The suite of one dataset; a bad expectation is noted and left out."""
    file = f"expectations/{dataset}/suite.yaml"
    root = document(folder, file)
    members = root.mapping(("dataset", "expectations"))
    if members["dataset"].name() != dataset:
        raise ContentError(
            "suite.dataset.misfiled",
            Text(
                f"the folder is {dataset}, the suite is of {members['dataset'].text()}",
                f"目录名为 {dataset}，规则集属于 {members['dataset'].text()}",
            ),
            remedy=Text("give both the same name", "请使两者一致"),
            where=members["dataset"].where,
        )
    found: dict[str, Expectation] = {}
    for node in members["expectations"].list():
        with faults.caught():
            expectation = _expectation(node)
            if (first := found.get(expectation.rule)) is not None:
                raise ContentError(
                    "suite.rule.duplicate",
                    Text(f"rule {expectation.rule} comes twice", f"规则 {expectation.rule} 重复"),
                    remedy=Text(
                        f"the first is on line {first.where.line}", f"第一个在第 {first.where.line} 行"
                    ),
                    where=node.where,
                )
            found[expectation.rule] = expectation
    codes = _code_lists(folder, dataset, faults)
    return Suite(dataset, tuple(found.values()), folder.sha256(file), root.where, codes)


def code_files(folder: Folder, dataset: str) -> tuple[str, ...]:
    """Paths of the dataset's code lists."""
    place = f"expectations/{dataset}/codes"
    return tuple(f"{place}/{name}" for name in folder.names(place) if name.endswith(".csv"))


def _code_lists(folder: Folder, dataset: str, faults: Faults) -> dict[str, tuple[Code, ...]]:
    for error in folder.expect(f"expectations/{dataset}/codes", (), (".csv",)):
        faults.note(error)
    found: dict[str, tuple[Code, ...]] = {}
    for file in code_files(folder, dataset):
        with faults.caught():
            name = words.name(file.rsplit("/", 1)[1].removesuffix(".csv"), Where(file))
            found[name] = tuple(
                Code(
                    code=row.text("code"),
                    title=Text(en=row.text("title_en"), zh=row.text("title_zh")),
                    note=row.optional("note"),
                    where=row.where(),
                )
                for row in rows(folder, file, CODE_COLUMNS, ("code",), faults)
            )
    return found


def _expectation(node: Node) -> Expectation:
    members = node.mapping(("type", "kwargs", "meta"))
    meta = members["meta"].mapping(("rule", "scope", "severity", "title"))
    kind = members["type"].text()
    if _TYPE.fullmatch(kind) is None:
        raise ContentError(
            "suite.type.malformed",
            Text(f"“{kind[:64]}” is no type of an expectation", f"“{kind[:64]}”不是期望类型"),
            remedy=Text(
                "for example expect_column_values_to_not_be_null", "例如 expect_column_values_to_not_be_null"
            ),
            where=members["type"].where,
        )
    kwargs = {key: value.value() for key, value in members["kwargs"].any_mapping().items()}
    return Expectation(
        rule=meta["rule"].name(),
        type=kind,
        kwargs=kwargs,
        scope=cast(
            "Literal['record', 'batch', 'dataset']", meta["scope"].word(("record", "batch", "dataset"))
        ),
        severity=cast("Literal['error', 'warning']", meta["severity"].word(("error", "warning"))),
        title=meta["title"].title(),
        where=node.where,
    )

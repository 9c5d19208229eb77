"""A suite made ready to run: every type, argument, column and value checked before a record is touched.

Great Expectations would pass, or fail at run time, on much of what is refused here: an argument it does not
know, ``mostly`` on a rule that should find single records, a pattern that matches a substring, numbers
compared with text. ContentError, at the rule's line, with the nearest right word.

By scope: ``record`` takes the types that judge a row by itself; ``batch`` the number of rows, or a row type
with ``mostly`` (both add up over frames, so a verdict does not depend on how the extract was cut);
``dataset`` uniqueness of an identifier field, decided by link (``uniqueness``).

A ``value_set`` may be ``"@domains.<kind>"``, the codes of all domains of that kind, or ``"@codes.<list>"``,
those of ``expectations/<dataset>/codes/<list>.csv``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

import pyarrow as pa
import pyarrow.compute as pc

from huanshu.catalog import Contract, DomainKind, DomainTree, Expectation, Suite
from huanshu.catalog.words import hint, unknown
from huanshu.errors import ContentError, Text, Where
from huanshu.quality import engine
from huanshu.quality.contract_rules import PREFIX
from huanshu.quality.derived import Column, column
from huanshu.quality.verdict import ROW_COUNT

UNIQUE: Final = "expect_column_values_to_be_unique"

#: They judge a row by its neighbours, so their verdict would depend on the size of the batch.
_BY_NEIGHBOURS: Final = frozenset(
    {
        UNIQUE,
        "expect_compound_columns_to_be_unique",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_not_be_outliers",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
    }
)
_COLUMN_KEYS: Final = ("column", "column_A", "column_B")
#: Arguments that shade a rule but do not say what it demands.
_INCIDENTAL: Final = frozenset(
    {"mostly", "strict_min", "strict_max", "or_equal", "ignore_row_if", "match_on", "escape"}
)
_REGEX_KEYS: Final = ("regex", "regex_list")
_MATCHES: Final = "expect_column_values_to_match_regex"
_WIDE_CLASSES: Final = re.compile(r"(?<!\\)(?:\\\\)*\\([dwsDWS])")
_DOMAINS: Final = "@domains."
_CODES: Final = "@codes."


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """An expectation whose columns are parsed and whose arguments are what the library will get."""

    expectation: Expectation
    columns: tuple[Column, ...]
    kwargs: Mapping[str, object]


def check_suite(suite: Suite, contract: Contract, domains: DomainTree | None = None) -> None:
    """Raises the first ContentError of a suite that could not run as its author meant."""
    ready(suite, contract, domains)


def ready(suite: Suite, contract: Contract, domains: DomainTree | None) -> tuple[ReadyRule, ...]:
    """Every rule of the suite, checked and resolved, in file order."""
    sets = _named_sets(suite, domains)
    return tuple(_ready(expectation, contract, sets) for expectation in suite.expectations)


def _named_sets(suite: Suite, domains: DomainTree | None) -> Mapping[str, list[str] | None]:
    """What may stand for a ``value_set``; None for what cannot be told without the domain tree."""
    kinds = get_args(DomainKind)
    codes = {
        f"{_DOMAINS}{kind}": None if domains is None else [d.code for d in domains if d.kind == kind]
        for kind in kinds
    }
    return codes | {f"{_CODES}{name}": [code.code for code in listed] for name, listed in suite.codes.items()}


def _ready(expectation: Expectation, contract: Contract, sets: Mapping[str, list[str] | None]) -> ReadyRule:
    if expectation.rule.startswith(PREFIX):
        raise ContentError(
            "suite.rule.reserved",
            Text(f"rules named {PREFIX}… come from the contract", f"{PREFIX} 开头的规则由数据契约产生"),
            remedy=Text("choose another name", "请改名"),
            where=_at(expectation, "rule"),
        )
    if expectation.type not in engine.known_types():
        raise unknown(
            "suite.type.unknown",
            Text("expectation", "期望"),
            expectation.type,
            engine.known_types(),
            _at(expectation, "type"),
        )
    _scope(expectation)
    _kwarg_names(expectation)
    columns = _columns(expectation, contract)
    if expectation.scope == "dataset":
        _identifier(expectation, contract)
    kwargs = {key: _value(expectation, key, value, sets) for key, value in expectation.kwargs.items()}
    _value_sets(expectation, columns, kwargs)
    _patterns(expectation, kwargs)
    if refused := engine.refused_kwargs(expectation.type, kwargs):
        raise ContentError(
            "suite.kwarg.invalid",
            Text(
                f"{expectation.type} needs another value of {', '.join(refused)}",
                f"{expectation.type} 的参数 {'、'.join(refused)} 缺失或类型不对",
            ),
            remedy=Text("see the documentation of this expectation", "请查阅该期望的文档"),
            where=_at(expectation, f"kwargs.{refused[0]}"),
        )
    if expectation.type == _MATCHES:
        kwargs["regex"] = _absolute_end(str(kwargs["regex"]))
    return ReadyRule(expectation, columns, kwargs)


def _at(expectation: Expectation, field: str) -> Where:
    return replace(expectation.where, field=f"{expectation.rule}.{field}")


def _scope(expectation: Expectation) -> None:
    kind, scope = expectation.type, expectation.scope
    row_by_row = engine.is_row_by_row(kind) and kind not in _BY_NEIGHBOURS
    allowed: dict[str, tuple[bool, Text]] = {
        "record": (
            row_by_row,
            Text("scope record takes types that judge each row by itself", "record 范围只用逐行判断的类型"),
        ),
        "batch": (
            kind in ROW_COUNT or row_by_row,
            Text(
                "scope batch takes the row count, or a row type with mostly",
                "batch 范围只用行数，或带 mostly 的逐行类型",
            ),
        ),
        "dataset": (kind == UNIQUE, Text(f"scope dataset takes {UNIQUE}", f"dataset 范围只用 {UNIQUE}")),
    }
    fits, remedy = allowed[scope]
    if not fits:
        raise ContentError(
            "suite.scope.unfit",
            Text(f"{kind} cannot be of scope {scope}", f"{kind} 不能用于 {scope} 范围"),
            remedy=remedy,
            where=_at(expectation, "scope"),
        )


def _kwarg_names(expectation: Expectation) -> None:
    known = engine.known_kwargs(expectation.type)
    proportional = expectation.scope == "batch" and expectation.type not in ROW_COUNT
    for key in expectation.kwargs:
        if key not in known:
            raise unknown(
                "suite.kwarg.unknown", Text("argument", "参数"), key, known, _at(expectation, f"kwargs.{key}")
            )
    # Great Expectations has defaults that every value satisfies, and takes null for one.
    telling = known - _INCIDENTAL - {*_COLUMN_KEYS, "column_list"}
    if telling and not any(expectation.kwargs.get(key) is not None for key in telling):
        raise ContentError(
            "suite.kwarg.missing",
            Text("without an argument this rule cannot fail", "缺少参数，该规则永远不会失败"),
            remedy=Text(f"give {' or '.join(sorted(telling))}", f"请填写 {'、'.join(sorted(telling))}"),
            where=_at(expectation, "kwargs"),
        )
    mostly = expectation.kwargs.get("mostly")
    share = isinstance(mostly, (int, float)) and not isinstance(mostly, bool) and 0 < mostly <= 1
    if share is not proportional or (mostly is not None) is not proportional:
        raise ContentError(
            "suite.kwarg.mostly",
            Text(
                "mostly is for scope batch: elsewhere it would let bad records pass",
                "mostly 只用于 batch 范围：用在别处会放过不合格记录",
            ),
            remedy=Text(
                "give mostly (above 0, at most 1) to a proportion of scope batch, and to nothing else",
                "batch 范围的比例规则须写 mostly（大于 0，至多 1），其他规则不得写",
            ),
            where=_at(expectation, "kwargs.mostly"),
        )
    if expectation.type in ROW_COUNT:
        _row_count(expectation)


def _row_count(expectation: Expectation) -> None:
    """The row count is summed and judged here (``verdict.decided``), so only what is understood there."""
    for key, value in expectation.kwargs.items():
        if key not in {"min_value", "max_value", "value"} or not isinstance(value, int) or value is True:
            raise ContentError(
                "suite.kwarg.invalid",
                Text(f"a row count has no {key} of this kind", f"行数规则不接受这样的 {key}"),
                remedy=Text(
                    "give min_value, max_value or value, whole numbers",
                    "请填写整数 min_value、max_value 或 value",
                ),
                where=_at(expectation, f"kwargs.{key}"),
            )


def _columns(expectation: Expectation, contract: Contract) -> tuple[Column, ...]:
    found = [
        column(written, contract, _at(expectation, f"kwargs.{key}"))
        for key in _COLUMN_KEYS
        if isinstance(written := expectation.kwargs.get(key), str)
    ]
    listed = expectation.kwargs.get("column_list")
    if isinstance(listed, list):
        where = _at(expectation, "kwargs.column_list")
        found.extend(column(str(written), contract, where) for written in listed)
    return tuple(found)


def _identifier(expectation: Expectation, contract: Contract) -> None:
    written = expectation.kwargs.get("column")
    linked = {f.name for f in contract.fields if f.link_kind is not None}
    if written not in linked:
        raise ContentError(
            "suite.column.unlinked",
            Text(
                "uniqueness over the dataset is decided by link; this field has none",
                "数据集内唯一性按关联值判断，该字段没有关联值",
            ),
            remedy=hint(str(written), linked),
            where=_at(expectation, "kwargs.column"),
        )


def _value(expectation: Expectation, key: str, value: object, sets: Mapping[str, list[str] | None]) -> object:
    """The value, with ``"@domains.<kind>"`` and ``"@codes.<list>"`` replaced by codes."""
    if isinstance(value, dict):  # the library's run-time parameters: nobody supplies them here
        raise ContentError(
            "suite.kwarg.invalid",
            Text(f"{key} must be a value or a list", f"{key} 只能是值或列表"),
            remedy=Text("write the value itself", "请直接写值"),
            where=_at(expectation, f"kwargs.{key}"),
        )
    if key != "value_set" or not isinstance(value, str):
        return value
    if value not in sets:
        raise unknown(
            "suite.reference.unknown",
            Text("set", "取值集"),
            value,
            sets,
            _at(expectation, "kwargs.value_set"),
        )
    if (found := sets[value]) is None:
        raise ContentError(
            "suite.reference.unresolved",
            Text(f"{value} needs the domain tree", f"{value} 需要域目录"),
            remedy=Text("validate with the home's domains", "请在完整的治理目录下校验"),
            where=_at(expectation, "kwargs.value_set"),
        )
    return found


def _value_sets(expectation: Expectation, columns: tuple[Column, ...], kwargs: Mapping[str, object]) -> None:
    """Values must be of the column's kind: a bare 1 is never equal to the text "1"."""
    values = kwargs.get("value_set")
    if not isinstance(values, list) or len(columns) != 1:
        return
    wanted: dict[str, tuple[tuple[type, ...], Text]] = {
        "string": ((str,), Text("this column holds text: quote the values", "该列为文本，取值请加引号")),
        "boolean": ((bool,), Text("this column holds true or false", "该列只有 true 与 false")),
        "number": ((int, float), Text("this column holds numbers", "该列为数字")),
    }
    types, remedy = wanted[columns[0].kind]
    fits = all(isinstance(v, types) and (bool in types or not isinstance(v, bool)) for v in values)
    if not fits or not values:
        raise ContentError(
            "suite.value.type",
            Text("value_set does not fit the column", "value_set 与列的类型不符"),
            remedy=remedy,
            where=_at(expectation, "kwargs.value_set"),
        )


def _patterns(expectation: Expectation, kwargs: Mapping[str, object]) -> None:
    for key in _REGEX_KEYS:
        value = kwargs.get(key)
        for pattern in value if isinstance(value, list) else [value] if key in kwargs else []:
            _pattern(expectation, key, pattern)


def _pattern(expectation: Expectation, key: str, pattern: object) -> None:
    where = _at(expectation, f"kwargs.{key}")
    if not isinstance(pattern, str):  # the library would turn a number into text
        raise ContentError(
            "suite.regex.malformed",
            Text("a pattern is text", "正则表达式须为文本"),
            remedy=Text("put it in quotation marks", "请加引号"),
            where=where,
        )
    if (wide := _WIDE_CLASSES.search(pattern)) is not None:
        raise ContentError(
            "suite.regex.wide",
            Text(
                f"\\{wide[1]} means different characters to different engines",
                f"\\{wide[1]} 在不同引擎中含义不一",
            ),
            remedy=Text("write the characters out, e.g. [0-9]", "请写明字符范围，例如 [0-9]"),
            where=where,
        )
    try:
        # RE2's grammar: no look-around, no back-reference, so no pattern takes longer than its text is long.
        pc.match_substring_regex(pa.array(["", "x"]), pattern)
        re.compile(pattern)
    except (pa.ArrowInvalid, re.error):
        raise ContentError(
            "suite.regex.malformed",
            Text("this is no regular expression that can be run", "这不是可执行的正则表达式"),
            remedy=Text(
                "check brackets; look-around and back-references are not available",
                "请检查括号；不支持环视与反向引用",
            ),
            where=where,
        ) from None
    if expectation.type == _MATCHES and not (pattern.startswith("^") and _ends_anchored(pattern)):
        raise ContentError(
            "suite.regex.unanchored",
            Text("the pattern would accept a value that merely contains it", "该模式会放过仅部分匹配的值"),
            remedy=Text("begin with ^ and end with $", "请以 ^ 开头、以 $ 结尾"),
            where=where,
        )


def _ends_anchored(pattern: str) -> bool:
    body = pattern[:-1]
    escapes = len(body) - len(body.rstrip("\\"))
    return pattern.endswith("$") and escapes % 2 == 0


def _absolute_end(pattern: str) -> str:
    """``^…$`` with an end that a trailing line break cannot slip past (Python's ``$`` lets it)."""
    return f"^(?:{pattern[1:-1]})\\Z"

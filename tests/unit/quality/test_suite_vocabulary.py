"""Whatever would make a rule mean less than it says is refused, at its line, with the nearest right word."""

from __future__ import annotations

from typing import Any

import pytest

from huanshu.catalog import Home
from huanshu.errors import ContentError
from huanshu.quality import check_suite

MATCH = "expect_column_values_to_match_regex"
IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
UNIQUE = "expect_column_values_to_be_unique"

REFUSED = [
    ("suite.type.unknown", MATCH, ("expect_column_values_to_match_regx", "record", {"column": "code", "regex": "^x$"})),
    ("suite.kwarg.unknown", "regex", (MATCH, "record", {"column": "code", "regx": "^x$"})),
    ("suite.kwarg.unknown", "known here", (MATCH, "record", {"column": "code", "regex": "^x$", "row_condition": "a>1"})),
    ("suite.kwarg.unknown", "known here", (MATCH, "record", {"column": "code", "regex": "^x$", "result_format": "BASIC"})),
    ("suite.kwarg.missing", "regex", (MATCH, "record", {"column": "code"})),
    ("suite.kwarg.missing", "max_value or min_value", (BETWEEN, "record", {"column": "born#age_on(born)", "min_value": None})),
    ("suite.kwarg.missing", "max_value or min_value", ("expect_table_row_count_to_be_between", "batch", {})),
    ("suite.regex.malformed", "quotation", (MATCH, "record", {"column": "code", "regex": 5})),
    ("suite.kwarg.mostly", "above 0", (MATCH, "batch", {"column": "code", "regex": "^x$", "mostly": 0})),
    ("suite.kwarg.mostly", "above 0", (MATCH, "batch", {"column": "code", "regex": "^x$", "mostly": True})),
    ("suite.kwarg.invalid", "whole numbers", ("expect_table_row_count_to_be_between", "batch", {"min_value": "3"})),
    ("suite.kwarg.invalid", "whole numbers", ("expect_table_row_count_to_be_between", "batch", {"min_value": 3, "strict_min": True})),
    ("suite.kwarg.invalid", "documentation", (MATCH, "record", {"regex": "^x$"})),
    ("suite.kwarg.invalid", "write the value", (MATCH, "record", {"column": "code", "regex": {"$PARAMETER": "p"}})),
    ("suite.kwarg.mostly", "mostly", (MATCH, "record", {"column": "code", "regex": "^x$", "mostly": 0.9})),
    ("suite.kwarg.mostly", "mostly", (MATCH, "batch", {"column": "code", "regex": "^x$"})),
    ("suite.column.unknown", "code", (MATCH, "record", {"column": "cod", "regex": "^x$"})),
    ("suite.column.unknown", "born", (BETWEEN, "record", {"column": "born#age_on(bron)", "min_value": 0})),
    ("suite.derivation.unknown", "gb11643_checksum", (IN_SET, "record", {"column": "code#gb11643_checksun", "value_set": [True]})),
    ("suite.derivation.malformed", "field#derivation", (IN_SET, "record", {"column": "code#", "value_set": [True]})),
    ("suite.derivation.arguments", "field", (BETWEEN, "record", {"column": "born#age_on", "min_value": 0})),
    ("suite.derivation.arguments", "digits", (IN_SET, "record", {"column": "code#given_below_age(x, born, born)", "value_set": [True]})),
    ("suite.scope.unfit", "row by itself", (UNIQUE, "record", {"column": "code"})),
    ("suite.scope.unfit", "row by itself", ("expect_column_value_z_scores_to_be_less_than", "record", {"column": "code", "threshold": 2})),
    ("suite.scope.unfit", "row count", ("expect_column_mean_to_be_between", "batch", {"column": "code", "min_value": 2})),
    ("suite.scope.unfit", UNIQUE, (MATCH, "dataset", {"column": "code", "regex": "^x$"})),
    ("suite.column.unlinked", "code", (UNIQUE, "dataset", {"column": "born"})),
    ("suite.value.type", "quote", (IN_SET, "record", {"column": "code", "value_set": [1, 2]})),
    ("suite.value.type", "true or false", (IN_SET, "record", {"column": "code#gb11643_checksum", "value_set": ["true"]})),
    ("suite.value.type", "quote", (IN_SET, "record", {"column": "code", "value_set": []})),
    ("suite.reference.unknown", "@domains.grid", (IN_SET, "record", {"column": "code", "value_set": "@domains.gird"})),
    ("suite.reference.unknown", "domains.grid", (IN_SET, "record", {"column": "code", "value_set": "@codes.uses"})),
    ("suite.reference.unresolved", "domains", (IN_SET, "record", {"column": "code", "value_set": "@domains.grid"})),
    ("suite.regex.wide", "[0-9]", (MATCH, "record", {"column": "code", "regex": r"^\d+$"})),
    ("suite.regex.unanchored", "^", (MATCH, "record", {"column": "code", "regex": "[0-9]+"})),
    ("suite.regex.unanchored", "$", (MATCH, "record", {"column": "code", "regex": r"^[0-9]+\$"})),
    ("suite.regex.malformed", "brackets", (MATCH, "record", {"column": "code", "regex": "^([0-9]+$"})),
    ("suite.regex.malformed", "look-around", (MATCH, "record", {"column": "code", "regex": "^(?=x)x$"})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "remedy", "written"), REFUSED, ids=[f"{r[0]}-{i}" for i, r in enumerate(REFUSED)]
)
def test_must_fail(make: Any, code: str, remedy: str, written: tuple[str, str, dict[str, object]]) -> None:
    kind, scope, kwargs = written
    trial = make.contract(make.field("code", link_kind="citizen_number"), make.field("born"))
    with pytest.raises(ContentError) as caught:
        check_suite(make.suite(make.rule("a_rule", kind, scope, **kwargs)), trial)
    error = caught.value
    assert error.code == code
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("expectations/trial/suite.yaml", 7)
    assert (error.where.field or "").startswith("a_rule.")
    assert error.remedy is not None
    assert remedy in error.remedy.en


def test_a_rule_cannot_take_the_name_of_a_contract_rule(make: Any) -> None:
    checks = make.suite(make.rule("contract_code", MATCH, column="code", regex="^x$"))
    with pytest.raises(ContentError, match="come from the contract"):
        check_suite(checks, make.contract(make.field("code")))


def test_the_resident_suite_is_sound_and_broad(home: Home) -> None:
    suite = home.suites["resident"]
    check_suite(suite, home.contracts["resident"], home.policies.domains)
    assert len(suite.expectations) >= 25
    assert {e.scope for e in suite.expectations} == {"record", "batch", "dataset"}
    assert {e.severity for e in suite.expectations} == {"error", "warning"}
    assert all(e.title.zh and e.title.en for e in suite.expectations)

"""Small contracts and suites made in place, and the repository's own home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from huanshu.catalog import Contract, Expectation, Field, Home, Subject, Suite, read_home
from huanshu.errors import Text, Where

ROOT = Path(__file__).parents[3]
HERE = Where("expectations/trial/suite.yaml", 7)


def field(name: str, **changes: Any) -> Field:
    given = {
        "name": name, "title": Text(name, name), "logical_type": "string", "required": False,
        "primary_key": False, "level": 1, "sensitive_personal": False, "width": None, "link_kind": None,
        "mask": None, "authority": "dept.trial", "where": Where("expectations/trial/contract.yaml", 3),
    }  # fmt: skip
    return Field(**(given | changes))


def contract(*fields: Field) -> Contract:
    return Contract(
        dataset="trial", version="1.0.0", title=Text("trial", "试"), description=Text("trial", "试"),
        domain="dept.trial", steward_post="trial.steward", legal_basis="none", home_field=fields[0].name,
        subjects=(Subject("person", fields[0].name),), fields=fields, digest="0" * 64, where=HERE,
    )  # fmt: skip


def rule(
    name: str, kind: str, scope: str = "record", severity: str = "error", **kwargs: object
) -> Expectation:
    return Expectation(name, kind, kwargs, scope, severity, Text(name, name), HERE)  # type: ignore[arg-type]


def suite(*rules: Expectation) -> Suite:
    return Suite("trial", rules, "1" * 64, HERE)


def frame(**columns: Sequence[str | None]) -> pa.Table:
    return pa.table({name: pa.array(cells, pa.large_string()) for name, cells in columns.items()})


class Makers:
    """What the tests make their trials of."""

    field = staticmethod(field)
    contract = staticmethod(contract)
    rule = staticmethod(rule)
    suite = staticmethod(suite)
    frame = staticmethod(frame)


@pytest.fixture(scope="session")
def make() -> type[Makers]:
    return Makers


@pytest.fixture(scope="session")
def home() -> Home:
    return read_home(ROOT)

"""The schemas say yes to every file there is, and no where the readers say no."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from huanshu.authoring import SCHEMAS, create_home, schema, write_schemas
from huanshu.catalog import inspect_home
from huanshu.catalog.contracts import _DATASET_CUSTOM, _FIELD_CUSTOM, _FIELD_CUSTOM_OPTIONAL
from huanshu.catalog.flows import _REQUIRED, _ROUND, RUNGS
from huanshu.drill.definition import _KEYS
from huanshu.sealing.links import LINK_KINDS
from huanshu.sealing.masks import MASKS

ROOT = Path(__file__).parents[3]
HOMES = (ROOT, ROOT / "examples/real", ROOT / "examples/planning", ROOT / "tests/content/minimal_home")


class _Core(yaml.SafeLoader):
    """What an editor reads: YAML 1.2's core, in which a day is text."""


_Core.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _load(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), _Core)


def _errors(name: str, path: Path) -> list[str]:
    return [e.message for e in jsonschema.Draft7Validator(schema(name)).iter_errors(_load(path))]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("authoring") / "home"
    create_home(home, "zh", datetime.now(UTC).date())
    return home


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_file_there_is_validates(small: Path, name: str) -> None:
    files = [f for home in (*HOMES, small) for f in sorted(home.glob(SCHEMAS[name]))]
    assert len([f for f in files if f.is_relative_to(ROOT)]) >= 1
    assert {str(f): e for f in files if (e := _errors(name, f))} == {}


def test_every_yaml_of_the_sample_home_has_a_schema() -> None:
    known = {f for pattern in SCHEMAS.values() for f in ROOT.glob(pattern)}
    files = {
        f for folder in ("policies", "expectations", "dags", "audit") for f in (ROOT / folder).rglob("*.yaml")
    }
    assert len(files) > 10
    assert files - known == set()


def test_schemas_are_schemas_and_closed_sets_are_the_readers() -> None:
    for name in SCHEMAS:
        jsonschema.Draft7Validator.check_schema(schema(name))
    parts = schema("contract")["definitions"]

    def values(of: str) -> dict[str, Any]:
        rules = parts[of]["items"]["allOf"]
        return {r["if"]["properties"]["property"]["const"]: r["then"]["properties"]["value"] for r in rules}

    assert set(values("datasetProperties")) >= set(_DATASET_CUSTOM)
    assert set(values("fieldProperties")) >= {*_FIELD_CUSTOM, *_FIELD_CUSTOM_OPTIONAL}
    assert set(values("fieldProperties")["huanshu.mask"]["enum"]) == set(MASKS)
    assert set(values("fieldProperties")["huanshu.link"]["enum"]) == set(LINK_KINDS)
    assert set(schema("flow")["properties"]) == {*_REQUIRED, "fields", "expect", *_ROUND}
    assert set(schema("drill")["properties"]) == set(_KEYS)
    rungs = schema("flow")["properties"]["fields"]["additionalProperties"]["enum"]
    assert set(rungs) == set(RUNGS)


# (schema, file of the small home, what stands there, what is written instead)
DISTRICT = "990001000000"
FLOW = "dags/flows/household.district_to_communities.yaml"
INTAKE = "dags/flows/household.register_to_district.yaml"
CONTRACT = "expectations/household/contract.yaml"
SUITE = "expectations/household/suite.yaml"
DAMAGE = [
    ("flow", FLOW, "schedule: asset", "schedule: asset\nscedule: manual"),
    ("flow", FLOW, "kind: delivery", "kind: deliver"),
    ("flow", FLOW, "name: mask", "name: unmask"),
    ("flow", FLOW, "name: mask", "name: count"),
    ("flow", FLOW, "schedule: asset", "schedule: '@daily'"),
    ("flow", FLOW, f"from: '{DISTRICT}'", "from: '99'"),
    ("flow", FLOW, "purpose: grassroots_service\n", ""),
    ("flow", FLOW, "subjects: 10 %", "subjects: ten %"),
    ("flow", FLOW, "expect: {subjects: 10 %, per_receiver: 30 %, at_least: 3}\n", ""),
    ("flow", INTAKE, "schedule: manual", "schedule: manual\nfields: {name: mask}"),
    ("contract", CONTRACT, "status: active", "status: activ"),
    ("contract", CONTRACT, "status: active", "status: active\nservers: []"),
    ("contract", CONTRACT, "{property: huanshu.level, value: 2}", "{property: huanshu.level, value: 5}"),
    ("contract", CONTRACT, "          - {property: huanshu.level, value: 2}\n", ""),
    ("contract", CONTRACT, "huanshu.mask, value: name", "huanshu.masque, value: name"),
    ("contract", CONTRACT, "logicalType: date", "logicalType: time"),
    ("contract", CONTRACT, "value: false", "value: 'false'"),
    ("suite", SUITE, "severity: error", "severity: eror"),
    ("suite", SUITE, "scope: record", "scope: row"),
    ("suite", SUITE, "rule: community_known, ", ""),
    ("suite", SUITE, "type: expect_column_values_to_be_unique", "type: column_values_to_be_unique"),
    ("purposes", "policies/purposes.yaml", "verified: false", "verified: falsch"),
    ("purposes", "policies/purposes.yaml", "datasets: [household]", "datasets: []"),
    ("purposes", "policies/purposes.yaml", "    retention: data_retention\n", ""),
    ("keys", "policies/keys.yaml", "open_max_values: 64", "open_max_values: 65"),
    ("keys", "policies/keys.yaml", "profile: aes", "profil: aes"),
    ("log", "audit/log.yaml", "origin: district", "origin: https://district"),
    ("log", "audit/log.yaml", "timezone: Asia/Shanghai", "timezone: Asia/Shanghai\ncolour: red"),
    ("obligations", "audit/obligations.yaml", "unit: years", "unit: year"),
    ("obligations", "audit/obligations.yaml", "receipt_due:", "receipt_duo:"),
    ("obligations", "audit/obligations.yaml", "value: 3", "value: 0"),
]


@pytest.mark.parametrize(("name", "file", "old", "new"), DAMAGE)
def test_schema_and_reader_refuse_the_same(small: Path, name: str, file: str, old: str, new: str) -> None:
    path = small / file
    sound = path.read_text("utf-8")
    assert old in sound
    try:
        path.write_text(sound.replace(old, new, 1), "utf-8")
        home, faults = inspect_home(small)
        by_schema = _errors(name, path)
    finally:
        path.write_text(sound, "utf-8")
    assert home is None
    assert [f for f in faults if f.where and f.where.file == file]
    assert by_schema


def test_files_point_at_the_schemas_that_are_written(small: Path) -> None:
    written = write_schemas(small / ".huanshu-schemas")
    assert len(written) == len(SCHEMAS)
    pointing = [
        f for f in small.rglob("*.yaml") if "yaml-language-server" in f.read_text("utf-8").splitlines()[0]
    ]
    assert len(pointing) == 8
    for file in pointing:
        match = re.match(r"# yaml-language-server: \$schema=(\S+)", file.read_text("utf-8"))
        assert match
        assert (file.parent / match[1]).resolve().is_file()
        assert file.match(SCHEMAS[Path(match[1]).stem])
    assert inspect_home(small)[1] == ()

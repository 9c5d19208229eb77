"""Lineage events: what is masked is said to be, nothing is named but fields, posts and counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from openlineage.client.serde import Serde

from huanshu.catalog import read_home
from huanshu.exchange.lineage import run_event

AT = datetime(2026, 9, 1, tzinfo=UTC)


def event(root: Path, flow: str, rows: dict[str, int], run: str = "r1", ended: bool = True) -> dict:  # type: ignore[type-arg]
    home = read_home(root)
    return json.loads(Serde.to_json(run_event(home, home.flows[flow], run, ended, AT, rows)))  # type: ignore[no-any-return]


def test_a_delivery_names_each_receiver_and_its_masks(root: Path) -> None:
    rows = {"990101001001": 10, "990101001002": 0}
    told = event(root, "resident.district_to_communities", rows)
    assert told["eventType"] == "COMPLETE"
    assert [o["outputFacets"]["outputStatistics"]["rowCount"] for o in told["outputs"]] == [10, 0]
    fields = told["outputs"][0]["facets"]["columnLineage"]["fields"]

    def how(name: str) -> dict:  # type: ignore[type-arg]
        return fields[name]["inputFields"][0]["transformations"][0]  # type: ignore[no-any-return]

    assert how("citizen_number") == {
        "type": "DIRECT", "subtype": "TRANSFORMATION", "description": "mask", "masking": True,
    }  # fmt: skip
    assert how("name")["masking"] is False
    assert "marital_status" not in fields
    (filtered,) = told["outputs"][0]["facets"]["columnLineage"]["dataset"]
    assert filtered["field"] == "community"


def test_the_same_run_has_the_same_id_and_another_receiver_another(root: Path) -> None:
    flow = "resident.district_to_communities"
    ids = [
        event(root, flow, rows, run)["run"]["runId"]
        for rows, run in (
            ({"990101001001": 1}, "r"),
            ({"990101001001": 5}, "r"),
            ({"990101001002": 1}, "r"),
            ({"990101001001": 1}, "s"),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_classification_travels_with_the_fields(root: Path) -> None:
    told = event(root, "resident.psb_to_district", {"990101000000": 3}, ended=False)
    assert told["eventType"] == "FAIL"
    tags = told["inputs"][0]["facets"]["tags"]["tags"]
    assert {"key": "level", "value": "4", "source": "contract", "field": "disability_grade"} in tags
    assert {
        "key": "sensitive_personal",
        "value": "true",
        "source": "contract",
        "field": "citizen_number",
    } in tags

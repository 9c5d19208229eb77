"""Every event goes out as valid OCSF 1.8.0, every class is used, and nothing of an entry is lost or added."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from exchange_story import Body
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from huanshu.auditlog.events import ALWAYS, EVENTS, check
from huanshu.report import ocsf
from huanshu.report.export import export
from huanshu.report.ocsf import CLASSES, as_ocsf

ORIGIN = "qinghe.example/log"
SPECIAL = {
    "fields": {"name": "reveal"}, "how": "viewed", "flow": {"id": "f", "digest": "ab", "approval": 3, "run": "r"},
    "subjects": {"count": 7, "sha256": "ab", "sealed_sha256": "cd"},
    "records": {"count": 7, "sha256": "ab", "sealed_sha256": "cd"},
}  # fmt: skip


def body(event: str, *, everything: bool, **detail: Any) -> Body:
    """An entry with every member it must have, or with every one it may have."""
    shape = EVENTS[event]
    members = shape.members | (shape.optional | {"trace"} if everything else set())
    names = shape.detail | (shape.optional_detail if everything else set())
    made: Body = {
        "v": 1, "index": 41, "event": event, "at": "2026-07-01T09:00:00.123456+08:00", "person": "p.xu",
        "established": {"by": "os", "account": "qh_xu"}, "policy": "ab" * 32,
        "detail": {**dict.fromkeys(names, "x"), **detail},
        **{member: SPECIAL.get(member, "x") for member in members if member not in ALWAYS},
    }  # fmt: skip
    check(made)
    return made


BODIES = [
    *(body(event, everything=everything) for event in EVENTS for everything in (False, True)),
    body("access.request.denied", everything=False, reason="identity.post.not_held"),
    body("access.request.denied", everything=True, reason="access.request.denied"),
    body("finding.case.opened", everything=True, finding="alert/mass_export/7", kind="alert"),
    body("finding.case.settled", everything=True, finding="alert/mass_export/7"),
    body("drill.run.completed", everything=True, verdict="passed"),
]


@pytest.fixture(scope="module")
def validators() -> dict[int, jsonschema.protocols.Validator]:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))
    found = {}
    for uid in CLASSES:
        made = schema.get_class_schema(schema.lookup_class_name_from_uid(uid))
        assert "1.8.0" in made["$id"]
        found[uid] = jsonschema.Draft202012Validator(made)
    return found


def test_every_event_has_a_line_and_every_class_is_used() -> None:
    assert set(ocsf.EVENTS) == set(EVENTS), "give the new event a line in huanshu.report.ocsf.EVENTS"
    assert {as_ocsf(each, ORIGIN)["class_uid"] for each in BODIES} == set(CLASSES)


def test_each_is_valid_against_the_published_schema(validators: dict[int, Any]) -> None:
    assert len(BODIES) > 100
    for each in BODIES:
        event = json.loads(json.dumps(as_ocsf(each, ORIGIN)))
        problems = [error.message for error in validators[event["class_uid"]].iter_errors(event)]
        assert not problems, (each["event"], problems)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def test_the_schema_can_say_no(validators: dict[int, Any]) -> None:
    for each in BODIES[:20]:
        event = as_ocsf(each, ORIGIN)
        for harm in ({"severity_id": 7}, {"time": "now"}, {"made_up": 1}, {"metadata": {"version": "1.8.0"}}):
            assert not validators[event["class_uid"]].is_valid(event | harm)


def test_nothing_of_an_entry_is_lost_and_nothing_is_added() -> None:
    for each in BODIES:
        event = as_ocsf(each, ORIGIN)
        said = json.dumps(event)
        assert event["metadata"]["uid"] == f"{ORIGIN}#41"
        actor = set() if event["class_uid"] in (2003, 2004) else {"person", "established"}
        assert set(event["unmapped"]) == set(each) - {"v", "index", "event", "at", "trace"} - actor
        assert "p.xu" in said
        assert event["time"] == 1782867600123


def test_a_refusal_is_a_failure_of_its_kind() -> None:
    denied = as_ocsf(body("access.request.denied", everything=True, reason="access.request.denied"), ORIGIN)
    assert (denied["class_uid"], denied["status_id"], denied["status_code"]) == (
        6005,
        2,
        "access.request.denied",
    )
    assert denied["actor"]["authorizations"][0]["decision"] == "denied"
    nobody = as_ocsf(body("access.request.denied", everything=True, reason="identity.post.not_held"), ORIGIN)
    assert (nobody["class_uid"], nobody["status_id"]) == (3002, 2)


@pytest.mark.parametrize("form", ["ocsf", "parquet"])
def test_export_writes_every_entry_or_nothing(entries: list[Body], tmp_path: Path, form: Any) -> None:
    out = tmp_path / "log.out"
    assert export(iter(entries), ORIGIN, form, out) == len(entries) > 20
    if form == "ocsf":
        read = [json.loads(line) for line in out.read_text().splitlines()]
        assert [event["metadata"]["sequence"] for event in read] == [each["index"] for each in entries]
    else:
        table = pq.read_table(out).to_pylist()
        assert [row["index"] for row in table] == [each["index"] for each in entries]
        assert [row["person"] for row in table] == [each["person"] for each in entries]
        assert [json.loads(row["detail"]) for row in table] == [each["detail"] for each in entries]
        assert [row["at"] for row in table] == [datetime.fromisoformat(str(each["at"])) for each in entries]
        assert [dict(row["fields"] or []) for row in table] == [
            dict(each.get("fields", {})) for each in entries
        ]

    def broken() -> Any:
        yield entries[0]
        raise RuntimeError

    again = tmp_path / "second"
    with pytest.raises(RuntimeError):
        export(broken(), ORIGIN, form, again)
    assert not list(tmp_path.glob("second*"))

"""A round in a real Airflow: partitions fan out and roll up, one receiver away, lineage and traces to their end."""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from psycopg.conninfo import make_conninfo
from searched import forms, found, one_of_every_use

pytest.importorskip("airflow", reason="the airflow extra is not installed")

from huanshu.assembly import Stack, connect
from huanshu.assembly.airflow_service import AirflowService
from huanshu.assembly.sandbox import Sandbox, prepare
from huanshu.auditlog.reader import read_entries
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
NEAR, OTHER, FAR = "990101001001", "990101001002", "990101001003"  # FAR has a server of its own
KEPT = {"990101000000", "990101001000", NEAR, OTHER, FAR}


class Ear:
    """Hears OTLP and OpenLineage over HTTP on this machine, as a collector would."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.lineage: list[dict[str, Any]] = []
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/lineage":
                    ear.lineage.append(json.loads(body))
                else:
                    heard = ExportTraceServiceRequest.FromString(body)
                    ear.spans += [
                        s for r in heard.resource_spans for scope in r.scope_spans for s in scope.spans
                    ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def three_communities(home: Path) -> None:
    """The sample district with three of its communities: a round of a minute, not of ten."""
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, home / part)
    domains = _keep(
        home / "policies/domains.csv", lambda r: r["code"][:12] in KEPT or r["kind"] == "department"
    )
    codes = {row["code"] for row in domains}
    posts = _keep(home / "policies/posts.csv", lambda r: r["domain"] in codes)
    held = {row["post"] for row in posts}
    _keep(home / "policies/systems.csv", lambda r: r["domain"] in codes)
    for path in (home / "policies/cases").glob("*.csv"):
        _keep(path, lambda r: r["post"] in held and r["domain"] in codes)
    flow = home / f"dags/flows/{DELIVERY}.yaml"
    flow.write_text(flow.read_text() + "runs: per_receiver\nmissing_at_most: 1\n")


def _keep(path: Path, wanted: Any) -> list[dict[str, str]]:
    text = path.read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    kept = [row for row in rows if wanted(row)]
    assert kept, f"{path.name} would be empty"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    return kept


class Place:
    """A district of three communities with everything up, Airflow included."""

    def __init__(self, folder: Path) -> None:
        three_communities(folder / "home")
        self.ear = Ear()
        self.settings = Settings(
            folder / "home", folder / "state", "en",
            otlp_endpoint=f"{self.ear.url}/v1/traces", openlineage_url=f"{self.ear.url}/lineage",
        )  # fmt: skip
        self.stack = Stack(self.settings).__enter__()
        self.sandbox: Sandbox = prepare(self.settings)
        self.airflow = AirflowService.of(self.stack.deployment)
        self.airflow.start()

    def close(self) -> None:
        self.airflow.stop()
        self.stack.stop()
        self.ear.close()

    def send(self, sequence: int) -> None:
        sample = (self.settings.home / "expectations/resident/samples/passing.csv").read_text()
        sample = sample.replace("书院路33号", f"书院路3{sequence}号")
        flow = self.sandbox.home.flows[INTAKE]
        shutil.rmtree(self.settings.intake_folder / INTAKE, ignore_errors=True)
        self.sandbox.write_extract(
            flow, f"r-{sequence}.csv", sample.encode(), sequence=sequence, period=f"2026-{9 + sequence:02d}",
            records=len(sample.splitlines()) - 1,
        )  # fmt: skip
        run = self.airflow.trigger(INTAKE)
        assert self.airflow.wait(INTAKE, run) == "success"

    def entries(self, event: str) -> list[dict[str, Any]]:
        with connect(self.settings).district() as district:
            return [dict(e.body) for e in read_entries(district) if e.event == event]

    def loans(self) -> int:
        with connect(self.settings).district() as district:
            row = district.execute("SELECT count(*) FROM log.loan").fetchone()
        return int(row[0]) if row else 0

    def until(self, what: Any, seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.3)
        return found

    def runs(self, state: str) -> dict[str, str]:
        """Partition → run id of the delivery's runs in a state."""
        found = self.airflow.runs(DELIVERY)
        return {r["partition_key"]: r["dag_run_id"] for r in found if r["state"] == state}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("a"))
    yield made
    made.close()


def test_an_intake_fans_out_and_the_arrivals_roll_up(place: Place) -> None:
    place.send(1)
    place.until(lambda: set(place.runs("success")) == {NEAR, OTHER, FAR})
    assert {e["domain"] for e in place.entries("exchange.delivery.arrived")} >= {NEAR, FAR}
    assert set(place.airflow.partitions("resident.slices")) == {NEAR, OTHER, FAR}
    told = place.until(lambda: place.entries("exchange.coverage.reached"))
    # It begins when one may still be missing; what it says is read from the books then.
    assert told[0]["detail"]["expected"] == 3
    assert told[0]["detail"]["enough"] is True
    assert told[0]["detail"]["up_to_date"] >= 2


def test_a_run_by_hand_is_its_starter_s_and_nobody_else_starts_one(place: Place) -> None:
    """Airflow names who started a run; by itself it runs in the name of who approved the flow."""
    started = place.entries("exchange.run.started")
    by_hand = [e for e in started if e["flow"]["id"] == INTAKE]
    by_itself = [e for e in started if e["flow"]["id"] == DELIVERY]
    assert {(e["person"], e["established"]["by"], e["established"]["account"]) for e in by_hand} == {
        ("p.lin", "airflow", "qh.lin")
    }
    assert {e["established"]["by"] for e in by_itself} == {"approval"}
    size, loans = len(place.entries("exchange.run.started")), place.loans()
    place.airflow._starters.clear()  # admin looks after Airflow, and is no person of this district
    try:
        run = place.airflow.trigger(DELIVERY, NEAR)
        assert place.airflow.wait(DELIVERY, run) == "failed"
    finally:
        place.airflow._starters.update({INTAKE: "qh.lin", DELIVERY: "qh.lin"})
    denied = place.entries("access.request.denied")
    assert [e["detail"]["reason"] for e in denied] == ["identity.airflow.unknown"]
    assert (len(place.entries("exchange.run.started")), place.loans()) == (size, loans)


def test_one_receiver_away_holds_nobody_up(place: Place) -> None:
    before = len(place.entries("exchange.coverage.reached"))
    server = place.stack.deployment.server("shiqiao")
    server.stop()
    try:
        place.send(2)
        told = place.until(lambda: place.entries("exchange.coverage.reached")[before:])
        assert told[0]["detail"] == {"expected": 3, "up_to_date": 2, "missing": [FAR], "enough": True}
        # Enough were up to date, so the count may come before the one that is away has been tried.
        (finding,) = place.until(lambda: connect(place.settings).keeper.findings())
        assert finding["about"] == FAR
    finally:
        server.start()
    # The run that waits for its next try is left alone; one by hand for that partition serves it now.
    run = place.airflow.trigger(DELIVERY, FAR)
    assert place.airflow.wait(DELIVERY, run) == "success"
    assert connect(place.settings).keeper.findings() == []


def test_a_repeated_run_opens_nothing(place: Place) -> None:
    authorised = len(place.entries("exchange.delivery.authorised"))
    assert authorised
    for _ in range(2):
        run = place.airflow.trigger(DELIVERY, NEAR)
        assert place.airflow.wait(DELIVERY, run) == "success"
    assert len(place.entries("exchange.delivery.authorised")) == authorised


def test_lineage_says_which_fields_were_masked(place: Place) -> None:
    flow = place.sandbox.home.flows[DELIVERY]
    events = [e for e in place.ear.lineage if e["job"]["name"] == DELIVERY]
    assert {o["namespace"] for e in events for o in e["outputs"]} == {
        f"urn:huanshu:{c}" for c in (NEAR, OTHER, FAR)
    }
    for event in events:
        assert event["schemaURL"].endswith("OpenLineage.json#/$defs/RunEvent")
        (output,) = event["outputs"]
        fields = output["facets"]["columnLineage"]["fields"]
        masked = {n for n, f in fields.items() if f["inputFields"][0]["transformations"][0]["masking"]}
        assert set(fields) == set(flow.fields)
        assert masked == {name for name, rung in flow.fields.items() if rung.word != "reveal"}
        assert masked


def test_a_trace_leads_from_the_dag_to_the_entry(place: Place) -> None:
    entries = [e for e in place.entries("exchange.delivery.authorised") if e.get("trace")]
    assert entries

    def chain() -> list[str] | None:
        spans = {s.span_id: s for s in place.ear.spans if s.trace_id.hex() == entries[0]["trace"]}
        appends = [
            s for s in spans.values()
            if s.name == "huanshu.keeper.append"
            and any(a.value.string_value == "exchange.delivery.authorised" for a in s.attributes)
        ]  # fmt: skip
        for span in appends:
            names = [span.name]
            while span.parent_span_id in spans:
                span = spans[span.parent_span_id]
                names.append(span.name)
            if any(
                name.startswith("task_run") or ("task" in name and "huanshu" not in name) for name in names
            ):
                return names
        return None

    names = place.until(chain, 30)
    assert "huanshu.exchange.delivery" in names
    assert "huanshu.airflow.task" in names
    values = [a.value.string_value for s in place.ear.spans for a in s.attributes]
    assert values
    assert not [v for v in values if "书院路" in v or (v.isdigit() and len(v) == 18)]


def test_no_key_is_found_in_airflow_s_database_nor_in_any_file(place: Place) -> None:
    """XCom, rendered fields, task logs: what tasks hand to each other and what Airflow keeps of them (DRILLS C07)."""
    held = place.settings.keeper_folder / "root.key"
    admin = place.stack.deployment.server("district").admin_url
    with psycopg.connect(make_conninfo(admin, dbname="huanshu"), autocommit=True) as administrator:
        wrapped = dict(administrator.execute("SELECT name, wrapped FROM keys.wrapped").fetchall())
        administrator.execute("CHECKPOINT")
    keys = one_of_every_use(held, wrapped)
    assert {use for use, _ in keys} >= {"data", "bitmap", "link", "content"}
    needles = [form for key in (held.read_bytes(), *keys.values()) for form in forms(key)]
    told = b""
    with psycopg.connect(make_conninfo(admin, dbname="huanshu_airflow")) as airflow:
        for table in ("xcom", "rendered_task_instance_fields", "task_instance", "dag_run", "log"):
            rows = airflow.execute(f"SELECT t::text FROM {table} t".encode()).fetchall()
            assert rows, table
            told += "\n".join(row for (row,) in rows).encode()
    assert INTAKE.encode() in told or INTAKE.replace(".", "_").encode() in told
    assert [needle for needle in needles if needle in told] == []
    assert found(place.settings.state, forms(held.read_bytes())) == [str(held)], (
        "the search finds what is there"
    )
    assert found(place.settings.state, needles, held) == []

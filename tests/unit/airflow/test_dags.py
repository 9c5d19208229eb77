"""Flow files become DAGs: names, schedule, owner, documentation; nothing retried that a person must mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="the airflow extra is not installed")

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from huanshu.airflow import build_dags
dags = build_dags(Path(sys.argv[1]))
print("@@" + json.dumps({
    name: {
        "owner": sorted({t.owner for t in dag.tasks}),
        "tasks": sorted(dag.task_ids),
        "retries": sorted({t.retries for t in dag.tasks}),
        "policies": [[r.exception.__name__, r.action.value] for t in dag.tasks for r in t.retry_policy.rules],
        "mapper": type(getattr(dag.timetable, "default_partition_mapper", None)).__name__,
        "runs": dag.max_active_runs,
        "schedule": type(dag.timetable).__name__,
        "catchup": dag.catchup,
        "active": dag.max_active_runs,
        "doc": dag.doc_md,
        "downstream": {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks},
        "outlets": sorted(o.name for t in dag.tasks for o in t.outlets),
    } for name, dag in dags.items()}))
"""


def build(home: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: Airflow sets up logging and writes its configuration on import."""
    environment = {
        "PYTHONPATH": str(ROOT / "src"),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict:  # type: ignore[type-arg]
    import json

    ended = build(ROOT, tmp_path_factory.mktemp("airflow"))
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.split("@@", 1)[1])  # type: ignore[no-any-return]


def test_every_flow_file_is_a_dag(dags: dict) -> None:  # type: ignore[type-arg]
    files = {path.stem for path in (ROOT / "dags/flows").glob("*.yaml")}
    deliveries = {name for name in files if name.endswith("district_to_communities")}
    assert deliveries
    assert set(dags) == files | {f"{name}.coverage" for name in deliveries} | {"corrections.judge"}


def test_what_communities_send_back_is_judged_by_itself(dags: dict) -> None:  # type: ignore[type-arg]
    judging = dags["corrections.judge"]
    assert (judging["tasks"], judging["owner"], judging["runs"]) == (["judge"], ["platform"], 1)
    assert judging["schedule"] != "NullTimetable"
    assert judging["policies"] == dags["resident.psb_to_district"]["policies"]


def test_the_delivery_waits_for_the_dataset(dags: dict) -> None:  # type: ignore[type-arg]
    delivery, intake = dags["resident.district_to_communities"], dags["resident.psb_to_district"]
    assert intake["outlets"] == ["resident"]
    assert delivery["schedule"] == "PartitionedAssetTimetable"
    assert delivery["mapper"] == "IdentityMapper"
    assert delivery["tasks"][:2] == ["complete", "deliver_01"]
    assert delivery["downstream"]["deliver_01"] == ["complete"]
    assert set(delivery["outlets"]) == {"resident.slices"}
    assert dags["resident.district_to_communities.coverage"]["mapper"] == "RollupMapper"
    assert delivery["catchup"] is False
    assert delivery["active"] == 1


def test_the_owner_is_the_accountable_post(dags: dict) -> None:  # type: ignore[type-arg]
    assert {owner for dag in dags.values() for owner in dag["owner"]} == {
        *(f"{department}.exchange_officer" for department in ("psb", "market", "urban", "health")),
        "platform",
    }


def test_only_what_is_down_is_tried_again(dags: dict) -> None:  # type: ignore[type-arg]
    policies = [rule for dag in dags.values() for rule in dag["policies"]]
    assert policies
    assert {tuple(rule) for rule in policies} == {("Away", "retry"), ("Exception", "fail")}
    for dag in dags.values():
        assert dag["policies"][::2] == [["Away", "retry"]] * (len(dag["policies"]) // 2)


def test_a_flow_may_give_every_receiver_its_own_run(home: Path, tmp_path: Path) -> None:
    import json

    path = home / "dags/flows/resident.district_to_communities.yaml"
    path.write_text(path.read_text() + "runs: per_receiver\n")
    ended = build(home, tmp_path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    dag = json.loads(ended.stdout.split("@@", 1)[1])["resident.district_to_communities"]
    assert (dag["mapper"], dag["tasks"], dag["runs"]) == ("FanOutMapper", ["complete", "deliver"], 2)


def test_the_documentation_names_fields_and_rungs(dags: dict) -> None:  # type: ignore[type-arg]
    doc = dags["resident.district_to_communities"]["doc"]
    assert "`citizen_number`" in doc
    assert "mask" in doc
    assert "marital_status" not in doc


def test_a_broken_flow_file_is_named(home: Path, tmp_path: Path) -> None:
    path = home / "dags/flows/resident.district_to_communities.yaml"
    path.write_text(path.read_text().replace("purpose:", "pourpose:"))
    ended = build(home, tmp_path)
    assert ended.returncode != 0
    assert "resident.district_to_communities.yaml:" in ended.stderr
    assert "purpose" in ended.stderr


def test_nothing_else_imports_airflow(tmp_path: Path) -> None:
    script = "import huanshu.cli.entry, sys; assert not any(m == 'airflow' or m.startswith('airflow.') for m in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-1500:]

"""From flow files to DAGs. Shapes only: names, schedule, owner, documentation, order of tasks.

    intake ──▶ asset <dataset>, partition = the extract's sequence number
                    │
    delivery ◀──────┘  one run for all receivers in fat tasks, or one run per receiver (``runs: per_receiver``)
        └────▶ asset <dataset>.slices, a partition per receiver that is up to date
                    │  all receivers, or all but at most ``missing_at_most``
    coverage ◀──────┘  says in the log how far the round came

    corrections.judge  every ten minutes: what communities have sent back is judged, where the rules let anybody propose

A home that cannot be read raises, so that Airflow shows the file, line and remedy as an import error; the
keeper refuses to run anything on such a home anyway.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import (
    DAG,
    Asset,
    ExceptionRetryPolicy,
    FanOutMapper,
    FixedKeyMapper,
    IdentityMapper,
    MinimumCount,
    PartitionedAssetTimetable,
    RetryAction,
    RetryRule,
    RollupMapper,
    SegmentWindow,
    WaitForAll,
    task,
)

from huanshu.airflow import tasks
from huanshu.catalog import Contract, Flow, Home, read_home

#: Receivers per task. A task costs two or three seconds of a core before it begins (imports, the home); whatever the
#: batch, a receiver that fails fails alone.
BATCH: Final = 48
#: The DAG of the communities' way back, and when it runs.
JUDGING: Final = "corrections.judge"
_JUDGED: Final = "*/10 * * * *"
#: Only what is down may be tried again. Everything else, a fault of ours included, fails at once.
_RETRY_POLICY: Final = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=tasks.Away, action=RetryAction.RETRY, reason="something is down"),
        RetryRule(exception=Exception, action=RetryAction.FAIL, reason="a person must look"),
    ]
)
_TRIED: Final = {"retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": _RETRY_POLICY}


def build_dags(home_path: Path) -> dict[str, DAG]:
    """The DAGs of every flow file, by DAG id: the flow's id, and ``<flow>.coverage`` beside a delivery; and that of the
    way back, which is no flow: nobody approves what the platform owes to whoever proposed."""
    home = read_home(home_path)
    found: dict[str, DAG] = {}
    for flow in home.flows.values():
        found[flow.flow] = _intake(home, flow) if flow.kind == "intake" else _delivery(home, flow)
        if flow.kind == "delivery":
            found[f"{flow.flow}.coverage"] = _coverage(home, flow)
    if any(rule.action == "propose" and rule.effect == "allow" for rule in home.policies.rules):
        found[JUDGING] = _judging()
    return found


def dataset_asset(dataset: str) -> Asset:
    """What an intake updates, a partition for each extract, and deliveries wait for."""
    return Asset(name=dataset, uri=f"huanshu://district/{dataset}")


def slices_asset(dataset: str) -> Asset:
    """What deliveries bring up to date: a partition for each receiver."""
    return Asset(name=f"{dataset}.slices", uri=f"huanshu://receivers/{dataset}")


def _judging() -> DAG:
    """Only what the platform's own process may do: keys for judging leave for no person's (decision 0014)."""
    with DAG(
        dag_id=JUDGING,
        dag_display_name="回流更正 · 核对",
        description="Corrections judged",
        schedule=_JUDGED,
        catchup=False,
        max_active_runs=1,
        tags=["huanshu", "correction"],
        default_args={"owner": "platform", **_TRIED},
    ) as dag:
        task(task_id="judge")(tasks.judge)()
    return dag


def _dag(home: Home, flow: Flow, name: str, schedule: Any, **more: Any) -> DAG:
    return DAG(
        dag_id=name,
        description=flow.title.en,
        doc_md=documentation(home, flow, home.contracts[flow.dataset]),
        schedule=schedule,
        catchup=False,
        tags=["huanshu", flow.kind, flow.dataset],
        default_args={"owner": flow.accountable_post, **_TRIED},
        **more,
    )


def _intake(home: Home, flow: Flow) -> DAG:
    schedule = None if flow.schedule == "manual" else flow.schedule
    with _dag(home, flow, flow.flow, schedule, dag_display_name=flow.title.zh, max_active_runs=1) as dag:
        task(task_id="intake", outlets=[dataset_asset(flow.dataset)])(tasks.intake)(flow.flow)
    return dag


def _delivery(home: Home, flow: Flow) -> DAG:
    schedule = _follows(flow)
    outlets = [slices_asset(flow.dataset)]
    # Runs of one receiver each may overlap; runs for everybody would only wait for each other.
    at_once = 2 if flow.runs == "per_receiver" else 1
    with _dag(
        home, flow, flow.flow, schedule, dag_display_name=flow.title.zh, max_active_runs=at_once
    ) as dag:
        if flow.runs == "per_receiver":
            done = [task(task_id="deliver", outlets=outlets)(tasks.deliver)(flow.flow, None)]
        else:
            done = [
                task(task_id=f"deliver_{number:02d}", outlets=outlets)(tasks.deliver)(
                    flow.flow, list(receivers)
                )
                for number, receivers in enumerate(_batches(flow.receivers), 1)
            ]
        task(task_id="complete")(tasks.complete)(flow.flow, done)
    return dag


def _coverage(home: Home, flow: Flow) -> DAG:
    """Begins when all receivers but at most ``missing_at_most`` are up to date since it last began."""
    policy = MinimumCount(-flow.missing_at_most) if flow.missing_at_most else WaitForAll()
    schedule = PartitionedAssetTimetable(
        assets=slices_asset(flow.dataset),
        default_partition_mapper=RollupMapper(
            upstream_mapper=FixedKeyMapper(flow.source),
            window=SegmentWindow(flow.receivers),
            wait_policy=policy,
        ),
    )
    name = f"{flow.title.zh} · 覆盖"
    with _dag(home, flow, f"{flow.flow}.coverage", schedule, dag_display_name=name, max_active_runs=1) as dag:
        task(task_id="coverage")(tasks.coverage)(flow.flow)
    return dag


def _follows(flow: Flow) -> Any:
    """None for a flow run by hand, a cron expression, or the dataset's asset."""
    if flow.schedule != "asset":
        return None if flow.schedule == "manual" else flow.schedule
    mapper: Any = IdentityMapper()
    if flow.runs == "per_receiver":
        mapper = FanOutMapper(
            upstream_mapper=IdentityMapper(),
            window=SegmentWindow(flow.receivers),
            downstream_mapper=IdentityMapper(),
            max_downstream_keys=len(flow.receivers),
        )
    return PartitionedAssetTimetable(assets=dataset_asset(flow.dataset), default_partition_mapper=mapper)


def _batches(receivers: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [receivers[start : start + BATCH] for start in range(0, len(receivers), BATCH)]


def documentation(home: Home, flow: Flow, contract: Contract) -> str:
    """Markdown from contract, purpose and flow: what a person sees in Airflow beside the graph."""
    purpose = home.policies.purposes[flow.purpose]
    verified = "" if purpose.legal_basis_verified else "（未核验 / not verified）"
    lines = [
        f"# {flow.title.zh}",
        f"*{flow.title.en}*",
        "",
        f"- 数据集 dataset: **{contract.title.zh}** `{contract.dataset}` {contract.version}",
        f"- 用途 purpose: **{purpose.title.zh}** `{purpose.purpose}` — {purpose.legal_basis}{verified}",
        f"- 责任岗位 accountable post: `{flow.accountable_post}`",
        f"- 来源 from: {home.policies.domains[flow.source].name.zh}；接收方 receivers: {len(flow.receivers)}",
        f"- 流向摘要 flow digest: `{flow.digest[:16]}`；契约摘要 contract digest: `{contract.digest[:16]}`",
        "",
        "| 字段 field | 名称 | 级别 level | 可见级别 rung |",
        "|---|---|---|---|",
    ]
    for field in contract.fields:
        if flow.kind == "intake" or field.name in flow.fields:
            rung = flow.fields[field.name].word if field.name in flow.fields else "write"
            level = f"{field.level}{' · 敏感个人信息' if field.sensitive_personal else ''}"
            lines.append(f"| `{field.name}` | {field.title.zh} | {level} | {rung} |")
    return "\n".join(lines)

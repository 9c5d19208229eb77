"""From flow files to DAGs. Shapes only: names, schedule, owner, documentation, order of tasks.

A home that cannot be read raises, so that Airflow shows the file, line and remedy as an import error; the
keeper refuses to run anything on such a home anyway.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import DAG, Asset, task

from huanshu.airflow import tasks
from huanshu.catalog import Contract, Flow, Home, read_home

#: Communities per task: a task costs half a second, its imports seconds.
BATCH: Final = 12
_RETRIES: Final = 2
_RETRY_DELAY: Final = timedelta(seconds=30)


def build_dags(home_path: Path) -> dict[str, DAG]:
    """One DAG per flow file, by DAG id (the flow's id with its dots kept)."""
    home = read_home(home_path)
    return {flow.flow: _dag(home, flow) for flow in home.flows.values()}


def dataset_asset(dataset: str) -> Asset:
    """The asset that an intake updates and a delivery waits for."""
    return Asset(name=dataset, uri=f"huanshu://district/{dataset}")


def _dag(home: Home, flow: Flow) -> DAG:
    contract = home.contracts[flow.dataset]
    with DAG(
        dag_id=flow.flow,
        dag_display_name=flow.title.zh,
        description=flow.title.en,
        doc_md=documentation(home, flow, contract),
        schedule=_schedule(flow),
        catchup=False,
        max_active_runs=1,
        tags=["huanshu", flow.kind, flow.dataset],
        default_args={"owner": flow.accountable_post, "retries": _RETRIES, "retry_delay": _RETRY_DELAY},
    ) as dag:
        if flow.kind == "intake":
            task(task_id="intake", outlets=[dataset_asset(flow.dataset)])(tasks.intake)(flow.flow)
        else:
            done = [
                task(task_id=f"deliver_{number:02d}")(tasks.deliver)(flow.flow, list(receivers))
                for number, receivers in enumerate(_batches(flow.receivers), 1)
            ]
            task(task_id="complete")(tasks.complete)(flow.flow, done)
    return dag


def _schedule(flow: Flow) -> Any:
    if flow.schedule == "manual":
        return None
    return [dataset_asset(flow.dataset)] if flow.schedule == "asset" else flow.schedule


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

"""Lineage of a run as OpenLineage events: which fields went from where to where, and which of them masked.

Pure: an event is built from a flow, its contract and counts; sending it is ``huanshu.assembly.lineage``. An event
names datasets, fields, posts and counts, never a person's value. It is a map for engineers, no evidence: what
happened is in the log, whether or not anybody received this.

OpenLineage 2-0-2 with the facets columnLineage 1-2-0 (``masking``), schema, tags (classification) and ownership.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset as columns,
)
from openlineage.client.facet_v2 import (
    documentation_job,
    job_type_job,
    output_statistics_output_dataset,
    ownership_job,
    schema_dataset,
    tags_dataset,
)

from huanshu.catalog import Contract, Field, Flow, Home, Rung

PRODUCER: Final = "urn:huanshu"


def run_event(
    home: Home, flow: Flow, run: str, ended: bool, at: datetime, rows: Mapping[str, int]
) -> RunEvent:
    """One flow run (or one batch of its receivers). ``rows`` is records that arrived, by receiving domain;
    ``ended`` is False for a run that failed. Repeated for the same run and receivers, it has the same run id."""
    contract = home.contracts[flow.dataset]
    named = uuid.uuid5(
        uuid.NAMESPACE_URL, "/".join([PRODUCER, home.log_origin, flow.flow, run, *sorted(rows)])
    )
    source = f"{PRODUCER}:{flow.source}"
    return RunEvent(
        eventType=RunState.COMPLETE if ended else RunState.FAIL,
        eventTime=at.isoformat(),
        run=Run(str(named)),
        job=Job(f"{PRODUCER}:{home.log_origin}", flow.flow, _about_job(flow)),
        inputs=[
            InputDataset(source, flow.dataset, facets={"schema": _schema(contract.fields), **_tags(contract)})
        ],
        outputs=[_output(flow, contract, source, code, count) for code, count in rows.items()],
        producer=PRODUCER,
    )


def _output(flow: Flow, contract: Contract, source: str, code: str, count: int) -> OutputDataset:
    names = [f for f in contract.fields if flow.kind == "intake" or f.name in flow.fields]
    lineage = columns.ColumnLineageDatasetFacet(
        fields={f.name: columns.Fields([_from(source, flow, f)]) for f in names},
        dataset=[
            columns.InputField(
                source, flow.dataset, contract.home_field, [columns.Transformation("INDIRECT", "FILTER")]
            )
        ],
    )
    return OutputDataset(
        f"{PRODUCER}:{code}",
        flow.dataset,
        facets={"schema": _schema(names), "columnLineage": lineage},
        outputFacets={
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(count)
        },
    )


def _from(source: str, flow: Flow, field: Field) -> columns.InputField:
    rung = flow.fields.get(field.name, Rung.REVEAL)
    subtype = "IDENTITY" if rung is Rung.REVEAL else "TRANSFORMATION"
    how = columns.Transformation("DIRECT", subtype, rung.word, masking=rung is not Rung.REVEAL)
    return columns.InputField(source, flow.dataset, field.name, [how])


def _schema(fields: Iterable[Field]) -> schema_dataset.SchemaDatasetFacet:
    return schema_dataset.SchemaDatasetFacet(
        [schema_dataset.SchemaDatasetFacetFields(f.name, f.logical_type, f.title.en) for f in fields]
    )


def _tags(contract: Contract) -> dict[str, tags_dataset.TagsDatasetFacet]:
    """Classification, field by field."""
    tag = tags_dataset.TagsDatasetFacetFields
    levels = [tag("level", str(f.level), "contract", f.name) for f in contract.fields]
    personal = [
        tag("sensitive_personal", "true", "contract", f.name) for f in contract.fields if f.sensitive_personal
    ]
    return {"tags": tags_dataset.TagsDatasetFacet([*levels, *personal])}


def _about_job(flow: Flow) -> dict[str, Any]:
    return {
        "documentation": documentation_job.DocumentationJobFacet(flow.title.en),
        "ownership": ownership_job.OwnershipJobFacet(
            [ownership_job.Owner(flow.accountable_post, "accountable_post")]
        ),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "HUANSHU", "FLOW"),
    }

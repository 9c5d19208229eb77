"""Writing a home: new homes, datasets and flows as commented files, and what a planned flow still lacks elsewhere.

What always holds: nothing is overwritten, a file appears whole or not at all, and everything written here is text
that people go on editing. Nothing is adopted, approved or opened by it; the readers and the gate judge it like
anything else in the four folders.
"""

from huanshu.authoring.datasets import DatasetDraft, draft_dataset
from huanshu.authoring.flow_files import FlowDraft, draft_flow
from huanshu.authoring.homes import create_home
from huanshu.authoring.schemas import SCHEMAS, schema, write_schemas
from huanshu.authoring.writing import Draft, write_drafts

__all__ = [
    "SCHEMAS",
    "DatasetDraft",
    "Draft",
    "FlowDraft",
    "create_home",
    "draft_dataset",
    "draft_flow",
    "schema",
    "write_drafts",
    "write_schemas",
]

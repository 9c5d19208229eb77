"""Reports: pages for people who decide, made from log entries alone and never from the data.

``evidence`` binds figures to entries and entries to the printed root · ``facts`` reads the log once · ``measures``
is the closed set of questions, answered by ``tables``, ``standing`` and ``picture`` in ``forms`` · ``declaration``
reads what a home wants to see · ``page`` renders it, ``closed`` keeps it self-contained. No I/O but reading the
declaration and template; no clock, no database.
"""

from huanshu.report.declaration import Declaration, Section, read_declaration
from huanshu.report.evidence import Figure
from huanshu.report.measures import MEASURES
from huanshu.report.page import build

__all__ = ["MEASURES", "Declaration", "Figure", "Section", "build", "read_declaration"]

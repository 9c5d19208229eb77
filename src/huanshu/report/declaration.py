"""A report's declaration: ``audit/reports/<report>/report.yaml``, read strictly, every fault with its line.

    report: exchange_summary            the folder's name
    title: {zh: …, en: …}
    audience: cdo                       a role of posts.csv; its holders in the district are named on the page
    window: {days: 30}                  the period when none is asked for
    template: template.html.j2          beside this file
    sections:
      - section: shared                 also the section's anchor
        title: {zh: …, en: …}
        measures: [records_delivered, …]    names of ``huanshu.report.measures.MEASURES``

Headline, evidence and the way to verify are on every page and cannot be declared away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from huanshu.catalog import Home
from huanshu.catalog.documents import document
from huanshu.catalog.folder import Folder
from huanshu.catalog.words import hint
from huanshu.errors import ContentError, Text
from huanshu.report.measures import MEASURES

REPORTS: Final = "audit/reports"
_LONGEST: Final = 3660


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a page and the measures it shows, in order."""

    section: str
    title: Text
    measures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What ``report.yaml`` says. ``template`` is a file name in the same folder."""

    report: str
    title: Text
    audience: str
    days: int
    template: str
    sections: tuple[Section, ...]

    @property
    def folder(self) -> str:
        """Relative to the home."""
        return f"{REPORTS}/{self.report}"

    def window(self, now: datetime, timezone: str) -> tuple[datetime, datetime]:
        """The period up to ``now``: from local midnight ``days`` days before."""
        local = now.astimezone(ZoneInfo(timezone))
        first = local.date() - timedelta(days=self.days)
        return datetime.combine(first, time.min, local.tzinfo), now


def read_declaration(home: Home, report: str) -> Declaration:
    """The declaration of one report. Raises ContentError with file, line and the nearest right word."""
    file = f"{REPORTS}/{report}/report.yaml"
    root = document(Folder(Path(home.path)), file)
    said = root.mapping(("report", "title", "audience", "window", "template", "sections"))
    said["report"].word({report})
    template = said["template"].text()
    if "/" in template or "\\" in template or template.startswith("."):
        raise ContentError(
            "report.template.outside",
            Text("the template lies beside the declaration", "模板须与声明在同一目录"),
            remedy=Text("name the file alone", "只写文件名"),
            where=said["template"].where,
        )
    sections: list[Section] = []
    for item in said["sections"].list():
        members = item.mapping(("section", "title", "measures"))
        name = members["section"].name()
        if any(name == other.section for other in sections):
            raise ContentError(
                "report.section.duplicate",
                Text(f"section {name} is there already", f"章节 {name} 重复"),
                remedy=Text("give it a name of its own", "请另起名称"),
                where=members["section"].where,
            )
        measures: list[str] = []
        for node in members["measures"].list():
            measure = node.name()
            if measure not in MEASURES:
                raise ContentError(
                    "report.measure.unknown",
                    Text(f"there is no measure “{measure}”", f"没有“{measure}”这个度量"),
                    remedy=hint(measure, MEASURES),
                    where=node.where,
                )
            measures.append(measure)
        sections.append(Section(name, members["title"].title(), tuple(measures)))
    return Declaration(
        report=report,
        title=said["title"].title(),
        audience=said["audience"].word({holding.role for holding in home.policies.holdings}),
        days=said["window"].mapping(("days",))["days"].integer(1, _LONGEST),
        template=template,
        sections=tuple(sections),
    )

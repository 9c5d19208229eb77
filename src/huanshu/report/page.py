"""Rendering: a home's declaration and template → one self-contained page.

The template runs in Jinja's sandbox, everything it prints is escaped, an undefined name is an error, and what it
made is refused if it would load or run anything (see ``closed``). It is handed forms and words, never the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from huanshu.auditlog.entries import Entry
from huanshu.catalog import Home
from huanshu.catalog.folder import README, Folder
from huanshu.errors import ContentError, Text, Where
from huanshu.report.closed import POLICY, openings
from huanshu.report.declaration import REPORTS, Declaration, read_declaration
from huanshu.report.evidence import Body, bound_entries, cite, run_text, runs, signs
from huanshu.report.facts import Facts
from huanshu.report.measures import MEASURES
from huanshu.report.picture import TIMELINE_HEIGHT, TIMELINE_WIDTH
from huanshu.report.standing import headline
from huanshu.report.wording import Wording

Language = Literal["zh", "en"]

#: Runs of indices shown beneath a figure; a figure with more of them is cited in full in the annex.
_SHOWN: Final = 6


def build(
    entries: Iterable[Body | Entry],
    home: Home,
    window: tuple[datetime, datetime],
    now: datetime,
    lang: str,
    checkpoint: Mapping[str, Any],
    sandbox: bool,
    report: str = "exchange_summary",
) -> str:
    """One page as HTML in ``lang`` (``zh`` or ``en``; the other language stands beside it).

    ``entries`` are all entries of ``checkpoint`` {origin, size, root (hex), note (signed note or "")} in order.
    What happened is counted for from ≤ at < until of ``window``, what stands is judged at ``now`` (all aware).
    Raises ContentError for a faulty declaration or template, with file and line, and TamperedError
    ``report.log.differs`` when the entries are not the checkpoint's."""
    declared = read_declaration(home, report)
    facts = Facts(bound_entries(entries, checkpoint), home, *window, now)
    wording = Wording(home, now.astimezone(facts.zone))
    cites = _Citations()
    html = _render(
        home,
        declared,
        {
            "lang": lang,
            "other": "en" if lang == "zh" else "zh",
            "policy": POLICY,
            "report": declared,
            "district": home.policies.domains.district.name,
            "audience": wording.audience(declared.audience),
            "headline": headline(facts, wording),
            "sections": [
                (section, [(name, MEASURES[name], MEASURES[name].answer(facts)) for name in section.measures])
                for section in declared.sections
            ],
            "begin": facts.begin.astimezone(facts.zone),
            "until": facts.until.astimezone(facts.zone),
            "now": facts.now.astimezone(facts.zone),
            "checkpoint": checkpoint,
            "signed": signs(str(checkpoint["note"]), checkpoint),
            "vkey": _vkey(facts),
            "sandbox": sandbox,
            "cites": cites,
            "timeline": {"width": TIMELINE_WIDTH, "height": TIMELINE_HEIGHT},
        },
    )
    if found := openings(html):
        raise ContentError(
            "report.page.open",
            Text(
                f"the page would load, run or lead away: {', '.join(found)}",
                f"页面含有外联或可执行内容：{'、'.join(found)}",
            ),
            remedy=Text("keep everything inside the page, without scripts", "请将内容全部内嵌，且不使用脚本"),
            where=Where(f"{declared.folder}/{declared.template}"),
        )
    return html


def _vkey(facts: Facts) -> str:
    """The log's public key, as the entry that opened its newest origin says."""
    opened = [*facts.ever("log.origin.created"), *facts.ever("log.origin.reopened")]
    return str(opened[-1]["detail"]["vkey"]) if opened else ""


class _Citations:
    """Cites figures while a page is rendered, and remembers those that go on in the annex."""

    def __init__(self) -> None:
        self._annex: dict[tuple[int, ...], int] = {}

    def short(self, entries: tuple[int, ...]) -> tuple[str, int]:
        """(citation, number in the annex): the whole of it and 0, or its beginning and where it goes on."""
        found = runs(entries)
        if len(found) <= _SHOWN:
            return cite(entries), 0
        number = self._annex.setdefault(entries, len(self._annex) + 1)
        return ", ".join(map(run_text, found[: _SHOWN - 2])), number

    def annex(self) -> list[tuple[int, int, str]]:
        """(number, entries, whole citation) of every figure cut short so far."""
        return [(number, len(entries), cite(entries)) for entries, number in self._annex.items()]


def _render(home: Home, declared: Declaration, shown: Mapping[str, Any]) -> str:
    try:
        return _template(home, declared).render(shown)
    except jinja2.TemplateError as error:
        raise _malformed(declared, _line(error), error) from None


def sound_reports(home: Home) -> Iterator[ContentError]:
    """What is wrong with the reports of a home, unrendered: each folder holds a declaration, its template and nothing
    else."""
    folder = Folder(Path(home.path))
    for report in folder.names(REPORTS):
        if report in README:
            continue
        try:
            declared = read_declaration(home, report)
            _template(home, declared)
            yield from folder.expect(declared.folder, ("report.yaml", declared.template))
        except ContentError as error:
            yield error


def _template(home: Home, declared: Declaration) -> jinja2.Template:
    source = Folder(Path(home.path)).text(f"{declared.folder}/{declared.template}")
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader({declared.template: source}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    try:
        return environment.get_template(declared.template)
    except jinja2.TemplateSyntaxError as error:
        raise _malformed(declared, error.lineno, error) from None


def _malformed(declared: Declaration, line: int | None, error: jinja2.TemplateError) -> ContentError:
    what = error.message or type(error).__name__
    return ContentError(
        "report.template.malformed",
        Text(f"the template fails: {what}", f"模板有误：{what}"),
        remedy=Text("compare with the sample home's template", "请对照示例目录中的模板"),
        where=Where(f"{declared.folder}/{declared.template}", line),
    )


def _line(error: BaseException) -> int | None:
    """The template's line in which it failed: Jinja rewrites the traceback to say so."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

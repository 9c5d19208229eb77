"""Rendering: a home's report declaration and template → one self-contained page.

The template is sandboxed and everything it prints is escaped; an undefined name is an error. The page asks
nothing of any other host and runs no script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from huanshu.catalog import Home
from huanshu.errors import ContentError, Text, Where
from huanshu.report.measures import Body, Summary, summarise

_KEYS = {"report", "title", "audience", "template", "sections"}
SECTIONS = (
    "headline",
    "flow",
    "receivers",
    "intake",
    "refused",
    "findings",
    "reads",
    "approvals",
    "evidence",
)


def build(
    entries: Iterable[Body],
    home: Home,
    window: tuple[datetime, datetime],
    now: datetime,
    lang: str,
    checkpoint: Mapping[str, Any],
    sandbox: bool,
    report: str = "exchange_summary",
) -> str:
    """The page as HTML. ``checkpoint``: origin, size, root (hex) and note of the log it was made from.
    Raises ContentError for a malformed declaration or template, naming file and line."""
    folder = Path(home.path) / "audit" / "reports" / report
    declared = _declaration(folder, report)
    template = _template(folder, report, str(declared["template"]))
    summary = summarise(entries, home, window, now)
    return template.render(
        lang=lang,
        title=declared["title"],
        sections=declared["sections"],
        summary=summary,
        window=window,
        now=now,
        checkpoint=checkpoint,
        sandbox=sandbox,
        names=_Names(home, lang),
        district=home.policies.domains.district.name.in_language(lang),
        say=lambda zh, en: zh if lang == "zh" else en,
        bars=_bars(summary),
    )


class _Names:
    """Names of things as a reader of one language knows them; a code that names nothing stays a code."""

    def __init__(self, home: Home, lang: str) -> None:
        self._home = home
        self._lang = lang

    def domain(self, code: str) -> str:
        domains = self._home.policies.domains
        return domains[code].name.in_language(self._lang) if code in domains else code

    def person(self, person: str) -> str:
        known = self._home.policies.persons.get(person)
        return known.name if known else person

    def purpose(self, purpose: str) -> str:
        known = self._home.policies.purposes.get(purpose)
        return known.title.in_language(self._lang) if known else purpose

    def field(self, name: str) -> str:
        for contract in self._home.contracts.values():
            for field in contract.fields:
                if field.name == name:
                    return field.title.in_language(self._lang)
        return name

    def sensitive(self, name: str) -> bool:
        """Level 3 and above, or sensitive personal information, in any contract."""
        contracts = self._home.contracts.values()
        return any(field.sealed for contract in contracts for field in contract.fields if field.name == name)

    def rule(self, rule: str) -> str:
        for suite in self._home.suites.values():
            for expectation in suite.expectations:
                if expectation.rule == rule:
                    return expectation.title.in_language(self._lang)
        if rule.startswith("contract_"):
            field = self.field(rule.removeprefix("contract_"))
            return f"{field}：符合数据契约" if self._lang == "zh" else f"{field}: as the contract says"
        return rule

    def flow(self, name: str) -> str:
        flow = self._home.flows.get(name)
        return flow.title.in_language(self._lang) if flow else name

    def obligation(self, key: str) -> tuple[str, bool]:
        known = self._home.obligations[key]
        return known.citation, known.verified

    def reason(self, code: str) -> str:
        """A refusal's code in words; the code itself when it has none here."""
        return _REASONS.get(code, Text(code, code)).in_language(self._lang)

    def rung(self, word: str) -> str:
        return _RUNGS[word].in_language(self._lang) if word in _RUNGS else word


_RUNGS = {
    "count": Text("counts only", "仅统计"),
    "match": Text("token only", "仅比对"),
    "mask": Text("masked", "脱敏"),
    "reveal": Text("value", "明文"),
}
_REASONS = {
    "access.request.denied": Text("no right by the rules", "规则未授权"),
    "identity.post.not_held": Text("the post is not held", "未任该岗位"),
    "exchange.flow.unapproved": Text("the flow is not approved", "流向未经批准"),
    "policy.bundle.unadopted": Text("the policies are not in force", "策略未生效"),
    "keeper.append.stale_policy": Text("decided under old policies", "判定所依策略已失效"),
    "exchange.receiver.undeclared": Text("an undeclared receiver", "接收方未声明"),
}


def _bars(summary: Summary) -> list[dict[str, Any]]:
    """The timeline as bars in a 600 × 80 box."""
    top = max((count for _, count in summary.days), default=1)
    width = 600 / max(len(summary.days), 1)
    return [
        {
            "x": round(place * width + 1, 1),
            "w": round(max(width - 2, 1), 1),
            "h": round(count / top * 70 + 2, 1),
            "label": label[5:] if len(label) == 10 else label[11:],
            "count": count,
        }
        for place, (label, count) in enumerate(summary.days)
    ]


def _declaration(folder: Path, report: str) -> Mapping[str, Any]:
    where = Where(f"audit/reports/{report}/report.yaml")
    try:
        declared = yaml.safe_load((folder / "report.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise _malformed(where, Text("the declaration cannot be read", "报告声明无法读取")) from None
    if not isinstance(declared, dict) or set(declared) != _KEYS:
        raise _malformed(
            where, Text(f"its keys are {', '.join(sorted(_KEYS))}", f"键应为 {'、'.join(sorted(_KEYS))}")
        )
    unknown = [name for name in declared["sections"] if name not in SECTIONS]
    if unknown:
        raise _malformed(
            where, Text(f"no section {unknown[0]}; known: {', '.join(SECTIONS)}", f"没有章节 {unknown[0]}")
        )
    if "/" in str(declared["template"]):
        raise _malformed(where, Text("the template lies beside the declaration", "模板须与声明在同一目录"))
    return declared


def _template(folder: Path, report: str, name: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    try:
        return environment.get_template(name)
    except jinja2.TemplateSyntaxError as error:
        raise _malformed(
            Where(f"audit/reports/{report}/{name}", error.lineno),
            Text("the template is malformed", "模板语法有误"),
        ) from None
    except jinja2.TemplateNotFound:
        raise _malformed(
            Where(f"audit/reports/{report}"), Text(f"no template {name}", f"没有模板 {name}")
        ) from None


def _malformed(where: Where, what: Text) -> ContentError:
    return ContentError(
        "report.declaration.malformed",
        what,
        remedy=Text("compare with the sample home", "请参照示例"),
        where=where,
    )

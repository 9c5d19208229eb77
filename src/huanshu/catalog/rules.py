"""policies/rules/<domain kind>.csv (Casbin's CSV) and policies/cases/*.csv.

A rule file is named after the kind of the post's domain. Here a line becomes a Rule with every word in its
grammar; whether its words name things that exist is judged by ``crosschecks``, what it allows by
``huanshu.access``.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.domains import PARENT_KIND
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import MAX_SHEET, README, Folder, nobody_obeys
from huanshu.catalog.nouns import Case, Rule, Rung
from huanshu.catalog.sheets import Row, check_cells, lines, rows, unique
from huanshu.errors import ContentError, Text

RULES: Final = "policies/rules"
CASES: Final = "policies/cases"
MODEL: Final = "policies/model.conf"

RULE_COLUMNS: Final = (
    "p",
    "priority",
    "role",
    "reach",
    "dataset",
    "field",
    "purpose",
    "action",
    "valid_from",
    "valid_until",
    "effect",
)
CASE_COLUMNS: Final = ("post", "domain", "dataset", "field", "purpose", "action", "on", "expect", "because")

#: Words for a class of fields instead of one field.
FIELD_CLASSES: Final = ("@level1", "@level2", "@level3", "@level4", "@sensitive_personal")
ACTIONS: Final = (*(rung.word for rung in Rung), "write", "propose", "approve", "trace")

_CASE_FILE: Final = re.compile(r"[a-z][a-z0-9_]*\.csv")


def rule_files(folder: Folder) -> tuple[str, ...]:
    """Paths of the rule files there are, one per domain kind at most."""
    present = folder.names(RULES)
    return tuple(f"{RULES}/{kind}.csv" for kind in PARENT_KIND if f"{kind}.csv" in present)


def read_rules(folder: Folder, faults: Faults) -> tuple[Rule, ...]:
    """All rules in file order, files in the order of ``PARENT_KIND``."""
    for error in folder.expect(RULES, (f"{kind}.csv" for kind in PARENT_KIND)):
        faults.note(error)
    found: list[Rule] = []
    for file in rule_files(folder):
        with faults.caught():
            _read_file(folder, file, faults, found)
    _unambiguous(found, faults)
    return tuple(found)


def _read_file(folder: Folder, file: str, faults: Faults, found: list[Rule]) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for line, cells in lines(folder, file, blanks=True):
        with faults.caught():
            check_cells(file, line, RULE_COLUMNS, cells)
            row = Row(file, line, dict(zip(RULE_COLUMNS, cells, strict=True)))
            unique(seen, tuple(cells), row.where())
            found.append(_rule(row))


def _rule(row: Row) -> Rule:
    row.word("p", ("p",))
    start, end = row.period()
    reach = row.text("reach")
    if reach not in {"own", "below"}:
        words.domain_code(reach, row.where("reach"))
    field = row.text("field")
    if field.startswith("@"):
        words.word(field, FIELD_CLASSES, row.where("field"))
    return Rule(
        priority=row.integer("priority", 0, 1_000_000),
        role=row.text("role"),
        reach=reach,
        dataset=row.text("dataset"),
        field=field,
        purpose=row.text("purpose"),
        action=row.word("action", ACTIONS),
        valid_from=start,
        valid_until=end,
        effect=cast("Literal['allow', 'deny']", row.word("effect", ("allow", "deny"))),
        where=row.where(),
    )


def _unambiguous(found: list[Rule], faults: Faults) -> None:
    """Two rules that say allow and deny to the same question at the same priority settle nothing."""
    first: dict[tuple[object, ...], list[Rule]] = {}
    for rule in found:
        key = (rule.priority, rule.role, rule.reach, rule.dataset, rule.field, rule.purpose, rule.action)
        before = first.setdefault(key, [])
        for other in before:
            if (
                other.effect != rule.effect
                and other.valid_from <= rule.valid_until
                and rule.valid_from <= other.valid_until
            ):
                faults.note(
                    ContentError(
                        "rule.effect.ambiguous",
                        Text(
                            f"this rule contradicts {other.where} at the same priority",
                            f"与 {other.where} 优先级相同而结论相反",
                        ),
                        remedy=Text(
                            "give the one that should win a smaller priority",
                            "请给应当生效的一条更小的优先级数",
                        ),
                        where=rule.where,
                    )
                )
                break
        before.append(rule)


def read_cases(folder: Folder, faults: Faults) -> tuple[Case, ...]:
    """All cases, files in the order of their names. An empty purpose is allowed where ``deny`` is
    expected."""
    found: list[Case] = []
    for file in folder.names(CASES):
        if file in README:
            continue
        if _CASE_FILE.fullmatch(file) is None:
            faults.note(nobody_obeys(f"{CASES}/{file}", (f"{file.split('.')[0].lower()}.csv",)))
            continue
        with faults.caught():
            for row in rows(folder, f"{CASES}/{file}", CASE_COLUMNS, CASE_COLUMNS[:7], faults):
                with faults.caught():
                    found.append(_case(row))
    return tuple(found)


def _case(row: Row) -> Case:
    expect = cast("Literal['allow', 'deny']", row.word("expect", ("allow", "deny")))
    return Case(
        post=row.text("post"),
        domain=row.text("domain"),
        dataset=row.text("dataset"),
        field=row.text("field"),
        purpose=row.optional("purpose") if expect == "deny" else row.text("purpose"),
        action=row.word("action", ACTIONS),
        on=row.day("on"),
        expect=expect,
        because=row.text("because"),
        where=row.where(),
    )


def read_model(folder: Folder) -> str:
    """The text of model.conf; parsed by ``huanshu.access``."""
    return folder.text(MODEL, MAX_SHEET)

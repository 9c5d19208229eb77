"""policies/rules/<domain kind>.csv (Casbin's CSV) and policies/cases/*.csv.

A rule file is named after the kind of the post's domain. Here a line becomes a Rule with every word in its
grammar; whether its words name things that exist is judged by ``crosschecks``, what it allows by
``huanshu.access``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.domains import PARENT_KIND
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import MAX_SHEET, README, Folder, nobody_obeys
from huanshu.catalog.nouns import Case, Rule, Rung
from huanshu.catalog.sheets import Row, check_cells, lines, rows, unique
from huanshu.errors import ContentError, Text, Where

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

_REACHES: Final = ("own", "below")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: What tells the columns of a rule apart.
_LOOKS: Final = {
    "p": re.compile("p"),
    "priority": re.compile("[0-9]+"),
    "reach": re.compile(r"own|below|[0-9]{12}|[0-9]{15}|dept\.[a-z0-9_]+"),
    "action": re.compile("|".join(ACTIONS)),
    "valid_from": _DAY,
    "valid_until": _DAY,
    "effect": re.compile("allow|deny"),
}
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
            _whole(file, line, cells)
            check_cells(file, line, RULE_COLUMNS, cells)
            row = Row(file, line, dict(zip(RULE_COLUMNS, cells, strict=True)))
            unique(seen, tuple(cells), row.where())
            found.append(_rule(row))


def _whole(file: str, line: int, cells: Sequence[str]) -> None:
    """A line that is one cell short: which one was left out, where the others show it. Of two dates the later is told:
    a grant without an end is the more dangerous one."""
    if len(cells) != len(RULE_COLUMNS) - 1:
        return
    missing = [
        column
        for place, column in enumerate(RULE_COLUMNS)
        if all(
            _fits(name, cell)
            for name, cell in zip(RULE_COLUMNS, [*cells[:place], "", *cells[place:]], strict=True)
            if name != column
        )
    ]
    if len(missing) == 1 or missing == ["valid_from", "valid_until"]:
        column = missing[-1]
        raise ContentError(
            "content.cell.empty",
            Text(f"column {column} is missing", f"缺少 {column} 列"),
            remedy=Text(f"columns: {', '.join(RULE_COLUMNS)}", f"各列为：{', '.join(RULE_COLUMNS)}"),
            where=Where(file, line, column),
        )


def _fits(column: str, cell: str) -> bool:
    """Whether a cell could stand in a column, by its looks."""
    looks = _LOOKS.get(column)
    return bool(cell) if looks is None else looks.fullmatch(cell) is not None


def _rule(row: Row) -> Rule:
    row.word("p", ("p",))
    start, end = row.period()
    reach = row.text("reach")
    if reach not in _REACHES:
        if words.nearest(reach, _REACHES) is not None:
            words.word(reach, _REACHES, row.where("reach"))
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

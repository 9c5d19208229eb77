"""Taking something away from the rules, as files: a rule or a holding ends yesterday, or goes when it began today.

The line stays where it can, so that a refusal of tomorrow can say when it ended. Nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from huanshu.catalog import Holding, Home, Rule
from huanshu.errors import InputError, Text


@dataclass(frozen=True, slots=True)
class Ended:
    """One line of one file: as it was, and as it is to be (None: it goes)."""

    file: str
    line: int
    before: str
    after: str | None


def end_rule(home: Home, place: str, text: str, today: date) -> Ended:
    """The allow that stands at ``place``, ``policies/rules/FILE.csv:LINE``, ended. InputError for anything else."""
    for rule in home.policies.rules:
        if str(rule.where).split(" ", 1)[0] == place and rule.effect == "allow":
            return _ended(text, rule, today)
    raise InputError(
        "access.revoke.unknown",
        Text("no rule that allows stands there", "该处没有授权规则"),
        remedy=Text(
            "huanshu access explain names the rule's file and line", "huanshu access explain 会给出规则所在行"
        ),
    )


def end_holding(home: Home, post: str, person: str, text: str, today: date) -> list[Ended]:
    """Every holding of a post by a person that has not ended. InputError when there is none."""
    found = [
        holding
        for holding in home.policies.holdings
        if (holding.post, holding.person) == (post, person) and holding.valid_until >= today
    ]
    if not found:
        raise InputError(
            "access.revoke.unknown",
            Text("this person does not hold that post", "该人员未任该岗位"),
            remedy=Text("see policies/posts.csv", "参见 policies/posts.csv"),
        )
    return [_ended(text, holding, today) for holding in found]


def _ended(text: str, of: Rule | Holding, today: date) -> Ended:
    assert of.where.line is not None  # of a row, always
    before = text.splitlines()[of.where.line - 1]
    yesterday = today - timedelta(days=1)
    if of.valid_from > yesterday:
        return Ended(of.where.file, of.where.line, before, None)
    head, found, tail = before.rpartition(of.valid_until.isoformat())
    assert found
    return Ended(of.where.file, of.where.line, before, f"{head}{yesterday.isoformat()}{tail}")


def written(text: str, ended: list[Ended]) -> str:
    """The file's text with these lines ended."""
    lines: list[str | None] = list(text.splitlines())
    for each in ended:
        lines[each.line - 1] = each.after
    return "".join(f"{line}\n" for line in lines if line is not None)

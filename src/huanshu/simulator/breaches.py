"""What a defect breaks → the rules of a home's suite and contract that must say so.

A kind of defect writes what it breaks in a small language of its own:

    ``name``                     every record rule over that column alone; a derived column as the suite writes it,
                                 its arguments left out: ``guardian_name#given_below_age``
    ``citizen_number | sex``     the rules that compare two columns
    ``unique: citizen_number``   uniqueness over the dataset
    ``required: name``           the contract demands a value
    ``width: name``              the contract bounds it
    ``type: updated_on``         the contract says it is a date or a number
    ``home: community``          the contract's home field
    ``warning name``, ``error name``   only rules of that severity

Nothing of a suite is run here: names are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from huanshu.catalog import Contract, Expectation, Suite

_COLUMNS: Final = ("column", "column_A", "column_B")


class Broken(NamedTuple):
    """Names of rules, in the order of a verdict: the contract's, then the suite's."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Rules of scope batch that allow no exception: they refuse the whole extract.
    refusals: tuple[str, ...] = ()


def broken_rules(breaks: Iterable[str], contract: Contract, suite: Suite | None) -> Broken | None:
    """The rules that must fail, or None when this home has none that would, or lacks a field."""
    declared: list[str] = []
    found: set[str] = set()
    fields = {field.name for field in contract.fields}
    for written in breaks:
        about, _, name = written.rpartition(": ")
        if any(part.split("#")[0] not in fields for part in _parts(name)):
            return None
        if about in _DEMANDS:
            if _DEMANDS[about](contract, name):
                declared.append(f"contract_{name}")
        else:
            found.update(_found(written, about, suite))
    rules = [rule for rule in (suite.expectations if suite else ()) if rule.rule in found]
    refusals = tuple(rule.rule for rule in rules if rule.severity == "error" and rule.scope == "batch")
    errors = tuple(rule.rule for rule in rules if rule.severity == "error" and rule.scope != "batch")
    warnings = tuple(rule.rule for rule in rules if rule.severity == "warning")
    broken = Broken((*dict.fromkeys(declared), *errors), warnings, refusals)
    return broken if any(broken) else None


def _parts(name: str) -> tuple[str, ...]:
    bare = name.removeprefix("warning ").removeprefix("error ")
    return tuple(part.strip() for part in bare.split("|"))


_DEMANDS: Final[Mapping[str, Callable[[Contract, str], bool]]] = {
    "required": lambda contract, name: contract.field(name).required,
    "width": lambda contract, name: contract.field(name).width is not None,
    "type": lambda contract, name: contract.field(name).logical_type != "string",
    "home": lambda contract, name: contract.home_field == name,
}


def _found(written: str, about: str, suite: Suite | None) -> set[str]:
    severity, _, rest = written.partition(" ")
    wanted = severity if severity in ("warning", "error") else ""
    parts = frozenset(_parts(rest if wanted else written.removeprefix("unique: ")))
    return {
        rule.rule
        for rule in (suite.expectations if suite else ())
        if (rule.scope == "dataset" if about == "unique" else rule.scope == "record" or _strict(rule))
        and (not wanted or rule.severity == wanted)
        and _columns(rule) == parts
    }


def _columns(rule: Expectation) -> frozenset[str]:
    named = [rule.kwargs[key] for key in _COLUMNS if key in rule.kwargs]
    return frozenset(str(name).split("(")[0].strip() for name in named)


def _strict(rule: Expectation) -> bool:
    """A rule over the whole extract that one bad row breaks."""
    return rule.scope == "batch" and rule.kwargs.get("mostly") == 1

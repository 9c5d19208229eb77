"""What a planned flow still lacks in ``policies/``: the lines, tried on a copy and given as a patch.

In this order: the purpose covers the dataset; the accountable post is granted what the flow asks, no more and no
longer than purpose and post last; a role at the receivers may read what arrives; and the cases that hold the new
rules to it. Where a person must decide — an explicit deny, a vacant post, an ended purpose — no line is proposed.
Security staff read the patch, apply it, and adopt the bundle; nothing here changes the home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huanshu.access import Request
from huanshu.authoring.grants import Lack, enforcer_of, lacks, readers
from huanshu.authoring.scratch import Scratch, scratch_of
from huanshu.catalog import Contract, Flow, Holding, Home, Rung, inspect_home
from huanshu.catalog.documents import document
from huanshu.catalog.flows import FOLDER
from huanshu.catalog.folder import Folder
from huanshu.catalog.rules import CASE_COLUMNS
from huanshu.errors import ContentError, Text

_PURPOSES = "policies/purposes.yaml"
#: Faults of the home that a dataset's name in ``purposes.yaml`` mends.
_UNCOVERED = frozenset({"flow.purpose.uncovered", "rule.purpose.uncovered"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """The home as it would be with the patch, the patch ("" when nothing lacks), and what no line can settle."""

    home: Home
    patch: str
    #: The home read without the patch: whether a running deployment can read it at all.
    readable: bool
    undecided: tuple[Text, ...]


def propose(home: Path, name: str, at: datetime) -> Proposal:
    """The proposal for one flow. ContentError for a home that has other faults than those a patch can mend."""
    with scratch_of(home) as scratch:
        return _proposed(scratch, name, at)


def complete(scratch: Scratch, name: str, at: datetime) -> Home:
    """Give a scratch home what a flow lacks; returns it as it then reads."""
    return _proposed(scratch, name, at).home


def _proposed(scratch: Scratch, name: str, at: datetime) -> Proposal:
    document(Folder(scratch.path), f"{FOLDER}/{name}.yaml")  # says "missing", with its name
    found, readable = _readable(scratch)
    flow = found.flows[name]
    undecided = [*_rules(scratch, found, flow, at)]
    found, _ = _readable(scratch)
    _reading_rules(scratch, found, flow, at)
    found, _ = _readable(scratch)
    _cases(scratch, found, flow, at)
    found, _ = _readable(scratch)
    left = [text for lack in lacks(found, flow, at) for text in _undecided(lack)]
    return Proposal(found, scratch.patch(), readable, tuple(dict.fromkeys([*undecided, *left])))


def readable_home(path: Path) -> Home:
    """The home as it would read once its purposes cover the datasets of new flows; nothing is changed.

    ContentError for any other fault."""
    with scratch_of(path) as scratch:
        return _readable(scratch)[0]


# -- purposes -----------------------------------------------------------------------------------------


def _readable(scratch: Scratch) -> tuple[Home, bool]:
    """The scratch home, its uncovered purposes covered; and whether it read without that."""
    home, faults = inspect_home(scratch.path)
    if home is not None:
        return home, True
    for fault in faults:
        if fault.code not in _UNCOVERED:
            raise fault
    for dataset, purpose in dict.fromkeys(_uncovered(scratch, fault) for fault in faults):
        _cover(scratch, purpose, dataset)
    home, faults = inspect_home(scratch.path)
    if home is None:
        raise faults[0]
    return home, False


def _uncovered(scratch: Scratch, fault: ContentError) -> tuple[str, str]:
    """(dataset, purpose) of a flow's or a rule's fault."""
    assert fault.where is not None
    if fault.code == "flow.purpose.uncovered":
        members = document(Folder(scratch.path), fault.where.file).any_mapping()
        return members["dataset"].text(), members["purpose"].text()
    line = scratch.text(fault.where.file).splitlines()[(fault.where.line or 1) - 1]
    cells = [cell.strip() for cell in line.split(",")]
    return cells[4], cells[6]


def _cover(scratch: Scratch, purpose: str, dataset: str) -> None:
    """Write the dataset into the purpose's list, in the style it is written in."""
    node = document(Folder(scratch.path), _PURPOSES).any_mapping()["purposes"].any_mapping()[purpose]
    datasets = node.any_mapping()["datasets"]
    last = datasets.list()[-1]
    lines = scratch.text(_PURPOSES).splitlines(keepends=True)
    line = lines[last.line - 1]
    item = re.match(r"\s*- ", line)
    if item is not None:
        lines.insert(last.line, f"{item[0]}{dataset}\n")
    else:
        head, bracket, tail = line.rpartition("]")
        lines[last.line - 1] = f"{head.rstrip()}, {dataset}{bracket}{tail}"
    scratch.write(_PURPOSES, "".join(lines))


# -- rules --------------------------------------------------------------------------------------------


def _rules(scratch: Scratch, home: Home, flow: Flow, at: datetime) -> Iterator[Text]:
    """Lines for the accountable post; yields what no line can settle."""
    holding = _holding(home, flow.accountable_post, at)
    lines: list[str] = []
    for lack in lacks(home, flow, at):
        yield from _undecided(lack)
        if lack.mendable and holding is not None:
            lines += _lines_for(home, flow, holding, lack)
    if lines and holding is not None:
        kind = home.policies.domains[holding.domain].kind
        scratch.append(f"policies/rules/{kind}.csv", ["", f"# {flow.flow}", *dict.fromkeys(lines)])


def _undecided(lack: Lack) -> Iterator[Text]:
    for name, decision in lack.denials.items():
        if name not in lack.mendable:
            yield decision.explanation


def _lines_for(home: Home, flow: Flow, holding: Holding, lack: Lack) -> Iterator[str]:
    asked = {name: _asked(flow, name) for name in lack.mendable}
    for reach in _reaches(home, flow, holding, lack):
        for field, action in _grouped(home.contracts[flow.dataset], asked):
            priority = "200" if flow.kind == "intake" else "100"
            yield _rule(priority, holding, reach, flow, field, action, home)


def _asked(flow: Flow, field: str) -> str:
    return flow.fields[field].word if flow.kind == "delivery" else "write"


def _reaches(home: Home, flow: Flow, holding: Holding, lack: Lack) -> tuple[str, ...]:
    """``below`` when that is exactly the flow's reach; otherwise each code by itself."""
    tree = home.policies.domains
    base = holding.domain
    if tree[base].kind == "department":
        base = tree[base].parent or base
    below = {d.code for d in tree.below(base) if d.kind == tree[lack.domains[0]].kind}
    if len(lack.domains) > 1 and below == set(flow.receivers) and set(lack.domains) <= below:
        return ("below",)
    return lack.domains


def _grouped(contract: Contract, asked: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(field or level, action): a level where every one of its fields is asked alike, otherwise field by field.

    Reading is grouped for plain fields only: a field added to a sealed level would be granted unseen."""
    left = dict(asked)
    for level in (1, 2, 3, 4):
        fields = [f.name for f in contract.fields if f.level == level]
        actions = {left.get(name) for name in fields}
        plain = not any(contract.field(name).sealed for name in fields)
        if len(actions) == 1 and None not in actions and (plain or actions == {"write"}):
            action = actions.pop()
            assert action is not None
            yield f"@level{level}", action
            for name in fields:
                del left[name]
    yield from left.items()


def _rule(
    priority: str, holding: Holding, reach: str, flow: Flow, field: str, action: str, home: Home
) -> str:
    """As long as purpose and post last; from their beginning, so that cases of an earlier day hold as well."""
    purpose = home.policies.purposes[flow.purpose]
    start, until = max(holding.valid_from, purpose.valid_from), min(holding.valid_until, purpose.valid_until)
    # Of one department the post alone; its role is held in every department.
    department = home.policies.domains[holding.domain].kind == "department"
    parts = (
        "p", priority, holding.post if department else holding.role, reach, flow.dataset, field, flow.purpose, action,
        start.isoformat(), until.isoformat(), "allow",
    )  # fmt: skip
    return ", ".join(parts)


def _reading_rules(scratch: Scratch, home: Home, flow: Flow, at: datetime) -> None:
    """When no role at the receivers may read anything of the dataset: the role that reads most else for this
    purpose may read what arrives, in its own domain."""
    if flow.kind != "delivery" or any(
        rung for reader in readers(home, flow, at) for rung in reader.rungs.values()
    ):
        return
    holding = reading_post(home, flow, at)
    if holding is None:
        return
    asked = {name: rung.word for name, rung in flow.fields.items() if rung is not Rung.MATCH}
    lines = [
        _rule("100", holding, "own", flow, field, action, home)
        for field, action in _grouped(home.contracts[flow.dataset], asked)
    ]
    kind = home.policies.domains[holding.domain].kind
    scratch.append(f"policies/rules/{kind}.csv", ["", f"# {flow.flow}", *lines])


def reading_post(home: Home, flow: Flow, at: datetime) -> Holding | None:
    """The first post at a receiver whose role has most rules for the flow's purpose; None when no role has any."""
    counted: dict[str, int] = {}
    for rule in home.policies.rules:
        if rule.purpose == flow.purpose and rule.effect == "allow" and rule.reach == "own":
            counted[rule.role] = counted.get(rule.role, 0) + 1
    posts = [
        h
        for h in home.policies.holdings
        if h.domain in flow.receivers and h.role in counted and h.valid_from <= at.date() <= h.valid_until
    ]
    return max(posts, key=lambda h: counted[h.role], default=None)


def _holding(home: Home, post: str, at: datetime) -> Holding | None:
    held = home.policies.holders(post, at)
    return held[0] if held else None


# -- cases --------------------------------------------------------------------------------------------


def _cases(scratch: Scratch, home: Home, flow: Flow, at: datetime) -> None:
    """Cases for the accountable post and for the reading role, where there are none yet of this dataset."""
    tried = {(case.post, case.purpose) for case in home.policies.cases if case.dataset == flow.dataset}
    enforcer = enforcer_of(home)
    for holding, wanted in _wanted(home, flow, at):
        if (holding.post, flow.purpose) in tried:
            continue
        lines = [
            ",".join(
                (
                    holding.post,
                    domain,
                    flow.dataset,
                    field,
                    purpose,
                    action,
                    at.date().isoformat(),
                    expect,
                    why,
                )
            )
            for domain, field, purpose, action, expect, why in wanted
            # A case that the rules do not bear out (a higher rung that is granted elsewhere) is no case to propose.
            if enforcer.decide(
                Request(holding.post, domain, flow.dataset, field, purpose, action, at)
            ).allowed
            is (expect == "allow")
        ]
        if lines:
            place = f"policies/cases/{flow.dataset}.csv"
            scratch.append(place, lines, ",".join(CASE_COLUMNS) + "\n")


_Wanted = tuple[str, str, str, str, str, str]


def _wanted(home: Home, flow: Flow, at: datetime) -> Iterator[tuple[Holding, list[_Wanted]]]:
    """(post, its cases): what the flow needs is allowed; a rung higher, another place, no purpose are denied."""
    contract = home.contracts[flow.dataset]
    officer = _holding(home, flow.accountable_post, at)
    first = flow.receivers[0]
    if officer is not None and flow.kind == "intake":
        field = max(contract.fields, key=lambda f: (f.sealed, f.level)).name
        elsewhere = next((d.code for d in home.policies.domains if d.kind == "community"), first)
        yield (
            officer,
            [
                (first, field, flow.purpose, "write", "allow", flow.flow),
                (
                    elsewhere,
                    field,
                    flow.purpose,
                    "write",
                    "deny",
                    f"{flow.flow}: the district alone 仅限区级",
                ),
            ],
        )
        return
    highest = max(flow.fields, key=lambda name: (contract.field(name).sealed, contract.field(name).level))
    lowered = [name for name, rung in flow.fields.items() if rung < Rung.REVEAL]
    needed = list(dict.fromkeys([highest, *lowered[:3]]))
    allowed = [(first, f, flow.purpose, flow.fields[f].word, "allow", flow.flow) for f in needed]
    higher = [
        (first, f, flow.purpose, "reveal", "deny", f"{flow.flow}: no higher 不高于所需") for f in lowered[:3]
    ]
    without = (first, highest, "", flow.fields[highest].word, "deny", "no purpose 没有用途")
    if officer is not None:
        yield officer, [*allowed, *higher, without]
    reader = reading_post(home, flow, at)
    if reader is not None:
        own = [(reader.domain, *case[1:]) for case in (*allowed, *higher, without)]
        neighbour = next((code for code in flow.receivers if code != reader.domain), None)
        beside = [
            (neighbour, f, flow.purpose, flow.fields[f].word, "deny", f"{flow.flow}: a neighbour 相邻")
            for f in needed[:1]
            if neighbour is not None
        ]
        yield reader, [*own, *beside]

"""Judging proposed corrections: opened in memory against the batch's ticket, judged, and gone when this returns.

In the platform's process only: the keeper lends these keys to no person, because a rule may compare a proposal with
fields that its proposer may not see. What is told of such a rule is that the proposal does not agree with registered
data — neither the rule nor the field, whatever it is (``_told``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from huanshu.catalog import Contract, DomainTree, Rung, Suite
from huanshu.keeper.client import Keeper
from huanshu.keeper.proposals import proposal_rung
from huanshu.keeper.tickets import Ticket
from huanshu.quality import Failing, judge_changes, touching
from huanshu.sealing import CellContext, Keyring, open_column
from huanshu.sealing.keys import KeyName, data_key

DISAGREES = "correction.value.disagrees"
FAILS = "correction.value.fails"
FORMULA = "correction.value.formula"
CHANGED = "correction.field.changed"

Cells = Mapping[str, bytes | str | None]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record as it lies in the district store: sealed cells as bytes, plain ones as text."""

    version: int
    epoch: int
    cells: Cells = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A sealed proposal over a record of the proposer's own community, beside the record as it is and as it was.

    ``current`` holds the fields that ``touching`` names, ``base`` the changed field alone."""

    correction: str
    field: str
    record: int
    epoch: int
    sealed: bytes
    current: Version
    base: Version


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a proposal: ``rules`` only those that may be named to the proposer."""

    state: Literal["proposed", "refused", "conflict"]
    reason: str | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """What a judgement stands on. ``sees``: whether the proposer may see a field at least masked."""

    contract: Contract
    suite: Suite
    domains: DomainTree
    home: str
    sees: Callable[[str], bool]
    formula: Callable[[str], bool]


def judge(
    keeper: Keeper, ticket: Ticket, chunk: int, ground: Ground, proposals: Sequence[Proposal]
) -> list[Judgement]:
    """One judgement per proposal, in order."""
    if not proposals:
        return []
    needed = sorted(_needed(ground, proposals))
    keys = keeper.lend(ticket, chunk, needed, existing=needed)
    opened = _Opened(keys, ground)
    judged: dict[int, Judgement] = {}
    by_field: dict[str, list[int]] = {}
    values: dict[int, str | None] = {}
    for place, proposal in enumerate(proposals):
        value = values[place] = opened.proposed(proposal)
        if value is not None and ground.formula(value):
            judged[place] = Judgement("refused", FORMULA)
        elif proposal.base.version != proposal.current.version and opened.differs(proposal):
            judged[place] = Judgement("conflict", CHANGED)
        else:
            by_field.setdefault(proposal.field, []).append(place)
    for name, places in by_field.items():
        looked_at = touching(name, ground.suite, ground.contract)
        records = [{**opened.record(proposals[place], looked_at), name: values[place]} for place in places]
        failing = judge_changes(name, records, ground.suite, ground.contract, ground.domains)
        for place, failed in zip(places, failing, strict=True):
            judged[place] = _told(failed, name, ground.sees)
    return [judged[place] for place in range(len(proposals))]


def _told(failed: Collection[Failing], changed: str, sees: Callable[[str], bool]) -> Judgement:
    """A rule is named only when the proposer may see every other field it looks at; one hidden rule hides all."""
    if not failed:
        return Judgement("proposed")
    if any(not sees(other) for rule in failed for other in rule.fields - {changed}):
        return Judgement("refused", DISAGREES)
    return Judgement("refused", FAILS, tuple(rule.rule for rule in failed))


def _needed(ground: Ground, proposals: Sequence[Proposal]) -> set[KeyName]:
    names: set[KeyName] = set()
    for proposal in proposals:
        names.add(data_key(ground.home, ground.contract.dataset, proposal.field, proposal.epoch))
        for version in (proposal.current, proposal.base):
            for name, cell in version.cells.items():
                if isinstance(cell, bytes):
                    names.add(data_key(ground.home, ground.contract.dataset, name, version.epoch))
    return names


@dataclass(frozen=True, slots=True)
class _Opened:
    keys: Keyring
    ground: Ground

    def proposed(self, proposal: Proposal) -> str | None:
        return self._open(
            proposal.field,
            proposal_rung(proposal.correction),
            proposal.epoch,
            proposal.record,
            proposal.base.version,
            proposal.sealed,
        )

    def differs(self, proposal: Proposal) -> bool:
        """Whether the changed field is another one now than in the version that the proposer saw."""
        then, now = (
            self._cell(proposal, proposal.field, version) for version in (proposal.base, proposal.current)
        )
        return then != now

    def record(self, proposal: Proposal, names: Collection[str]) -> dict[str, str | None]:
        return {name: self._cell(proposal, name, proposal.current) for name in names}

    def _cell(self, proposal: Proposal, name: str, version: Version) -> str | None:
        cell = version.cells[name]
        if isinstance(cell, bytes):
            rung = Rung.REVEAL.word
            return self._open(name, rung, version.epoch, proposal.record, version.version, cell)
        return cell

    def _open(self, name: str, rung: str, epoch: int, record: int, version: int, cell: bytes) -> str | None:
        dataset, home = self.ground.contract.dataset, self.ground.home
        key = self.keys[data_key(home, dataset, name, epoch)]
        return open_column(key, CellContext(home, dataset, name, rung, epoch), [record], [version], [cell])[0]

"""What an extract as a whole decides: no part knows it alone, and no value is needed for it.

From the verdicts, links and marks of all parts: which record repeats an earlier one; which record each row is, new ones
numbered; which rows bring something new and as which version; who left. Every answer depends on the rows and their
order only, so it is the same however the extract was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
from numpy.typing import NDArray

from huanshu import subjects
from huanshu.catalog import Contract, Suite
from huanshu.exchange.erasure import ERASED_RULE, ERASED_TITLE, turned_away
from huanshu.exchange.staging import Judged, Order
from huanshu.exchange.versions import Versions
from huanshu.quality import RuleResult, Verdict, dataset_rules, repeated, unique_field, whole
from huanshu.subjects import RECORDS, SUBJECTS, Numbered
from huanshu.subjects.links import Distinct, among

Numbers = NDArray[np.int64]
Bad = Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Decided:
    """What the workers are to stage, what promotion then ends, and the counts for the log."""

    #: One a worker, as the arguments of its ``stage``.
    orders: Sequence[tuple[Order]]
    #: Records whose current version ends: superseded or withdrawn.
    ended: Numbers
    ended_versions: Numbers
    good: int = 0
    quarantined: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    numbered: Sequence[Numbered] = field(default=())

    def store(self, connection: psycopg.Connection) -> None:
        """Write the new numbers, in the transaction that drew them."""
        for numbered in self.numbered:
            numbered.store(connection)


class Parts:
    """What the parts of an extract turned out to be, as one: rows numbered through all of them."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        self.judged = judged
        self._distinct: dict[str, Distinct] = {}

    def links(self, name: str) -> NDArray[np.uint8]:
        return np.concatenate([part.links[name] for part in self.judged])

    def given(self, name: str) -> NDArray[np.bool_]:
        return np.concatenate([part.given[name] for part in self.judged])

    def distinct(self, name: str) -> Distinct:
        """Of a field's links; sorted once, whoever asks."""
        if name not in self._distinct:
            self._distinct[name] = subjects.distinct(self.links(name))
        return self._distinct[name]


def judge_whole(contract: Contract, suite: Suite, parts: Parts) -> tuple[Verdict, Bad]:
    """The verdict over all parts, and the rows to quarantine with their rules, numbered through all parts."""
    verdict = whole([part.verdict for part in parts.judged], suite)
    sound = np.ones(verdict.records, np.bool_)
    sound[verdict.quarantined_rows()] = False
    for rule in dataset_rules(suite, contract):
        name = unique_field(rule)
        result, rows = repeated(rule, parts.distinct(name).codes, sound & parts.given(name))
        verdict = verdict.with_rule(result, rows)
        if rule.severity == "error":
            sound[rows] = False
    return verdict, verdict.quarantine


def without_erased(
    connection: psycopg.Connection, contract: Contract, parts: Parts, verdict: Verdict, bad: Bad
) -> tuple[Verdict, Bad]:
    """The verdict with one rule more, which no suite declares and none can leave out: who was erased does not come
    back. His row is quarantined for the steward, sealed, and becomes no record."""
    rows = np.array(turned_away(connection, contract, parts.links(contract.primary_key.name)), np.int64)
    if not len(rows):
        return verdict, bad
    result = RuleResult(ERASED_RULE, "dataset", "error", ERASED_TITLE, False, len(rows), verdict.records)
    whole_ = verdict.with_rule(result, rows)
    return whole_, whole_.quarantine


def only_quarantine(parts: Parts, bad: Bad) -> Decided:
    """Nothing of a refused extract is sealed as a record; its bad rows are kept for the steward."""
    nothing = np.empty(0, np.int64)
    whole_ = _Rows(nothing, nothing, nothing, ())
    return Decided(whole_.by_part(parts.judged, bad), nothing, nothing)


def decide(
    connection: psycopg.Connection,
    contract: Contract,
    versions: Versions,
    parts: Parts,
    bad: Bad,
    *,
    full: bool,
) -> Decided:
    """``full``: the extract is the whole register, so whom it does not mention has left. In one transaction with
    ``Decided.store``: until its end nobody else numbers these records and subjects."""
    subjects.reserve(
        connection,
        [(RECORDS, contract.dataset), *((SUBJECTS, subject.kind) for subject in contract.subjects)],
    )
    key = contract.primary_key.name
    given = parts.distinct(key)
    good = np.ones(len(given.codes), np.bool_)
    good[np.fromiter(bad, np.int64, len(bad))] = False
    numbered = subjects.number(connection, RECORDS, contract.dataset, given, _some(given, good))
    records = numbered.by_row
    # Every record the extract mentions is present, quarantined or not: a faulty row withdraws nobody.
    mentioned = np.sort(numbered.numbers[_some(given, parts.given(key) & (records > 0))])
    current = versions.current(connection, None if full else mentioned)
    place = current.places(records)
    marks = np.concatenate([part.marks for part in parts.judged])
    same = np.zeros(len(records), np.bool_)
    known = place >= 0
    same[known] = (current.mark[place[known]] == marks[known]).all(axis=1)
    rows = np.flatnonzero(good & ~same)
    superseded = records[rows[known[rows]]]
    # Those of ``changes`` are all mentioned.
    gone = np.flatnonzero(~np.isin(current.record, mentioned)) if full else np.empty(0, np.int64)
    withdrawn = current.record[gone]
    last = np.zeros(len(rows), np.int64)
    last[known[rows]] = current.version[place[rows[known[rows]]]]
    _continue(connection, versions, numbered, rows, ~known[rows], last)
    about = _Subjects.of(connection, contract, parts, rows, given)
    staged = _Rows(rows, records[rows], last + 1, about.ordinals)
    return Decided(
        orders=staged.by_part(parts.judged, bad),
        ended=np.concatenate([superseded, withdrawn]),
        ended_versions=np.concatenate([current.version[place[rows[known[rows]]]], current.version[gone]]),
        good=int(good.sum()),
        quarantined=len(bad),
        unchanged=int((good & same).sum()),
        withdrawn=len(withdrawn),
        numbered=[numbered, *about.numbered],
    )


def _some(given: Distinct, rows: NDArray[np.bool_]) -> Numbers:
    """Which of the distinct links these rows have."""
    had = np.zeros(len(given.links), np.bool_)
    had[given.codes[rows]] = True
    return np.flatnonzero(had)


def _continue(
    connection: psycopg.Connection,
    versions: Versions,
    numbered: Numbered,
    rows: Numbers,
    absent: NDArray[np.bool_],
    last: Numbers,
) -> None:
    """A record that had left and comes back goes on from its last version."""
    fresh = np.zeros(len(numbered.numbers), np.bool_)
    fresh[numbered.fresh] = True
    returning = absent & ~fresh[numbered.given.codes[rows]]
    records = numbered.by_row[rows]
    found = versions.last(connection, records[returning])
    for place in np.flatnonzero(returning):
        last[place] = found.get(int(records[place]), 0)


@dataclass(frozen=True, slots=True)
class _Subjects:
    """By subject of the contract, each row's ordinal, 0 for nobody; and by kind, who was numbered."""

    ordinals: tuple[Numbers, ...]
    numbered: Sequence[Numbered]

    @staticmethod
    def of(
        connection: psycopg.Connection,
        contract: Contract,
        parts: Parts,
        rows: Numbers,
        records: Distinct,
    ) -> _Subjects:
        """Fields of one kind are numbered together: they may name the same person. ``records``: the key's links."""
        found = [np.zeros(len(rows), np.int64) for _ in contract.subjects]
        kinds: list[Numbered] = []
        for kind in sorted({subject.kind for subject in contract.subjects}):
            about = [n for n, subject in enumerate(contract.subjects) if subject.kind == kind]
            named = [parts.given(contract.subjects[n].field)[rows] for n in about]
            if [contract.subjects[n].field for n in about] == [contract.primary_key.name]:
                every = np.zeros(len(records.codes), np.bool_)
                every[rows[named[0]]] = True
                given = among(records, every)  # sorted once for the records, and not again
            else:
                links = [np.take(parts.links(contract.subjects[n].field), rows, axis=0) for n in about]
                given = subjects.distinct(
                    np.concatenate([link[there] for link, there in zip(links, named, strict=True)])
                )
            numbered = subjects.number(connection, SUBJECTS, kind, given, np.arange(len(given.links)))
            start = 0
            for n, there in zip(about, named, strict=True):
                count = int(there.sum())
                found[n][there] = numbered.by_row[start : start + count]
                start += count
            kinds.append(numbered)
        return _Subjects(tuple(found), kinds)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows to seal, numbered through all parts, ascending."""

    rows: Numbers
    records: Numbers
    versions: Numbers
    subjects: tuple[Numbers, ...]

    def by_part(self, judged: Sequence[Judged], bad: Bad) -> list[tuple[Order]]:
        orders: list[tuple[Order]] = []
        start = 0
        for part in judged:
            end = start + part.verdict.records
            low, high = np.searchsorted(self.rows, (start, end)).tolist()
            here = slice(low, high)
            order = Order(
                self.rows[here] - start,
                self.records[here],
                self.versions[here],
                tuple(ordinals[here] for ordinals in self.subjects),
                {row - start: rules for row, rules in bad.items() if start <= row < end},
            )
            orders.append((order,))
            start = end
        return orders

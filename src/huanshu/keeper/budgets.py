"""How much one person has seen: budgets of distinct subjects and of misses, folded from the log. No clock.

Rules
    - What is opened for a person one record at a time counts in 24 hours and in 30 days, what is taken along in
      workbooks in 30 days. The same subject again is free; above the limit somebody else has to agree.
    - Counted is whichever is more: the subjects that an entry binds, or the records that it opens. The first is its
      asker's word; the second is not, because a value opens only for the record that its entry names, and a workbook's
      entry says how many it shows.
    - Where every record is about somebody, an entry that shows one and binds nobody is refused: nobody could ask whom
      it showed, and who was erased would not be found in it.
    - Each entry counts once, from the moment it is staged: two requests at once cannot spend the same remainder.
    - Numbers that do not exist, and comparisons that do not agree, are misses: too many, and the person is answered
      nothing more, neither about records that exist nor about others.
    - A look-up by identifier is a miss from the moment it is staged, until a look settles it whose record holds this
      very identifier: who takes a link and says nothing more has missed. What was sought before this process began
      cannot be settled any more; it stays a miss.

    event                  who                                              bound to
    access.budget.raised   a security officer, or the chief data officer    person, dataset, purpose, number, end
                           of the dataset's department or the district,
                           never the person it is for

Windows are kept by the hour, and a begun hour counts whole. Bitmaps of before this process began are opened when the
person is first asked about; one that cannot be opened stops that person (fail closed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pyroaring import BitMap

from huanshu.auditlog import Entry
from huanshu.catalog.nouns import Contract, Limits
from huanshu.errors import DeniedError, Text
from huanshu.keeper.bitmaps import open_member
from huanshu.keeper.establish import Asker
from huanshu.keeper.holding import in_words
from huanshu.keeper.second_person import dataset_post

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: Opens what lies beside the log under the digest of its sealed and its plain bytes.
OpenBitmap = Callable[[Mapping[str, Any]], bytes]

LOOKS: Final = frozenset(
    {
        "access.record.authorised",
        "access.correction.authorised",
        "access.quarantine.authorised",
        "access.comparison.authorised",
    }
)
EXPORTS: Final = frozenset({"access.workbook.authorised"})
MISSED: Final = "access.record.missed"
SOUGHT: Final = "access.record.sought"
_SHOWN: Final = LOOKS - {"access.quarantine.authorised"}  # a row that failed may be about nobody who is known
#: What somebody who has missed too often is not answered any more.
_LOOK_UPS: Final = LOOKS | {SOUGHT, MISSED}
_DAY: Final = 24
_MONTH: Final = 30 * 24
_RAISED_AT_MOST: Final = timedelta(days=7)


@dataclass(slots=True)
class _Seen:
    """Distinct subjects and records, records of a whole slice by dataset and domain, and members of entries whose
    bitmaps have not been opened yet."""

    subjects: BitMap = field(default_factory=BitMap)
    records: set[tuple[str, str]] = field(default_factory=set)
    slices: dict[tuple[str, str], int] = field(default_factory=dict)
    unopened: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def number(self) -> int:
        return max(len(self.subjects), len(self.records) + sum(self.slices.values()))

    def add(self, other: _Seen) -> None:
        self.subjects |= other.subjects
        self.records |= other.records
        for place, records in other.slices.items():
            self.slices[place] = max(records, self.slices.get(place, 0))

    def holds(self, other: _Seen) -> bool:
        """Whether nothing of ``other`` is new."""
        slices = all(records <= self.slices.get(place, 0) for place, records in other.slices.items())
        return slices and other.subjects <= self.subjects and other.records <= self.records


@dataclass(slots=True)
class _Sought:
    """A look-up by identifier that no look has settled; ``link`` as this process computed it."""

    hour: int
    dataset: str
    link: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Person:
    """By the hour since the epoch, oldest first; what is sought, by its entry."""

    looks: dict[int, _Seen] = field(default_factory=dict)
    exports: dict[int, _Seen] = field(default_factory=dict)
    misses: dict[int, int] = field(default_factory=dict)
    sought: dict[int, _Sought] = field(default_factory=dict)

    def newest(self, dataset: str, link: bytes | None = None) -> int | None:
        """The newest look-up in this dataset that waits (for this link)."""
        waiting = reversed(self.sought.items())
        fits = (i for i, each in waiting if each.dataset == dataset and link in (None, each.link))
        return next(fits, None)


@dataclass(slots=True)
class Raised:
    """A second person's consent, and what was seen under it."""

    index: int
    person: str
    dataset: str
    purpose: str
    subjects: int
    until: datetime
    seen: _Seen = field(default_factory=_Seen)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a person has used up, for that person and for whoever reads the log."""

    day: int
    month: int
    exported: int
    misses: int


class Budgets:
    """Fold every entry through ``apply``, in index order."""

    def __init__(self, open_bitmap: OpenBitmap) -> None:
        self._open = open_bitmap
        self._persons: dict[str, _Person] = {}
        self._raised: dict[int, Raised] = {}
        #: Comparisons of the last day, so that a miss told by a loan finds its person.
        self._compared: dict[int, tuple[str, int]] = {}

    def apply(self, entry: Entry, bitmap: BitMap | None = None) -> None:
        """``bitmap``: the entry's subjects, where they are at hand."""
        event, body = entry.event, entry.body
        if event == "access.budget.raised":
            detail = body["detail"]
            self._raised[entry.index] = Raised(
                entry.index,
                str(detail["for"]),
                str(body["dataset"]),
                str(body["purpose"]),
                int(detail["subjects"]),
                datetime.fromisoformat(str(detail["until"])),
            )
        elif event in _LOOK_UPS or event in EXPORTS:
            hour = _hour(datetime.fromisoformat(str(body["at"])))
            person = self._persons.setdefault(str(body["person"]), _Person())
            if event == SOUGHT:
                for past in [i for i, each in person.sought.items() if each.hour <= hour - _DAY]:
                    del person.sought[past]
                person.sought[entry.index] = _Sought(hour, str(body["dataset"]))
                return
            if event == MISSED:
                person.sought.pop(
                    _or_none(person.newest(str(body["dataset"]))), None
                )  # told twice, counted once
                _bump(person.misses, hour, 1)
                return
            person.sought.pop(_or_none(body["detail"].get("sought")), None)
            if event == "access.comparison.authorised":
                self._compared[entry.index] = (str(body["person"]), hour)
            self._see(person, hour, body, bitmap)

    def linked(self, person: str, index: int, link: bytes) -> None:
        """The link that was handed out for the look-up of this person, entry ``index``."""
        if (sought := self._persons.get(person, _Person()).sought.get(index)) is not None:
            sought.link = link

    def sought(self, person: str, dataset: str, link: bytes) -> int | None:
        """The entry of the newest look-up that waits for the record of this link."""
        return self._persons.get(person, _Person()).newest(dataset, link)

    def missed(self, index: int, fields: int) -> None:
        """A comparison, entry ``index``, did not agree in so many fields."""
        if index in self._compared:
            person, hour = self._compared.pop(index)
            _bump(self._persons[person].misses, hour, fields)

    def require_within(
        self, body: Mapping[str, Any], bitmap: BitMap | None, limits: Limits, at: datetime
    ) -> int | None:
        """DeniedError when ``body`` is one look, export or miss too many; otherwise the consent by which it is not, if
        it takes one."""
        event, person = str(body["event"]), str(body["person"])
        if event in _LOOK_UPS and self._misses(person, at) - self._settles(body, at) >= limits.misses_per_day:
            raise _missed_out(limits.misses_per_day)
        if event not in LOOKS and event not in EXPORTS:
            return None
        more = _of(body, bitmap)
        found = self._persons.get(person, _Person())
        windows = (
            ((found.exports, _MONTH, limits.export_alone),)
            if event in EXPORTS
            else (
                (found.looks, _DAY, limits.subjects_per_day),
                (found.looks, _MONTH, limits.subjects_per_month),
            )
        )
        if all(self._fits(by_hour, hours, most, more, at) for by_hour, hours, most in windows):
            return None
        consent = next(self._consents(body, more, at), None)
        if consent is None:
            raise _spent(windows)
        return consent

    def spent(self, person: str, at: datetime) -> Spent:
        """What a person has used up at an instant."""
        found, now = self._persons.get(person, _Person()), _hour(at)
        return Spent(
            self._union(found.looks, now - _DAY).number,
            self._union(found.looks, now - _MONTH).number,
            self._union(found.exports, now - _MONTH).number,
            self._misses(person, at),
        )

    def _misses(self, person: str, at: datetime) -> int:
        found, after = self._persons.get(person, _Person()), _hour(at) - _DAY
        waiting = sum(each.hour > after for each in found.sought.values())
        return waiting + sum(count for hour, count in found.misses.items() if hour > after)

    def _settles(self, body: Mapping[str, Any], at: datetime) -> int:
        """How many misses are none any more, or are not told twice, when this entry is appended: 0 or 1."""
        found = self._persons.get(str(body["person"]), _Person())
        missed = body["event"] == MISSED
        index = found.newest(str(body["dataset"])) if missed else body["detail"].get("sought")
        waiting = found.sought.get(_or_none(index))
        return int(waiting is not None and waiting.hour > _hour(at) - _DAY)

    # -- pieces ---------------------------------------------------------------------------------

    def _see(self, person: _Person, hour: int, body: Mapping[str, Any], bitmap: BitMap | None) -> None:
        consent = self._raised.get(int(body["detail"].get("raised", -1)))
        if consent is not None:
            seen = consent.seen
        else:
            by_hour = person.exports if body["event"] in EXPORTS else person.looks
            if hour not in by_hour:
                by_hour[hour] = _Seen()
                for past in [old for old in by_hour if old <= hour - _MONTH]:
                    del by_hour[past]
            seen = by_hour[hour]
        if bitmap is None and "subjects" in body:
            seen.unopened.append(body["subjects"])
        seen.add(_of(body, bitmap))

    def _fits(self, by_hour: Mapping[int, _Seen], hours: int, most: int, more: _Seen, at: datetime) -> bool:
        before = self._union(by_hour, _hour(at) - hours)
        if before.holds(more):
            return True
        before.add(more)
        return before.number <= most

    def _union(self, by_hour: Mapping[int, _Seen], after: int) -> _Seen:
        found = _Seen()
        for hour, seen in by_hour.items():
            if hour > after:
                self._opened(seen)
                found.add(seen)
        return found

    def _opened(self, seen: _Seen) -> None:
        while seen.unopened:
            member = seen.unopened[-1]
            seen.subjects |= open_member(member, self._open(member))
            seen.unopened.pop()

    def _consents(self, body: Mapping[str, Any], more: _Seen, at: datetime) -> Iterator[int]:
        asked = (body["person"], body["dataset"], body["purpose"])
        for consent in self._raised.values():
            if (consent.person, consent.dataset, consent.purpose) != asked or consent.until <= at:
                continue
            self._opened(consent.seen)
            after = _Seen()
            for seen in (consent.seen, more):
                after.add(seen)
            if after.number <= consent.subjects:
                yield consent.index


def _of(body: Mapping[str, Any], bitmap: BitMap | None) -> _Seen:
    """What one entry shows."""
    detail = body["detail"]
    records = {
        (
            str(body.get("dataset")),
            f"{detail[name]}/{detail['row']}" if name == "batch" else str(detail[name]),
        )
        for name in ("record", "batch")
        if name in detail and (name == "record" or "row" in detail)
    }
    slices: dict[tuple[str, str], int] = {}
    if body["event"] in EXPORTS:
        slices[str(body.get("dataset")), str(body.get("domain"))] = int(detail.get("records", 0))
    return _Seen(BitMap() if bitmap is None else bitmap, records, slices)


def require_subjects(contract: Contract | None, body: Mapping[str, Any], bitmap: BitMap | None) -> None:
    """DeniedError when an entry shows somebody records that are all about somebody, and binds nobody."""
    shows = body["event"] in _SHOWN or (body["event"] in EXPORTS and int(body["detail"]["records"]) > 0)
    if not shows or contract is None or bitmap:
        return
    if any(f.required or f.primary_key for f in (contract.field(s.field) for s in contract.subjects)):
        raise DeniedError(
            "access.subjects.unsaid",
            Text(
                f"every record of {contract.dataset} is about somebody; the entry must say about whom",
                f"{contract.dataset} 的每条记录都有主体，条目须载明主体",
            ),
            remedy=Text("ask through the gate: it says so", "请通过闸口申请，由其载明"),
        )


def _or_none(index: int | None) -> int:
    """No entry has the index of none."""
    return -1 if index is None else int(index)


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // 3600


def _bump(by_hour: dict[int, int], hour: int, count: int) -> None:
    by_hour[hour] = by_hour.get(hour, 0) + count
    for past in [old for old in by_hour if old <= hour - _DAY]:
        del by_hour[past]


def _spent(windows: tuple[tuple[Any, int, int], ...]) -> DeniedError:
    exported = len(windows) == 1
    most = windows[0][2]
    told = (
        Text(
            f"one person takes along at most {most} residents in 30 days",
            f"一人 30 日内最多以工作簿带出 {most} 名不同主体",
        )
        if exported
        else Text(
            f"one person looks at no more than {most} residents in 24 hours, {windows[1][2]} in 30 days",
            f"一人 24 小时内最多查看 {most} 名、30 日内最多 {windows[1][2]} 名不同主体",
        )
    )
    return DeniedError(
        "access.budget.spent",
        told,
        remedy=Text(
            "somebody else, a security officer or chief data officer, looks at why, then:"
            " huanshu access raise PERSON --dataset D --purpose P --subjects N --until DATE --reason TEXT",
            "由另一名安全员或首席数据官核实后运行："
            "huanshu access raise 人员 --dataset D --purpose P --subjects N --until 日期 --reason 理由",
        ),
    )


def _missed_out(most: int) -> DeniedError:
    return DeniedError(
        "access.misses.spent",
        Text(
            f"{most} numbers or comparisons were wrong within 24 hours: nothing more is answered",
            f"24 小时内已有 {most} 次查无此号或核对不一致，暂停答复",
        ),
        remedy=Text(
            "check the list you work from; tomorrow it goes on; security staff see what was asked",
            "请核对所用名单；次日恢复；安全人员可查询请求记录",
        ),
    )


def raised(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """A second person agrees that somebody sees more: whom, of what, what for, how many, until when, and why."""
    detail, home = claim["detail"], admission.home
    whom, until = str(detail["for"]), datetime.fromisoformat(str(detail["until"]))
    said = admission.in_person(asker)
    admission.second.require_other(whom, said["person"])
    named = (
        whom in home.policies.persons
        and claim["dataset"] in home.contracts
        and claim["purpose"] in home.policies.purposes
    )
    if not named:
        raise _refused(
            "access.budget.unknown", "no such person, dataset or purpose", "没有该人员、数据集或用途"
        )
    if until.utcoffset() is None or not admission.at < until <= admission.at + _RAISED_AT_MOST:
        raise _refused("access.budget.endless", "it ends within seven days", "提高限额须在七日内到期")
    number = int(detail["subjects"])
    if not 0 < number < 1 << 32:
        raise ValueError
    return {
        **said,
        "post": dataset_post(admission, asker, home.contracts[claim["dataset"]]),
        "dataset": claim["dataset"],
        "purpose": claim["purpose"],
        "detail": {
            "for": whom,
            "subjects": number,
            "until": until.isoformat(),
            "reason": in_words(claim, "reason"),
        },
    }


def _refused(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "access.budget.raised": raised,
}

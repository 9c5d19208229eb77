"""The nouns of the platform, frozen. Read from the four folders by the readers beside this module.

Every noun that came from a file remembers ``where``, so that every later answer can cite file and line.
Nothing here does I/O or decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from typing import Literal

from huanshu.errors import Text, Where

DomainKind = Literal["district", "subdistrict", "community", "grid", "department"]
#: Actions that are no rung: nothing is read by them. ``trace`` asks the log who saw a record.
WriteAction = Literal["propose", "write", "approve", "trace"]
#: Kinds of identifier that a field may link by; how each is normalised is ``huanshu.sealing.links``' business.
LinkKind = Literal["citizen_number", "credit_code", "person_number", "phone", "record_number"]


class Rung(IntEnum):
    """The ladder of visibility (可用不可见), lowest first. A reader gets at most what was granted and
    asked."""

    COUNT = 1
    MATCH = 2
    MASK = 3
    REVEAL = 4

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Rung:
        """The rung of its lower-case word; ``KeyError`` for anything else."""
        return {rung.word: rung for rung in cls}[word]


@dataclass(frozen=True, slots=True)
class Domain:
    """域: an administrative unit (12-digit division code; a grid adds 3 digits) or a department."""

    code: str
    name: Text
    kind: DomainKind
    parent: str | None
    #: Name of the receiving store in the deployment's ``stores.yaml``; "" is a schema of the district's own
    #: server.
    store: str
    where: Where


@dataclass(frozen=True, slots=True)
class DomainTree:
    """All domains by code. A parent always exists and comes before its children in ``by_code``.

    Who lies above and below whom is worked out once, when the tree is made: it is asked in hot loops."""

    by_code: Mapping[str, Domain]
    _above: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _below: Mapping[tuple[str, DomainKind | None], tuple[Domain, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        above: dict[str, tuple[str, ...]] = {}
        below: dict[tuple[str, DomainKind | None], list[Domain]] = {}
        for domain in self.by_code.values():
            parent = domain.parent
            above[domain.code] = () if parent is None else (parent, *above[parent])
            for code in above[domain.code]:
                below.setdefault((code, None), []).append(domain)
                below.setdefault((code, domain.kind), []).append(domain)
        object.__setattr__(self, "_above", above)
        object.__setattr__(self, "_below", {key: tuple(found) for key, found in below.items()})

    def __getitem__(self, code: str) -> Domain:
        return self.by_code[code]

    def __contains__(self, code: object) -> bool:
        return code in self.by_code

    def __iter__(self) -> Iterator[Domain]:
        return iter(self.by_code.values())

    def ancestors(self, code: str) -> tuple[str, ...]:
        """Codes above ``code``, nearest first, without ``code`` itself."""
        return self._above[code]

    def is_below(self, code: str, ancestor: str) -> bool:
        """True when ``code`` lies strictly below ``ancestor``."""
        return ancestor in self._above[code]

    def below(self, ancestor: str, kind: DomainKind | None = None) -> tuple[Domain, ...]:
        """Domains strictly below ``ancestor`` (of one kind), in file order."""
        return self._below.get((ancestor, kind), ())

    @property
    def district(self) -> Domain:
        return next(d for d in self if d.kind == "district")


@dataclass(frozen=True, slots=True)
class Person:
    """责任人: a natural person and the accounts by which he or she can be established."""

    person: str
    name: str
    os_account: str
    airflow_account: str
    where: Where


@dataclass(frozen=True, slots=True)
class System:
    """One row of systems.csv: a departmental system or scheduler, and the OS account it runs under ("" =
    none).

    A system is no person: it may run approved flows, in the name of the person who approved them."""

    system: str
    title: Text
    domain: str
    kind: str  # "source", "scheduler" or "receiver"
    os_account: str
    where: Where


@dataclass(frozen=True, slots=True)
class Holding:
    """One row of posts.csv: a person holds a post as holder or deputy, from–until (both inclusive dates)."""

    post: str
    domain: str
    role: str
    title: Text
    person: str
    capacity: Literal["holder", "deputy"]
    valid_from: date
    valid_until: date
    where: Where


@dataclass(frozen=True, slots=True)
class Purpose:
    """用途: a registered reason for reading, with its legal basis. It ends on ``valid_until``."""

    purpose: str
    title: Text
    legal_basis: str
    legal_basis_verified: bool
    datasets: tuple[str, ...]
    retention: str  # key of an obligation in audit/obligations.yaml
    valid_from: date
    valid_until: date
    where: Where


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``p`` line of ``policies/rules/*.csv``, in the order of the model's policy definition."""

    priority: int
    role: str  # a role's word, or one post by its id: a department's rule is rarely meant for twelve
    reach: str  # "own", "below" or one domain code
    dataset: str
    field: str  # field name, or "@level1".."@level4", "@sensitive_personal"
    purpose: str
    action: str  # a rung's word or a write action
    valid_from: date
    valid_until: date
    effect: Literal["allow", "deny"]
    where: Where


@dataclass(frozen=True, slots=True)
class Case:
    """One line of ``policies/cases/*.csv``: a request that must be allowed or denied."""

    post: str
    domain: str
    dataset: str
    field: str
    purpose: str
    action: str
    on: date
    expect: Literal["allow", "deny"]
    because: str
    where: Where


@dataclass(frozen=True, slots=True)
class Field:
    """字段 of a contract, with its classification (分级)."""

    name: str
    title: Text
    logical_type: Literal["string", "integer", "number", "boolean", "date", "timestamp"]
    required: bool
    primary_key: bool
    level: int  # 1–4, GB/T 43697 general data
    sensitive_personal: bool
    #: Bytes that a sealed value is padded to; None exactly when the field is stored plain.
    width: int | None
    #: Identifier kind for links (e.g. "citizen_number"); None when the field is no identifier.
    link_kind: str | None
    #: Name of the mask, e.g. "citizen_number"; None when ``mask`` is not offered.
    mask: str | None
    #: Department that answers for this field's value, though another one may send the record.
    authority: str
    where: Where

    @property
    def sealed(self) -> bool:
        """Invariant 2: level 3 and above, and sensitive personal data, are never stored plain."""
        return self.level >= 3 or self.sensitive_personal


@dataclass(frozen=True, slots=True)
class Subject:
    """主体: which field of a dataset names a person or organisation."""

    kind: Literal["person", "organisation"]
    field: str


@dataclass(frozen=True, slots=True)
class Contract:
    """数据契约: one dataset's ODCS 3.1.0 file."""

    dataset: str
    version: str
    title: Text
    description: Text
    domain: str  # the authoritative department
    steward_post: str
    legal_basis: str
    home_field: str  # the field that holds the home community's code
    subjects: tuple[Subject, ...]
    fields: tuple[Field, ...]
    digest: str  # SHA-256 of the file's bytes, hex
    where: Where
    #: A count says nothing about fewer than so many.
    minimum_group: int = 10
    #: The fields by name, in the order of the file.
    by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {each.name: each for each in self.fields})

    def field(self, name: str) -> Field:
        """The field of that name; ``KeyError`` otherwise."""
        return self.by_name[name]

    @property
    def primary_key(self) -> Field:
        return next(f for f in self.fields if f.primary_key)

    @property
    def sealed_fields(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.sealed)

    @property
    def plain_fields(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if not f.sealed)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One Great Expectations rule of a suite, in its own vocabulary."""

    rule: str
    type: str
    kwargs: Mapping[str, object]
    scope: Literal["record", "batch", "dataset"]
    severity: Literal["error", "warning"]
    title: Text
    where: Where


@dataclass(frozen=True, slots=True)
class Code:
    """One line of a code list (expectations/<dataset>/codes/<list>.csv): a value that a field may hold."""

    code: str
    title: Text
    note: str
    where: Where


@dataclass(frozen=True, slots=True)
class Suite:
    """A dataset's quality rules (expectations/<dataset>/suite.yaml) and the code lists beside them."""

    dataset: str
    expectations: tuple[Expectation, ...]
    digest: str
    where: Where
    #: What ``value_set: '@codes.<list>'`` means, in the order of the file.
    codes: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a delivery flow expects of a run, in per cent of what was held before; outside them it is held.

    ``subjects`` bounds the change of the whole flow's number of records, ``per_receiver`` the share of one
    receiver's records that come new or leave, whichever is larger. A deviation of fewer records than
    ``at_least`` holds nothing."""

    subjects: int
    per_receiver: int
    at_least: int = 1

    def outside(self, percent: int, deviating: int, before: int) -> bool:
        """Whether ``deviating`` records of ``before`` are more than ``percent`` allows."""
        return deviating >= self.at_least and deviating * 100 > percent * before


@dataclass(frozen=True, slots=True)
class Flow:
    """流向: one declared exchange. ``digest`` is over the file's bytes, so one changed byte voids
    approvals."""

    flow: str
    kind: Literal["intake", "delivery"]
    title: Text
    dataset: str
    source: str  # domain code
    receivers: tuple[str, ...]  # domain codes, resolved against the domain tree, in tree order
    purpose: str
    accountable_post: str
    schedule: str  # cron expression, "asset" (when the dataset was updated) or "manual"
    fields: Mapping[str, Rung]  # empty for an intake: every field of the contract is written
    expect: Bounds | None  # of a delivery, always; of an intake, never
    digest: str
    where: Where
    #: A delivery in Airflow: ``one`` run serves all receivers, ``per_receiver`` gives each a run of its own.
    runs: Literal["one", "per_receiver"] = "one"
    #: A delivery counts as through when all receivers but at most this many are up to date.
    missing_at_most: int = 0


@dataclass(frozen=True, slots=True)
class Obligation:
    """义务: a duty, deadline or retention as data, with its citation. ``verified`` is False until read in the
    text."""

    key: str
    title: Text
    citation: str
    value: int
    unit: Literal["working_days", "days", "hours", "months", "years"]
    verified: bool
    where: Where
    #: What the law wants kept at least so long (a word of audit/retention.yaml); "" when it is no such floor.
    floor_of: str = ""


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """policies/keys.yaml: which root provider, algorithm profile and epoch are in force."""

    root_provider: Literal["file", "pkcs11"]
    profile: Literal["aes", "sm"]
    epoch: int
    lend_max_seconds: int
    open_max_values: int
    where: Where
    #: How many keys a link has gone through; raised by one, a rotation makes every link anew.
    link_generation: int = 1
    #: Backups are kept so many days: what was destroyed or erased is gone from all of them after that.
    backups_kept_days: int = 90


@dataclass(frozen=True, slots=True)
class Emergency:
    """Breaking the glass (紧急调阅): which roles may, for how many hours, within how many it is reviewed."""

    roles: tuple[str, ...] = ()
    hours: int = 4
    review_hours: int = 24


@dataclass(frozen=True, slots=True)
class Limits:
    """policies/limits.yaml: what one person may see before a second one agrees. Without the file: these."""

    subjects_per_day: int = 200
    subjects_per_month: int = 1_000
    export_alone: int = 2_000
    misses_per_day: int = 30
    #: Residents that one delivery brings to one receiver on one person's approval.
    deliver_alone: int = 20_000
    emergency: Emergency = Emergency()


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything under ``policies/``. ``digest`` covers every file there and every contract and suite:
    what decides who sees what, and what is sealed, is adopted as one bundle or not at all."""

    domains: DomainTree
    persons: Mapping[str, Person]
    systems: Mapping[str, System]
    holdings: tuple[Holding, ...]
    purposes: Mapping[str, Purpose]
    rules: tuple[Rule, ...]
    cases: tuple[Case, ...]
    keys: KeyPolicy
    model: str  # text of model.conf
    digest: str
    limits: Limits = Limits()
    _by_post: Mapping[str, tuple[Holding, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, list[Holding]] = {}
        for holding in self.holdings:
            found.setdefault(holding.post, []).append(holding)
        object.__setattr__(self, "_by_post", {post: tuple(held) for post, held in found.items()})

    def holders(self, post: str, at: datetime) -> tuple[Holding, ...]:
        """Who holds ``post`` at an instant (its local date): the holder first, then deputies."""
        day = at.date()
        valid = [h for h in self._by_post.get(post, ()) if h.valid_from <= day <= h.valid_until]
        return tuple(sorted(valid, key=lambda h: h.capacity != "holder"))

    def posts_of(self, person: str, at: datetime) -> tuple[Holding, ...]:
        day = at.date()
        return tuple(h for h in self.holdings if h.person == person and h.valid_from <= day <= h.valid_until)

    @property
    def posts(self) -> Set[str]:
        return self._by_post.keys()


@dataclass(frozen=True, slots=True)
class Home:
    """One district: the four folders, read and cross-checked. Made by ``huanshu.catalog.read_home``."""

    path: str
    policies: Policies
    contracts: Mapping[str, Contract]
    suites: Mapping[str, Suite]
    flows: Mapping[str, Flow]
    obligations: Mapping[str, Obligation]
    #: ISO date → True when it is a working day although a weekend (make-up), False when a holiday.
    calendar: Mapping[date, bool] = field(default_factory=dict)
    #: IANA time zone of the district (audit/log.yaml), used for every local date.
    timezone: str = "Asia/Shanghai"
    #: Origin line of the log's checkpoints (audit/log.yaml).
    log_origin: str = ""
    #: Minutes after which the published checkpoint, or the witnesses' word, is too old to open anything (log.yaml).
    checkpoint_minutes: int = 15
    witness_minutes: int = 15
    #: What is kept → key of the obligation that says how long (audit/retention.yaml).
    retention: Mapping[str, str] = field(default_factory=dict)

"""The four folders of a district → one Home, every file read and every reference checked.

One pass serves both callers: ``read_home`` stops at the first fault, ``inspect_home`` collects all it can.
A home with a fault is never returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

from huanshu.catalog import contracts as contract_files
from huanshu.catalog import domains as domain_files
from huanshu.catalog import evidence, flows, limits, people, purposes, rules, suites
from huanshu.catalog.bundle import bundle_digest
from huanshu.catalog.crosschecks import check_cases, check_rules, check_suites
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import (
    Case,
    Contract,
    DomainTree,
    Flow,
    Holding,
    Home,
    KeyPolicy,
    Limits,
    Obligation,
    Person,
    Policies,
    Purpose,
    Rule,
    Suite,
    System,
)
from huanshu.catalog.separation import check_separation
from huanshu.catalog.words import name as check_name
from huanshu.errors import ContentError, Text, Where

T = TypeVar("T")

_POLICY_NAMES: Final = (
    "model.conf",
    "domains.csv",
    "persons.csv",
    "posts.csv",
    "systems.csv",
    "purposes.yaml",
    "keys.yaml",
    "limits.yaml",
    "rules",
    "cases",
)
_AUDIT_NAMES: Final = (
    "log.yaml",
    "witnesses.policy",
    "obligations.yaml",
    "calendar.csv",
    "retention.yaml",
    "alerts",
    "drills",
    "campaigns",
    "reports",
)
_DATASET_NAMES: Final = ("contract.yaml", "suite.yaml", "codes", "samples")
_DAG_NAMES: Final = ("flows", "__pycache__", ".airflowignore")


def read_home(path: Path) -> Home:
    """The home at ``path``. Raises the first ContentError, with file, line, field and the nearest right
    word."""
    home = _Reading(path, Faults(stop=True)).home()
    assert home is not None  # the first fault was raised
    return home


def read_bundle(path: Path) -> tuple[Policies, Mapping[str, Contract]]:
    """Policies and contracts of a folder that holds a policy bundle and nothing else: what decides who sees what.

    References into the other folders are not judged; the bundle was part of a whole home when it was adopted."""
    return _Reading(path, Faults(stop=True)).bundle()


def inspect_home(path: Path) -> tuple[Home | None, tuple[ContentError, ...]]:
    """(the home, no faults) or (None, all faults that one pass can find, ordered by file and line)."""
    faults = Faults(stop=False)
    home = None
    with faults.caught():
        home = _Reading(path, faults).home()
    found = sorted(faults.found, key=lambda e: (e.where.file, e.where.line or 0) if e.where else ("", 0))
    return (None if found else home), tuple(found)


class _Reading:
    """One pass over one home. What cannot be read is empty, and nothing that refers to it is judged."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.folder = Folder(path)
        self.faults = faults

    def home(self) -> Home | None:
        folder, faults = self.folder, self.faults
        self._known_files()
        self._evidence()
        self._people()
        self._datasets()
        self._policies()
        read = self._or(
            lambda: flows.read_flows(folder, self.tree, self.contracts, self.posts, self.purposes, faults),
            dict[str, Flow](),
        )
        if faults.found or self.keys is None or self.log is None:
            return None
        return Home(
            path=str(folder.path),
            policies=self._bundled(self.keys),
            contracts=self.contracts,
            suites=self.suites,
            flows=read,
            obligations=self.obligations,
            calendar=self.calendar,
            timezone=self.log.timezone,
            log_origin=self.log.origin,
            checkpoint_minutes=self.log.checkpoint_minutes,
            witness_minutes=self.log.witness_minutes,
            retention=self.retention,
        )

    def bundle(self) -> tuple[Policies, Mapping[str, Contract]]:
        self.obligations: dict[str, Obligation] = {}
        self._people()
        self._datasets()
        self._policies()
        assert self.keys is not None  # the first fault was raised
        return self._bundled(self.keys), self.contracts

    def _bundled(self, keys: KeyPolicy) -> Policies:
        return Policies(
            domains=self.tree,
            persons=self.persons,
            systems=self.systems,
            holdings=self.holdings,
            purposes=self.purposes,
            rules=self.rules,
            cases=self.cases,
            keys=keys,
            model=self.model,
            digest=bundle_digest(self.folder),
            limits=self.limits,
        )

    def _or(self, read: Callable[[], T], otherwise: T) -> T:
        """What ``read`` returns; ``otherwise`` when it raised, or noted a fault in what it returned."""
        before = len(self.faults.found)
        value = otherwise
        with self.faults.caught():
            value = read()
        return value if len(self.faults.found) == before else otherwise

    def _known_files(self) -> None:
        for name, known, suffixes in (
            ("policies", _POLICY_NAMES, ()),
            ("audit", _AUDIT_NAMES, ()),
            ("dags", _DAG_NAMES, (".py",)),
        ):
            with self.faults.caught():
                for error in self.folder.expect(name, known, suffixes):
                    self.faults.note(error)

    def _evidence(self) -> None:
        folder, faults = self.folder, self.faults
        self.log: evidence.LogSettings | None = self._or(lambda: evidence.read_log(folder), None)
        self.obligations = self._or(
            lambda: evidence.read_obligations(folder, faults), dict[str, Obligation]()
        )
        self.calendar: dict[date, bool] = self._or(
            lambda: evidence.read_calendar(folder, self.obligations, faults), {}
        )
        self.retention: dict[str, str] = self._or(
            lambda: evidence.read_retention(folder, self.obligations), {}
        )

    def _people(self) -> None:
        folder, faults = self.folder, self.faults
        accounts = people.Accounts()
        self.tree = self._or(lambda: domain_files.read_domains(folder, faults), DomainTree({}))
        self.persons = self._or(lambda: people.read_persons(folder, accounts, faults), dict[str, Person]())
        self.systems = self._or(
            lambda: people.read_systems(folder, accounts, self.tree.by_code, faults), dict[str, System]()
        )
        self.holdings: tuple[Holding, ...] = self._or(
            lambda: people.read_holdings(folder, self.tree.by_code, self.persons, faults), ()
        )
        self.posts = frozenset(h.post for h in self.holdings)

    def _datasets(self) -> None:
        faults = self.faults
        self.contracts: dict[str, Contract] = {}
        self.suites: dict[str, Suite] = {}
        names: tuple[str, ...] = self._or(self._dataset_names, ())
        for dataset in names:
            self._dataset(dataset)
        check_suites(self.suites, self.contracts, faults)
        if not all(faults.clean(f"expectations/{dataset}/contract.yaml") for dataset in names):
            self.contracts = {}

    def _dataset(self, dataset: str) -> None:
        for error in self.folder.expect(f"expectations/{dataset}", _DATASET_NAMES):
            self.faults.note(error)
        with self.faults.caught():
            contract = contract_files.read_contract(self.folder, dataset, self.tree, self.posts, self.faults)
            if contract is not None:
                self.contracts[dataset] = contract
        with self.faults.caught():
            self.suites[dataset] = suites.read_suite(self.folder, dataset, self.faults)

    def _dataset_names(self) -> tuple[str, ...]:
        place = "expectations"
        found = [name for name in self.folder.names(place) if self.folder.is_folder(f"{place}/{name}")]
        for error in self.folder.expect(place, found):
            self.faults.note(error)
        for name in found:
            check_name(name, Where(f"{place}/{name}"))
        if not found:
            raise ContentError(
                "home.datasets.none",
                Text("the home has no dataset", "治理目录中没有数据集"),
                remedy=Text(
                    "put one back (expectations/<dataset>/) until huanshu dataset new has made yours",
                    "请先放回原有数据集（expectations/<数据集>/），待 huanshu dataset new 建好新的再移除",
                ),
                where=Where(place),
            )
        return tuple(found)

    def _policies(self) -> None:
        folder, faults = self.folder, self.faults
        self.keys: KeyPolicy | None = self._or(lambda: purposes.read_keys(folder), None)
        roles = {holding.role for holding in self.holdings}
        self.limits: Limits = self._or(lambda: limits.read_limits(folder, roles), Limits())
        self.model = self._or(lambda: rules.read_model(folder), "")
        self.purposes = self._or(
            lambda: purposes.read_purposes(folder, self.contracts, self.obligations, faults),
            dict[str, Purpose](),
        )
        self.rules: tuple[Rule, ...] = self._or(lambda: rules.read_rules(folder, faults), ())
        self.cases: tuple[Case, ...] = self._or(lambda: rules.read_cases(folder, faults), ())
        check_rules(self.rules, self.holdings, self.tree, self.purposes, self.contracts, faults)
        check_cases(self.cases, self.posts, self.tree, self.purposes, self.contracts, faults)
        check_separation(self.holdings, self.rules, self.tree, self.contracts, faults)

"""The nouns, frozen, read from a district's four folders with file-and-line errors.

``read_home(path)`` gives everything or raises the first ContentError; ``inspect_home`` collects the faults.
Nothing here decides who may see what, evaluates a quality rule, or knows a clock.
"""

from huanshu.catalog.divisions import Divisions, domains_csv, read_divisions
from huanshu.catalog.flows import flow_digest
from huanshu.catalog.home import inspect_home, read_bundle, read_home
from huanshu.catalog.nouns import (
    Bounds,
    Case,
    Code,
    Contract,
    Domain,
    DomainKind,
    DomainTree,
    Emergency,
    Expectation,
    Field,
    Flow,
    Holding,
    Home,
    KeyPolicy,
    Limits,
    LinkKind,
    Obligation,
    Person,
    Policies,
    Purpose,
    Rule,
    Rung,
    Subject,
    Suite,
    System,
    WriteAction,
)
from huanshu.catalog.stewards import steward_of
from huanshu.catalog.working_days import due, is_working_day

__all__ = [
    "Bounds",
    "Case",
    "Code",
    "Contract",
    "Divisions",
    "Domain",
    "DomainKind",
    "DomainTree",
    "Emergency",
    "Expectation",
    "Field",
    "Flow",
    "Holding",
    "Home",
    "KeyPolicy",
    "Limits",
    "LinkKind",
    "Obligation",
    "Person",
    "Policies",
    "Purpose",
    "Rule",
    "Rung",
    "Subject",
    "Suite",
    "System",
    "WriteAction",
    "domains_csv",
    "due",
    "flow_digest",
    "inspect_home",
    "is_working_day",
    "read_bundle",
    "read_divisions",
    "read_home",
    "steward_of",
]

"""The engines' own checks of a home, handed to conformance: the access cases, the flows' rules, the samples."""

from __future__ import annotations

from collections.abc import Iterator

from huanshu.access import run_cases
from huanshu.assembly.keeper_process import clock_of
from huanshu.authoring.grants import granted_flows, tried_flows
from huanshu.catalog import Home
from huanshu.errors import HuanshuError
from huanshu.quality import check_suite, run_samples


def access_cases(home: Home) -> Iterator[HuanshuError]:
    """Every case beside the rules, decided by the real engine."""
    yield from (failure.error for failure in run_cases(home))


def quality_samples(home: Home) -> Iterator[HuanshuError]:
    """Every sample beside the suites, judged by the real engine."""
    for dataset, suite in home.suites.items():
        try:
            check_suite(suite, home.contracts[dataset], home.policies.domains)
        except HuanshuError as error:
            yield error
            return
    yield from run_samples(home)


def flow_rules(home: Home) -> Iterator[HuanshuError]:
    """Every flow is granted what it asks, today, and cases hold its post to it."""
    yield from granted_flows(home, clock_of(home)())
    yield from tried_flows(home)

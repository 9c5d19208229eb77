"""The engines' own checks of a home, handed to conformance: the access cases and the quality samples."""

from __future__ import annotations

from collections.abc import Iterator

from huanshu.access import run_cases
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

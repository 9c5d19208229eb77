"""The objects that control arms of attacks on the rules wire in, as ``careless``: each lacks exactly one defence."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from huanshu.access import Enforcer, Plan, PlanRequest
from huanshu.catalog import Home, bundle
from huanshu.catalog import home as catalog_home


class ReadsLeniently(Enforcer):
    """A decider that takes a word for the registered one that it looks like: case, width and blanks do not count."""

    @classmethod
    def of(cls, home: Home) -> ReadsLeniently:
        return cls(home.policies, home.contracts, zone=ZoneInfo(home.timezone))

    def plan(self, request: PlanRequest) -> Plan:
        meant = unicodedata.normalize("NFKC", request.purpose).strip().lower()
        return super().plan(replace(request, purpose=meant))


@contextmanager
def rules_as_they_lie() -> Iterator[None]:
    """The bundle's digest covers nothing: whatever the files say now is taken for what was adopted."""
    with _replaced(bundle, "_digest", lambda files: "0" * 64):  # noqa: ARG005
        yield


@contextmanager
def duties_unjudged() -> Iterator[None]:
    """Posts are read without a look at who holds which together."""
    with _replaced(catalog_home, "check_separation", lambda *read: None):  # noqa: ARG005
        yield


@contextmanager
def _replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    whole = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, whole)

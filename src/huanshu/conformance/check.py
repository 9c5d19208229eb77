"""The one pass of ``huanshu check``.

First the readers, collecting. Checks that need a whole home run only when the readers found nothing: judging
half a home would blame the wrong file. What needs only files or the Python environment always runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from huanshu.catalog import Home, inspect_home
from huanshu.conformance.distributions import casbin_clash
from huanshu.conformance.evidence_folder import declarative_audit, sound_witnesses
from huanshu.conformance.offers import existing_masks
from huanshu.conformance.samples import tested_rules
from huanshu.errors import HuanshuError, Text, Where

#: A check on a sound home; it yields or raises what is wrong.
Check: TypeAlias = Callable[[Home], Iterable[HuanshuError]]

_OWN: Sequence[Check] = (existing_masks, tested_rules)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to settle before this home may be used."""

    code: str
    what: Text
    remedy: Text | None
    where: Where | None

    @classmethod
    def of(cls, error: HuanshuError) -> Problem:
        return cls(error.code, error.what, error.remedy, error.where)

    def explain(self, lang: str) -> str:
        """``where: what [code] → remedy`` in one language."""
        return self._error.explain(lang)

    def as_json(self) -> dict[str, object]:
        """The error's own JSON form: code, what and remedy in both languages, where."""
        return self._error.as_json()

    @property
    def _error(self) -> HuanshuError:
        return HuanshuError(self.code, self.what, remedy=self.remedy, where=self.where)


def check_home(path: Path, extra: Sequence[Check] = ()) -> list[Problem]:
    """All problems of the home at ``path``, ordered by file and line; an empty list means it is sound.

    ``extra``: checks of other parts (access cases, quality samples), run like our own on a sound home. A
    check may raise any HuanshuError; another exception is a defect and is not hidden."""
    home, faults = inspect_home(path)
    found: list[HuanshuError] = [*faults, *casbin_clash(), *declarative_audit(path), *sound_witnesses(path)]
    if home is not None:
        for check in (*_OWN, *extra):
            try:
                found.extend(check(home))
            except HuanshuError as error:
                found.append(error)
    # Two parts may read one file: one fault is one problem.
    problems = list({(e.code, e.where): Problem.of(e) for e in reversed(found)}.values())
    return sorted(problems, key=lambda p: (p.where.file, p.where.line or 0) if p.where else ("", 0))

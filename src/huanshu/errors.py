"""The one root of every error Huanshu raises, and its families by who must act.

An error carries a stable ``code`` (``area.object.problem``), what happened, and what to do about it,
each in English and Chinese. It never carries a value of a field at level 3 or above: messages are made
from names, positions, counts and digests only.

Exit codes of the command line follow the family (see ``exit_code``); 0 is success, 2 a usage error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

LANGUAGES: Final = ("zh", "en")


class Text(NamedTuple):
    """One sentence in both languages of the product."""

    en: str
    zh: str

    def in_language(self, lang: str) -> str:
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file that a person can open: path relative to the home, 1-based line, field name."""

    file: str
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return place if self.field is None else f"{place} [{self.field}]"


class HuanshuError(Exception):
    """Root of all errors. Catch a family, not this, unless you are a face turning errors into answers."""

    exit_code: ClassVar[int] = 1
    must_act: ClassVar[Text] = Text("the maintainers", "开发者")

    def __init__(
        self, code: str, what: Text, *, remedy: Text | None = None, where: Where | None = None
    ) -> None:
        super().__init__(code, what.en)
        self.code = code
        self.what = what
        self.remedy = remedy
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process of ours: what it is made of, and nothing that hangs on it."""
        return _made_again, (type(self), self.code, self.what, self.remedy, self.where)

    def __str__(self) -> str:
        return self.explain("en")

    def explain(self, lang: str) -> str:
        """``where: what [code] → remedy`` in one language."""
        place = f"{self.where}: " if self.where else ""
        todo = f" → {self.remedy.in_language(lang)}" if self.remedy else ""
        return f"{place}{self.what.in_language(lang)} [{self.code}]{todo}"

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "what": self.what._asdict(),
            "remedy": self.remedy._asdict() if self.remedy else None,
            "where": str(self.where) if self.where else None,
        }


def _made_again(
    family: type[HuanshuError], code: str, what: Text, remedy: Text | None, where: Where | None
) -> HuanshuError:
    made = family.__new__(family)
    HuanshuError.__init__(made, code, what, remedy=remedy, where=where)
    return made


class ContentError(HuanshuError):
    """A file in one of the four folders is wrong; whoever edits it must act."""

    exit_code = 3
    must_act = Text("the editor of the file", "文件编辑者")


class InputError(HuanshuError):
    """A foreign file, manifest or message is wrong; its sender must act. Nothing of it was kept."""

    exit_code = 4
    must_act = Text("the sender", "报送方")


class DeniedError(HuanshuError):
    """The gate or the keeper said no. Never retry: the same question gets the same answer."""

    exit_code = 5
    must_act = Text("the asker", "申请人")


class HeldError(DeniedError):
    """A flow waits for a person: a run outside its bounds, or held by hand. Nothing of it was opened."""

    exit_code = 8
    must_act = Text("a holder of the accountable post", "责任岗位任职者")


class UnavailableError(HuanshuError):
    """A part is down or stale, so the platform refuses rather than fail open; the operator must act."""

    exit_code = 6
    must_act = Text("the operator", "运维人员")


class TamperedError(HuanshuError):
    """Evidence of tampering or damage: security staff must act, and nothing more is opened meanwhile."""

    exit_code = 7
    must_act = Text("security staff", "安全人员")


class DefectError(HuanshuError):
    """The program itself is at fault. Made by ``defects.unforeseen`` alone: a foreign exception's class and place."""

    exit_code = 9

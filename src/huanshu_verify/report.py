"""What is asked of the verifier, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from huanshu_verify.notes import VerifierKey
from huanshu_verify.policy import Policy


@dataclass(frozen=True, slots=True)
class Options:
    """What to verify: a log by its database (``url``), by its published folder, or both against each other.

    ``head`` is the text of the keeper's head; ``receivers`` maps domain codes to URLs; ``data`` asks for the rows of
    the district store, which lies in the log's database; ``policy`` is the text of the witnesses' policy; ``state`` is
    what an earlier run verified, as its text, and lets this one begin where that one ended."""

    url: str | None = field(default=None, repr=False)
    vkey: str = ""
    head: str | None = None
    receivers: Mapping[str, str] = field(default_factory=dict, repr=False)
    data: bool = False
    published: Path | None = None
    policy: str | None = None
    #: Where old bundles and bitmaps of the published folder were moved to, under the same paths.
    archive: Path | None = None
    state: str | None = None
    #: Told now and then: entries looked at so far.
    progress: Callable[[int], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be. ``at`` names index, size, tile, digest, or receiver and record."""

    step: str
    at: str
    what: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Acknowledged entries that are gone: ``first`` to ``last`` of ``origin``, which had signed ``size``. Entry
    ``entry`` opened the next origin, signed by two persons; what was logged between ``since`` and ``until`` is lost."""

    entry: int
    origin: str
    size: int
    first: int
    last: int
    since: str
    until: str
    opened: str
    persons: tuple[str, ...]


@dataclass(slots=True)
class Report:
    """What was looked at and what was found. Clean when there is no problem."""

    since: int = 0
    entries: int = 0
    checkpoints: int = 0
    bitmaps: int = 0
    loans: int = 0
    rows: int = 0
    stored: int = 0
    tiles: int = 0
    size: int = 0
    root: str = ""
    #: Witness → time (POSIX) of its newest cosignature, of those that the policy names.
    witnessed: dict[str, int] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)
    #: What was given up when the log was opened again after a loss.
    gaps: list[Gap] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    #: What a later run may begin from; none unless this one was clean and looked at everything before.
    state: str | None = field(default=None, repr=False)

    @property
    def clean(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read. ``stored`` and ``event`` are what a database says beside the leaf; ``body`` is
    None when the leaf is no canonical entry of this index."""

    index: int
    leaf: bytes
    hashed: bytes
    stored: bytes | None
    event: str | None
    body: Mapping[str, Any] | None
    fault: str = ""


@dataclass(slots=True)
class Log:
    """What every step stands on."""

    options: Options
    connection: psycopg.Connection | None
    report: Report
    key: VerifierKey
    policy: Policy
    #: Entries that the published checkpoint covers; -1 where there is none.
    published: int = -1
    #: Every note that was read: name, size, origin. Which origin it may be of, the entries say.
    notes: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def folders(self) -> list[Path]:
        """The published folder, and where its old files were moved to."""
        return [folder for folder in (self.options.published, self.options.archive) if folder is not None]

    def find(self, step: str, at: object, what: str) -> None:
        self.report.problems.append(Problem(step, str(at), what))


class Step:
    """One rule over a log: shown every entry in order, then asked to finish.

    ``memory`` is what it knows of the entries before, as JSON; a later run gives it back by ``recall``."""

    name = ""

    def __init__(self, log: Log) -> None:
        self.log = log

    def entry(self, entry: Entry) -> None:
        """The next entry."""

    def finish(self) -> None:
        """After the last one."""

    def memory(self) -> Any:
        return None

    def recall(self, memory: Any) -> None:
        """Begin where an earlier run ended."""

    def find(self, at: object, what: str) -> None:
        self.log.find(self.name, at, what)

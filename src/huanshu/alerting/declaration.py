"""``audit/alerts/<alert>.yaml``, read strictly, every fault with its line.

    alert: mass_export                  the file's stem
    title: {zh: …, en: …}
    severity: low | medium | high
    owner: district.security_officer    the post that settles what is raised
    due: finding_due                    an obligation: until when
    when: threshold | first | unanswered | silence
    match:                              an entry must fit every line; a line is a list of exact words that exist
      event: [access.record.authorised]     also: how, person, post, domain, dataset, purpose, reason, rung
      between: ["22:00", "06:00"]           local time of day, over midnight too
    by: [person]                        what is counted apart: person, post, domain, dataset, purpose, flow, field
    count: entries | subjects           threshold only: subjects sums the entries' own numbers, distinct or not
    threshold: 500                      threshold only
    window: 24h                         threshold, unanswered, silence; m, h or d
    learn: 30d                          first only: nothing is new before the log is so old
    tests:                              at least one that raises and one that does not; huanshu check runs them
      - name: one clerk opens 600 records in an hour
        entries:
          - {at: "2026-07-01T10:00:00+08:00", event: access.record.authorised, person: p.a, times: 600, every: 5s}
        now: "2026-07-01T12:00:00+08:00"    optional: the end of the last entry
        raises: 1

``unanswered``: an entry that fits and that no other entry cites as ``authorised`` within the window. ``silence``: no
entry that fits for a window.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

from huanshu.access.terms import READS, WRITES
from huanshu.auditlog.events import EVENTS, HOW
from huanshu.catalog import Home
from huanshu.catalog.documents import Node, document
from huanshu.catalog.folder import Folder
from huanshu.catalog.words import hint
from huanshu.errors import ContentError, Text, Where

FOLDER: Final = "audit/alerts"
When = Literal["threshold", "first", "unanswered", "silence"]
GROUPS: Final = ("person", "post", "domain", "dataset", "purpose", "flow", "field")
WORDS: Final = ("how", "person", "post", "domain", "dataset", "purpose", "reason", "rung")
_ALWAYS: Final = ("alert", "title", "severity", "owner", "due", "when", "match", "by", "tests")
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    "threshold": ("count", "threshold", "window"),
    "first": ("learn",),
    "unanswered": ("window",),
    "silence": ("window",),
}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_LARGEST: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """What an entry must fit. ``words``: member → the words it may have."""

    events: frozenset[str]
    words: Mapping[str, frozenset[str]]
    between: tuple[time, time] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One test of an alert: entries as they would lie in the log, and how often the alert is raised."""

    name: str
    entries: tuple[Mapping[str, Any], ...]
    now: datetime
    raises: int
    where: Where


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    alert: str
    title: Text
    severity: Literal["low", "medium", "high"]
    owner: str
    due: str
    when: When
    match: Match
    by: tuple[str, ...]
    count: Literal["entries", "subjects"]
    threshold: int
    window: timedelta
    learn: timedelta
    trials: tuple[Trial, ...]
    where: Where


def read_alerts(home: Home) -> list[Alert]:
    """All alerts of a home, by name. Raises the first ContentError."""
    folder = Folder(Path(home.path))
    for error in folder.expect(FOLDER, (), (".yaml",)):
        raise error
    names = [name for name in folder.names(FOLDER) if name.endswith(".yaml")]
    return [read_alert(folder, home, f"{FOLDER}/{name}") for name in names]


def read_alert(folder: Folder, home: Home, file: str) -> Alert:
    """One alert's file."""
    root = document(folder, file)
    said = root.any_mapping()
    when = cast("When", said["when"].word(tuple(_MORE))) if "when" in said else "threshold"
    said = root.mapping((*_ALWAYS, *_MORE[when]))
    stem = Path(file).stem
    if said["alert"].name() != stem:
        raise ContentError(
            "alert.name.misfiled",
            Text("the name is not the file's stem", "名称与文件名不一致"),
            remedy=Text(f"write alert: {stem}, or rename the file", f"请写 alert: {stem}，或改文件名"),
            where=said["alert"].where,
        )
    posts = {holding.post for holding in home.policies.holdings}
    return Alert(
        alert=stem,
        title=said["title"].title(),
        severity=cast("Literal['low', 'medium', 'high']", said["severity"].word(("low", "medium", "high"))),
        owner=_known(said["owner"], posts, "alert.owner.unknown", Text("no such post", "没有该岗位")),
        due=_known(said["due"], home.obligations, "alert.due.unknown", Text("no such obligation", "没有该义务")),
        when=when,
        match=_match(said["match"], home),
        by=tuple(item.word(GROUPS) for item in said["by"].list()),
        count=cast("Literal['entries', 'subjects']", said["count"].word(("entries", "subjects")))
        if "count" in said
        else "entries",
        threshold=said["threshold"].integer(1, _LARGEST) if "threshold" in said else 1,
        window=_duration(said["window"]) if "window" in said else timedelta(0),
        learn=_duration(said["learn"]) if "learn" in said else timedelta(0),
        trials=_trials(said["tests"]),
        where=Where(file),
    )  # fmt: skip


def _known(node: Node, known: Collection[str], code: str, what: Text) -> str:
    found = node.text()
    if found not in known:
        raise ContentError(code, what, remedy=hint(found, known), where=node.where)
    return found


def _match(node: Node, home: Home) -> Match:
    policies = home.policies
    known: dict[str, Collection[str]] = {
        "how": HOW,
        "person": policies.persons,
        "post": policies.posts,
        "domain": policies.domains.by_code,
        "dataset": home.contracts,
        "purpose": policies.purposes,
        "rung": {*READS, *WRITES},
    }
    said = node.mapping(("event",), (*WORDS, "between"))
    events = frozenset(
        _known(item, EVENTS, "alert.event.unknown", Text("no such event", "没有该事件"))
        for item in said["event"].list()
    )
    words = {
        name: frozenset(
            item.word(known[name]) if name in known else item.text() for item in said[name].list()
        )
        for name in WORDS
        if name in said
    }
    between = None
    if "between" in said:
        start, *rest = (_clock(item) for item in said["between"].list())
        if len(rest) != 1:
            raise _malformed(said["between"], Text("two times of day", "两个时刻"))
        between = (start, rest[0])
    return Match(events, words, between)


def _trials(node: Node) -> tuple[Trial, ...]:
    found = tuple(_trial(item) for item in node.list())
    if not any(t.raises for t in found) or all(t.raises for t in found):
        raise ContentError(
            "alert.tests.one_sided",
            Text("the tests cannot tell this rule from none", "测试不能区分有无此规则"),
            remedy=Text(
                "write one test that raises it and one that does not", "至少各写一个会触发与不会触发的测试"
            ),
            where=node.where,
        )
    return found


_MEMBERS: Final = (
    "how", "person", "post", "domain", "dataset", "purpose", "flow", "reason", "fields", "subjects", "authorised",
    "times", "every",
)  # fmt: skip


def _trial(node: Node) -> Trial:
    said = node.mapping(("name", "entries", "raises"), ("now",))
    entries = tuple(body for item in said["entries"].list() for body in _entries(item))
    numbered = tuple({**body, "index": number} for number, body in enumerate(entries))
    last = datetime.fromisoformat(str(numbered[-1]["at"]))
    return Trial(
        name=said["name"].text(),
        entries=numbered,
        now=_instant(said["now"]) if "now" in said else last,
        raises=said["raises"].integer(0, 10_000),
        where=node.where,
    )


def _entries(node: Node) -> list[dict[str, Any]]:
    """One line of a test as the entries it stands for: the same ``times`` times, ``every`` so long."""
    said = node.mapping(("at", "event"), _MEMBERS)
    at = _instant(said["at"])
    every = _duration(said["every"]) if "every" in said else timedelta(minutes=1)
    body: dict[str, Any] = {
        "event": _known(said["event"], EVENTS, "alert.event.unknown", Text("no such event", "没有该事件")),
        "person": "p.somebody",
        "detail": {},
    }
    for name in ("how", "person", "post", "domain", "dataset", "purpose"):
        if name in said:
            body[name] = said[name].text()
    if "flow" in said:
        body["flow"] = {"id": said["flow"].text()}
    if "reason" in said:
        body["detail"]["reason"] = said["reason"].text()
    if "authorised" in said:
        body["detail"]["authorised"] = said["authorised"].integer(0, _LARGEST)
    if "subjects" in said:
        body["subjects"] = {"count": said["subjects"].integer(0, _LARGEST)}
    if "fields" in said:
        body["fields"] = {name: rung.text() for name, rung in said["fields"].any_mapping().items()}
    times = said["times"].integer(1, 20_000) if "times" in said else 1
    return [{**body, "at": (at + every * n).isoformat()} for n in range(times)]


def _duration(node: Node) -> timedelta:
    found = _DURATION.fullmatch(node.text())
    if found is None:
        raise _malformed(node, Text("a duration such as 10m, 24h or 30d", "时长，如 10m、24h、30d"))
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _clock(node: Node) -> time:
    found = _CLOCK.fullmatch(node.text())
    if found is None:
        raise _malformed(node, Text('a time of day such as "22:00"', "时刻，如 \"22:00\""))  # fmt: skip
    return time(int(found[1]), int(found[2]))


def _instant(node: Node) -> datetime:
    expected = Text("a time with its offset", "带时差的时间")
    try:
        found = datetime.fromisoformat(node.text())
    except ValueError:
        raise _malformed(node, expected) from None
    if found.utcoffset() is None:
        raise _malformed(node, expected)
    return found


def _malformed(node: Node, expected: Text) -> ContentError:
    return ContentError(
        "alert.value.malformed",
        Text(f"expected {expected.en}", f"此处应为{expected.zh}"),
        remedy=Text("see the other alerts", "请参考其他告警规则"),
        where=node.where,
    )

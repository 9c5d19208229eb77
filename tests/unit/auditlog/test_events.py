"""The closed set of events: exactly its shape, and no text that could lie to a reader of the log."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from huanshu.auditlog import EVENTS, events
from huanshu.errors import InputError


def complete(event: str) -> dict[str, Any]:
    """A body with every required member of an event."""
    shape = EVENTS[event]
    body: dict[str, Any] = {
        "v": 1, "index": 0, "event": event, "at": "2026-07-01T09:00:00.000000+08:00", "person": "p.xu",
        "established": {"by": "os", "account": "qh_xu"}, "policy": "ab" * 32,
        "detail": dict.fromkeys(shape.detail, "x"),
    }  # fmt: skip
    for member in shape.members:
        body[member] = {"how": "moved", "fields": {"name": "reveal"}, "flow": {"id": "f"}}.get(member, "x")
    return body


def test_the_set_is_there_and_every_name_has_three_parts() -> None:
    assert len(EVENTS) >= 20
    assert all(len(event.split(".")) == 3 for event in EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_a_complete_body_is_accepted_also_with_each_optional_member(event: str) -> None:
    events.check(complete(event))
    for member in EVENTS[event].optional | {"trace"}:
        events.check({**complete(event), member: "x"})


@pytest.mark.parametrize("event", EVENTS)
def test_each_missing_member_is_refused(event: str) -> None:
    body = complete(event)
    for member in body.keys() - {"detail"}:
        with pytest.raises(InputError, match=r"auditlog\.entry\.refused"):
            events.check({name: value for name, value in body.items() if name != member})
    with pytest.raises(InputError):
        events.check({name: value for name, value in body.items() if name != "detail"})
    for member in body["detail"]:
        less = {name: value for name, value in body["detail"].items() if name != member}
        with pytest.raises(InputError, match="lacks"):
            events.check({**body, "detail": less})


@pytest.mark.parametrize("event", EVENTS)
def test_each_member_too_many_is_refused(event: str) -> None:
    body, shape = complete(event), EVENTS[event]
    strangers = (events.MEMBERS - body.keys() - shape.optional - {"trace"}) | {"value", "Person", ""}
    assert len(strangers) >= 3
    for member in strangers:
        with pytest.raises(InputError, match="may not hold"):
            events.check({**body, member: "x"})
    with pytest.raises(InputError, match="may not hold"):
        events.check({**body, "detail": {**body["detail"], "name": "x"}})


def test_an_unknown_event_is_refused() -> None:
    body = complete("report.page.built")
    for event in ("report.page.builds", "", None, 1):
        with pytest.raises(InputError, match="unknown event"):
            events.check({**body, "event": event})


@pytest.mark.parametrize(
    "change",
    [
        {"person": ""},
        {"established": {"by": "os"}},
        {"established": {"by": "os", "account": "a", "token": "b"}},
        {"established": "os"},
        {"detail": "x"},
        {"detail": None},
    ],
)
def test_a_body_without_an_established_person_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        events.check({**complete("report.page.built"), **change})


def test_an_unknown_how_is_refused() -> None:
    with pytest.raises(InputError, match="how"):
        events.check({**complete("access.record.authorised"), "how": "copied"})


INJECTIONS = {
    "line feed": "a\nb", "carriage return": "a\rb", "ansi": "\x1b[31mred", "nul": "a\0b", "c1": "a\x9b31m",
    "bidi override": "a\u202eb", "bidi isolate": "a\u2066b", "zero width": "a\u200bb", "bom": "\ufeffa",
    "line separator": "a\u2028b", "paragraph separator": "a\u2029b", "next line": "a\x85b", "tab": "a\tb",
    "delete": "a\x7fb", "surrogate": "a\ud800b", "soft hyphen": "a\u00adb", "tag": "a\U000e0041b",
}  # fmt: skip


def placed(text: str) -> Iterator[dict[str, Any]]:
    """The text in every place where a string may stand."""
    body = complete("exchange.delivery.authorised")
    yield {**body, "person": text}
    yield {**body, "established": {"by": "os", "account": text}}
    yield {**body, "detail": {**body["detail"], "receiver": text}}
    yield {**body, "detail": {**body["detail"], "receiver": ["x", {"y": text}]}}
    yield {**body, "fields": {text: "reveal"}}
    yield {**body, "flow": {"id": "f", "run": text}}
    yield {**body, "trace": text}


@pytest.mark.parametrize("name", INJECTIONS)
def test_no_string_breaks_a_line_or_turns_text_around(name: str) -> None:
    bodies = list(placed(INJECTIONS[name]))
    assert len(bodies) == 7
    for body in bodies:
        with pytest.raises(InputError, match="control characters"):
            events.check(body)
    for body in placed("玉兰社区 ‘x’ 😀"):
        events.check(body)


def test_a_string_longer_than_a_thousand_characters_is_refused() -> None:
    for body in placed("x" * 1_000):
        events.check(body)
    for body in placed("x" * 1_001):
        with pytest.raises(InputError, match="too long"):
            events.check(body)


def test_what_is_good_once_is_good_for_its_own_names_alone() -> None:
    """Orders of names that were found good are remembered: an entry of another shape is looked at all the same."""
    good = complete("access.record.authorised")
    events.check(good)
    events.check(good)
    for bad in (
        {**good, "extra": "1"},
        {**good, "detail": {**good["detail"], "extra": "1"}},
        {**good, "established": {"by": "os"}},
        {**good, "detail": MappingProxyType({**good["detail"], "extra": "1"})},
        {**good, "detail": MappingProxyType({})},
        {**good, "detail": "none"},
        {name: value for name, value in good.items() if name != "detail"},
    ):
        for _ in range(2):
            with pytest.raises(InputError, match=r"auditlog\.entry\.refused"):
                events.check(bad)

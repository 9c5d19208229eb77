"""Alerts: files read strictly, tests that can fail, and a fold that raises the same whatever it is fed in one go."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from huanshu.alerting import Alert, read_alerts, sound_alerts, watch
from huanshu.alerting.trials import failed
from huanshu.catalog import Home, read_home
from huanshu.errors import ContentError

ZONE = ZoneInfo("Asia/Shanghai")
LOCAL = timezone(timedelta(hours=8))
NEEDED = {
    "mass_export", "slow_drip", "night_access", "repeated_denials", "first_field", "missing_receipt", "silence",
    "clocks_differ", "publication_gone",
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(root: Path) -> Home:
    return read_home(root)


@pytest.fixture(scope="module")
def alerts(sample: Home) -> dict[str, Alert]:
    return {alert.alert: alert for alert in read_alerts(sample)}


def test_the_sample_has_what_is_asked_and_is_sound(sample: Home, alerts: dict[str, Alert]) -> None:
    assert set(alerts) >= NEEDED
    assert {alert.when for alert in alerts.values()} == {"threshold", "first", "unanswered", "silence"}
    assert list(sound_alerts(sample)) == []


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_weakened_rule_fails_its_own_tests(home: Path, name: str) -> None:
    """Take away what the rule is about: its tests see it."""
    file = home / f"audit/alerts/{name}.yaml"
    text = file.read_text()
    weak = {
        "mass_export": ("threshold: 5000", "threshold: 50000"),
        "slow_drip": ("window: 30d", "window: 1d"),
        "night_access": ('between: ["22:00", "06:00"]', 'between: ["06:00", "22:00"]'),
        "repeated_denials": ("window: 10m", "window: 10s"),
        "first_field": ("learn: 30d", "learn: 400d"),
        "missing_receipt": ("window: 24h", "window: 48h"),
        "silence": ("window: 40d", "window: 400d"),
        "clocks_differ": ("threshold: 1", "threshold: 2"),
        "publication_gone": ("threshold: 1", "threshold: 2"),
    }[name]
    assert text.count(weak[0]) == 1
    file.write_text(text.replace(*weak))
    faults = list(sound_alerts(read_home(home)))
    assert {fault.code for fault in faults} == {"alert.test.failed"}
    assert all(
        fault.where and fault.where.file == f"audit/alerts/{name}.yaml" and fault.where.line
        for fault in faults
    )


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("alert: mass_export", "alert: other", "alert.name.misfiled"),
        ("severity: high", "severity: huge", "content.word.unknown"),
        ("owner: district.security_officer", "owner: nobody.here", "alert.owner.unknown"),
        ("due: finding_due", "due: never", "alert.due.unknown"),
        ("access.quarantine.authorised]", "access.quarantine.opened]", "alert.event.unknown"),
        ("window: 24h", "window: 1 day", "alert.value.malformed"),
        ("window: 24h", "window: 24h\nlearn: 3d", "content.key.unknown"),
        ("threshold: 5000", "threshold: 0", "content.number.range"),
        ("by: [person]", "by: [resident]", "content.word.unknown"),
        ("  how: [viewed]", "  who: [viewed]", "content.key.unknown"),
        ("count: subjects\n", "", "content.key.missing"),
        ('"2026-07-01T02:00:00+08:00"', '"2026-07-01T02:00:00"', "alert.value.malformed"),
        ("raises: 1", "raises: 0", "alert.tests.one_sided"),
    ],
)
def test_a_slip_is_an_error_with_its_line(home: Path, old: str, new: str, code: str) -> None:
    file = home / "audit/alerts/mass_export.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    (fault,) = sound_alerts(read_home(home))
    assert isinstance(fault, ContentError)
    if not code.startswith(("content.word", "content.number")):
        assert fault.code == code
    assert fault.where
    assert fault.where.line


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("how: [viewed]", "how: [veiwed]"), ("how: [viewed]", "dataset: [residents]"), ("how: [viewed]", "post: [nobody]"),
     ("how: [viewed]", 'domain: ["990199"]'), ("how: [viewed]", "purpose: [upkeep]"), ("how: [viewed]", "rung: [reveil]"),
     ("how: [viewed]", "person: [p.nobody]")],
)  # fmt: skip
def test_a_word_that_nothing_has_is_an_error_whatever_the_tests_say(
    home: Path, right: str, wrong: str
) -> None:
    """A rule about a word mistyped would never hold; tests with the same slip would not see it."""
    file = home / "audit/alerts/mass_export.yaml"
    text = file.read_text()
    assert right in text
    name, _, value = wrong.partition(": [")
    said = f"fields: {{name: {value[:-1]}}}" if name == "rung" else f"{name}: {value[:-1]}"
    text = text.replace(right, wrong)
    file.write_text(text if name == "person" else text.replace("how: viewed", said))
    (fault,) = sound_alerts(read_home(home))
    assert fault.code == "content.word.unknown"
    assert fault.where
    assert fault.where.line


def test_an_answer_that_comes_late_is_raised_whenever_one_looks(alerts: dict[str, Alert]) -> None:
    rule = alerts["missing_receipt"]
    asked = {"event": "exchange.delivery.authorised", "flow": {"id": "a.b_to_c"}, "domain": "990101001001"}
    answer = {**asked, "event": "exchange.delivery.arrived", "detail": {"authorised": 0}}
    day = 24 * 60
    for minutes, raised in ((day - 1, 0), (day, 1), (3 * day, 1)):
        log = [entry(0, 0, **asked), entry(1, minutes, **answer)]
        now = datetime(2026, 7, 30, tzinfo=LOCAL)
        assert len(list(watch([rule], log, now, ZONE))) == raised
    between = datetime(2026, 7, 3, tzinfo=LOCAL)
    early = [r.finding for r in watch([rule], [entry(0, 0, **asked)], between, ZONE)]
    assert early == [r.finding for r in watch([rule], log, now, ZONE)]


def test_a_stray_file_is_an_error(home: Path) -> None:
    (home / "audit/alerts/mass_export.yml").write_text("alert: x\n")
    (fault,) = sound_alerts(read_home(home))
    assert fault.code == "content.file.unknown"


def entry(index: int, minutes: float, **members: Any) -> dict[str, Any]:
    at = datetime(2026, 7, 1, 9, 0, tzinfo=LOCAL) + timedelta(minutes=minutes)
    return {
        "index": index,
        "at": at.isoformat(),
        "event": "access.request.denied",
        "person": "p.a",
        "detail": {},
        **members,
    }


def test_one_finding_a_group_and_window_and_the_same_when_watched_again(alerts: dict[str, Alert]) -> None:
    rule = alerts["repeated_denials"]
    log = [entry(n, n * 0.5) for n in range(30)] + [entry(30 + n, 60 + n, person="p.b") for n in range(5)]
    log += [entry(40 + n, 600 + n * 0.1) for n in range(5)]
    now = datetime(2026, 7, 2, tzinfo=LOCAL)
    once = list(watch([rule], log, now, ZONE))
    assert [(r.group, r.entry, r.total) for r in once] == [
        (("p.a",), 4, 5), (("p.a",), 24, 20), (("p.b",), 34, 5), (("p.a",), 44, 5),
    ]  # fmt: skip
    more = [*log, entry(50, 700, event="log.heartbeat.sent")]
    assert [r.finding for r in watch([rule], iter(more), now, ZONE)] == [r.finding for r in once]
    assert len({r.finding for r in once}) == 4
    assert once[0].finding == "alert/repeated_denials/4/p.a"


def test_every_rule_is_bounded_by_its_window(alerts: dict[str, Alert]) -> None:
    """A year of entries: what is held is a window, not the log."""
    from huanshu.alerting.watching import _Threshold

    watcher = _Threshold(alerts["repeated_denials"])
    for n in range(20_000):
        body = entry(n, n * 5.0)
        list(watcher.see(body, datetime.fromisoformat(body["at"])))
    (within,) = watcher._within.values()
    assert len(within) <= 3


def test_the_readme_of_an_alert_is_its_own_tests(sample: Home, alerts: dict[str, Alert], root: Path) -> None:
    """Every test in a file is run: none is skipped by name or number."""
    for name, alert in alerts.items():
        said = yaml.safe_load((root / f"audit/alerts/{name}.yaml").read_text())
        assert [trial.name for trial in alert.trials] == [test["name"] for test in said["tests"]]
        assert len(alert.trials) >= 2
        assert not list(failed(alert, sample.timezone))
        assert re.search("[一-鿿]", alert.title.zh)

"""Alerts over a real log: opened once, owned and due, settled by another person; a system opens them by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huanshu.assembly.watching import open_findings, raised
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import DeniedError
from huanshu.gate.read import Asked, read

ROOT = Path(__file__).parents[2]
THERE = "990101001003"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in("resident.psb_to_district")
        yield made


def refused(place: Range, person: str, times: int) -> None:
    running = place.acting(person)
    asked = Asked("yulan.data_clerk", THERE, "resident", "grassroots_service", {"name": Rung.REVEAL}, 1)
    for _ in range(times):
        with pytest.raises(DeniedError):
            read(running.home, running.keeper, running.district, asked)


def test_a_persistent_clerk_becomes_a_finding(place: Range, command: Callable[..., tuple[int, Any]]) -> None:
    refused(place, "p.tang", 4)
    assert raised(place.acting()) == []
    refused(place, "p.tang", 3)
    code, dry = command(place.settings, "huanshu --as p.chen audit alerts --case x --dry-run")
    assert (code, dry["opened"]) == (0, [])
    (told,) = dry["raised"]
    assert (told["alert"], told["group"], told["total"]) == ("repeated_denials", ["p.tang"], 5)
    fifth = [e.index for e in place.entries() if e.event == "access.request.denied"][4]
    assert told["entry"] == fifth

    running = place.acting()  # the platform, in nobody's name
    (index,) = open_findings(running, raised(running))
    entry = place.entries()[index]
    assert entry.body["established"]["by"] == "post"
    assert entry.body["person"] in {
        h.person for h in running.home.policies.holdings if h.post == "district.security_officer"
    }
    (finding,) = [f for f in running.keeper.findings() if f["kind"] == "alert"]
    assert (finding["owner_post"], finding["about"]) == ("district.security_officer", "p.tang")
    assert finding["due"] > entry.body["at"]
    assert raised(running) == []
    again = "huanshu --as p.chen audit alerts --case review"
    assert command(place.settings, again)[1] == {"raised": [], "opened": []}
    read_by = [e.body for e in place.entries() if e.event == "log.entries.read"]
    assert [(b["detail"]["tool"], b["person"]) for b in read_by] == [("alerts", "p.chen")] * 2
    assert command(place.settings, again.replace("p.chen", "p.tang"))[0] == 5
    assert command(place.settings, again.replace(" --case review", ""))[0] == 2

    name = finding["finding"]
    settle = f"audit settle {name} --disposition"
    assert command(place.settings, f"huanshu --as p.tang {settle} false_alarm")[0] == 5
    assert command(place.settings, f"huanshu --as p.xu {settle} mistake")[0] == 5
    assert command(place.settings, f"huanshu --as p.chen {settle} whatever")[0] == 4
    assert command(place.settings, f"huanshu --as p.chen {settle} mistake")[0] == 0
    assert not [f for f in running.keeper.findings() if f["kind"] == "alert"]
    assert raised(running) == []  # settled is not raised again


def test_nobody_settles_what_is_about_himself(place: Range) -> None:
    keeper = place.acting("p.chen").keeper
    detail = {
        "finding": "alert/night_access/1/p.chen", "kind": "alert", "due": "2026-12-31T00:00:00+08:00",
        "owner_post": "district.security_officer", "about": "p.chen",
    }  # fmt: skip
    keeper.append({"event": "finding.case.opened", "detail": detail})
    settled = {"finding": detail["finding"], "disposition": "false_alarm"}
    with pytest.raises(DeniedError, match=r"finding\.case\.own"):
        keeper.append({"event": "finding.case.settled", "detail": settled})


@pytest.mark.parametrize(
    "change",
    [
        {"finding": "alert/Night/1"}, {"finding": "alert/x/1/张三"}, {"owner_post": "no.such"}, {"about": "990101195001010023"},
        {"about": "log"}, {"about": "p.chen"}, {"due": "2026-12-31T00:00:00"},
    ],
)  # fmt: skip
def test_a_finding_that_names_no_owner_or_a_stranger_is_refused(place: Range, change: dict[str, str]) -> None:
    detail = {
        "finding": "alert/night_access/1/p.luo", "kind": "alert", "due": "2026-12-31T00:00:00+08:00",
        "owner_post": "district.security_officer", "about": "p.luo", **change,
    }  # fmt: skip
    with pytest.raises(DeniedError, match=r"finding\.case\.unowned"):
        place.acting("p.chen").keeper.append({"event": "finding.case.opened", "detail": detail})
    with pytest.raises(DeniedError):
        place.acting("p.tang").keeper.append({"event": "finding.case.opened", "detail": {**detail, **change}})


def test_a_finding_is_opened_under_no_other_findings_key(place: Range) -> None:
    detail = {
        "finding": "alert/night_access/2/p.luo", "kind": "alert", "due": "2026-12-31T00:00:00+08:00",
        "owner_post": "district.security_officer", "about": "p.luo",
    }  # fmt: skip
    opened = {"event": "finding.case.opened", "detail": detail}
    keeper = place.acting("p.chen").keeper
    with pytest.raises(DeniedError, match=r"finding\.case\.unowned"):
        keeper.append({**opened, "once": "finding.case.opened/alert/night_access/3/p.chen"})
    keeper.append({**opened, "once": f"finding.case.opened/{detail['finding']}"})


def test_a_drill_that_was_run_is_an_entry(place: Range, command: Callable[..., tuple[int, Any]]) -> None:
    size = len(place.acts())
    code, (outcome,) = command(place.settings, "huanshu --as p.chen drill run snooping_in_the_log")
    assert code == 0
    (entry,) = [e for e in place.acts()[size:] if e.event == "drill.run.completed"]
    assert entry.body["person"] == "p.chen"
    assert entry.body["detail"] == {
        "drill": "snooping_in_the_log", "attack": "as_expected", "control": "as_expected", "twin": "as_expected",
        "verdict": "passed",
    }  # fmt: skip
    assert outcome["drill"] == "snooping_in_the_log"

"""The watch beside a real keeper: what is raised becomes a finding by itself, once; silence is told by the clock."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from served import OWNER, service_over

from huanshu.assembly.watch import Watch
from huanshu.auditlog import HeadFile, create_head
from huanshu.catalog import Home, read_home
from huanshu.errors import DeniedError
from huanshu.keeper.service import Service
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.store import connect

OTHER = "990101001003"


class Place:
    """A sandbox's keeper over an empty log, and a watch over it. ``home`` is what both read, and may be changed."""

    def __init__(self, ground: Any, home: Home) -> None:
        self.ground, self.home = ground, home
        head = HeadFile(ground.folder / "keeper.head")
        create_head(ground.signer, home.log_origin, head)
        create_root(ground.folder / "root.key")
        vault = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
        self.service: Service = service_over(ground, home, head, vault)
        self.service.append(OWNER, "p.chen", {"event": "log.origin.created", "detail": {"sandbox": True}})
        self.adopt()
        self.watch = self.watching()

    def adopt(self) -> None:
        adopted = {"event": "policy.bundle.adopted", "detail": {"digest": self.home.policies.digest}}
        self.service.append(OWNER, "p.chen", adopted)

    def watching(self) -> Watch:
        return Watch(
            lambda: self.home, lambda: connect(self.ground.keeper_url), lambda: self.service.size, self.ground.clock,
            self.service.open_finding,
        )  # fmt: skip

    def refused(self, times: int) -> None:
        claim = {
            "event": "access.record.authorised", "post": "yulan.data_clerk", "domain": OTHER, "dataset": "resident",
            "purpose": "grassroots_service", "fields": {"name": "reveal"}, "subjects": 1,
            "detail": {"record": 7, "values": 1},
        }  # fmt: skip
        for _ in range(times):
            with pytest.raises(DeniedError):
                self.service.append(OWNER, "p.tang", claim)

    def findings(self) -> list[dict[str, Any]]:
        return [f for f in self.service.findings(OWNER, "p.chen") if f["kind"] == "alert"]


@pytest.fixture
def place(ground: Any, root: Path) -> Iterator[Place]:
    made = Place(ground, read_home(root))
    yield made
    made.service.close()


def test_what_is_raised_is_a_finding_with_owner_and_due_date_once(place: Place) -> None:
    place.refused(4)
    place.watch.round()
    assert place.findings() == []
    place.refused(3)
    for _ in range(3):
        place.watch.round()
    (finding,) = place.findings()
    assert (finding["owner_post"], finding["about"]) == ("district.security_officer", "p.tang")
    assert finding["due"] > place.ground.clock().isoformat()
    place.watching().round()  # a keeper that starts again has read it
    assert len(place.findings()) == 1
    settled = {"finding": finding["finding"], "disposition": "mistake"}
    place.service.append(OWNER, "p.chen", {"event": "finding.case.settled", "detail": settled})
    place.watch.round()
    place.watching().round()
    assert place.findings() == []


def test_silence_is_told_by_the_clock_alone(place: Place) -> None:
    """Nothing is appended; time passes."""
    _only_silence_after_adoption(place)
    place.watch.round()
    assert place.findings() == []
    place.ground.clock.pass_(timedelta(days=41).total_seconds())
    size = place.service.size
    place.watch.round()
    (finding,) = place.findings()
    assert finding["finding"].startswith("alert/silence/")
    assert place.service.size == size + 1


def test_what_cannot_be_opened_now_waits(place: Place) -> None:
    adopted = place.home
    place.refused(6)
    # Rules that nobody has adopted: nothing is opened under them, and nothing is forgotten.
    place.home = replace(adopted, policies=replace(adopted.policies, digest="00" * 32))
    place.service._parts = replace(place.service._parts, read_home=lambda: place.home)
    for _ in range(2):
        place.watch.round()
    assert place.findings() == []
    place.home = adopted
    place.watch.round()
    assert len(place.findings()) == 1


def test_a_log_longer_than_a_round_is_taken_in_over_some(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huanshu.assembly.watch._AT_ONCE", 3)
    place.refused(6)
    rounds = 0
    while not place.findings():
        place.watch.round()
        rounds += 1
        assert rounds < 10
    assert rounds >= 2


def _only_silence_after_adoption(place: Place) -> None:
    """The home's rule of silence, turned to an event that is in the log; no other rule."""
    copy = place.ground.folder / "home"
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(Path(place.home.path) / part, copy / part)
    for other in (copy / "audit/alerts").glob("*.yaml"):
        text = other.read_text().replace("exchange.run.completed", "policy.bundle.adopted")
        other.unlink()
        if other.name == "silence.yaml":
            other.write_text(text.replace("by: [flow]", "by: [post]").replace("flow: a.b_to_c", "post: a.b"))
    place.home = replace(place.home, path=str(copy))

"""A rehearsal runs the real loop on the samples and leaves nothing: no store, no file, no change of the home."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from huanshu.authoring import create_home, draft_dataset, draft_flow, write_drafts
from huanshu.authoring.flow_files import FlowWish
from huanshu.authoring.proposal import readable_home
from huanshu.drill.rehearsal import Rehearsal, rehearse
from huanshu.errors import ContentError

NOW = datetime.now(UTC)
INTAKE, DELIVERY = "dog_licence.register_to_district", "dog_licence.district_to_communities"
DISTRICT, FIRST, SECOND = "990001000000", "990001001001", "990001001002"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home with a second dataset and its flows, whose policies nobody has written yet."""
    home = tmp_path_factory.mktemp("rehearsal") / "home"
    create_home(home, "en", NOW.date())
    write_drafts(home, draft_dataset(readable_home(home), "dog_licence", "en", NOW.date()))
    for source, to in (("dept.register", DISTRICT), (DISTRICT, "communities")):
        write_drafts(home, draft_flow(readable_home(home), FlowWish("dog_licence", source, (to,)), "en"))
    return home


@pytest.fixture(scope="module")
def seen(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    temporary = tmp_path_factory.mktemp("t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temporary))
        before = {p: p.read_bytes() for p in planned.rglob("*") if p.is_file()}
        yield rehearse(planned, DELIVERY, NOW)
        assert {p: p.read_bytes() for p in planned.rglob("*") if p.is_file()} == before
        assert list(temporary.iterdir()) == []


def test_what_would_arrive_is_shown_at_its_rung(seen: Rehearsal) -> None:
    assert seen.flows == (INTAKE, DELIVERY)
    assert seen.good == 2
    assert {a.receiver: a.records for a in seen.arrived} == {FIRST: 1, SECOND: 1}
    first = next(a for a in seen.arrived if a.receiver == FIRST)
    assert first.fields == {
        "record_number": ("reveal", ("R000001",)),
        "person_number": ("mask", ("110105********002X",)),
        "name": ("mask", ("S*********",)),
        "community": ("reveal", (FIRST,)),
        "updated_on": ("reveal", (NOW.date().isoformat(),)),
    }


def test_failing_samples_are_really_quarantined(seen: Rehearsal) -> None:
    assert {r.rule: (r.caught, r.rows) for r in seen.rules} == {
        "community_known": (True, 1),
        "record_number_unique": (True, 1),
    }
    assert seen.quarantined == 2


def test_it_was_the_real_gate_and_log(seen: Rehearsal) -> None:
    assert seen.entries["exchange.intake.authorised"] == 2
    assert seen.entries["exchange.delivery.authorised"] == seen.entries["exchange.delivery.arrived"] == 2
    assert "policies/rules/department.csv" in seen.patch


def test_a_delivery_needs_an_intake(planned: Path, tmp_path: Path) -> None:
    file = planned / f"dags/flows/{INTAKE}.yaml"
    content = file.read_bytes()
    file.unlink()
    try:
        with pytest.raises(ContentError) as raised:
            rehearse(planned, DELIVERY, NOW)
    finally:
        file.write_bytes(content)
    assert raised.value.code == "rehearsal.intake.none"
    assert "huanshu flow new dog_licence --from dept.register" in raised.value.explain("en")

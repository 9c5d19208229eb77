"""A change of the rules in a running district: planned, replayed, refused while unread, then in force; the past answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from huanshu.access.seeing import Seeing
from huanshu.assembly.changing import ADOPTED, kept, needs_log, pending, require_seen
from huanshu.assembly.keeper_process import enforcer_of
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError
from huanshu.gate.again import decided_again, in_force, since, subjects_by_home
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies

ROOT = Path(__file__).parents[2]
HERE = "990101001001"
MASKED = "p, 100, data_clerk, own, resident, citizen_number, grassroots_service, mask"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in("resident.psb_to_district", 1)
        yield made


def now(place: Range) -> datetime:
    return datetime.now(ZoneInfo(place.acting().home.timezone))


def edit(place: Range, old: str, new: str) -> None:
    file = place.settings.home / "policies/rules/community.csv"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


def test_a_widening_is_planned_refused_unread_and_put_in_force_by_its_hash(place: Range) -> None:
    first, began = kept(place.acting("p.chen"), ADOPTED).policies.digest, now(place)
    record = place.due_records("resident", HERE)[0][0]
    asked = Asked(
        "yulan.data_clerk", HERE, "resident", "grassroots_service", {"citizen_number": Rung.REVEAL}, record
    )
    running = place.acting("p.tang")
    with pytest.raises(DeniedError, match=r"access\.request\.denied"):
        read(running.home, running.keeper, running.district, asked)

    edit(place, MASKED, MASKED.removesuffix("mask") + "reveal")
    here = place.acting("p.chen")
    change = pending(here, now(place))
    assert change.widens
    assert {shift.field for shift in change.widening} == {"citizen_number"}
    assert len({domain for shift in change.widening for domain in shift.domains}) == 146
    assert not change.narrowing
    with here.district() as district:
        counted = subjects_by_home(district, here.home.contracts)
        extent = change.extent(change.widening, counted)
        assert (
            extent.subjects
            == sum(many for (dataset, _), many in counted.items() if dataset == "resident")
            > 0
        )
        entries = list(read_entries(district, since(district, began - timedelta(days=1))))
        again = decided_again(entries, kept(here, ADOPTED).enforcer, enforcer_of(here.home))
    assert [(turned.person, turned.fields, turned.allowed) for turned in again.turned] == [
        ("p.tang", ("citizen_number",), True)
    ]
    assert again.decisions > len(again.turned)

    for unread in ("", "0" * 64, first):
        with pytest.raises(DeniedError, match=r"policy\.bundle\.widens"):
            require_seen(change, unread)
    require_seen(change, change.digest)
    propose_policies(here.keeper, here.home, here.home.policies.digest)
    second = place.acting("p.deng")
    adopt_policies(second.keeper, second.home, second.home.policies.digest)
    running = place.acting("p.tang")
    assert read(running.home, running.keeper, running.district, asked).values["citizen_number"]

    # The past still says what it said: nobody could see it yesterday's way, everybody can now.
    with place.acting().district() as district:
        then, today = (in_force(district, at, here.home.timezone) for at in (began, now(place)))
        assert since(district, now(place) + timedelta(days=1)) == len(place.entries())
        with pytest.raises(InputError, match=r"access\.past\.unknown"):
            in_force(district, began - timedelta(days=400), here.home.timezone)
    assert (then.policies.digest, today.policies.digest) == (first, here.home.policies.digest)
    for side, rungs in ((then, {"mask"}), (today, {"reveal"})):
        sights = Seeing(side.enforcer, side.policies, side.contracts).who(
            "resident", "citizen_number", now(place), [HERE]
        )
        assert {
            s.rights[0] for s in sights if s.person == "p.tang" and s.purpose == "grassroots_service"
        } == rungs


def test_a_narrowing_needs_no_hash(place: Range) -> None:
    edit(place, MASKED.removesuffix("mask") + "reveal", MASKED)
    here = place.acting("p.chen")
    change = pending(here, now(place))
    assert change.narrowing
    require_seen(change, "")


def test_which_words_lie_in_the_log(tmp_path: Path) -> None:
    assert [needs_log(word) for word in ("adopted", "0123abcd", ".", "policies", str(tmp_path))] == [
        True, True, False, False, False,
    ]  # fmt: skip

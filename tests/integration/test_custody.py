"""Destruction, erasure and copies of the root key: two natural persons, for ever, and the log still verifies."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opened import opened

from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.drill.striking import strike_at, struck
from huanshu.errors import DeniedError, HuanshuError, InputError
from huanshu.exchange import erasure
from huanshu.gate.read import Asked, read

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY, DATASET = "resident.psb_to_district", "resident.district_to_communities", "resident"
OFFICER, OTHER_OFFICER, AUDITOR, CDO, CLERK = "p.chen", "p.deng", "p.xu", "p.song", "p.he"
WORDS = ["three blind mice run", "four calling birds!", "five golden rings.."]


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        made.deliver(DELIVERY)
        yield made


def proposed(place: Range, selector: dict[str, Any], person: str = OFFICER) -> int:
    claim = {
        "event": "keys.destruction.proposed",
        "detail": {"selector": selector, "keys": 0, "reason": "end of the purpose"},
    }
    return place.acting(person).keeper.append(claim).index


def names(place: Range) -> set[str]:
    with place.administrator() as administrator:
        return {row[0] for row in administrator.execute("SELECT name FROM keys.wrapped")}


def a_record(place: Range, home: str) -> int:
    return place.due_records(DATASET, home)[0][0]


def looked_at(place: Range, home: str, record: int) -> str | None:
    """A clerk of the public security bureau's own read of one sealed field, in the district."""
    asked = Asked(
        "district.security_officer", home, DATASET, "register_upkeep", {"name": Rung.REVEAL}, record
    )
    running = place.acting(OFFICER)
    return read(running.home, running.keeper, running.district, asked).values["name"]


def test_nobody_destroys_alone_and_what_is_destroyed_is_gone_for_ever(place: Range) -> None:
    home = place.homes(DATASET)[-1]
    selector = {"domain": home, "dataset": DATASET, "field": "name", "epoch": 1}
    before, values = names(place), opened(place, DATASET)
    with pytest.raises(DeniedError):
        proposed(place, selector, CLERK)
    entry = proposed(place, selector)
    with pytest.raises(DeniedError, match="himself"):
        place.acting(OFFICER).keeper.destroy(entry)
    with pytest.raises(DeniedError, match="post"):
        place.acting(CLERK).keeper.destroy(entry)
    assert names(place) == before
    # How many keys go is not the client's to tell.
    told = {"event": "keys.destruction.confirmed", "detail": {"proposed": entry, "keys": 0}}
    with pytest.raises(DeniedError, match=r"keeper\.append\.own"):
        place.acting(AUDITOR).keeper.append(told)
    ticket, gone = place.acting(AUDITOR).keeper.destroy(entry)
    key = f"data/{home}/{DATASET}/name/1"
    assert gone == 1
    assert before - names(place) == {key}
    with pytest.raises(DeniedError, match="no such proposal"):
        place.acting(CDO).keeper.destroy(entry)
    entries = {e.index: e.body for e in place.entries()}
    assert entries[entry]["person"] == OFFICER
    assert (entries[ticket.index]["person"], entries[ticket.index]["detail"]["keys"]) == (AUDITOR, 1)
    assert entries[ticket.index]["detail"]["backups_until"] > "2026"
    # Neither born again nor, put back by the administrator, of any use: lent no more, and gone at the next start.
    with place.administrator() as administrator:
        administrator.execute("INSERT INTO keys.wrapped (name, wrapped) VALUES (%s, 'x')", (key,))
    place.stop_keeper()
    place.start_keeper()
    assert key not in names(place)
    with pytest.raises(HuanshuError, match="destroyed"):
        place.deliver_anew(DELIVERY, [home])
    report = place.verify()
    assert report.clean, report.problems
    assert len(values) > 10


def test_an_erased_person_is_gone_everywhere_and_does_not_come_back(place: Range) -> None:
    home = place.homes(DATASET)[0]
    record = a_record(place, home)
    found, subjects = erasure.reach(place.acting(OFFICER).ground(), DATASET, record)
    assert (found.records, found.held_by) == (1, (home,))
    size = len(place.acts())
    entry = erasure.propose(place.acting(OFFICER).ground(), DATASET, record, "request 7 of 2026").index
    with pytest.raises(DeniedError, match="himself"):
        erasure.confirm(place.acting(OFFICER).ground(), entry)
    confirmed = erasure.confirm(place.acting(OTHER_OFFICER).ground(), entry).index
    # From here on, though the rows are still there:
    with place.administrator() as administrator:
        administrator.execute(
            "CREATE TABLE public.kept AS SELECT * FROM district.resident WHERE record = %s", (record,)
        )
    for point in ("erasure:erased", "erasure:committed"):
        ended = struck(lambda: erasure.apply(place.acting().ground(pause=strike_at(point))))  # noqa: B023
        assert ended == -signal.SIGKILL
        assert place.verify().clean, place.verify().problems
    (done,) = erasure.apply(place.acting().ground())
    assert (done.removed, done.tombstones, done.held_by) == (1, 1, (home,))
    assert erasure.apply(place.acting().ground()) == []
    with place.administrator() as administrator:
        for table, count in (("resident", 0), ("record", 0)):
            query = f"SELECT count(*) FROM district.{table} WHERE record = %s"
            assert administrator.execute(query.encode(), (record,)).fetchone() == (count,)
        ((until, by),) = administrator.execute(
            "SELECT backups_until::text, erasure FROM district.tombstone WHERE ordinal = ANY(%s)", (subjects,)
        )
    assert by == confirmed
    assert until == next(e.body["detail"]["backups_until"] for e in place.entries() if e.index == confirmed)
    report = place.verify()
    assert report.clean, report.problems
    assert len(place.acts()) == size + 3 + 1  # the refusal of his own confirmation is told too
    # The community's copy leaves with the next delivery.
    assert record in {r for r, _ in place.slice_records(DATASET, home)}
    place.deliver_anew(DELIVERY, [home])
    assert record not in {r for r, _ in place.slice_records(DATASET, home)}
    # An extract that has him again: quarantined, and no record.
    outcome = place.take_in(INTAKE, 2).batches[-1]
    assert outcome.rules == {"subject_erased": 1}
    assert (outcome.quarantined, outcome.good) == (1, 12)
    with place.administrator() as administrator:
        rows = administrator.execute("SELECT rules FROM district.quarantine").fetchall()
    assert rows == [(["subject_erased"],)]
    assert place.verify().clean


def test_a_shared_record_is_not_erased_for_one_of_its_people(place: Range) -> None:
    with pytest.raises(InputError, match="not about one person"):
        erasure.reach(place.acting(OFFICER).ground(), "grid_event", 1)


def test_a_copy_of_the_root_needs_two_persons_and_opens_with_two_custodians(place: Range) -> None:
    from huanshu.assembly.recovery import rehearse

    claim = {"event": "keys.escrow.proposed", "detail": {"reason": "a copy for the archive"}}
    entry = place.acting(OFFICER).keeper.append(claim).index
    size = len(place.acts())
    with pytest.raises(DeniedError, match="himself"):
        place.acting(OFFICER).keeper.escrow(entry, WORDS)
    with pytest.raises(InputError, match="three"):
        place.acting(CDO).keeper.escrow(entry, WORDS[:2])
    ticket, copy = place.acting(CDO).keeper.escrow(entry, WORDS)
    assert len(place.acts()) == size + 2
    raw = (place.settings.keeper_folder / "root.key").read_bytes()
    assert raw not in copy
    assert raw.hex() not in copy.decode()
    for pair in ((0, 1), (2, 0), (1, 2)):
        told = rehearse(place.acting(OFFICER), copy, [WORDS[n] for n in pair])
    assert told.keys == len(names(place))
    with pytest.raises(InputError, match="do not open"):
        rehearse(place.acting(OFFICER), copy, [WORDS[0], "not a passphrase of anybody"])
    with pytest.raises(InputError, match="do not open"):
        rehearse(place.acting(OFFICER), copy, [WORDS[0], WORDS[0]])
    assert [e.event for e in place.entries()][-3:] == ["keys.escrow.rehearsed"] * 3
    assert place.verify().clean
    assert ticket.index

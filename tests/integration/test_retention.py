"""Retention: nothing goes below its floor, what may go is logged first, and what waits for a person stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from planting import Planting

from huanshu.catalog import read_home
from huanshu.catalog.nouns import Obligation
from huanshu.catalog.working_days import due, kept_from
from huanshu.drill.range import Range
from huanshu.errors import ContentError, DeniedError, Text, Where
from huanshu.exchange import retention
from huanshu.gate.seen import AskedWho, who_saw

ROOT = Path(__file__).parents[2]
OFFICER, CLERK = "p.chen", "p.tang"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    """Two quarantined rows that are settled and one that is open, all of them old; and a young one."""
    with Range(ROOT) as made:
        made.take_in("resident.psb_to_district")
        with made.administrator() as administrator:
            (batch,) = administrator.execute("SELECT batch FROM district.batch").fetchone()  # type: ignore[misc]
            administrator.execute("UPDATE district.batch SET settled_at = now() - interval '200 days'")
            for row, state, days in (
                (900, "dismissed", 150),
                (901, "resubmitted", 92),
                (902, "open", 0),
                (903, "dismissed", 80),
            ):
                administrator.execute(
                    "INSERT INTO district.quarantine (batch, row, rules, sealed, epoch, state, settled_at) VALUES"
                    " (%s, %s, '{x}', 'x', 1, %s, CASE WHEN %s > 0 THEN now() - make_interval(days => %s) END)",
                    (batch, row, state, days, days),
                )
        yield made


def rows(place: Range) -> list[tuple[int, str]]:
    with place.administrator() as administrator:
        return administrator.execute(
            "SELECT row, state FROM district.quarantine WHERE row >= 900 ORDER BY row"
        ).fetchall()


def test_what_is_past_is_told_and_only_that_goes(
    place: Range, command: Callable[..., tuple[int, Any]]
) -> None:
    code, told = command(place.settings, f"huanshu --as {OFFICER} audit retention --dry-run")
    assert code == 0
    kept = {each["kind"]: each for each in told["kept"]}
    assert set(kept) == {"log_entries", "delivery_records", "processing_records", "quarantine"}
    assert (kept["quarantine"]["deletable"], kept["quarantine"]["waiting"]) == (2, 1)
    assert kept["log_entries"]["past"] == 0
    assert kept["log_entries"]["since"] > kept["delivery_records"]["since"]  # months against years
    assert len(rows(place)) == 4
    size = len(place.acts())
    assert command(place.settings, f"huanshu --as {CLERK} audit retention")[0] == 5
    assert len(rows(place)) == 4
    assert [e.event for e in place.acts()[size:]] == ["access.request.denied"]
    code, told = command(place.settings, f"huanshu --as {OFFICER} audit retention")
    assert (code, told["deleted"]) == (0, 2)
    assert rows(place) == [(902, "open"), (903, "dismissed")]
    entry = place.entries()[told["entry"]]
    assert (entry.event, entry.body["detail"]["rows"]) == ("retention.rows.deleted", 2)
    size = len(place.acts())
    assert command(place.settings, f"huanshu --as {OFFICER} audit retention")[1]["deleted"] == 0
    assert len(place.acts()) == size


def test_the_keeper_lets_nothing_go_below_the_floor(place: Range) -> None:
    (kept,) = [k for k in retention.look(place.acting(OFFICER).ground()) if k.kind == "quarantine"]
    keeper = place.acting(OFFICER).keeper

    def claim(kind: str, before: datetime) -> dict[str, Any]:
        return {
            "event": "retention.rows.deleted",
            "detail": {"kind": kind, "before": before.isoformat(), "rows": 1},
        }

    with pytest.raises(DeniedError, match=r"retention\.floor\.reached"):
        keeper.append(claim("quarantine", kept.since + timedelta(seconds=1)))
    for kind in ("log_entries", "delivery_records", "processing_records", "residents"):
        with pytest.raises(DeniedError, match=r"retention\.kind\.kept"):
            keeper.append(claim(kind, kept.since - timedelta(days=4_000)))
    with pytest.raises(DeniedError):
        place.acting(CLERK).keeper.append(claim("quarantine", kept.since))
    assert keeper.append(claim("quarantine", kept.since)).index > 0  # the control arm: exactly at the floor


@pytest.mark.parametrize(
    ("kept", "floor"),
    [("log_entries: log_retention", "log_entries: quarantine_retention"),
     ("delivery_records: delivery_retention", "delivery_records: grassroots_service_retention")],
)  # fmt: skip
def test_a_home_that_keeps_too_short_is_no_home(home: Path, kept: str, floor: str) -> None:
    file = home / "audit/retention.yaml"
    assert kept in file.read_text()
    file.write_text(file.read_text().replace(kept, floor))
    with pytest.raises(ContentError, match=r"retention\.period\.below_floor"):
        read_home(home)


@pytest.mark.parametrize(
    ("value", "unit"), [(90, "days"), (6, "months"), (1, "years"), (3, "years"), (1, "months")]
)
@pytest.mark.parametrize(
    "now", ["2026-03-31T00:00:00", "2024-02-29T12:00:00", "2026-12-31T23:59:59", "2027-01-01T08:00:00"]
)
def test_kept_from_is_the_inverse_of_due(value: int, unit: Any, now: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    obligation = Obligation("x", Text("x", "x"), "x", value, unit, True, Where("x"))
    since = kept_from(at, obligation, {})
    assert due(since, obligation, {}) >= at
    for days in range(1, 40):
        assert due(since - timedelta(days=days), obligation, {}) < at


def test_a_look_at_a_row_that_is_gone_is_still_in_the_answer(place: Range) -> None:
    """A quarantined row about somebody who was not numbered when its steward looked; then the row's retention ends."""
    with place.acting().district() as district:
        record, ordinal, link = district.execute(
            "SELECT r.record, s.ordinal, s.link FROM district.resident r JOIN district.subject s"
            " ON s.ordinal = r.subjects[1] WHERE s.kind = 'person' ORDER BY r.record LIMIT 1"
        ).fetchone()  # type: ignore[misc]
        (batch,) = district.execute("SELECT batch FROM district.batch").fetchone()  # type: ignore[misc]
    with place.administrator() as administrator:
        for row in (910, 911):  # the second one nobody has looked at
            administrator.execute(
                "INSERT INTO district.quarantine (batch, row, rules, sealed, epoch, state, link, settled_at)"
                " VALUES (%s, %s, '{x}', 'x', 1, 'dismissed', %s, now() - interval '150 days')",
                (batch, row, link),
            )
    place.stop_keeper()
    planting = Planting.over(place)
    detail = {"batch": batch, "row": 910, "values": 1, "until": "2026-12-31T00:00:00+08:00"}
    look = planting.body(
        "access.quarantine.authorised", detail, "p.lin", post="psb.exchange_officer", domain="990101",
        dataset="resident", purpose="register_upkeep", fields={"name": "reveal"}, how="viewed", contract="cd" * 32,
    )  # fmt: skip
    (index,) = planting.append(look)
    planting.writer.record_loan(index, "opened", 0, ["name"], 1)
    planting.done()
    planting.vault.close()
    place.start_keeper()
    asked = AskedWho("district.auditor", "resident", "access_review", "complaint 118", record)

    def seen() -> list[tuple[int, str]]:
        running = place.acting("p.xu")
        answer = who_saw(running.home, running.keeper, running.district, asked)
        return [(s.entry, s.how) for s in answer.sightings if s.entry == index]

    assert ordinal
    assert seen() == [(index, "viewed")]
    _, deleted = retention.delete(place.acting(OFFICER).ground())
    assert deleted == 2
    assert seen() == [(index, "viewed")]
    with place.administrator() as administrator:
        kept = administrator.execute("SELECT row FROM district.quarantine_looked").fetchall()
    assert kept == [(910,)]

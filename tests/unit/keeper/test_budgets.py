"""Budgets: distinct subjects and misses of one person, counted once, whatever the asker says of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import Keeper, claim
from pyroaring import BitMap
from served import OWNER

from huanshu.auditlog import Entry
from huanshu.catalog import Limits
from huanshu.errors import DeniedError, TamperedError
from huanshu.keeper.budgets import Budgets
from huanshu.keeper.cells import StoredCell
from huanshu.sealing.cells import refused as cell_refused

BEGIN = datetime(2026, 7, 1, 9, 0, tzinfo=timezone(timedelta(hours=8)))
LIMITS = Limits(subjects_per_day=5, subjects_per_month=8, export_alone=6, misses_per_day=3)
LOOK, EXPORT, MISSED = "access.record.authorised", "access.workbook.authorised", "access.record.missed"
SOUGHT = "access.record.sought"


def no_bitmap(_: Mapping[str, Any]) -> bytes:
    raise cell_refused()


def body(
    event: str, at: datetime = BEGIN, record: int = 0, person: str = "p.a", **detail: Any
) -> dict[str, Any]:
    return {
        "event": event, "person": person, "at": at.isoformat(), "dataset": "resident", "purpose": "service",
        "detail": ({"record": record} if event == LOOK else {}) | detail,
    }  # fmt: skip


class Log:
    """Budgets, and the entries that were let through."""

    def __init__(self) -> None:
        self.budgets, self.size = Budgets(no_bitmap), 0

    def try_(self, said: dict[str, Any], subjects: BitMap | None = None) -> str:
        """The refusal's code, or "" when it was let through and is an entry now."""
        at = datetime.fromisoformat(said["at"])
        try:
            consent = self.budgets.require_within(said, subjects, LIMITS, at)
        except DeniedError as denied:
            return denied.code
        if consent is not None:
            said["detail"]["raised"] = consent
        self.add(said, subjects)
        return ""

    def add(self, said: dict[str, Any], subjects: BitMap | None = None) -> None:
        self.budgets.apply(Entry(self.size, said["event"], said, b""), subjects)
        self.size += 1


def test_a_day_of_looks_ends_at_the_limit_and_the_same_subjects_stay_free() -> None:
    log = Log()
    assert [log.try_(body(LOOK, record=n), BitMap([n])) for n in range(6)] == [""] * 5 + [
        "access.budget.spent"
    ]
    assert [log.try_(body(LOOK, record=n), BitMap([n])) for n in range(5)] == [""] * 5
    assert log.try_(body(LOOK, BEGIN + timedelta(hours=25), 9), BitMap([9])) == ""


def test_thirty_days_end_at_their_own_limit() -> None:
    log = Log()
    told = [log.try_(body(LOOK, BEGIN + timedelta(days=n), n), BitMap([n])) for n in range(9)]
    assert told == [""] * 8 + ["access.budget.spent"]
    assert log.try_(body(LOOK, BEGIN + timedelta(days=31), 30), BitMap([30])) == ""


def test_who_always_names_the_same_subject_is_counted_by_records() -> None:
    """The bitmap is the asker's word; the record is not, for it is all that opens."""
    log = Log()
    told = [log.try_(body(LOOK, record=n), BitMap([1])) for n in range(6)]
    assert told == [""] * 5 + ["access.budget.spent"]


def test_one_request_for_too_many_is_refused_whole() -> None:
    log = Log()
    assert log.try_(body(EXPORT), BitMap(range(1_000_000))) == "access.budget.spent"
    assert log.try_(body(EXPORT), BitMap(range(6))) == ""
    assert log.try_(body(EXPORT), BitMap(range(6))) == ""
    assert log.try_(body(EXPORT), BitMap([7])) == "access.budget.spent"
    assert log.try_(body(LOOK, record=1), BitMap([1])) == "", "what was taken along is no look"


def raised(**detail: Any) -> dict[str, Any]:
    until = (BEGIN + timedelta(days=1)).isoformat()
    given = {"for": "p.a", "subjects": 3, "until": until, "reason": "census", **detail}
    return {**body("access.budget.raised", person="p.b"), "detail": given}


def test_a_second_person_lets_more_through_and_what_is_seen_so_counts_there() -> None:
    log = Log()
    for n in range(5):
        log.try_(body(LOOK, record=n), BitMap([n]))
    log.add(raised())
    said = [body(LOOK, record=n) for n in range(10, 14)]
    told = [log.try_(each, BitMap([n])) for n, each in enumerate(said, 10)]
    assert told == [""] * 3 + ["access.budget.spent"]
    assert {each["detail"].get("raised") for each in said[:3]} == {5}
    assert log.budgets.spent("p.a", BEGIN).day == 5


@pytest.mark.parametrize(
    "detail", [{"for": "p.c"}, {"until": BEGIN.isoformat()}, {"subjects": 0}], ids=lambda d: next(iter(d))
)
def test_a_consent_for_another_or_that_has_ended_lets_nothing_through(detail: dict[str, Any]) -> None:
    log = Log()
    for n in range(5):
        log.try_(body(LOOK, record=n), BitMap([n]))
    log.add(raised(**detail))
    assert log.try_(body(LOOK, record=10), BitMap([10])) == "access.budget.spent"


def test_a_consent_is_for_one_dataset_and_one_purpose() -> None:
    for change in ({"dataset": "enterprise"}, {"purpose": "care"}):
        log = Log()
        for n in range(5):
            log.try_(body(LOOK, record=n), BitMap([n]))
        log.add({**raised(), **change})
        assert log.try_(body(LOOK, record=10), BitMap([10])) == "access.budget.spent"


def test_after_too_many_misses_nothing_is_answered_neither_what_exists_nor_what_does_not() -> None:
    log = Log()
    assert [log.try_(body(MISSED)) for _ in range(4)] == [""] * 3 + ["access.misses.spent"]
    assert log.try_(body(LOOK, record=1), BitMap([1])) == "access.misses.spent"
    assert log.try_(body("access.record.sought")) == "access.misses.spent"
    assert log.try_(body(LOOK, record=1, person="p.b"), BitMap([1])) == ""
    assert log.try_(body(LOOK, BEGIN + timedelta(hours=25), 1), BitMap([1])) == ""


def test_who_looks_up_and_says_nothing_more_has_missed() -> None:
    log = Log()
    told = [log.try_(body(SOUGHT)) for _ in range(4)]
    assert told == [""] * 3 + ["access.misses.spent"]
    assert log.budgets.spent("p.a", BEGIN).misses == 3
    assert log.try_(body(SOUGHT, BEGIN + timedelta(hours=25))) == ""


def test_a_look_that_shows_what_was_sought_settles_it_and_nothing_else_does() -> None:
    log = Log()
    for _ in range(20):
        assert log.try_(body(SOUGHT)) == ""
        log.budgets.linked("p.a", log.size - 1, b"one")
        assert log.budgets.sought("p.a", "resident", b"other") is None
        assert log.budgets.sought("p.b", "resident", b"one") is None
        assert log.budgets.sought("p.a", "enterprise", b"one") is None
        found = log.budgets.sought("p.a", "resident", b"one")
        assert log.try_(body(LOOK, record=1, sought=found), BitMap([1])) == ""
        assert log.budgets.spent("p.a", BEGIN).misses == 0


def test_a_miss_that_is_told_counts_once_with_its_look_up() -> None:
    """The last miss within the budget still gets the answer of a miss."""
    log = Log()
    for _ in range(LIMITS.misses_per_day):
        assert [log.try_(body(SOUGHT)), log.try_(body(MISSED))] == ["", ""]
    assert log.try_(body(SOUGHT)) == "access.misses.spent"
    assert log.budgets.spent("p.a", BEGIN).misses == LIMITS.misses_per_day


def test_a_workbook_counts_by_its_records_whatever_its_asker_says_of_subjects() -> None:
    log = Log()
    here = {**body(EXPORT, records=5), "domain": "a"}
    assert log.try_(here, BitMap([1])) == ""
    assert log.try_(here, BitMap([1])) == "", "the same slice again"
    assert log.try_({**body(EXPORT, records=5), "domain": "b"}, BitMap([1])) == "access.budget.spent"
    assert log.try_({**body(EXPORT, records=1), "domain": "b"}, BitMap([1])) == ""


def test_what_is_not_agreed_counts_as_misses_of_its_person_once() -> None:
    log = Log()
    said = body("access.comparison.authorised")
    said["detail"] = {"record": 1}
    assert log.try_(said, BitMap([1])) == ""
    log.budgets.missed(0, 2)
    log.budgets.missed(0, 2)
    assert log.budgets.spent("p.a", BEGIN).misses == 2


def test_a_bitmap_that_cannot_be_opened_stops_the_person() -> None:
    budgets = Budgets(no_bitmap)
    old = {**body(LOOK), "subjects": {"sha256": "00", "sealed_sha256": "00", "count": 1}}
    budgets.apply(Entry(0, LOOK, old, b""))
    with pytest.raises(TamperedError):
        budgets.require_within(body(LOOK, record=2), BitMap([2]), LIMITS, BEGIN)
    assert budgets.require_within(body(LOOK, record=2, person="p.b"), BitMap([2]), LIMITS, BEGIN) is None


looks = st.lists(
    st.tuples(st.integers(0, 40 * 24), st.sets(st.integers(0, 12), min_size=1, max_size=3)), max_size=40
)


@given(looks)
def test_no_window_ever_holds_more_than_its_limit(taken: list[tuple[int, set[int]]]) -> None:
    """Whatever is asked in whatever order of hours: no 24 hours and no 30 days hold more distinct subjects."""
    log, seen = Log(), list[tuple[int, set[int]]]()
    for hour, subjects in sorted(taken, key=lambda pair: pair[0]):
        said = body(LOOK, BEGIN + timedelta(hours=hour), min(subjects))
        if log.try_(said, BitMap(subjects)) == "":
            seen.append((hour, subjects))
    for hour, _ in seen:
        for hours, most in ((24, LIMITS.subjects_per_day), (30 * 24, LIMITS.subjects_per_month)):
            window = [subjects for at, subjects in seen if hour - hours < at <= hour]
            assert len(set().union(*window)) <= most


# -- over a real log -------------------------------------------------------------------------------------------


def test_a_keeper_that_starts_again_remembers_what_was_seen(keeper: Keeper) -> None:
    keeper.service.append(OWNER, "p.tang", claim(), BitMap(range(299)).serialize())
    keeper.service.close()
    again = keeper.started()
    try:
        with pytest.raises(DeniedError, match=r"access\.budget\.spent"):
            again.append(OWNER, "p.tang", claim(), BitMap([500, 501]).serialize())
        assert again.spent(OWNER, "p.tang", None)["day"] == 299
        again.append(OWNER, "p.tang", claim(), BitMap([500]).serialize())
    finally:
        again.close()
    assert [
        body["detail"]["reason"] for body in keeper.bodies() if body["event"] == "access.request.denied"
    ] == ["access.budget.spent"]


def sought(**changes: Any) -> dict[str, Any]:
    return claim(SOUGHT, detail={}, **changes)


def test_walking_through_identifiers_ends_at_the_budget_of_misses_though_nobody_tells_them(
    keeper: Keeper,
) -> None:
    for n in range(50):
        keeper.service.link(OWNER, "p.tang", sought(), "citizen_number", f"{n:018d}")
    with pytest.raises(DeniedError, match=r"access\.misses\.spent"):
        keeper.service.link(OWNER, "p.tang", sought(), "citizen_number", f"{50:018d}")
    assert keeper.events().count(SOUGHT) == 50
    keeper.service.close()
    again = keeper.started()
    try:
        with pytest.raises(DeniedError, match=r"access\.misses\.spent"):
            again.link(OWNER, "p.tang", sought(), "citizen_number", f"{51:018d}")
    finally:
        again.close()


def test_only_the_record_that_holds_the_identifier_settles_its_look_up(keeper: Keeper) -> None:
    number, bitmap = "990101199001010018", BitMap([1]).serialize()

    def look(cell: StoredCell) -> int:
        keeper.service.append(
            OWNER,
            "p.tang",
            claim(found_by=cell.as_json(), detail={"record": 7, "values": 1, "sought": 0}),
            bitmap,
        )
        return int(keeper.service.spent(OWNER, "p.tang", None)["misses"])

    asked = keeper.service.link(OWNER, "p.tang", sought(), "citizen_number", number)
    assert asked
    mine = keeper.cell(field="citizen_number", value=number)
    assert look(keeper.cell(field="citizen_number", value="990101199001010026")) == 1
    for other in (keeper.cell(record=8, field="citizen_number", value=number), keeper.cell()):
        with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
            look(other)
    assert "sought" not in keeper.bodies()[-1]["detail"], "a client's word settles nothing"
    assert look(mine) == 0
    assert keeper.bodies()[-1]["detail"]["sought"] == keeper.events().index(SOUGHT)
    keeper.service.link(OWNER, "p.tang", sought(), "citizen_number", number)
    asked = claim("access.comparison.authorised", fields={}, detail={"record": 7}, found_by=mine.as_json())
    keeper.service.compare(OWNER, "p.tang", asked, bitmap, [keeper.cell()], {"name": ("张三", None)})
    assert keeper.service.spent(OWNER, "p.tang", None)["misses"] == 0


@pytest.mark.parametrize("kind", ["phone", "credit_code", "", "other"])
def test_a_record_is_sought_by_its_own_kind_of_identifier_alone(keeper: Keeper, kind: str) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.link\.unknown"):
        keeper.service.link(OWNER, "p.tang", sought(), kind, "13800000000")
    assert keeper.events()[-1] == "access.request.denied"
    assert keeper.ground.rows("SELECT name FROM keys.wrapped WHERE name LIKE 'link/%'") == []


def test_who_saw_somebody_is_asked_by_the_kinds_of_its_dataset(keeper: Keeper) -> None:
    asked = {
        "event": "access.seen.asked", "post": "district.auditor", "domain": "990101000000", "dataset": "resident",
        "purpose": "access_review", "detail": {"case": "case 7"},
    }  # fmt: skip
    with pytest.raises(DeniedError, match=r"keeper\.link\.unknown"):
        keeper.service.link(OWNER, "p.xu", asked, "credit_code", "91440000MA5000000X")
    assert keeper.service.link(OWNER, "p.xu", asked, "citizen_number", "990101199001010018")


@pytest.mark.parametrize("bitmap", [None, BitMap().serialize()])
def test_what_shows_a_record_about_somebody_says_about_whom(keeper: Keeper, bitmap: bytes | None) -> None:
    """Or who was erased would be opened, and nobody could ask who saw him."""
    with pytest.raises(DeniedError, match=r"access\.subjects\.unsaid"):
        keeper.service.append(OWNER, "p.tang", claim(), bitmap)
    asked = claim("access.comparison.authorised", fields={}, detail={"record": 7})
    with pytest.raises(DeniedError, match=r"access\.subjects\.unsaid"):
        keeper.service.compare(
            OWNER, "p.tang", asked, BitMap().serialize(), [keeper.cell()], {"name": ("张三", None)}
        )


def test_nobody_raises_an_own_budget_and_no_client_says_it_was_raised(keeper: Keeper) -> None:
    until = (keeper.ground.clock.at + timedelta(days=1)).isoformat()
    consent = {
        "event": "access.budget.raised", "dataset": "resident", "purpose": "grassroots_service",
        "detail": {"for": "p.tang", "subjects": 1000, "until": until, "reason": "census round"},
    }  # fmt: skip
    own = {**consent, "detail": {**consent["detail"], "for": "p.chen"}}
    for person, asked in (("p.tang", consent), ("p.luo", consent), ("p.chen", own)):
        with pytest.raises(DeniedError):
            keeper.service.append(OWNER, person, asked)
    endless = {**consent, "detail": {**consent["detail"], "until": "2027-07-01T09:00:00+08:00"}}
    with pytest.raises(DeniedError, match=r"access\.budget\.endless"):
        keeper.service.append(OWNER, "p.chen", endless)
    many = BitMap(range(1000)).serialize()
    with pytest.raises(DeniedError, match=r"access\.budget\.spent"):
        keeper.service.append(OWNER, "p.tang", claim(), many)
    given = keeper.service.append(OWNER, "p.chen", consent)
    mine = claim(detail={"record": 7, "values": 1, "raised": 0})
    keeper.service.append(OWNER, "p.tang", mine, BitMap([1]).serialize())
    assert "raised" not in keeper.bodies()[-1]["detail"]
    keeper.service.append(OWNER, "p.tang", claim(), many)
    assert keeper.bodies()[-1]["detail"]["raised"] == given.index


def test_more_of_a_dataset_is_agreed_to_by_who_answers_for_it(keeper: Keeper) -> None:
    """Security staff, the chief data officer of its department, the district's; not any other department's."""
    until = (keeper.ground.clock.at + timedelta(days=1)).isoformat()
    consent = {
        "event": "access.budget.raised", "dataset": "resident", "purpose": "grassroots_service",
        "detail": {"for": "p.tang", "subjects": 1000, "until": until, "reason": "census round"},
    }  # fmt: skip
    for person, post in (
        ("p.deng", "district.security_officer"),
        ("p.wu", "psb.cdo"),
        ("p.song", "district.cdo"),
    ):
        keeper.service.append(OWNER, person, consent)
        assert keeper.bodies()[-1]["post"] == post
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        keeper.service.append(OWNER, "p.ren_chuntong", consent)


def test_a_comparison_tells_no_value_and_its_ticket_opens_none(keeper: Keeper) -> None:
    asked = claim("access.comparison.authorised", fields={}, detail={"record": 7})
    bitmap = BitMap([1]).serialize()
    cell: StoredCell = keeper.cell()
    ticket, found = keeper.service.compare(OWNER, "p.tang", asked, bitmap, [cell], {"name": ("张 三", None)})
    assert found == {"name": False}
    _, found = keeper.service.compare(OWNER, "p.tang", asked, bitmap, [cell], {"name": (" 张三 ", None)})
    assert found == {"name": True}
    last = keeper.bodies()[-1]
    assert (last["event"], last["how"], last["fields"]) == (
        "access.comparison.authorised",
        "compared",
        {"name": "mask"},
    )
    with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
        keeper.service.open(OWNER, "p.tang", ticket, [cell])
    with pytest.raises(DeniedError, match=r"keeper\.open\.not_named"):
        keeper.service.compare(
            OWNER, "p.tang", asked, bitmap, [keeper.cell(record=8)], {"name": ("张三", None)}
        )
    kinds = keeper.ground.rows("SELECT kind, fields, amount FROM log.loan ORDER BY loan")
    assert kinds == [("opened", ["name"], 1), ("unequal", ["name"], 1), ("opened", ["name"], 1)]


@pytest.mark.parametrize("stored", [None, "", "张三"])
@pytest.mark.parametrize("typed", ["", " ", "\u3000"])
def test_what_nobody_typed_agrees_with_nothing(keeper: Keeper, stored: str | None, typed: str) -> None:
    """Or an empty answer would tell, for nothing, that a value is absent."""
    asked = claim("access.comparison.authorised", fields={}, detail={"record": 7})
    cell = keeper.cell(value=stored)
    bitmap = BitMap([1]).serialize()
    _, found = keeper.service.compare(OWNER, "p.tang", asked, bitmap, [cell], {"name": (typed, None)})
    assert found == {"name": False}


def test_comparing_ends_after_the_budget_of_misses_also_across_a_restart(keeper: Keeper) -> None:
    asked = claim("access.comparison.authorised", fields={}, detail={"record": 7})
    bitmap, cell = BitMap([1]).serialize(), keeper.cell()

    def guess(service: Any, name: str) -> bool:
        _, found = service.compare(OWNER, "p.tang", asked, bitmap, [cell], {"name": (name, None)})
        return bool(found["name"])

    for n in range(25):
        assert not guess(keeper.service, f"李{n}")
    keeper.service.close()
    again = keeper.started()
    try:
        assert guess(again, "张三")
        for n in range(25):
            assert not guess(again, f"王{n}")
        with pytest.raises(DeniedError, match=r"access\.misses\.spent"):
            guess(again, "张三")
        assert again.spent(OWNER, "p.tang", None)["misses"] == 50
    finally:
        again.close()

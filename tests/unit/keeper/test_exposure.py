"""Exposure is a recount: twenty planted leaks, each counted here from what was planted and once more in SQL."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from planting import Planting
from pyroaring import BitMap
from served import OWNER, service_over

from huanshu.catalog import Home, read_home
from huanshu.errors import DeniedError, InputError
from huanshu.store import connect

HERE, THERE = "990101001001", "990101001003"
LOCAL = timezone(timedelta(hours=8))
ORGANISATIONS = range(900, 960)


class Story:
    """What was planted, entry by entry, in plain Python: the truth to compare with."""

    def __init__(self, ground: Any, home: Home, amount: int) -> None:
        self.ground, self.home = ground, home
        ground.clock.at = datetime(2026, 7, 1, 9, 0, tzinfo=LOCAL)
        self.planted = Planting.fresh(ground, home)
        self.entries: list[dict[str, Any]] = []
        rng = random.Random(20)
        people = ["p.tang", "p.luo", "p.he"]
        for n in range(amount):
            ground.clock.at += timedelta(minutes=37)
            subjects = set(rng.sample(range(1, 1_000), rng.choice([1, 1, 2, 40])))
            where, person = rng.choice([HERE, THERE]), rng.choice(people)
            fields = {
                f: rng.choice(["mask", "reveal"]) for f in rng.sample(["name", "phone", "citizen_number"], 2)
            }
            opened = rng.random() > 0.2
            extra: dict[str, Any] = {}
            if n % 3 == 0:
                how = "moved"
                some = set(list(subjects)[: len(subjects) // 2]) if n % 4 == 0 and opened else None
                index = self.planted.moved(
                    where, subjects, fields, arrived=opened, stopped=some, person=person
                )
                subjects = subjects if some is None else some
            else:
                how = rng.choice(["viewed", "viewed", "compared", "counted"])
                if how == "viewed" and n % 5 == 0:
                    extra["workbook"] = f"{n % 4:032x}"
                extra |= {"account": f"qh_{person[2:]}_{n % 2}", "trace": f"{n % 9:032x}"}
                index = self.planted.accessed(
                    how, where, subjects, fields, person=person, opened=opened, **extra
                )
            self.entries.append({
                "index": index, "at": ground.clock.at, "how": how, "subjects": subjects, "domain": where,
                "person": person, "fields": fields, "opened": opened, "dataset": "resident", **extra,
            })  # fmt: skip
        self.planted.done()
        self.service = service_over(ground, home, self.planted.head, self.planted.vault)

    def ask(
        self, kind: str, name: str, start: datetime, end: datetime, person: str = "p.xu"
    ) -> dict[str, Any]:
        claim = {
            "event": "access.exposure.authorised", "post": "district.auditor", "domain": "990101000000",
            "purpose": "access_review",
            "detail": {"case": "leak 7", "of": {"kind": kind, "name": name}, "from": start.isoformat(),
                       "to": end.isoformat()},
        }  # fmt: skip
        ticket = self.service.append(OWNER, person, claim)
        return self.service.exposed(OWNER, person, ticket, BitMap(ORGANISATIONS).serialize())

    def recount(self, kind: str, name: str, start: datetime, end: datetime) -> dict[str, Any]:
        chosen = [e for e in self.entries if start <= e["at"] < end and _selects(kind, name, e)]
        opened = [e for e in chosen if e["opened"]]
        everyone = set().union(*(e["subjects"] for e in opened)) if opened else set()
        seen = set().union(*(e["subjects"] for e in opened if e["how"] == "viewed"))
        fields: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
        for e in opened:
            for pair in e["fields"].items():
                whole, looked = fields.setdefault(pair, (set(), set()))
                whole |= e["subjects"]
                looked |= e["subjects"] if e["how"] == "viewed" else set()
        firms = set(ORGANISATIONS)
        ends = [{"entry": e["index"], "at": e["at"].isoformat(timespec="microseconds")} for e in opened]
        return {
            "entries": {
                "viewed": sum(e["how"] == "viewed" for e in opened),
                "passed": sum(e["how"] != "viewed" for e in opened),
                "unopened": len(chosen) - len(opened),
            },
            "persons": len(everyone - firms), "persons_viewed": len(seen - firms),
            "organisations": len(everyone & firms), "organisations_viewed": len(seen & firms),
            "fields": [
                {"dataset": "resident", "field": f, "rung": r, "subjects": len(w), "viewed": len(v)}
                for (f, r), (w, v) in sorted(fields.items())
            ],
            "first": ends[0] if ends else None, "last": ends[-1] if ends else None,
        }  # fmt: skip


def _selects(kind: str, name: str, entry: Mapping[str, Any]) -> bool:
    if kind == "key":
        _, domain, dataset, field = name.split("/")[:4]
        return entry["domain"] == domain and entry["dataset"] == dataset and field in entry["fields"]
    known = {"session": "trace"}.get(kind, kind)
    return bool(entry.get(known) == name)


@pytest.fixture(scope="module")
def home(root: Any) -> Home:
    return read_home(root)


@pytest.fixture
def story(ground: Any, home: Home, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A long story where a test asks for one, else a short one."""
    made = Story(ground, home, getattr(request, "param", 12))
    yield made
    made.service.close()


START = datetime(2026, 7, 1, tzinfo=LOCAL)
END = START + timedelta(days=30)
LEAKS = [
    *(("person", name, START, END) for name in ("p.tang", "p.luo", "p.he")),
    *(("account", name, START, END) for name in ("qh_tang_0", "qh_luo_1", "qh_he_0")),
    *(("session", f"{n:032x}", START, END) for n in (1, 2, 4, 5, 7)),
    *(("workbook", f"{n:032x}", START, END) for n in (1, 2, 3)),
    *(("domain", name, START, END) for name in (HERE, THERE)),
    *(("key", f"data/{HERE}/resident/{field}", START, END) for field in ("name", "phone", "citizen_number")),
    ("person", "p.tang", START + timedelta(days=1), START + timedelta(days=2, hours=3)),
    ("domain", HERE, START + timedelta(hours=20), START + timedelta(days=3)),
    ("key", f"data/{THERE}/resident/name/1", START + timedelta(days=2), START + timedelta(days=3)),
]


@pytest.mark.parametrize("story", [160], indirect=True)
def test_twenty_planted_leaks_are_recounted(story: Story) -> None:
    assert len(LEAKS) >= 20
    answers = [(story.ask(*leak), story.recount(*leak)) for leak in LEAKS]
    assert [answer for answer, _ in answers] == [truth for _, truth in answers]
    assert sum(truth["persons"] > 1 and truth["fields"] != [] for _, truth in answers) >= 20
    assert sum(truth["organisations"] > 0 for _, truth in answers) > 10
    assert len({truth["persons"] for _, truth in answers}) > 12


def test_sql_counts_the_same_loans(story: Story) -> None:
    """SQL knows neither Python's sets nor the keeper's."""
    with connect(story.ground.tamper_url) as admin:
        ((loans,),) = admin.execute(
            "SELECT count(DISTINCT l.entry_index) FROM log.loan l JOIN log.entry e ON e.index = l.entry_index"
            " WHERE convert_from(e.leaf, 'UTF8')::jsonb ->> 'domain' = %s",
            (HERE,),
        ).fetchall()
    counted = story.ask("domain", HERE, START, END)["entries"]
    assert counted["viewed"] + counted["passed"] == loans > 2


def test_an_absent_one_exposes_nobody(story: Story) -> None:
    answer = story.ask("person", "p.nobody", START, END)
    assert (answer["persons"], answer["fields"], answer["first"]) == (0, [], None)


def test_only_who_may_trace_everything_and_for_a_case(story: Story) -> None:
    with pytest.raises(DeniedError):
        story.ask("person", "p.tang", START, END, person="p.tang")
    claim = {
        "event": "access.exposure.authorised", "post": "district.auditor", "domain": "990101000000",
        "purpose": "access_review",
        "detail": {"case": "", "of": {"kind": "person", "name": "p.tang"}, "from": START.isoformat(), "to": END.isoformat()},
    }  # fmt: skip
    with pytest.raises(InputError, match=r"exchange\.reason\.unfit"):
        story.service.append(OWNER, "p.xu", claim)
    for of in ({"kind": "resident", "name": "x"}, {"kind": "person", "name": "a b"}, {"kind": "person"}):
        detail: dict[str, Any] = {**claim["detail"], "case": "c", "of": of}  # type: ignore[dict-item]
        with pytest.raises((ValueError, KeyError)):
            story.service.append(OWNER, "p.xu", {**claim, "detail": detail})
    record = {"event": "access.seen.authorised", "post": "district.auditor", "domain": "990101000000",
              "dataset": "resident", "purpose": "access_review", "subjects": 1, "detail": {"case": "c"}}  # fmt: skip
    other = story.service.append(OWNER, "p.xu", record, BitMap([1]).serialize())
    with pytest.raises(DeniedError, match=r"keeper\.seen\.not_asked"):
        story.service.exposed(OWNER, "p.xu", other, BitMap().serialize())

"""Who saw a resident: exact over deliveries, stopped deliveries, single reads and moves; and only for who may ask."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from planting import Planting

from huanshu.catalog import Rung
from huanshu.drill.publishing import wait_until_published
from huanshu.drill.range import CHUNK, Range
from huanshu.errors import DeniedError, HuanshuError, InputError
from huanshu.exchange.runs import run_delivery
from huanshu.gate.read import Asked, read
from huanshu.gate.seen import AskedWho, WhoSaw, who_saw
from huanshu.identity import approve_flow, revoke_flow
from huanshu_verify.evidence import check
from huanshu_verify.merkle import root_of

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
OLD, NEW = "990101001001", "990101001003"
AUDITOR, CLERK = "p.xu", "p.tang"
SAMPLE = ROOT / "expectations/resident/samples/passing.csv"


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(SAMPLE.read_text())))


def extract(changed: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(changed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(changed)
    return out.getvalue().encode()


def ask(place: Range, person: str | None = AUDITOR, **changes: object) -> WhoSaw:
    given = {
        "post": "district.auditor",
        "dataset": "resident",
        "purpose": "access_review",
        "case": "complaint 118",
    }
    running = place.acting(person)
    return who_saw(running.home, running.keeper, running.district, AskedWho(**(given | changes)))  # type: ignore[arg-type]


def view(place: Range, record: int) -> int:
    running = place.acting(CLERK)
    asked = Asked("yulan.data_clerk", OLD, "resident", "grassroots_service", {"name": Rung.REVEAL}, record)
    return read(running.home, running.keeper, running.district, asked).entry_index


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    """A mover's life: delivered to OLD and viewed there, moved to NEW, one delivery stopped before his chunk."""
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1)
        made.deliver(DELIVERY)
        yield made


def test_who_saw_a_mover(place: Range) -> None:
    mover, *_ = [row for row in rows() if row["community"] == OLD]
    before = ask(place, identifier=mover["citizen_number"])
    (record,) = [r for r, _ in place.due_records("resident", OLD) if _of(place, r, before)]
    assert [(s.how, s.domain) for s in before.sightings] == [("moved", OLD)]
    viewed = view(place, record)

    moved = [r | ({"community": NEW, "grid": NEW + "001"} if r == mover else {}) for r in rows()]
    place.take_in(INTAKE, 2, extract(moved))
    place.deliver(DELIVERY)
    answer = ask(place, record=record)
    seen = [(s.how, s.domain) for s in answer.sightings if s.how != "compared"]
    assert seen == [("moved", OLD), ("viewed", OLD), ("moved", NEW)]
    assert before.entry in {s.entry for s in answer.sightings if s.how == "compared"}  # questions show, too
    (group,) = [g for g in answer.groups if g.how == "viewed"]
    assert (group.entries, group.persons, group.post) == ((viewed,), (CLERK,), "yulan.data_clerk")
    assert (group.department, group.purpose) == (OLD, "grassroots_service")
    (delivered,) = [g for g in answer.groups if g.domain == NEW]
    assert (delivered.post, delivered.department) == ("psb.exchange_officer", "dept.public_security")
    with pytest.raises(
        InputError, match=r"access\.record\.missing"
    ):  # the old community cannot open it any more
        view(place, record)


def _of(place: Range, record: int, answer: WhoSaw) -> bool:
    """Whether the record's subject is the one that was asked about: its own answer has the same question in it."""
    mine = ask(place, record=record)
    return answer.entry in {s.entry for s in mine.sightings if s.how == "compared"}


def test_exact_for_everybody(place: Range) -> None:
    """Against the store's own arithmetic: each record of a slice was moved there, and nowhere else."""
    records = [r for r, _ in place.due_records("resident", NEW)]
    assert len(records) > 2
    for record in records[:3]:
        moved = {s.domain for s in ask(place, record=record).sightings if s.how == "moved"}
        assert moved <= {OLD, NEW}
        assert NEW in moved


def test_authorised_but_stopped_is_told_apart(place: Range) -> None:
    changed = [r | {"residence_address": r["residence_address"] + "甲"} for r in rows()]
    place.take_in(INTAKE, 3, extract(changed))
    running = place.acting("p.lin")

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            revoke_flow(running.keeper, DELIVERY)

    with pytest.raises(HuanshuError):
        run_delivery(place.acting().ground(chunk=CHUNK, pause=pause), DELIVERY, "revoked", [OLD])
    due = [r for r, _ in place.due_records("resident", OLD)]
    assert len(due) > CHUNK
    how = {
        record: [s.how for s in ask(place, record=record).sightings if s.domain == OLD][-1] for record in due
    }
    assert [how[r] for r in due[:CHUNK]] == ["moved"] * CHUNK
    assert {how[r] for r in due[CHUNK:]} == {"stopped"}
    from datetime import date

    approve_flow(running.keeper, running.home, DELIVERY, date(2027, 6, 30))
    place.deliver(DELIVERY)
    assert [s.how for s in ask(place, record=due[-1]).sightings if s.domain == OLD][-1] == "moved"
    assert place.verify().clean


def test_only_who_may(place: Range) -> None:
    record = place.due_records("resident", OLD)[0][0]
    size = len(place.acts())
    for person, post in (
        (CLERK, "yulan.data_clerk"),
        ("p.song", "district.cdo"),
        (CLERK, "district.auditor"),
    ):
        with pytest.raises(DeniedError):
            ask(place, person, post=post, record=record)
    with pytest.raises(DeniedError):
        ask(place, purpose="grassroots_service", record=record)
    with pytest.raises(InputError, match=r"exchange\.reason\.unfit"):
        ask(place, case="", record=record)
    with pytest.raises(InputError, match=r"access\.subject\.unknown"):
        ask(place, identifier="110101190001010013")
    told = [e.event for e in place.acts()[size:]]
    assert told == ["access.request.denied"] * 4 + ["access.seen.asked"]


def test_a_missing_bitmap_is_an_error_not_an_absence(place: Range) -> None:
    record = place.due_records("resident", OLD)[0][0]
    ask(place, record=record)
    first = next(e for e in place.entries() if e.event == "exchange.delivery.authorised")
    digest = bytes.fromhex(first.body["subjects"]["sealed_sha256"])
    wait_until_published(place, len(place.entries()))  # or the publisher is the first to miss it
    with place.administrator() as administrator:
        administrator.execute("DELETE FROM log.bitmap WHERE sealed_sha256 = %s", (digest,))
    ask(place, record=record)  # the keeper has read it; what it knows is still the whole answer
    place.stop_keeper()
    place.start_keeper()
    with pytest.raises(HuanshuError, match=r"auditlog\.bitmap\.changed"):
        ask(place, record=record)


# -- planted numbers, the statement, and what is withheld from it -------------------------------------------------------


@pytest.fixture(scope="module")
def planted() -> Iterator[tuple[Range, int, int]]:
    """Resident and neighbour: 52 deliveries moved, 3 views, 1 comparison, 1 count; and others that must not count."""
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1)
        (mine, other, *_) = [record for record, _ in made.due_records("resident", OLD)]
        with made.acting().district() as district:
            ordinals = dict(district.execute("SELECT record, subjects[1] FROM district.resident").fetchall())
        him, neighbour = ordinals[mine], ordinals[other]
        made.stop_keeper()
        planting = Planting.over(made)
        for n in range(60):
            about = [neighbour, *([him] if n < 52 else [])]
            planting.moved([OLD, NEW][n % 2], about, {"name": "mask"} if n % 2 else {"name": "reveal"})
        planting.moved(OLD, [him, neighbour], arrived=False)
        planting.moved(OLD, [him, neighbour], stopped=[neighbour])
        for n in range(3):
            planting.accessed(
                "viewed", OLD, [him], {"name": "reveal"}, person=["p.tang", "p.luo", "p.tang"][n]
            )
        planting.accessed("viewed", OLD, [him], opened=False)
        planting.accessed("viewed", OLD, [neighbour])
        planting.accessed("compared", OLD, [him], {"phone": "compare"})
        planting.accessed("counted", OLD, [him], {"name": "count"}, post="district.cdo", person="p.song")
        planting.done()
        planting.vault.close()
        made.start_keeper()
        yield made, mine, other


def counts(answer: WhoSaw) -> Counter[str]:
    return Counter(s.how for s in answer.sightings)


def test_planted_numbers_come_out_exactly(planted: tuple[Range, int, int]) -> None:
    place, mine, other = planted
    answer = ask(place, record=mine)
    assert counts(answer) == {
        "moved": 52, "viewed": 3, "compared": 1, "counted": 1, "under_way": 1, "stopped": 1, "unopened": 1,
    }  # fmt: skip
    assert counts(ask(place, record=other)) == {"moved": 61, "viewed": 1, "under_way": 1}
    moved = [g for g in answer.groups if g.how == "moved"]
    assert [(g.purpose, g.post, g.domain, len(g.entries)) for g in moved] == [
        ("grassroots_service", "psb.exchange_officer", OLD, 26),
        ("grassroots_service", "psb.exchange_officer", NEW, 26),
    ]
    again = ask(place, record=mine)  # the question itself is the only thing that came to it
    assert [s.entry for s in again.sightings] == [*(s.entry for s in answer.sightings), answer.entry]


def test_the_resident_is_told_by_post_and_what_is_not_covered(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]]
) -> None:
    place, mine, _ = planted
    asked = f'huanshu --as p.xu record seen resident --record {mine} --post district.auditor --case "complaint 118"'
    code, said = command(place.settings, f"{asked} --statement")
    assert code == 0
    zh, en = "\n".join(said["zh"]), "\n".join(said["en"])
    assert "被人查看 3 次" in zh
    assert "密封搬运至接收单位，无人查看 52 次" in zh
    assert "viewed by a person: 3 times" in en
    assert "《政务数据共享条例》" in zh
    assert "玉兰" in zh
    assert "不包含" in zh
    names = {person.name for person in place.acting().home.policies.persons.values()}
    assert len(names) > 100
    assert not [name for name in names if name in zh + en]
    assert "p.tang" not in zh + en

    code, first = command(place.settings, f"{asked} --usage --limit 20")
    code, rest = command(place.settings, f"{asked} --usage --offset 21 --limit 200")
    usages = first["usage"] + rest["usage"]
    assert len(first["usage"]) == 20
    assert all(set(usage) == {"logtime", "action", "actor", "receiver"} for usage in usages)
    times = [usage["logtime"] for usage in first["usage"]]
    assert times == sorted(times, reverse=True)
    assert Counter(u["action"].rpartition(": ")[2] for u in usages)["viewed by a person"] == 3


def test_what_is_withheld_needs_two_persons_and_ends(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]]
) -> None:
    place, mine, _ = planted
    viewed = [s.entry for s in ask(place, record=mine).sightings if s.how == "viewed"]

    def told_views() -> int:
        line = f"huanshu --as p.xu record seen resident --record {mine} --post district.auditor --case x --usage --limit 999"
        return sum("viewed" in u["action"] for u in command(place.settings, line)[1]["usage"])

    def withhold(who: str, reviewer: str, until: str = "2027-06-30", more: str = "") -> tuple[int, Any]:
        line = f'huanshu --as {who} audit withhold {viewed[0]} --reason "CPL 54" --reviewer {reviewer} --until {until}'
        return command(place.settings, f"{line} {more}")

    assert told_views() == 3
    size = len(place.acts())
    assert withhold("p.chen", "p.xu", more="--dry-run")[0] == 0
    assert len(place.acts()) == size
    officers = [h.person for h in place.acting().home.policies.holdings if h.role == "security_officer"]
    assert withhold("p.tang", "p.xu")[0] == 5
    assert withhold("p.chen", officers[0])[0] == 5  # no auditor
    assert withhold("p.chen", "p.xu", until="2039-01-01")[0] == 5
    for absent in (len(place.entries()) + 1000, 10**6, -1):  # what is yet to come is not kept from anybody
        detail = {
            "entry": absent,
            "reason": "CPL 54",
            "reviewer": "p.xu",
            "until": "2027-06-30T00:00:00+08:00",
        }
        with pytest.raises(DeniedError, match=r"access\.sighting\.not_yet"):
            place.acting("p.chen").keeper.append({"event": "access.sighting.withheld", "detail": detail})
    code, made = withhold("p.chen", "p.xu")
    assert code == 0
    assert told_views() == 3  # not before it is confirmed
    assert command(place.settings, f"huanshu --as p.chen audit confirm {made['entry']}")[0] == 5
    assert command(place.settings, f"huanshu --as p.xu audit confirm {made['entry']}")[0] == 0
    assert told_views() == 2
    assert len([s for s in ask(place, record=mine).sightings if s.how == "viewed"]) == 3  # auditors see all
    line = (
        f"huanshu --as p.xu record seen resident --record {mine} --post district.auditor --case x --statement"
    )
    said = "\n".join(command(place.settings, line)[1]["zh"])
    assert "1 次使用依法暂不告知" in said
    assert "2027-06-30" in said
    assert "CPL 54" not in said
    with pytest.raises(DeniedError):
        place.acting(CLERK).keeper.withheld()


def test_exposure_and_replay_on_the_command_line(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]]
) -> None:
    place, *_ = planted
    line = f'huanshu --as p.xu audit exposure domain {OLD} --from 2020-01-01 --post district.auditor --case "leak 7"'
    code, said = command(place.settings, line)
    assert code == 0
    assert said["exposure"]["persons"] == 2
    assert said["exposure"]["persons_viewed"] == 2
    draft = "\n".join(said["draft"]["zh"])
    assert "自然人 2 名" in draft
    assert "危害国家安全、公共利益的缺陷报告" in draft  # the clock of obligations.yaml
    assert "姓名（resident.name），reveal，3 级" in draft
    assert place.acts()[-1].event == "access.exposure.authorised"
    assert command(place.settings, line.replace("p.xu", "p.tang"))[0] == 5
    assert command(place.settings, line.replace("exposure domain", "exposure resident"))[0] == 4

    there = f"huanshu --as p.tang record read resident --domain {NEW} --post yulan.data_clerk"
    assert command(place.settings, f"{there} --purpose grassroots_service --record 1")[0] == 5
    denied = place.acts()[-1].index
    code, told = command(place.settings, f"huanshu --as p.xu audit replay {denied} --case x")
    assert (code, told["agrees"], told["logged"]) == (0, True, False)
    assert place.acts()[-1].event == "log.entries.read"
    assert command(place.settings, f"huanshu --as p.tang audit replay {denied} --case x")[0] == 5


def test_one_access_is_proven_to_an_outsider_and_the_export_is_logged(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    place, *_ = planted
    given = next(e for e in place.entries() if e.event == "exchange.intake.authorised")
    line = f"huanshu --as p.xu audit export-evidence {given.index} --case x --out {tmp_path}/one.zip"
    size = len(place.acts())
    assert command(place.settings, f"{line} --dry-run")[0] == 0
    assert list(tmp_path.iterdir()) == []
    assert "export.evidence" not in [e.body["detail"].get("tool") for e in place.acts()[size:]]
    assert command(place.settings, line)[0] == 0
    assert "export.evidence" in [e.body["detail"].get("tool") for e in place.acts()[size:]]
    proven = check(tmp_path / "one.zip", str(place.acting().keeper.status()["vkey"]))
    assert (proven.problems, proven.entry["index"]) == ([], given.index)
    assert proven.bound == ["contract.yaml", "flow.yaml"]
    assert command(place.settings, line.replace("p.xu", "p.tang").replace("one", "two"))[0] == 5
    assert command(place.settings, line.replace(f" {given.index} ", " 99999 "))[0] == 4
    assert [file.name for file in tmp_path.iterdir()] == ["one.zip"]


def test_an_export_is_logged_before_it_reads_and_holds_no_value(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    place, *_ = planted
    line = f"huanshu --as p.xu audit export --case x --out {tmp_path}/log"
    size = len(place.acts())
    code, told = command(place.settings, f"{line}.jsonl")
    assert (code, told["entries"]) == (0, size)
    entries = place.entries()
    assert entries[size].event == "log.entries.read"
    assert entries[size].body["detail"] == {"tool": "export.ocsf", "case": "x", "first": 0, "last": size - 1}
    assert command(place.settings, f"{line}.parquet --format parquet --first 3 --last 9")[1]["entries"] == 7
    assert command(place.settings, f"{line}.two --dry-run")[1]["entries"] is None
    assert command(place.settings, f"{line}.three".replace("p.xu", "p.tang"))[0] == 5
    assert {file.name for file in tmp_path.iterdir()} == {"log.jsonl", "log.parquet"}
    said = (tmp_path / "log.jsonl").read_text()
    values = [
        row[field] for row in rows() for field in ("citizen_number", "name", "phone", "residence_address")
    ]
    assert len(values) > 50
    assert not [value for value in values if value and value in said]


def test_every_entry_of_an_answer_is_proven_against_the_published_log(
    planted: tuple[Range, int, int], command: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    place, mine, _ = planted
    place.stop_keeper()
    place.start_keeper()  # publishes what it finds
    line = f"huanshu --as p.xu record seen resident --record {mine} --post district.auditor --case x --proofs"
    code, told = command(place.settings, f"{line} {tmp_path}/one")
    assert code == 0
    files = {file.name for file in (tmp_path / "one").iterdir()}
    entries = [s["entry"] for s in told["sightings"] if s["entry"] not in told["pending"]]
    assert len(entries) > 55
    assert files == {f"{index}.{kind}" for index in entries for kind in ("json", "tlog-proof")}
    vkey = place.acting().keeper.status()["vkey"]
    name, key = vkey.split("+")[0], base64.b64decode(vkey.split("+", 2)[2])[1:]
    for index in entries:
        leaf = (tmp_path / f"one/{index}.json").read_bytes()
        head, _, note = (tmp_path / f"one/{index}.tlog-proof").read_text().partition("\n\n")
        first, said, *path = head.split("\n")
        assert (first, said) == ("c2sp.org/tlog-proof@v1", f"index {index}")
        origin, size, root = note.split("\n")[:3]
        assert origin == name
        proven = root_of(
            hashlib.sha256(b"\0" + leaf).digest(), index, int(size), [base64.b64decode(each) for each in path]
        )
        assert proven == base64.b64decode(root)
        text, _, signatures = note.partition("\n\n")
        signed = next(s for s in signatures.splitlines() if s.startswith(f"\u2014 {name} "))
        Ed25519PublicKey.from_public_bytes(key).verify(
            base64.b64decode(signed.split(" ")[2])[4:], (text + "\n").encode()
        )

    with place.administrator() as administrator:
        administrator.execute(
            "UPDATE log.entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'p.lin', 'p.luo'), 'UTF8')"
            " WHERE index = %s",
            (entries[0],),
        )
        code, told = command(place.settings, f"{line} {tmp_path}/two")
        assert (code, told["error"]["code"]) == (7, "audit.proof.other")
        assert not (tmp_path / "two").exists()

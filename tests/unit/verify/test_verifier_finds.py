"""Writer and verifier as a pair: a log of the writer's is clean; each tampering is found, at its place, by its step.

Each tampering names the step that finds it. Without that step the same tampering is not found under that step's
name; and where the change harms one rule alone, it is not found at all. So it is the step that finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from huanshu.auditlog import Draft
from huanshu.tlog import Checkpoint, Frontier, sign_note
from huanshu_verify import STEPS, Options, Report, fsck

ORIGIN = "qinghe.example/huanshu"
RECEIVER = "990101001001"
BITMAPS = (b"sealed bitmap one", b"sealed bitmap two")


def _body(event: str, detail: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "event": event,
        "person": "p.lin",
        "established": {"by": "os", "account": "qh_lin"},
        "policy": "ab" * 32,
        "detail": detail,
        **members,
    }


def _of_flow(**members: Any) -> dict[str, Any]:
    flow = {"id": "resident.district_to_communities", "digest": "ef" * 32, "approval": 0, "run": "r1"}
    return {
        "post": "psb.exchange_officer",
        "domain": RECEIVER,
        "dataset": "resident",
        "flow": flow,
        **members,
    }


def authorised(delivery: str, bitmap: bytes) -> Draft:
    digest = hashlib.sha256(bitmap).hexdigest()
    return Draft(
        _body(
            "exchange.delivery.authorised",
            {
                "delivery": delivery,
                "receiver": RECEIVER,
                "upserts": 2,
                "withdrawals": 0,
                "until": "2026-12-31",
            },
            **_of_flow(purpose="grassroots_service", fields={"name": "reveal", "phone": "mask"}, how="moved"),
            contract="cd" * 32,
            subjects={"count": 2, "sha256": "00" * 32, "sealed_sha256": digest},
        ),
        bitmap=bitmap,
    )


def arrived(delivery: str, index: int, whole: str = "00" * 32) -> Draft:
    detail = {
        "delivery": delivery, "receiver": RECEIVER, "authorised": index, "count": 2, "withdrawn": 0, "holds": 2,
        "digest": "11" * 32, "slice_digest": whole,
    }  # fmt: skip
    return Draft(
        _body("exchange.delivery.arrived", detail, **_of_flow()), f"exchange.delivery.arrived/{delivery}"
    )


@pytest.fixture
def log(ground: Any, make_draft: Any) -> Any:
    """Seven entries: 0 report · 1 authorised · 2 arrived · 3 authorised (under way) · 4–6 reports."""
    writer = ground.started()
    writer.append([make_draft(0)])
    writer.append([authorised("d1", BITMAPS[0])])
    writer.record_loan(1, "keys", 0, ["name", "phone"], 2)
    writer.append([arrived("d1", 1)])
    writer.append([authorised("d2", BITMAPS[1])])
    writer.record_loan(3, "keys", 0, ["name"], 1)
    writer.append([make_draft(4)])
    writer.append([make_draft(5), make_draft(6)])
    writer.close()
    return ground


def options(ground: Any) -> Options:
    return Options(ground.roles["huanshu_app"], ground.signer.vkey(ORIGIN), ground.head.read())


@dataclass(frozen=True)
class Tampering:
    """What is done, the step that finds it, the place it names, and whether no other step does."""

    step: str
    at: str
    change: Callable[[Any], None]
    alone: bool = True


def sql(*statements: str) -> Callable[[Any], None]:
    return lambda ground: ground.tamper(*statements)


def note_of(ground: Any, size: int, *, genuine: bool) -> str:
    checkpoint = Checkpoint(ORIGIN, size, Frontier().root)
    sign = ground.signer.sign if genuine else lambda _: bytes(64)
    return sign_note(checkpoint.text, ORIGIN, ground.signer.public_key, sign)


PERSON = """UPDATE log.entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'p.xu', 'p.wu'), 'UTF8')
            WHERE index = 4"""
REHASH = "UPDATE log.entry SET leaf_hash = sha256('\\x00'::bytea || leaf) WHERE index = 4"
LOAN = "INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES "
INSERTED = """INSERT INTO log.entry SELECT 7, event, convert_to(replace(convert_from(leaf, 'UTF8'),
              '"index":6', '"index":7'), 'UTF8'), sha256('\\x00'::bytea || convert_to(replace(
              convert_from(leaf, 'UTF8'), '"index":6', '"index":7'), 'UTF8')), NULL FROM log.entry WHERE index = 6"""

TAMPERINGS: dict[str, Tampering] = {
    "entry deleted": Tampering("1 indices", "4", sql("DELETE FROM log.entry WHERE index = 4"), alone=False),
    "first entry deleted": Tampering("1 indices", "0", sql("DELETE FROM log.entry WHERE index = 0"), alone=False),
    "leaf changed": Tampering("2 leaves", "4", sql(PERSON), alone=False),
    "leaf changed, seen by the tree": Tampering("3 tree", "checkpoint 5", sql(PERSON), alone=False),
    "leaf and leaf_hash changed": Tampering("3 tree", "checkpoint 5", sql(PERSON, REHASH)),
    "leaf_hash changed": Tampering(
        "2 leaves", "4", sql("UPDATE log.entry SET leaf_hash = decode(repeat('00', 32), 'hex') WHERE index = 4")
    ),
    "event beside the leaf changed": Tampering(
        "2 leaves", "4", sql("UPDATE log.entry SET event = 'drill.run.completed' WHERE index = 4")
    ),
    "leaf no longer canonical": Tampering(
        "2 leaves", "4", sql("UPDATE log.entry SET leaf = leaf || ' '::bytea WHERE index = 4", REHASH), alone=False
    ),
    "leaf no JSON": Tampering("2 leaves", "4", sql("UPDATE log.entry SET leaf = 'x' WHERE index = 4"), alone=False),
    "leaf canonical, but no entry": Tampering(
        "2 leaves", "4", sql("""UPDATE log.entry SET leaf = '{"index":4}' WHERE index = 4""", REHASH), alone=False
    ),
    "leaf an entry of no shape": Tampering(
        "4 bitmaps", "entry 4",
        sql("""UPDATE log.entry SET leaf = '{"detail":{},"event":"report.page.built","index":4,"subjects":4}'
               WHERE index = 4""", REHASH), alone=False,
    ),
    "row inserted at the end": Tampering("3 tree", "7", sql(INSERTED)),
    "row inserted, with a genuine checkpoint over other entries": Tampering(
        "3 tree", "checkpoint 8",
        lambda ground: ground.tamper(
            INSERTED, f"INSERT INTO log.checkpoint VALUES (8, '{note_of(ground, 8, genuine=True)}')"
        ),
    ),
    "tail cut": Tampering("3 tree", "checkpoint 7", sql("DELETE FROM log.entry WHERE index = 6")),
    "tail cut with the newer checkpoints": Tampering(
        "3 tree", "the keeper's head",
        sql("DELETE FROM log.entry WHERE index >= 5", "DELETE FROM log.checkpoint WHERE size > 5"),
    ),
    "checkpoint forged": Tampering(
        "3 tree", "checkpoint 2",
        lambda ground: ground.tamper(
            f"UPDATE log.checkpoint SET note = '{note_of(ground, 2, genuine=False)}' WHERE size = 2"
        ),
    ),
    "checkpoint is rubbish": Tampering(
        "3 tree", "checkpoint 2", sql("UPDATE log.checkpoint SET note = 'rubbish' WHERE size = 2")
    ),
    "checkpoint under another size": Tampering(
        "3 tree", "checkpoint 6", sql("UPDATE log.checkpoint SET size = 6 WHERE size = 5")
    ),
    "last checkpoint deleted": Tampering("3 tree", "5", sql("DELETE FROM log.checkpoint WHERE size = 7")),
    "head forged": Tampering(
        "3 tree", "the keeper's head", lambda ground: ground.head.write(note_of(ground, 7, genuine=False))
    ),
    "bitmap flipped": Tampering(
        "4 bitmaps", "entry 1",
        sql(f"UPDATE log.bitmap SET sealed = set_bit(sealed, 3, 1 - get_bit(sealed, 3)) WHERE sealed = '{BITMAPS[0].decode()}'"),
    ),
    "bitmap missing": Tampering(
        "4 bitmaps", "entry 3", sql(f"DELETE FROM log.bitmap WHERE sealed = '{BITMAPS[1].decode()}'")
    ),
    "bitmap uncited": Tampering(
        "4 bitmaps", hashlib.sha256(b"stray").hexdigest()[:16],
        sql("INSERT INTO log.bitmap VALUES (sha256('stray'), 'stray')"),
    ),
    "loan for an entry that authorises nothing": Tampering(
        "5 loans", "loan 3", sql(LOAN + "(4, 'keys', 0, '{name}', 1)")
    ),
    "loan for an entry that is not there": Tampering(
        "5 loans", "loan 3", sql(LOAN + "(40, 'keys', 0, '{name}', 1)")
    ),
    "loan with a field too many": Tampering(
        "5 loans", "loan 3", sql(LOAN + "(3, 'keys', 0, '{name,citizen_number}', 2)")
    ),
    "loans of a delivery deleted": Tampering(
        "5 loans", "entry 1", sql("DELETE FROM log.loan WHERE entry_index = 1")
    ),
}  # fmt: skip


def found(report: Report, tampering: Tampering) -> list[str]:
    return [p.what for p in report.problems if (p.step, p.at) == (tampering.step, tampering.at)]


def test_a_log_of_the_writers_is_clean(log: Any) -> None:
    report = fsck(options(log))
    assert report.clean, report.problems
    assert (report.entries, report.size, report.checkpoints, report.bitmaps, report.loans) == (7, 7, 7, 2, 2)
    assert report.under_way == ["d2"]
    assert report.root == log.signer.read_checkpoint(ORIGIN, log.head.read()).root.hex()
    assert {name for name, _ in STEPS} <= set(report.steps)


def test_an_empty_log_is_clean(ground: Any) -> None:
    ground.started()
    assert fsck(options(ground)).clean


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_found_at_its_place_and_by_its_step(log: Any, name: str) -> None:
    tampering = TAMPERINGS[name]
    tampering.change(log)
    report = fsck(options(log))
    assert found(report, tampering), report.problems

    # What later steps need from step 2 is read by it; so without step 2, steps 4 and 5 have nothing to look at.
    without = [step for step in STEPS if step[0] != tampering.step]
    if tampering.step == "2 leaves":
        without = [step for step in without if step[0] in {"1 indices", "3 tree"}]
    blind = fsck(options(log), without)
    assert not found(blind, tampering)
    if tampering.alone:
        assert blind.clean, blind.problems


def test_every_step_has_a_tampering_that_it_alone_finds() -> None:
    """Others have theirs elsewhere: a gap (1) always breaks the tree too; slices, store, files, origins need theirs."""
    assert {t.step for t in TAMPERINGS.values() if t.alone} == {"2 leaves", "3 tree", "4 bitmaps", "5 loans"}
    assert {t.step for t in TAMPERINGS.values()} | {
        "6 slices",
        "7 store",
        "8 published",
        "9 origins",
        "10 subjects",
    } == {name for name, _ in STEPS}


def test_a_settlement_of_what_authorises_no_delivery_is_found(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0), arrived("d9", 0)])
    problems = [p for p in fsck(options(ground)).problems if p.step == "5 loans"]
    assert [p.at for p in problems] == ["entry 1"]


def test_a_delivery_settled_twice_is_found(ground: Any) -> None:
    writer = ground.started()
    writer.append([authorised("d1", BITMAPS[0])])
    writer.record_loan(0, "keys", 0, ["name"], 1)
    second = arrived("d1", 0)
    writer.append([arrived("d1", 0), Draft(second.body)])
    problems = [p for p in fsck(options(ground)).problems if p.step == "5 loans"]
    assert [p.at for p in problems] == ["entry 2"]


def test_the_verifier_changes_nothing_and_needs_only_to_read(log: Any) -> None:
    before = log.rows("SELECT * FROM log.entry ORDER BY index")
    fsck(options(log))
    assert log.rows("SELECT * FROM log.entry ORDER BY index") == before

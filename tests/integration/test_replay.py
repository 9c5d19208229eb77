"""A decision is replayed under the rules of its own day, beside those of now; a changed bundle is not believed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from huanshu.auditlog import PublishedLog, Signer
from huanshu.canonical import canonical
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError, TamperedError, UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.gate.replay import Replayed, replay
from huanshu.identity import adopt_policies
from huanshu.tlog import leaf_hash

ROOT = Path(__file__).parents[2]
HERE, THERE = "990101001001", "990101001003"


def look(place: Range, domain: str, rung: Rung, record: int) -> int:
    running = place.acting("p.tang")
    asked = Asked("yulan.data_clerk", domain, "resident", "grassroots_service", {"phone": rung}, record)
    return read(running.home, running.keeper, running.district, asked).entry_index


def replayed(place: Range, index: int) -> Replayed:
    running = place.acting("p.xu")
    log, vkey = PublishedLog(place.settings.log_folder), Signer.load(place.settings.keeper_folder / "log.key")
    until = time.monotonic() + 20
    with running.district() as district:
        while True:
            try:
                return replay(running.home, log, vkey.vkey(running.home.log_origin), district, index)
            except UnavailableError as young:
                if young.code != "audit.replay.unpublished" or time.monotonic() > until:
                    raise
                time.sleep(0.2)


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in("resident.psb_to_district", 1)
        yield made


def test_then_and_now(place: Range) -> None:
    record = place.due_records("resident", HERE)[0][0]
    allowed = look(place, HERE, Rung.REVEAL, record)
    with pytest.raises(DeniedError):
        look(place, THERE, Rung.REVEAL, record)
    denied = place.acts()[-1].index
    rules = place.settings.home / "policies/rules/community.csv"
    text = rules.read_text()
    line = "data_clerk, own, resident, phone, grassroots_service, reveal"
    assert text.count(line) == 1
    cases = place.settings.home / "policies/cases/community.csv"
    kept = [
        c
        for c in cases.read_text().splitlines()
        if not ("data_clerk" in c and ",phone," in c.replace(" ", ""))
    ]
    cases.write_text("\n".join(kept) + "\n")
    rules.write_text(text.replace(line, line.replace("reveal", "mask")))
    running = place.acting("p.chen")
    second = adopt_policies(running.keeper, running.home).index

    told = replayed(place, allowed)
    assert (told.logged, told.allowed_then, told.allowed_now, told.agrees) == (True, True, False, True)
    (then,), (now,) = told.then, told.now
    assert then.rule.startswith("policies/rules/community.csv:")
    assert (then.field, then.asked, now.asked) == ("phone", "reveal", "reveal")
    assert "mask" in now.why.en
    assert told.adopted < allowed < second
    assert (
        place.entries()[told.adopted].body["detail"]["digest"] == told.digest != running.home.policies.digest
    )

    refused = replayed(place, denied)
    assert (refused.logged, refused.allowed_then, refused.agrees) == (False, False, True)
    assert refused.then[0].asked == "reveal"
    assert refused.domain == THERE

    again = look(place, HERE, Rung.MASK, record)
    assert (replayed(place, again).allowed_then, replayed(place, again).adopted) == (True, second)


def test_every_decision_in_the_log_is_explained_by_its_rules(place: Range) -> None:
    decided = 0
    for entry in place.entries():
        if "fields" not in entry.body or "purpose" not in entry.body:
            with pytest.raises(InputError, match=r"audit\.replay\.no_decision"):
                replayed(place, entry.index)
            continue
        told = replayed(place, entry.index)
        decided += 1
        assert told.agrees, (entry.event, entry.index)
    assert decided >= 4


def test_another_bundle_is_not_believed(place: Range) -> None:
    index = next(e.index for e in place.entries() if e.event == "access.record.authorised")
    with pytest.raises(InputError, match=r"audit\.entry\.unknown"):
        replayed(place, 10**6)
    with place.administrator() as administrator:
        administrator.execute("CREATE TABLE kept AS SELECT * FROM log.bundle")
        administrator.execute(
            "UPDATE log.bundle SET files = (SELECT files FROM kept k WHERE k.digest <> log.bundle.digest LIMIT 1)"
        )
        with pytest.raises(TamperedError, match=r"policy\.bundle\.changed"):
            replayed(place, index)
        administrator.execute("DELETE FROM log.bundle")
        with pytest.raises(InputError, match=r"audit\.bundle\.missing"):
            replayed(place, index)
        administrator.execute("INSERT INTO log.bundle SELECT * FROM kept")
    assert replayed(place, index).agrees


CHANGES = {
    "its policy": ("policy", "ab" * 32, "index"),
    "who asked": ("person", "p.wu", "index"),
    "the adoption's author": ("person", "p.wu", "adopted"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_decision_that_was_changed_in_the_database_is_not_replayed(place: Range, change: str) -> None:
    index = next(e.index for e in place.entries() if e.event == "access.record.authorised")
    adopted = replayed(place, index).adopted
    member, other, which = CHANGES[change]
    at = {"index": index, "adopted": adopted}[which]
    leaf = place.entries()[at].leaf
    changed = canonical({**json.loads(leaf), member: other})
    assert changed != leaf
    update = "UPDATE log.entry SET leaf = %s, leaf_hash = %s WHERE index = %s"
    with place.administrator() as administrator:
        administrator.execute(update, (changed, leaf_hash(changed), at))
        try:
            with pytest.raises(TamperedError, match=r"audit\.proof\.other"):
                replayed(place, index)
        finally:
            administrator.execute(update, (leaf, leaf_hash(leaf), at))
    assert replayed(place, index).agrees


def test_the_column_that_says_which_adoption_is_not_believed(place: Range) -> None:
    index = next(e.index for e in place.entries() if e.event == "access.record.authorised")
    with place.administrator() as administrator:
        other = "UPDATE log.entry SET event = %s WHERE index = %s"
        administrator.execute(other, ("policy.bundle.adopted", index - 1))
        with pytest.raises(TamperedError, match=r"audit\.replay\.other_policy"):
            replayed(place, index)
        administrator.execute(other, (place.entries()[index - 1].body["event"], index - 1))
    assert replayed(place, index).agrees

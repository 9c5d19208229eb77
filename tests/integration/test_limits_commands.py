"""The verbs of budgets, comparing, counting, taking away and breaking the glass, as people type them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from huanshu.drill.range import Range

ROOT = Path(__file__).parents[2]
HERE = "990101001001"
CLERK = f"--as p.tang --domain {HERE} --post yulan.data_clerk --purpose grassroots_service"
ZONES = "--zone 990101001001 --zone 990101001002 --zone 990101001003"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in("resident.psb_to_district")
        yield made


def test_the_verbs(place: Range, command) -> None:  # type: ignore[no-untyped-def]
    """One range for all of them, in an order in which they could be typed."""
    settings = place.settings
    with (ROOT / "expectations/resident/samples/passing.csv").open(encoding="utf-8") as file:
        person = next(row for row in csv.DictReader(file) if row["community"] == HERE)

    # compare
    said = f"{person['citizen_number']}\n{person['name']}\n13800000000\n"
    line = f"huanshu record compare resident {CLERK} --fields name,phone --identifier"
    code, told = command(settings, line, said)
    assert (code, told["agrees"]) == (0, {"name": True, "phone": False})
    assert person["name"] not in str(told)
    code, told = command(
        settings, f"huanshu record compare resident {CLERK} --fields employer --record 1", "x\n"
    )
    assert (code, told["error"]["code"]) == (5, "access.request.denied")

    # budgets
    code, told = command(settings, "huanshu access budget --as p.tang")
    assert (code, told["spent"]["day"], told["spent"]["misses"], told["limits"]["day"]) == (0, 1, 1, 300)
    assert command(settings, "huanshu access budget p.tang --as p.chen")[1]["spent"] == told["spent"]
    assert command(settings, "huanshu access budget p.yang --as p.tang")[0] == 5
    until = (place.clock().date() + timedelta(days=2)).isoformat()
    more = (
        f"access raise p.tang --dataset resident --purpose grassroots_service --subjects 900 --until {until}"
    )
    assert command(settings, f"huanshu --as p.tang {more} --reason census")[0] == 5
    assert command(settings, f"huanshu --as p.chen {more} --reason census")[0] == 0

    # count: thirteen in all, two of them in one community
    count = f"huanshu --as p.song count resident {ZONES} --post district.cdo --purpose grassroots_service"
    code, told = command(settings, f"{count} --by community")
    assert (code, told["total"], told["cells"]) == (0, 13, {})  # small groups are not even named
    assert command(settings, f"{count} --where employer=x")[0] == 5
    assert command(settings, f"{count} --where x")[0] == 4
    # over a sealed date: the keeper counts; of thirteen, those of 65 and more are few
    code, told = command(settings, f"{count} --where birth_date=65+ --by grid")
    assert code == 0
    assert told["total"] is None
    assert told["cells"] == {}
    assert command(settings, f"{count} --where birth_date=65-66")[0] == 5
    assert command(settings, f"{count} --by birth_date")[0] == 4
    assert command(settings, f"{count} --by birth_date --bands 0-17,18+")[0] == 0

    # break the glass
    declare = f"huanshu --as p.yang emergency declare resident --domain {HERE} --post yulan.station_head"
    code, told = command(
        settings, f"{declare} --purpose grassroots_service --fields employer --reason fire --hours 2"
    )
    assert (code, told["owner_post"], told["verdict"]) == (0, "psb.steward", None)
    look = f"huanshu --as p.yang record read resident --domain {HERE} --post yulan.station_head"
    record = place.due_records("resident", HERE)[0][0]
    code, _ = command(settings, f"{look} --purpose grassroots_service --fields employer --record {record}")
    assert code == 0
    assert len(command(settings, "huanshu --as p.he emergency list --waiting")[1]) == 1
    assert (
        command(settings, f"huanshu --as p.yang emergency review {told['index']} justified --reason ok")[0]
        == 5
    )
    assert (
        command(settings, f"huanshu --as p.he emergency review {told['index']} justified --reason ok")[0] == 0
    )
    assert command(settings, "huanshu --as p.he emergency list --waiting")[1] == []

    # take away: shown, then done; one person, at once
    rules = settings.home / "policies/rules/community.csv"
    number = next(
        n
        for n, text in enumerate(rules.read_text("utf-8").splitlines(), 1)
        if "data_clerk, own, resident, phone" in text
    )
    revoke = f"huanshu --as p.chen access revoke --rule policies/rules/community.csv:{number}"
    before = rules.read_text("utf-8")
    code, told = command(settings, revoke)
    assert (code, told["dry_run"], rules.read_text("utf-8")) == (0, True, before)
    assert command(settings, f"{revoke.replace('p.chen', 'p.tang')} --now")[0] == 5
    assert rules.read_text("utf-8") == before
    code, told = command(settings, f"{revoke} --now")
    assert (code, told["dry_run"]) == (0, False)
    phone = f"huanshu record read resident {CLERK} --fields phone --record {record}"
    assert command(settings, phone)[0] == 5
    assert command(settings, phone.replace("phone", "name"))[0] == 0

    # give back: proposed by one, adopted by another, who says what was read
    rules.write_text(before, "utf-8")
    code, told = command(settings, "huanshu --as p.chen policy propose --dry-run")
    assert (code, told["entry"], len(told["widens"])) == (0, None, 1)
    assert command(settings, "huanshu --as p.chen policy adopt")[0] == 5
    assert command(settings, "huanshu --as p.chen policy propose")[0] == 0
    assert command(settings, "huanshu --as p.chen policy adopt")[0] == 5
    pair = f"{told['before'][:16]}:{told['now'][:16]}"
    assert command(settings, f"huanshu --as p.deng policy adopt --change {'0' * 16}:{'0' * 16}")[0] == 4
    assert (
        command(settings, f"huanshu --as p.deng policy adopt --change {pair}")[0] == 5
    )  # its plan was not read
    code, planned = command(settings, "huanshu access plan")
    assert (code, planned["widens"]) == (0, True)
    adopt = f"huanshu --as p.deng policy adopt --change {pair} --plan {planned['hash']}"
    assert command(settings, adopt)[0] == 0
    assert command(settings, phone)[0] == 0

    # a post from a person
    gone = "huanshu --as p.chen access revoke --post yulan.data_clerk --person p.ma --now"
    assert command(settings, gone)[0] == 0
    assert command(settings, gone)[0] == 4
    assert place.verify().clean

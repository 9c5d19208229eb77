"""Rotation: killed at every so many statements, resumed; every value readable, each once; the log and fsck hold."""

from __future__ import annotations

import hashlib
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from opened import opened

from huanshu.drill.range import Range
from huanshu.drill.striking import strike_at, struck
from huanshu.errors import DeniedError, TamperedError, UnavailableError
from huanshu.exchange.rotation import look, rotate
from huanshu.identity import adopt_policies, propose_policies
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.tickets import Ticket
from huanshu.sealing.keys import data_key, link_key, quarantine_key

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY, DATASET = "resident.psb_to_district", "resident.district_to_communities", "resident"
KEYS = "policies/keys.yaml"
KILLED = -signal.SIGKILL


def month(number: int) -> bytes:
    """The passing sample; its first residents move every month, and one row fails."""
    text = (ROOT / "expectations/resident/samples/passing.csv").read_text(encoding="utf-8")
    lines = text.splitlines()
    moved = [
        line.replace("清禾区", f"清禾区{number}号") if 0 < n < 4 else line for n, line in enumerate(lines)
    ]
    return ("\n".join(moved) + "\n").encode()


def raise_to(place: Range, *, epoch: int, generation: int) -> None:
    """As two security officers do: the file, the proposal, the adoption."""
    path = place.settings.home / KEYS
    kept = [
        line for line in path.read_text().splitlines() if not line.startswith(("epoch:", "link_generation:"))
    ]
    path.write_text("\n".join([*kept, f"epoch: {epoch}", f"link_generation: {generation}", ""]))
    author, second = place.acting("p.chen"), place.acting("p.deng")
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)


def epochs(place: Range) -> set[int]:
    with place.acting().district() as district:
        return {row[0] for row in district.execute("SELECT DISTINCT epoch FROM district.resident")}


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE, 1, month(1))
        made.take_in(INTAKE, 2, month(2))
        failing = (ROOT / "expectations/resident/samples/failing.citizen_number_checksum.csv").read_bytes()
        made.take_in(INTAKE, 3, failing, mode="changes")
        made.deliver(DELIVERY)
        yield made


@pytest.fixture(scope="module")
def values(place: Range) -> dict[tuple[int, int, str], str | None]:
    found = opened(place, DATASET)
    assert len({record for record, _, _ in found}) > 10
    assert any(version > 1 for _, version, _ in found), "history is rotated too"
    return found


@pytest.mark.parametrize("step", [90, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_every_so_many_statements_and_resumed_every_value_is_readable_once(
    place: Range, values: dict[tuple[int, int, str], str | None], step: int
) -> None:
    mixed, strikes = False, 0
    for statement in range(step, 400, step):
        keys = place.acting().home.policies.keys
        raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation + 1)
        ended = struck(lambda: rotate(place.acting().ground()), at_statement=statement)
        mixed |= len(epochs(place)) > 1
        assert opened(place, DATASET) == values
        if ended == 0:
            break
        assert ended == KILLED
        strikes += 1
        assert struck(lambda: rotate(place.acting().ground())) == 0
        assert opened(place, DATASET) == values
        assert epochs(place) == {keys.epoch + 1}
    assert ended == 0, "a rotation that nobody kills ends"
    assert strikes >= 2
    assert mixed or step > 20, "never was one home under the new epoch and another under the old one"
    report = place.verify()
    assert report.clean, report.problems
    assert not any("under way" in step for step in report.steps)
    events = [e.event for e in place.entries()]
    assert events.count("keys.rotation.completed") == events.count("keys.rotation.authorised") > strikes
    assert rotate(place.acting().ground()) == []


@pytest.mark.parametrize(
    "point",
    ["rotation:line", "rotation:authorised", "rotation:home:1", "rotation:committed:0", "rotation:quarantine",
     "rotation:told", "rotation:links", "rotation:relinked"],
)  # fmt: skip
def test_killed_between_any_two_steps_it_goes_on_and_is_told_once(
    place: Range, values: dict[tuple[int, int, str], str | None], point: str
) -> None:
    keys = place.acting().home.policies.keys
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation + 1)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at(point)))) == KILLED
    under_way = place.verify()
    assert under_way.clean, under_way.problems
    assert opened(place, DATASET) == values
    assert struck(lambda: rotate(place.acting().ground())) == 0
    assert opened(place, DATASET) == values
    assert epochs(place) == {keys.epoch + 1}
    report = place.verify()
    assert report.clean, report.problems
    assert not any("under way" in step for step in report.steps)


def test_links_still_find_everybody_and_an_intake_finds_nothing_new(place: Range) -> None:
    outcome = place.take_in(INTAKE, 3, month(2)).batches[-1]
    assert (outcome.good, outcome.unchanged) == (13, 13)


def test_communities_read_on_and_their_next_delivery_brings_the_new_epoch(place: Range) -> None:
    home = place.homes(DATASET)[0]
    table = f"receiver_{home}.{DATASET}"

    def held() -> set[tuple[int, int, int]]:
        with place.acting().receiver(home) as store:
            return set(store.execute(f"SELECT record, version, epoch FROM {table}".encode()).fetchall())

    before = held()
    assert {epoch for _, _, epoch in before} == {1}
    (standing,), _ = look(place.acting().ground())
    assert standing.behind["slices"] == len(place.homes(DATASET))
    place.deliver(DELIVERY)
    now = place.acting().home.policies.keys.epoch
    assert held() == {(record, version, now) for record, version, _ in before}
    assert look(place.acting().ground())[0][0].behind["slices"] == 0
    assert place.verify().clean


@pytest.mark.parametrize("point", ["rotation:quarantine"])
def test_killed_after_the_last_home_the_rest_is_done_before_it_is_told(place: Range, point: str) -> None:
    """Links stay as they are: nothing but this rotation makes the slices due again."""
    keys, homes = place.acting().home.policies.keys, len(place.homes(DATASET))
    assert look(place.acting().ground())[0][0].behind["slices"] == 0
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at(point)))) == KILLED
    assert epochs(place) == {keys.epoch + 1}
    assert struck(lambda: rotate(place.acting().ground())) == 0
    assert look(place.acting().ground())[0][0].behind["slices"] == homes
    place.deliver(DELIVERY)
    assert place.verify().clean


def test_a_quarantined_row_opens_under_the_new_epoch_alone(place: Range) -> None:
    from huanshu.keeper.vault import load_root
    from huanshu.sealing.blobs import open_blob
    from huanshu.sealing.keys import KeyName

    now = place.acting().home.policies.keys.epoch
    root = load_root(place.settings.keeper_folder / "root.key")
    name = KeyName(f"quarantine/resident/{now}")
    with place.administrator() as administrator:
        ((wrapped,),) = administrator.execute("SELECT wrapped FROM keys.wrapped WHERE name = %s", (name,))
        rows = administrator.execute("SELECT batch, row, sealed FROM district.quarantine").fetchall()
    assert rows
    for batch, row, sealed in rows:
        assert open_blob(root.unwrap(name, bytes(wrapped)), name, f"{batch}/{row}", bytes(sealed))


def test_nobodys_own_process_is_lent_the_keys_of_a_rotation(place: Range) -> None:
    keys = place.acting().home.policies.keys
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)
    loans = place.loans()
    with pytest.raises(DeniedError, match="nobody else"):
        rotate(place.acting("p.chen").ground())
    assert place.loans() == loans
    rotate(place.acting().ground())


def claimed(place: Range, what: str) -> Ticket:
    """What somebody asks who runs under the scheduler's account."""
    name = f"rotation/{secrets.token_hex(8)}"
    detail = {"rotation": name, "what": what}
    return place.acting().keeper.append(
        {"event": ROTATION, "once": f"{ROTATION}/{name}", "dataset": DATASET, "detail": detail}
    )


def stopped(place: Range, ticket: Ticket) -> None:
    written = {"rows": 0, "ended": 0, "sha256": hashlib.sha256().hexdigest()}
    named = {"index": ticket.index, "leaf_hash": ticket.leaf_hash}
    told = {"written": written, "reason": "tried"}
    place.acting().keeper.append({"event": "keys.rotation.stopped", "ticket": named, "detail": told})


def test_a_rotation_is_claimed_only_where_the_log_says_that_something_can_be_behind(place: Range) -> None:
    keys, loans, size = place.acting().home.policies.keys, place.loans(), len(place.acts())
    assert rotate(place.acting().ground()) == []
    for what in ("cells", "links"):
        with pytest.raises(DeniedError, match="by the log nothing"):
            claimed(place, what)
    assert (place.loans(), len(place.acts())) == (loans, size)
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)
    assert [each.what for each in rotate(place.acting().ground())] == ["cells"]
    with pytest.raises(DeniedError, match="by the log nothing"):
        claimed(place, "cells")


def test_each_kind_of_rotation_is_lent_its_own_keys_and_none_once_it_is_settled(place: Range) -> None:
    keys, home = place.acting().home.policies.keys, place.homes(DATASET)[0]
    kind = place.acting().home.contracts[DATASET].primary_key.link_kind
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation + 1)
    cells = {data_key(home, DATASET, "name", keys.epoch), quarantine_key(DATASET, keys.epoch)}
    links = {link_key(str(kind), keys.link_generation + 1)}
    never = {link_key(str(kind)), link_key(str(kind), keys.link_generation + 2)}
    keeper = place.acting().keeper
    for what, lent in (("cells", cells), ("links", links)):
        ticket = claimed(place, what)
        for number, name in enumerate(sorted(cells | links | never)):
            if name in lent:
                assert keeper.lend(ticket, number, [name])
                continue
            with pytest.raises(DeniedError, match="does not name"):
                keeper.lend(ticket, number, [name])
        stopped(place, ticket)
        for name in lent:
            with pytest.raises(DeniedError, match="settled"):
                keeper.lend(ticket, 99, [name])
    assert {each.what for each in rotate(place.acting().ground())} == {"cells", "links"}
    assert place.verify().clean


def look_through(place: Range, author: str, second: str) -> None:
    """Other rules, by which nothing is rotated."""
    path = place.settings.home / "policies/purposes.yaml"
    path.write_text(path.read_text() + "# looked through\n")
    proposing, adopting = place.acting(author), place.acting(second)
    propose_policies(proposing.keeper, proposing.home, proposing.home.policies.digest)
    adopt_policies(adopting.keeper, adopting.home, adopting.home.policies.digest)


def test_a_rotation_is_in_the_name_of_who_raised_the_epoch_not_of_who_adopted_last(place: Range) -> None:
    keys = place.acting().home.policies.keys
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)  # p.chen proposes, p.deng adopts
    look_through(place, "p.deng", "p.chen")
    adoptions = [e.body for e in place.entries() if e.event == "policy.bundle.adopted"]
    assert [body["person"] for body in adoptions[-2:]] == ["p.deng", "p.chen"]
    rotate(place.acting().ground())
    begun = [e.body for e in place.entries() if e.event == ROTATION]
    assert begun[-1]["person"] == "p.deng"


def test_killed_after_it_said_that_it_stops_it_begins_anew(place: Range) -> None:
    """Settled, and its line still open: the run after it must not go on with a ticket that lends nothing."""
    keys = place.acting().home.policies.keys
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation + 1)
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at("rotation:authorised")))) == KILLED
    look_through(place, "p.chen", "p.deng")
    assert struck(lambda: rotate(place.acting().ground(pause=strike_at("rotation:told")))) == KILLED
    assert {each.what for each in rotate(place.acting().ground())} == {"cells", "links"}
    assert epochs(place) == {keys.epoch + 1}
    assert place.verify().clean


def test_two_rotations_at_once_are_one(place: Range) -> None:
    with place.acting().district() as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('keys/rotate', 0))")
        with pytest.raises(UnavailableError, match="running"):
            rotate(place.acting().ground())


def test_a_plain_value_that_somebody_changed_is_not_bound_anew_by_a_rotation(place: Range) -> None:
    keys = place.acting().home.policies.keys
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)
    with place.administrator() as administrator:
        ((record, sex),) = administrator.execute(
            "SELECT record, sex FROM district.resident WHERE batch_out IS NULL ORDER BY record LIMIT 1"
        ).fetchall()
        administrator.execute("UPDATE district.resident SET sex = '9' WHERE record = %s", (record,))
        with pytest.raises(TamperedError, match="are not those that batch"):
            rotate(place.acting().ground())
        assert {p.at for p in place.verify().problems} >= {f"resident record {record}"}
        administrator.execute("UPDATE district.resident SET sex = %s WHERE record = %s", (sex, record))
    rotate(place.acting().ground())
    assert place.verify().clean


def test_a_rotated_row_put_back_to_its_old_cells_is_found(place: Range) -> None:
    keys = place.acting().home.policies.keys
    with place.administrator() as administrator:
        administrator.execute("CREATE TABLE public.older AS TABLE district.resident")
    raise_to(place, epoch=keys.epoch + 1, generation=keys.link_generation)
    rotate(place.acting().ground())
    assert place.verify().clean
    with place.administrator() as administrator:
        ((record,),) = administrator.execute(
            "SELECT min(record) FROM district.resident WHERE batch_out IS NULL"
        ).fetchall()
        with administrator.transaction():
            administrator.execute("DELETE FROM district.resident WHERE record = %s", (record,))
            administrator.execute(
                "INSERT INTO district.resident SELECT * FROM public.older WHERE record = %s", (record,)
            )
    problems = place.verify().problems
    assert {p.at for p in problems} == {f"resident record {record}"}, problems

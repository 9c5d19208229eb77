"""What an erasure leaves, what comes back with a backup, and what a destroyed key leaves in rotations and in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from huanshu.drill.range import Range
from huanshu.exchange import erasure
from huanshu.exchange.rotation import look, rotate
from huanshu.identity import adopt_policies, propose_policies
from huanshu.keeper.vault import load_root
from huanshu.sealing.blobs import open_blob
from huanshu.sealing.keys import KeyName, quarantine_key

ROOT = Path(__file__).parents[2]
INTAKE, FIRMS, EVENTS = (
    "resident.psb_to_district",
    "enterprise.market_to_district",
    "grid_event.urban_to_district",
)
DATASET = "resident"
OFFICER, SECOND, AUDITOR = "p.chen", "p.deng", "p.xu"
#: What a restore of the district store brings back.
TABLES = ("resident", "record", "subject", "quarantine", "correction", "tombstone", "written", "erasure")


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        made.take_in(FIRMS)
        made.take_in(EVENTS)
        for rule in (
            "citizen_number_checksum",
            "sex_code",
        ):  # the first one is refused; a row of each is in quarantine
            failing = (ROOT / f"expectations/resident/samples/failing.{rule}.csv").read_bytes()
            made.take_in(INTAKE, 2, failing, mode="changes")
        yield made


def raise_to(place: Range, **numbers: int) -> None:
    """``epoch`` or ``link_generation``, as two officers do."""
    path = place.settings.home / "policies/keys.yaml"
    lines = [line for line in path.read_text().splitlines() if line.split(":")[0] not in numbers]
    path.write_text("\n".join([*lines, *(f"{name}: {number}" for name, number in numbers.items()), ""]))
    author, second = place.acting(OFFICER), place.acting(SECOND)
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)


def all_of(place: Range, query: str, *given: Any) -> list[Any]:
    with place.administrator() as administrator:
        return administrator.execute(query.encode(), given).fetchall()


def erase(place: Range, record: int) -> int:
    entry = erasure.propose(place.acting(OFFICER).ground(), DATASET, record, "request 7 of 2026").index
    return erasure.confirm(place.acting(SECOND).ground(), entry).index


def destroy(place: Range, **selector: Any) -> int:
    detail = {"selector": selector, "keys": 0, "reason": "end of the purpose"}
    proposed = place.acting(OFFICER).keeper.append({"event": "keys.destruction.proposed", "detail": detail})
    return place.acting(AUDITOR).keeper.destroy(proposed.index)[1]


def found(place: Range) -> set[str]:
    report = place.verify()
    assert {problem.step for problem in report.problems} <= {"7 store"}
    return {f"{problem.at}: {problem.what}" for problem in report.problems}


def test_links_made_anew_keep_every_number_by_which_persons_are_known(place: Range) -> None:
    """A citizen's number here, a telephone there: the same extracts afterwards give nobody a new number."""
    numbers = "SELECT array_agg(ordinal ORDER BY ordinal) FROM district.subject"
    named = "SELECT record, subjects FROM district.{} WHERE batch_out IS NULL ORDER BY 1"
    before = [
        all_of(place, numbers),
        *(all_of(place, named.format(t)) for t in ("grid_event", "enterprise", DATASET)),
    ]
    with place.administrator() as administrator:
        administrator.execute(
            "INSERT INTO district.quarantine_looked SELECT batch, row, link FROM district.quarantine WHERE link IS NOT NULL"
        )
    looked = "SELECT count(*) FROM district.quarantine_looked l JOIN district.quarantine q USING (batch, row, link)"
    assert all_of(place, looked)[0][0] >= 1
    raise_to(place, link_generation=2)
    assert {each.what for each in rotate(place.acting().ground())} == {"links"}
    for intake, number, dataset in (
        (EVENTS, 2, "grid_event"),
        (FIRMS, 2, "enterprise"),
        (INTAKE, 3, DATASET),
    ):
        moved = (ROOT / f"expectations/{dataset}/samples/passing.csv").read_text(encoding="utf-8")
        place.take_in(intake, number, moved.replace("清禾区", "清禾区7号").encode())
    assert [
        all_of(place, numbers),
        *(all_of(place, named.format(t)) for t in ("grid_event", "enterprise", DATASET)),
    ] == before
    assert all_of(place, looked)[0][0] >= 1
    assert place.verify().clean


def test_who_is_named_in_another_dataset_keeps_the_number_there(place: Range) -> None:
    ((record, ordinal),) = all_of(
        place,
        "SELECT r.record, r.subjects[1] FROM district.resident r WHERE batch_out IS NULL AND subjects[1] IN"
        " (SELECT unnest(subjects[2:]) FROM district.enterprise) LIMIT 1",
    )
    erase(place, record)
    (done,) = erasure.apply(place.acting().ground())
    assert (done.removed > 0, done.tombstones) == (True, 1)
    assert all_of(place, "SELECT count(*) FROM district.subject WHERE ordinal = %s", ordinal) == [(1,)]
    assert found(place) == set()


def test_what_a_backup_brings_back_of_an_erased_person_goes_again_all_of_it(place: Range) -> None:
    ((record, ordinal, link),) = all_of(
        place,
        "SELECT r.record, s.ordinal, s.link FROM district.resident r JOIN district.subject s ON s.ordinal = r.subjects[1]"
        " WHERE r.batch_out IS NULL AND NOT s.ordinal IN (SELECT unnest(subjects) FROM district.enterprise) LIMIT 1",
    )
    with place.administrator() as administrator:  # of somebody whose row had failed a rule, too
        administrator.execute(
            "UPDATE district.quarantine SET link = %s WHERE (batch, row) = (SELECT batch, row FROM district.quarantine"
            " ORDER BY batch, row LIMIT 1)", (link,),
        )  # fmt: skip
        for table in TABLES:
            administrator.execute(f"CREATE TABLE public.kept_{table} AS TABLE district.{table}".encode())
    confirmed = erase(place, record)
    (done,) = erasure.apply(place.acting().ground())
    assert (done.quarantined >= 1, done.tombstones) == (True, 1)
    told = all_of(place, "SELECT batch, home, rows FROM district.written ORDER BY 1, 2")
    assert found(place) == set()
    with place.administrator() as administrator:
        for table in TABLES:
            administrator.execute(f"TRUNCATE district.{table} CASCADE".encode())
            administrator.execute(
                f"INSERT INTO district.{table} OVERRIDING SYSTEM VALUE TABLE public.kept_{table}".encode()
            )
    assert found(place)
    assert erasure.apply(place.acting().ground()) == []
    for table, column, value in (
        (DATASET, "record", record), ("record", "record", record), ("subject", "ordinal", ordinal), ("quarantine", "link", link),
    ):  # fmt: skip
        query = f"SELECT count(*) FROM district.{table} WHERE {column} = %s"
        assert all_of(place, query, value) == [(0,)], table
    assert all_of(place, "SELECT count(*) FROM district.tombstone WHERE erasure = %s", confirmed) == [(1,)]
    assert all_of(place, "SELECT batch, home, rows FROM district.written ORDER BY 1, 2") == told
    assert found(place) == set()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DELETE FROM district.tombstone", "left 1 tombstones, the store has 0"),
        ("UPDATE district.tombstone SET ordinal = 424242", "the tombstones that it left are not those"),
        (
            (
                "INSERT INTO district.tombstone SELECT dataset, kind, substr(sha256(link), 1, 16), 7, 424242,"
                " backups_until FROM district.tombstone LIMIT 1"
            ),
            "no entry tells of this erasure",
        ),
    ],
)  # fmt: skip
def test_a_tombstone_changed_is_found(place: Range, change: str, what: str) -> None:
    with place.administrator() as administrator:
        administrator.execute("CREATE TABLE public.stones AS TABLE district.tombstone")
        administrator.execute(change.encode())
        try:
            assert any(what in problem for problem in found(place))
        finally:
            administrator.execute("TRUNCATE district.tombstone")
            administrator.execute("INSERT INTO district.tombstone TABLE public.stones")
            administrator.execute("DROP TABLE public.stones")
    assert found(place) == set()


def test_a_destroyed_key_of_quarantined_rows_does_not_end_rotations(place: Range) -> None:
    """A row that a backup has brought back from under it stays as it is; the others go on, and nothing is behind."""
    first = "SELECT batch, row, sealed, epoch FROM district.quarantine ORDER BY batch, row"
    (batch, row, sealed, epoch), *others = all_of(place, first)
    assert epoch == 1
    assert others
    raise_to(place, epoch=2)
    rotate(place.acting().ground())
    assert {epoch for *_, epoch in all_of(place, first)} == {2}
    assert destroy(place, dataset=DATASET, epoch=1) >= 1
    with place.administrator() as administrator:
        administrator.execute(
            "UPDATE district.quarantine SET sealed = %s, epoch = 1 WHERE batch = %s AND row = %s",
            (sealed, batch, row),
        )
    assert look(place.acting().ground(), [DATASET])[0][0].behind["quarantined"] == 1
    raise_to(place, epoch=3)
    rotate(place.acting().ground())
    assert look(place.acting().ground(), [DATASET])[0][0].behind["quarantined"] == 0
    name = quarantine_key(DATASET, 3)
    ((wrapped,),) = all_of(place, "SELECT wrapped FROM keys.wrapped WHERE name = %s", name)
    key = load_root(place.settings.keeper_folder / "root.key").unwrap(KeyName(name), bytes(wrapped))
    (_, _, kept, _), *renewed = all_of(place, first)
    assert kept == sealed
    for batch, row, sealed, epoch in renewed:
        assert open_blob(key, name, f"{batch}/{row}", bytes(sealed))
        assert epoch == 3


def file_of(administrator: psycopg.Connection, place: Range) -> bytes:
    """The key table as it lies on the disk."""
    administrator.execute("CHECKPOINT")
    ((path, folder),) = administrator.execute(
        "SELECT pg_relation_filepath('keys.wrapped'), current_setting('data_directory')"
    ).fetchall()
    return (Path(folder) / path).read_bytes()


def test_a_destroyed_key_is_in_the_key_tables_file_no_more(place: Range) -> None:
    home = place.homes(DATASET)[0]
    epoch = place.acting().home.policies.keys.epoch
    key = f"data/{home}/{DATASET}/name/{epoch}"
    raise_to(place, epoch=epoch + 1)
    rotate(place.acting().ground())
    ((wrapped,),) = all_of(place, "SELECT wrapped FROM keys.wrapped WHERE name = %s", key)
    with place.administrator() as administrator:
        assert bytes(wrapped) in file_of(administrator, place)
        assert destroy(place, domain=home, dataset=DATASET, field="name", epoch=epoch) >= 1
        assert bytes(wrapped) not in file_of(administrator, place)


def test_a_proposed_value_under_a_destroyed_key_is_given_up_and_ends_no_rotation(place: Range) -> None:
    home, epoch = place.homes(DATASET)[0], place.acting().home.policies.keys.epoch
    assert destroy(place, domain=home, dataset=DATASET, field="phone", epoch=epoch - 1) >= 1
    with place.administrator() as administrator:
        administrator.execute(
            "INSERT INTO district.correction_batch VALUES ('b', 'resident', %s, 'signed', 1, 'judged', 'p.tang', 'x', 0)",
            (home,),
        )
        administrator.execute(
            "INSERT INTO district.correction (correction, batch, row, dataset, home, record, field, base, epoch, value,"
            " evidence, state, steward) VALUES ('b.1', 'b', 1, 'resident', %s, 1, 'phone', 1, %s, 'sealed', 'x',"
            " 'proposed', 'psb.steward')",
            (home, epoch - 1),
        )
    assert look(place.acting().ground(), [DATASET])[0][0].behind["corrections"] == 1
    raise_to(place, epoch=epoch + 1)
    rotate(place.acting().ground())
    assert all_of(place, "SELECT value IS NULL, reference IS NULL FROM district.correction") == [(True, True)]
    assert look(place.acting().ground(), [DATASET])[0][0].behind["corrections"] == 0


def test_a_dataset_of_which_only_quarantined_rows_are_stored_is_rotated_too() -> None:
    with Range(ROOT) as place:
        failing = (ROOT / "expectations/resident/samples/failing.citizen_number_checksum.csv").read_bytes()
        place.take_in(INTAKE, 1, failing, mode="changes")
        assert all_of(place, "SELECT count(*) FROM district.resident") == [(0,)]
        rows = "SELECT epoch, count(*) FROM district.quarantine GROUP BY 1"
        ((_, count),) = all_of(place, rows)
        raise_to(place, epoch=2)
        assert [each.what for each in rotate(place.acting().ground())] == ["cells"]
        assert all_of(place, rows) == [(2, count)]
        assert rotate(place.acting().ground()) == []

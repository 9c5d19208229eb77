"""The writer against real PostgreSQL: dense, durable, single, and no role that can rewrite."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from huanshu.auditlog import Draft
from huanshu.catalog import Rung
from huanshu.errors import InputError, TamperedError, UnavailableError
from huanshu.store import connect
from huanshu.store.urls import with_database
from huanshu.tlog import Frontier, leaf_hash


def test_indices_are_dense_and_every_commit_has_its_checkpoint(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    first = writer.append([make_draft(0)])
    more = writer.append([make_draft(1), make_draft(2), make_draft(3)])
    assert [a.entry.index for a in first + more] == [0, 1, 2, 3]
    assert all(a.fresh and a.leaf_hash == leaf_hash(a.entry.leaf) for a in first + more)
    assert ground.rows("SELECT size FROM log.checkpoint ORDER BY size") == [(1,), (4,)]
    stored = [bytes(row[0]) for row in ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    assert stored == [a.entry.leaf for a in first + more]
    assert writer.root == Frontier(map(leaf_hash, stored)).root
    head = ground.signer.read_checkpoint("qinghe.example/huanshu", ground.head.read())
    assert (head.size, head.root) == (4, writer.root)


def test_a_new_start_yields_the_same_entries_and_goes_on(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    made = writer.append([make_draft(n) for n in range(3)])
    writer.close()
    again = ground.writer()
    assert list(again.start()) == [(a.entry, a.leaf_hash) for a in made]
    assert again.append([make_draft(3)])[0].entry.index == 3


def test_once_finds_what_was_appended(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    assert writer.find("k/1") is None
    (made,) = writer.append([make_draft(0, "k/1")])
    found = writer.find("k/1")
    assert found is not None
    assert (found.entry, found.leaf_hash, found.fresh) == (made.entry, made.leaf_hash, False)
    with pytest.raises(TamperedError):
        writer.append([make_draft(1, "k/1")])
    assert [entry.index for entry, _ in ground.recover(writer)] == []
    assert writer.append([make_draft(1)])[0].entry.index == 1


def test_time_never_runs_backwards(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    (first,) = writer.append([make_draft(0)])
    ground.clock.at -= timedelta(days=1)
    (second,) = writer.append([make_draft(1)])
    writer.close()
    (third,) = ground.started().append([make_draft(2)])
    assert first.entry.body["at"] == second.entry.body["at"] == third.entry.body["at"]
    assert first.entry.body["at"] == "2026-07-01T09:00:00.000000+08:00"


def test_one_refused_draft_appends_nothing(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    bad = Draft({**make_draft(1).body, "event": "report.page.other"})
    with pytest.raises(InputError):
        writer.append([make_draft(0), bad])
    assert ground.rows("SELECT count(*) FROM log.entry") == [(0,)]
    assert writer.append([make_draft(0)])[0].entry.index == 0


def test_an_entry_longer_than_a_leaf_may_be_is_refused(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    body = make_draft(0).body
    long = Draft({**body, "detail": {**body["detail"], "report": ["x" * 1_000] * 70}})
    with pytest.raises(InputError, match=r"auditlog\.entry\.too_long"):
        writer.append([long])
    assert writer.append([make_draft(0)])[0].entry.index == 0


def test_a_second_writer_is_refused_until_the_first_has_gone(ground: Any) -> None:
    first = ground.started()
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.has_writer"):
        ground.started()
    first.close()
    ground.started()


def test_a_start_that_was_given_up_does_not_keep_the_lock(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0), make_draft(1)])
    writer.close()
    given_up = ground.writer().start()
    next(given_up)
    given_up.close()
    ground.started()


def test_a_server_that_promises_nothing_is_refused(ground: Any) -> None:
    with connect(ground.tamper_url) as admin:
        admin.execute("ALTER DATABASE huanshu SET synchronous_commit = off")
    with pytest.raises(UnavailableError, match=r"store\.server\.promises_nothing.*") as refused:
        ground.started()
    assert "synchronous_commit" in str(refused.value)
    with connect(ground.tamper_url) as admin:
        admin.execute("ALTER DATABASE huanshu SET synchronous_commit = on")
    ground.started()


@pytest.mark.parametrize(
    ("spoil", "mend", "named"),
    [
        ("ALTER DATABASE huanshu SET zero_damaged_pages = on", "ALTER DATABASE huanshu RESET ALL", "zero_damaged_pages"),
        ("ALTER DATABASE huanshu SET ignore_checksum_failure = on", "ALTER DATABASE huanshu RESET ALL", "ignore_checksum_failure"),
        ("ALTER TABLE log.bitmap SET UNLOGGED", "ALTER TABLE log.bitmap SET LOGGED", "unlogged"),
    ],
)  # fmt: skip
def test_a_server_that_hides_damage_or_forgets_in_a_crash_is_refused(
    ground: Any, spoil: str, mend: str, named: str
) -> None:
    with connect(ground.tamper_url) as admin:
        admin.execute(spoil.encode())
    try:
        with pytest.raises(UnavailableError, match=r"store\.server\.promises_nothing") as refused:
            ground.started()
        assert named in str(refused.value)
    finally:
        with connect(ground.tamper_url) as admin:
            admin.execute(mend.encode())
    ground.started()


TABLES = ("entry", "checkpoint", "bitmap", "loan")


@pytest.mark.parametrize("role", ["huanshu_keeper", "huanshu_app"])
@pytest.mark.parametrize("table", TABLES)
def test_no_role_can_rewrite_the_log(ground: Any, make_draft: Any, role: str, table: str) -> None:
    writer = ground.started()
    writer.append([make_draft(0)])
    column = {"entry": "event", "checkpoint": "note", "bitmap": "sealed", "loan": "kind"}[table]
    with connect(ground.roles[role]) as connection:
        assert connection.execute(f"SELECT count(*) FROM log.{table}".encode()).fetchone() is not None
        for statement in (
            f"UPDATE log.{table} SET {column} = {column}",
            f"DELETE FROM log.{table}",
            f"TRUNCATE log.{table} CASCADE",
            f"DROP TABLE log.{table} CASCADE",
            f"ALTER TABLE log.{table} DISABLE TRIGGER ALL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


INSERTS = (
    "INSERT INTO log.entry VALUES (9, 'e', '', decode(repeat('00', 32), 'hex'), NULL)",
    "INSERT INTO log.checkpoint VALUES (9, 'note')",
    "INSERT INTO log.bitmap VALUES (decode(repeat('00', 32), 'hex'), '')",
    "INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (0, 'keys', 0, '{}', 0)",
)


@pytest.mark.parametrize("role", ["huanshu_app", "huanshu_courier", "huanshu_airflow"])
def test_only_the_keeper_inserts(ground: Any, role: str) -> None:
    url = with_database(ground.roles[role], "huanshu")
    try:
        connection = connect(url)
    except UnavailableError:
        assert role == "huanshu_airflow"  # it may not even connect to the district's database
        return
    with connection:
        for statement in INSERTS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    if role == "huanshu_app":
        with connect(url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM keys.wrapped")


def test_a_loan_needs_its_entry(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0)])
    writer.record_loan(0, "keys", 3, ["name"], 1)
    assert ground.rows("SELECT entry_index, kind, chunk, fields, amount FROM log.loan") == [
        (0, "keys", 3, ["name"], 1)
    ]
    with pytest.raises(UnavailableError):
        writer.record_loan(7, "keys", 0, ["name"], 1)
    assert ground.recover(writer) == []


def test_who_settles_first_commits_for_all(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    marks = [writer.stage([make_draft(n)])[1] for n in range(5)]
    assert ground.rows("SELECT count(*) FROM log.entry") == [(0,)]
    assert (writer.size, ground.signer.read_checkpoint("qinghe.example/huanshu", writer.note).size) == (0, 0)
    writer.settle(marks[2])
    assert writer.size == 5, "everything that is staged shares the commit"
    assert ground.rows("SELECT size FROM log.checkpoint") == [(5,)]
    for mark in marks:
        writer.settle(mark)
    assert ground.rows("SELECT size FROM log.checkpoint") == [(5,)]


def test_a_staged_idempotency_key_is_found_and_durable(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    ((made,), _) = writer.stage([make_draft(0, "k/1")])
    found = writer.find("k/1")
    assert found is not None
    assert (found.entry, found.fresh) == (made.entry, False)
    assert writer.size == 1


def test_a_key_whose_group_is_being_committed_is_found(ground: Any, make_draft: Any) -> None:
    """Callers look their key up under their owner's lock, while another's group is on its way to the disk."""
    writer = ground.started()
    ((made,), mark) = writer.stage([make_draft(0, "k/1")])
    committing = threading.Thread(target=writer.settle, args=(mark,))
    with connect(ground.tamper_url) as admin:
        with admin.transaction():
            admin.execute("LOCK TABLE log.checkpoint IN EXCLUSIVE MODE")
            committing.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while ground.rows(waiting) == [(0,)]:
                time.sleep(0.01)
            found: list[Any] = []
            asking = threading.Thread(target=lambda: found.append(writer.find("k/1")))
            asking.start()
            asking.join(0.2)
        asking.join()
        committing.join()
    assert [each and each.entry for each in found] == [made.entry], "a second entry under the same key"
    assert writer.append([make_draft(1, "k/2")])[0].entry.index == 1


def test_a_staged_bitmap_is_found_and_durable(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    draft = make_draft(0)
    writer.stage([Draft(draft.body, None, b"sealed")])
    assert writer.bitmap(hashlib.sha256(b"sealed").digest()) == b"sealed"
    assert writer.size == 1


def test_a_group_that_is_lost_is_lost_for_every_caller(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0)])
    marks = [writer.stage([make_draft(n)])[1] for n in range(3)]
    with connect(ground.tamper_url) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'huanshu_keeper'"
        )
    for mark in marks:
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.unwritable"):
            writer.settle(mark)
    assert ground.recover(writer) == []
    for mark in marks:  # also after a new start: they were never appended
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.unwritable"):
            writer.settle(mark)
    assert writer.append([make_draft(1)])[0].entry.index == 1


def test_callers_at_once_share_commits_and_each_is_durable_when_told(ground: Any, make_draft: Any) -> None:
    """Threads stage under their owner's lock and settle outside it, as the keeper does."""
    writer, lock = ground.started(), threading.Lock()
    told: list[int] = []
    slow = ground.head.write

    def write(note: str) -> None:
        time.sleep(0.005)  # a flush of a slow disk: others come meanwhile
        slow(note)

    ground.head.write = write

    def caller(number: int) -> None:
        for turn in range(10):
            with lock:
                ((made,), mark) = writer.stage([make_draft(number * 100 + turn)])
            writer.settle(mark)
            assert writer.size > made.entry.index
            told.append(made.entry.index)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == list(range(80))
    ((commits,),) = ground.rows("SELECT count(*) FROM log.checkpoint")
    assert commits < 60, "every caller committed for itself"
    assert ground.rows("SELECT count(*), max(index) FROM log.entry") == [(80, 79)]


def test_what_is_appended_equals_what_is_read_back(ground: Any, make_draft: Any) -> None:
    """The body in memory is not parsed again, unless it holds something that JSON reads otherwise."""
    writer = ground.started()
    body = make_draft(0).body
    for none in (1.5, None, b"x", {"a"}):
        with pytest.raises(InputError, match=r"canonical\.value\.refused"):
            writer.append([Draft({**body, "detail": {**body["detail"], "report": none}})])
    odd = ["a", {"b": [1, True]}], ("a", ("b", 2)), OrderedDict(a=(1,)), Rung.MASK
    made = writer.append([Draft({**body, "detail": {**body["detail"], "report": each}}) for each in odd])
    assert [type(a.entry.body["detail"]["report"]) for a in made] == [list, list, dict, int]
    writer.close()
    assert [entry.body for entry, _ in ground.writer().start()] == [a.entry.body for a in made]


@pytest.mark.parametrize(
    "bad", ["a\nb", "\x00", "\x7f", "\x85", "\u200b", "\u202e", "\u2028", "\ud800", "x" * 1_001, "é" * 1_001]
)
@pytest.mark.parametrize("place", ["value", "name", "list"])
def test_no_string_breaks_a_line_or_turns_text_around(
    ground: Any, make_draft: Any, bad: str, place: str
) -> None:
    writer = ground.started()
    body = make_draft(0).body
    report = {"value": bad, "name": {bad: 1}, "list": ["a", [bad]]}[place]
    with pytest.raises(InputError):
        writer.append([Draft({**body, "detail": {**body["detail"], "report": report}})])
    fine = {"value": "a\\nb", "name": {"\\": '"'}, "list": ["\u3000", "\u5f20\u4e09", "x" * 1_000]}[place]
    assert writer.append([Draft({**body, "detail": {**body["detail"], "report": fine}})])

"""Step 6: what lies at a receiver is what the log binds, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from huanshu.auditlog import Draft
from huanshu.exchange.digests import delivery_digest, row_digest, slice_digest
from huanshu.store import connect
from huanshu_verify import STEPS, Options, Problem, fsck

ORIGIN = "qinghe.example/huanshu"
CODE = "990101001001"
SCHEMA = f"receiver_{CODE}"
#: record, version, epoch, sex (plain), name (sealed bytes), phone (plain, may be absent)
ROWS = [(7, 1, 1, "1", b"\x01sealed", None), (9, 2, 1, "2", b"\x02sealed", "x"), (12, 1, 1, "1", b"\x03", "")]


def _append_run(writer: Any, delivery: str, rows: list[Any]) -> None:
    flow = {"id": "resident.district_to_communities", "digest": "ef" * 32, "approval": 0}
    shared = {
        "person": "p.lin", "established": {"by": "os", "account": "qh_lin"}, "policy": "ab" * 32,
        "post": "psb.exchange_officer", "domain": CODE, "dataset": "resident", "flow": flow,
    }  # fmt: skip
    digests = [row_digest(*row[:3], row[3:]) for row in rows]
    given = {
        **shared, "event": "exchange.delivery.authorised", "purpose": "grassroots_service", "how": "moved",
        "contract": "cd" * 32, "fields": {"sex": "reveal", "name": "reveal", "phone": "reveal"},
        "detail": {"delivery": delivery, "receiver": CODE, "upserts": 3, "withdrawals": 1, "until": "2026-12-31"},
    }  # fmt: skip
    (opened,) = writer.append([Draft(given)])
    writer.record_loan(opened.entry.index, "keys", 0, ["name"], 1)
    detail = {
        "delivery": delivery, "receiver": CODE, "authorised": opened.entry.index, "count": 3, "withdrawn": 1,
        "holds": 3, "digest": delivery_digest(digests, [5]).hex(), "slice_digest": slice_digest(digests).hex(),
    }  # fmt: skip
    writer.append([Draft({**shared, "event": "exchange.delivery.arrived", "detail": detail})])


@pytest.fixture
def receiver(ground: Any) -> Any:
    """A log with one arrived delivery (entry 1) and the slice it tells of, in the courier's schema."""
    writer = ground.started()
    _append_run(writer, "d1", ROWS)
    writer.close()
    digests = [row_digest(*row[:3], row[3:]) for row in ROWS]
    with connect(ground.roles["huanshu_courier"]) as courier:
        courier.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
        courier.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        courier.execute(
            f"CREATE TABLE {SCHEMA}.resident (record bigint PRIMARY KEY, version int, epoch int, sex text,"
            " name bytea, phone text, delivery text, digest bytea)".encode()
        )
        courier.execute(
            f"CREATE TABLE {SCHEMA}.inbox (delivery text PRIMARY KEY, flow text, dataset text, count int,"
            " withdrawn int, holds int, digest bytea, slice_digest bytea)".encode()
        )
        for row, digest in zip(ROWS, digests, strict=True):
            courier.execute(
                f"INSERT INTO {SCHEMA}.resident VALUES (%s, %s, %s, %s, %s, %s, 'd1', %s)".encode(),
                (*row, digest),
            )
        courier.execute(
            f"INSERT INTO {SCHEMA}.inbox VALUES ('d1', 'f', 'resident', 3, 1, 3, %s, %s)".encode(),
            (delivery_digest(digests, [5]), slice_digest(digests)),
        )
    return ground


def problems(ground: Any, steps: Any = STEPS) -> list[Problem]:
    url = ground.roles["huanshu_courier"]
    given = Options(ground.roles["huanshu_app"], ground.signer.vkey(ORIGIN), ground.head.read(), {CODE: url})
    return fsck(given, steps).problems


def test_a_slice_as_it_was_delivered_is_clean_and_every_row_was_looked_at(receiver: Any) -> None:
    url = receiver.roles["huanshu_courier"]
    report = fsck(Options(receiver.roles["huanshu_app"], receiver.signer.vkey(ORIGIN), None, {CODE: url}))
    assert report.clean, report.problems
    assert report.rows == len(ROWS)


def _rolled_back(ground: Any) -> None:
    older = (9, 1, 1, "2", b"\x0fsealed", "x")
    with connect(ground.tamper_url) as admin:
        admin.execute(
            f"UPDATE {SCHEMA}.resident SET version = %s, name = %s, digest = %s WHERE record = 9".encode(),
            (older[1], older[4], row_digest(*older[:3], older[3:])),
        )


def sql(*statements: str) -> Callable[[Any], None]:
    return lambda ground: ground.tamper(*statements)


CHANGES: dict[str, tuple[str, str, Callable[[Any], None]]] = {
    "sealed cell changed": (
        f"{CODE} resident record 9", "changed",
        sql(f"UPDATE {SCHEMA}.resident SET name = '\\x0000' WHERE record = 9"),
    ),
    "plain cell changed": (
        f"{CODE} resident record 7", "changed", sql(f"UPDATE {SCHEMA}.resident SET sex = '2' WHERE record = 7"),
    ),
    "absent made empty": (
        f"{CODE} resident record 7", "changed", sql(f"UPDATE {SCHEMA}.resident SET phone = '' WHERE record = 7"),
    ),
    "cells of two columns exchanged": (
        f"{CODE} resident record 9", "changed",
        sql(f"UPDATE {SCHEMA}.resident SET sex = phone, phone = sex WHERE record = 9"),
    ),
    "version changed": (
        f"{CODE} resident record 9", "changed", sql(f"UPDATE {SCHEMA}.resident SET version = 3 WHERE record = 9"),
    ),
    "row rolled back, its digest recomputed": (f"{CODE} resident", "slice", _rolled_back),
    "row deleted": (f"{CODE} resident", "slice", sql(f"DELETE FROM {SCHEMA}.resident WHERE record = 12")),
    "row copied to another record": (
        f"{CODE} resident record 13", "changed",
        sql(f"INSERT INTO {SCHEMA}.resident SELECT 13, version, epoch, sex, name, phone, delivery, digest"
            f" FROM {SCHEMA}.resident WHERE record = 12"),
    ),
    "inbox line deleted": (CODE, "entry 1 has no inbox line", sql(f"DELETE FROM {SCHEMA}.inbox")),
    "inbox line too many": (
        CODE, "inbox line d7 has no arrived entry",
        sql(f"INSERT INTO {SCHEMA}.inbox SELECT 'd7', flow, dataset, count, withdrawn, holds, digest, slice_digest"
            f" FROM {SCHEMA}.inbox"),
    ),
    "inbox line changed": (
        CODE, "inbox line d1 differs from entry 1", sql(f"UPDATE {SCHEMA}.inbox SET count = 2"),
    ),
    "inbox and slice both rewritten": (
        CODE, "inbox line d1 differs from entry 1",
        sql(f"UPDATE {SCHEMA}.inbox SET slice_digest = sha256('other')"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_slice_is_found_at_its_place_by_step_six_alone(receiver: Any, name: str) -> None:
    at, what, change = CHANGES[name]
    change(receiver)
    found = [problem for problem in problems(receiver) if problem.step == "6 slices"]
    assert any(problem.at == at and what in problem.what for problem in found), found
    assert problems(receiver, [step for step in STEPS if step[0] != "6 slices"]) == []


def test_a_stray_inbox_line_does_not_hide_a_changed_slice(receiver: Any) -> None:
    CHANGES["row rolled back, its digest recomputed"][2](receiver)
    CHANGES["inbox line too many"][2](receiver)
    assert {problem.at for problem in problems(receiver)} == {CODE, f"{CODE} resident"}


def test_a_receiver_without_its_schema_is_found(receiver: Any) -> None:
    with connect(receiver.tamper_url) as admin:
        admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
    assert [(p.at, "no inbox" in p.what) for p in problems(receiver)] == [(CODE, True)]


def test_a_slice_table_that_is_gone_is_found(receiver: Any) -> None:
    with connect(receiver.tamper_url) as admin:
        admin.execute(f"DROP TABLE {SCHEMA}.resident".encode())
    assert [p.at for p in problems(receiver)] == [f"{CODE} resident"]


def test_only_the_last_arrived_entry_binds_the_slice(receiver: Any) -> None:
    writer = receiver.started()
    later = [*ROWS[:2], (12, 2, 1, "1", b"\x04", "")]
    _append_run(writer, "d2", later)
    digests = [row_digest(*row[:3], row[3:]) for row in later]
    with connect(receiver.tamper_url) as admin:
        admin.execute(
            f"UPDATE {SCHEMA}.resident SET version = 2, name = %s, delivery = 'd2', digest = %s WHERE record = 12".encode(),
            (later[2][4], digests[2]),
        )
        admin.execute(
            f"INSERT INTO {SCHEMA}.inbox VALUES ('d2', 'f', 'resident', 3, 1, 3, %s, %s)".encode(),
            (delivery_digest(digests, [5]), slice_digest(digests)),
        )
    assert problems(receiver) == []


def test_a_receiver_that_was_not_given_is_said_not_passed_over(receiver: Any) -> None:
    report = fsck(Options(receiver.roles["huanshu_app"], receiver.signer.vkey(ORIGIN)))
    assert f"slices: no store was given for {CODE}" in report.steps

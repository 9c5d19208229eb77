"""Each role on a real server: what it may do works, what it may not do is refused by the database itself."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from huanshu.errors import UnavailableError
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import (
    DISTRICT_ROLES,
    RECEIVER_ROLES,
    new_passwords,
    prepare_district,
    prepare_receiver,
    role_url,
)
from huanshu.store.urls import with_database

DENIED = psycopg.errors.InsufficientPrivilege
READERS_OF_THE_LOG = ("huanshu_keeper", "huanshu_app")


def _tables(url: str, schema: str) -> list[str]:
    with connect(url) as owner:
        rows = owner.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (schema,)
        ).fetchall()
    return [row[0] for row in rows]


def _try(url: str, statement: str) -> None:
    with connect(url) as connection, connection.transaction(force_rollback=True):
        connection.execute(statement.encode())


def test_no_one_but_the_owner_changes_what_is_in_the_log(roles: dict[str, str]) -> None:
    tables = _tables(roles["huanshu_owner"], "log")
    assert set(tables) >= {"log.entry", "log.checkpoint", "log.bitmap", "log.loan"}
    for table in tables:
        with connect(roles["huanshu_owner"]) as owner:
            column = owner.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2", (table,)
            ).fetchone()
        assert column is not None
        for role in ("huanshu_keeper", "huanshu_app", "huanshu_courier"):
            for statement in (
                f"UPDATE {table} SET {column[0]} = {column[0]}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
                f"DROP TABLE {table} CASCADE",
                f"ALTER TABLE {table} ADD COLUMN more int",
            ):
                with pytest.raises(DENIED):
                    _try(roles[role], statement)


def test_only_the_keeper_adds_to_the_log(roles: dict[str, str]) -> None:
    entry = "INSERT INTO log.entry (index, event, leaf, leaf_hash) VALUES (0, 'x', '', decode(repeat('00', 32), 'hex'))"
    _try(roles["huanshu_keeper"], entry)  # the control arm
    for table in _tables(roles["huanshu_owner"], "log"):
        with pytest.raises(DENIED):
            _try(roles["huanshu_app"], f"INSERT INTO {table} DEFAULT VALUES")
    with pytest.raises(DENIED):
        _try(roles["huanshu_app"], entry)


def test_each_role_sees_its_own_schemas(roles: dict[str, str]) -> None:
    may = {
        "log": READERS_OF_THE_LOG,
        "keys": ("huanshu_keeper",),
        "seen": ("huanshu_keeper",),
        "told": ("huanshu_keeper",),
        "district": ("huanshu_app",),
    }
    #: How often links were made anew: the keeper hands out the key for it. What was written: it counts over no other.
    more = {("huanshu_keeper", "district.link_generation"), ("huanshu_keeper", "district.written")}
    for schema, readers in may.items():
        tables = _tables(roles["huanshu_owner"], schema)
        assert tables, schema
        for role in ("huanshu_keeper", "huanshu_app", "huanshu_courier"):
            for table in tables:
                if role in readers or (role, table) in more:
                    _try(roles[role], f"SELECT FROM {table}")
                else:
                    with pytest.raises(DENIED):
                        _try(roles[role], f"SELECT FROM {table}")
    for change in ("DELETE FROM", "INSERT INTO", "UPDATE"):
        what = {"INSERT INTO": "VALUES ('b', 'h', '')", "UPDATE": "SET rows = ''"}.get(change, "")
        with pytest.raises(DENIED):
            _try(roles["huanshu_keeper"], f"{change} district.written {what}")


def test_airflow_and_the_district_cannot_enter_each_other(roles: dict[str, str]) -> None:
    with connect(roles["huanshu_airflow"]) as airflow:
        airflow.execute("CREATE TABLE mine (n int); DROP TABLE mine")
    with pytest.raises(UnavailableError):
        connect(with_database(roles["huanshu_airflow"], "huanshu"))
    for role in ("huanshu_owner", "huanshu_keeper", "huanshu_app", "huanshu_courier"):
        with pytest.raises(UnavailableError):
            connect(with_database(roles[role], "huanshu_airflow"))


def test_the_courier_makes_its_own_schemas_and_no_one_reads_them(roles: dict[str, str]) -> None:
    with connect(roles["huanshu_courier"]) as courier:
        courier.execute(
            "CREATE SCHEMA receiver_x; CREATE TABLE receiver_x.resident (record bigint PRIMARY KEY)"
        )
        courier.execute("INSERT INTO receiver_x.resident VALUES (1)")
    for role in ("huanshu_app", "huanshu_keeper"):
        with pytest.raises(DENIED):
            _try(roles[role], "SELECT FROM receiver_x.resident")
        with pytest.raises(DENIED):
            _try(roles[role], "CREATE SCHEMA receiver_y")


def test_no_role_is_more_than_a_role(roles: dict[str, str], server: EmbeddedServer) -> None:
    with connect(server.admin_url) as admin:
        rows = admin.execute(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls, rolpassword"
            " FROM pg_authid WHERE rolname LIKE 'huanshu%%' ORDER BY 1"
        ).fetchall()
        members = admin.execute(
            "SELECT member::regrole::text FROM pg_auth_members"
            " WHERE roleid::regrole::text LIKE 'huanshu%%' OR member::regrole::text LIKE 'huanshu%%'"
        ).fetchall()
    assert {row[0] for row in rows} == set(DISTRICT_ROLES)
    assert not any(row[1] for row in rows)
    assert all(row[2].startswith("SCRAM-SHA-256$") for row in rows)
    assert {row[0] for row in members} <= {"postgres"}, "one of our roles is a member of another"


def test_new_passwords_void_the_old_ones(roles: dict[str, str], server: EmbeddedServer) -> None:
    connect(roles["huanshu_app"]).close()
    prepare_district(server.admin_url, new_passwords(DISTRICT_ROLES))
    with pytest.raises(UnavailableError) as refused:
        connect(roles["huanshu_app"])
    assert "huanshu_app" in str(refused.value)


def test_a_role_that_may_too_much_is_refused(spare: EmbeddedServer) -> None:
    with connect(spare.admin_url) as admin:
        admin.execute("CREATE ROLE huanshu_courier LOGIN SUPERUSER")
    try:
        with pytest.raises(UnavailableError, match=r"store\.role\.too_strong"):
            prepare_receiver(spare.admin_url, new_passwords(RECEIVER_ROLES))
    finally:
        with connect(spare.admin_url) as admin:
            admin.execute("DROP ROLE huanshu_courier")


@pytest.fixture
def modest_admin(spare: EmbeddedServer) -> Iterator[str]:
    """An administrator as a managed PostgreSQL has it: no superuser."""
    with connect(spare.admin_url) as admin:
        admin.execute("CREATE ROLE modest LOGIN CREATEROLE CREATEDB PASSWORD 'modest'")
    yield spare.url("modest", "modest", "postgres")
    with connect(spare.admin_url) as admin:
        for database in ("huanshu", "huanshu_airflow"):
            admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
        for role in (*DISTRICT_ROLES, "modest"):
            admin.execute(f"DROP ROLE IF EXISTS {role}".encode())


def test_a_server_of_ones_own_needs_no_superuser(modest_admin: str) -> None:
    for _ in range(2):  # repeatable
        passwords = new_passwords(DISTRICT_ROLES)
        prepare_district(modest_admin, passwords)
    with connect(role_url(modest_admin, "huanshu_owner", passwords)) as owner:
        assert migrate(owner)
    with connect(role_url(modest_admin, "huanshu_app", passwords)) as app:
        assert app.execute("SELECT count(*) FROM log.entry").fetchone() == (0,)


def test_a_receiver_of_its_own(second_server: EmbeddedServer) -> None:
    passwords = new_passwords(RECEIVER_ROLES)
    prepare_receiver(second_server.admin_url, passwords)
    with connect(role_url(second_server.admin_url, "huanshu_courier", passwords)) as courier:
        courier.execute("CREATE SCHEMA receiver_z; DROP SCHEMA receiver_z")

"""Databases and roles: who may do what to which schema, made by an administrator once.

    huanshu_owner    owns the schemas, applies migrations
    huanshu_keeper   the keeper: inserts into ``log``, owns nothing, no UPDATE/DELETE/TRUNCATE of the log or of rows;
                     reads the datasets' rows and lists, to count over sealed fields
    huanshu_app      gate and exchange: reads ``log``, reads and writes ``district``
    huanshu_airflow  its own database only
    huanshu_courier  at a receiver: the ``receiver_*`` schemas it makes itself

The administrator is the embedded server's superuser, or any role with CREATEROLE and CREATEDB on a server of
one's own. What each role may do to each table stands beside the table, in ``migrations``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

from huanshu.errors import Text, UnavailableError
from huanshu.store.sessions import connect
from huanshu.store.urls import with_database, with_role

DISTRICT: Final = "huanshu"
AIRFLOW: Final = "huanshu_airflow"
DISTRICT_ROLES: Final = (
    "huanshu_owner",
    "huanshu_keeper",
    "huanshu_app",
    "huanshu_airflow",
    "huanshu_courier",
)
RECEIVER_ROLES: Final = ("huanshu_courier",)


def new_passwords(roles: tuple[str, ...]) -> dict[str, str]:
    """Role → a password of 256 random bits."""
    return {role: secrets.token_urlsafe(32) for role in roles}


def prepare_district(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Roles, the district's database and Airflow's, on the administrator's server. Repeatable: a role that
    is there gets the new password, a database that is there stays."""
    with connect(admin_url) as connection:
        _roles(connection, passwords)
        _database(connection, DISTRICT, "huanshu_owner", ("huanshu_keeper", "huanshu_app", "huanshu_courier"))
        _database(connection, AIRFLOW, "huanshu_airflow", ())
        connection.execute(_sql("GRANT CREATE ON DATABASE {} TO huanshu_courier", DISTRICT))
        # A session's own tables, for joins with what one batch brought: links and record numbers, no values.
        connection.execute(_sql("GRANT TEMPORARY ON DATABASE {} TO huanshu_app", DISTRICT))
    with connect(with_database(admin_url, DISTRICT)) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO huanshu_owner")


def prepare_receiver(admin_url: str, passwords: Mapping[str, str]) -> None:
    """The courier role and its database on a receiver's own server. Repeatable."""
    with connect(admin_url) as connection:
        _roles(connection, passwords)
        _database(connection, DISTRICT, "huanshu_courier", ())


def role_url(admin_url: str, role: str, passwords: Mapping[str, str]) -> str:
    """The URL of one of our roles in its database."""
    return with_role(admin_url, role, passwords[role], AIRFLOW if role == "huanshu_airflow" else DISTRICT)


def show_keeper(district: psycopg.Connection, dataset: str) -> None:
    """Let the keeper read a dataset's rows, which it counts over where a field is sealed; it changes none. For whom the
    table belongs to."""
    statement = sql.SQL("GRANT SELECT ON {} TO huanshu_keeper")
    district.execute(statement.format(sql.Identifier("district", dataset)))


def show_keeper_all(district: psycopg.Connection) -> None:
    """The same for every dataset that an older version stored."""
    found = district.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'district' AND tableowner = current_user"
    )
    for (name,) in found.fetchall():
        show_keeper(district, name)


def _roles(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    for role, password in passwords.items():
        known = connection.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
            " FROM pg_roles WHERE rolname = %s",
            (role,),
        ).fetchone()
        if known is not None and known[0]:
            raise UnavailableError(
                "store.role.too_strong",
                Text(f"the role {role} is there and may do too much", f"角色 {role} 已存在且权限过大"),
                remedy=Text(
                    "take SUPERUSER, CREATEROLE, CREATEDB, REPLICATION and BYPASSRLS from it",
                    "请收回其 SUPERUSER、CREATEROLE、CREATEDB、REPLICATION、BYPASSRLS",
                ),
            )
        # The verifier is computed here: no server's statement log ever has the password.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL("CREATE" if known is None else "ALTER"),
                sql.Identifier(role),
                sql.Literal(verifier.decode()),
            )
        )


def _database(connection: psycopg.Connection, name: str, owner: str, guests: tuple[str, ...]) -> None:
    """A database that only its owner and the named roles can connect to."""
    connection.execute(_sql("GRANT {} TO CURRENT_USER", owner))
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        connection.execute(
            _sql("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0", name, owner)
        )
    connection.execute(_sql("REVOKE ALL ON DATABASE {} FROM PUBLIC", name))
    for guest in guests:
        connection.execute(_sql("GRANT CONNECT ON DATABASE {} TO {}", name, guest))


def _sql(statement: str, *identifiers: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, identifiers))

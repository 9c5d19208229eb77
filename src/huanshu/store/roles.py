"""Databases and roles: who may do what to which schema, made by an administrator once.

huanshu_owner    owns the schemas, applies migrations
huanshu_keeper   the keeper: inserts into ``log``, owns nothing, no UPDATE/DELETE/TRUNCATE anywhere
huanshu_app      gate and exchange: reads ``log``, reads and writes ``district``
huanshu_airflow  its own database only
huanshu_courier  at a receiver: the ``receiver_*`` schemas it makes itself
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

from huanshu.store.sessions import connect
from huanshu.store.urls import with_role

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
    return {role: secrets.token_urlsafe(32) for role in roles}


def prepare_district(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Roles, the district's database and Airflow's, on the administrator's server. Repeatable."""
    with connect(admin_url) as connection:
        _roles(connection, passwords)
        _database(connection, DISTRICT, "huanshu_owner")
        _database(connection, AIRFLOW, "huanshu_airflow")
    with connect(with_database(admin_url, DISTRICT)) as connection:
        connection.execute(
            sql.SQL(
                "REVOKE ALL ON DATABASE {0} FROM PUBLIC;"
                " GRANT CONNECT ON DATABASE {0} TO huanshu_keeper, huanshu_app, huanshu_courier;"
                " GRANT CREATE ON DATABASE {0} TO huanshu_courier;"
                " REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
                " GRANT CREATE, USAGE ON SCHEMA public TO huanshu_owner"
            ).format(sql.Identifier(DISTRICT))
        )


def prepare_receiver(admin_url: str, passwords: Mapping[str, str]) -> None:
    """The courier role and its database on a receiver's own server. Repeatable."""
    with connect(admin_url) as connection:
        _roles(connection, passwords)
        _database(connection, DISTRICT, "huanshu_courier")


def with_database(admin_url: str, database: str) -> str:
    from psycopg import conninfo

    return conninfo.make_conninfo(admin_url, dbname=database)


def role_url(admin_url: str, role: str, passwords: Mapping[str, str]) -> str:
    """The URL of one of our roles in its database."""
    return with_role(admin_url, role, passwords[role], AIRFLOW if role == "huanshu_airflow" else DISTRICT)


def _roles(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    for role, password in passwords.items():
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        verb = "ALTER" if known else "CREATE"
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOCREATEDB NOCREATEROLE").format(
                sql.SQL(verb), sql.Identifier(role), sql.Literal(password)
            )
        )


def _database(connection: psycopg.Connection, name: str, owner: str) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
        )
